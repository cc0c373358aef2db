"""JSON files that are read back, checked before anything relies on them.

A shape describes a value: a type; ``[shape]`` for a list of such values and
``[shape, ...]`` for one of at least one; a dict for an object with these keys, whose further keys
are those of a later version and are left alone; a tuple for any of several shapes; a compiled
pattern for text that matches it; any other value for itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from _typeshed import DataclassInstance

Value = TypeVar("Value")

Shape = dict[str, Any]
"""Shape of an object: that of each key."""

_SHOWN = 40

_TYPES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class Perhaps:
    """Shape of a key that may be absent."""

    shape: Any


class DamagedError(Exception):
    """Damage of a stored file; the message names the file and the part that is wrong."""


def read_json(path: Path, build: Callable[[object], Value]) -> Value | None:
    """Read a value from a JSON file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    build : callable
        Builds the value from JSON, and raises ValueError for JSON of another shape.

    Returns
    -------
    Value or None
        None if there is no file.

    Raises
    ------
    DamagedError
        If the file cannot be read, is no JSON or has another shape.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror})") from error
    return parse_json(content, str(path), build)


def parse_json(content: bytes, name: str, build: Callable[[object], Value]) -> Value:
    """Build a value from the content of a JSON file, called `name` in errors; see `read_json`.

    Raises
    ------
    DamagedError
        If it is no JSON or has another shape.
    """
    try:
        return build(json.loads(content))
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DamagedError(f"{name} is damaged or of another version ({reason})") from error


def known_fields(found: object, shape: Shape) -> Mapping[str, Any]:
    """Read the keys of a shape from a JSON object, as arguments of the value that they make.

    Lists become tuples; optional keys that are absent become None.

    Raises
    ------
    ValueError
        If the object has another shape.
    """
    values = check_shape(found, shape)
    return {
        key: tuple(value) if isinstance(value := values.get(key), list) else value for key in shape
    }


def further_fields(found: object, shape: Shape) -> dict[str, object]:
    """Return the keys of a JSON object that its shape does not know: those of a later version."""
    return {key: value for key, value in check_shape(found, {}).items() if key not in shape}


def json_object(
    value: DataclassInstance, shape: Shape, further: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Return the fields of a value that its shape has, in the order of the fields.

    The reverse of `known_fields`: tuples become lists, and optional keys without a value are left
    out. Keys of a later version follow at the end.
    """
    known: dict[str, object] = {}
    for name in (field.name for field in fields(value) if field.name in shape):
        part = getattr(value, name)
        if part is None and isinstance(shape[name], Perhaps):
            continue
        known[name] = list(part) if isinstance(part, tuple) else part
    return {**known, **(further or {})}


def check_shape(value: Any, shape: Any, name: str = "the content") -> Any:
    """Return a value if it has a shape.

    Raises
    ------
    ValueError
        If it has another, with the `name` of the part that differs.
    """
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
    return value


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
