"""Command lines of the program, made of the values in a dialog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .installation import Option, Value


def typed_options(options: Iterable[Option], values: Mapping[str, Value]) -> list[str]:
    """Write options as they are typed.

    Those at their defaults are left out: a preset, a config or the settings of a cluster model
    decide them, as they do on the command line.

    Parameters
    ----------
    options : iterable of Option
        Options of a command.
    values : mapping of str to value
        Their values by name.

    Examples
    --------
    >>> typed_options([Option("tile_size", "text", "1024", "Side")], {"tile_size": "512"})
    ['--tile-size=512']
    """
    typed: list[str] = []
    for option in options:
        value = values.get(option.name)
        if value in (None, "", []) or _text(value) == _text(option.default):
            continue
        if option.kind in ("flag", "switch"):
            typed.append(option.typed if value else f"--no-{option.typed[2:]}")
        else:
            listed = value if isinstance(value, list) else [value]
            typed += [f"{option.typed}={_text(each)}" for each in listed]
    return typed


def names_of_clusters(text: str) -> list[str]:
    """Read names of clusters, one in a line or between semicolons, as arguments of the program.

    >>> names_of_clusters("3=water; 5=bare soil")
    ['3=water', '5=bare soil']
    """
    return [name for part in re.split(r"[;\n]", text) if (name := part.strip())]


def error_in(lines: Sequence[str]) -> str:
    """Find the error of the program in the lines that it wrote; all of them where there is none.

    It is one line, or the text in the box that is drawn around errors of usage.
    """
    for line in lines:
        _, mark, error = line.partition("alps-geo: error: ")
        if mark:
            return error
    boxed = [line.strip("│ ") for line in lines if line.startswith("│")]
    return " ".join(boxed) or "\n".join(lines)


def _text(value: Value) -> str:
    """Write a number without the noise of its last binary digits."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)
