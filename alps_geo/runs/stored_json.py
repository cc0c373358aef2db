"""JSON files that are read back, checked before anything relies on them.

A shape says what a value must be: a type; ``[shape]`` for a list of such values and
``[shape, ...]`` for one of at least one; a dict for an object with these keys, whose further keys
are those of a later version and are left alone; a tuple for any of several shapes; a compiled
pattern for text that matches it; any other value for itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN = 40

_TYPES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class Perhaps:
    """The shape of a key that may be absent."""

    shape: Any


class DamagedError(Exception):
    """A file that does not hold what it must; the message says which and why."""


def read_json(path: Path, shape: Any) -> Any:
    """Read a JSON file; None if there is none.

    Raises
    ------
    DamagedError
        If it cannot be read, is no JSON or has another shape.
    """
    try:
        found = json.loads(path.read_bytes())
        check_shape(found, shape)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DamagedError(f"{path} is damaged or of another version ({reason})") from error
    return found


def check_shape(value: Any, shape: Any, name: str = "the content") -> None:
    """Raise ValueError, with the `name` of the part that differs, if a value has another shape."""
    if isinstance(shape, dict):
        _expect(isinstance(value, dict), name, value, "an object")
        for key, part in shape.items():
            if key in value:
                inner = part.shape if isinstance(part, Perhaps) else part
                check_shape(value[key], inner, key)
            elif not isinstance(part, Perhaps):
                raise ValueError(f"{name} lacks {key!r}")
    elif isinstance(shape, list):
        least = len(shape) - 1
        _expect(isinstance(value, list) and len(value) >= least, name, value, "a list")
        for part in value:
            check_shape(part, shape[0], name)
    else:
        choices = shape if isinstance(shape, tuple) else (shape,)
        _expect(any(_fits(value, choice) for choice in choices), name, value, _described(choices))


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and shape.fullmatch(value) is not None
    if isinstance(shape, list | dict):
        try:
            check_shape(value, shape)
        except ValueError:
            return False
        return True
    if not isinstance(shape, type):
        return bool(value == shape)
    # JSON writes a float that is whole as an int; Python counts a bool as one.
    kinds = (int, float) if shape is float else (shape,)
    return isinstance(value, kinds) and (shape is bool or not isinstance(value, bool))


def _described(choices: tuple[Any, ...]) -> str:
    names = []
    for choice in choices:
        if isinstance(choice, type):
            names.append(_TYPES[choice])
        elif isinstance(choice, re.Pattern):
            names.append(f"text such as {choice.pattern}")
        elif isinstance(choice, list | dict):
            names.append("a list" if isinstance(choice, list) else "an object")
        else:
            names.append(json.dumps(choice))
    return " or ".join(names)


def _expect(holds: bool, name: str, value: Any, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {json.dumps(value)[:_SHOWN]}, expected {expected}")
