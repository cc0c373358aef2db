"""Settings classes: their fields, checks of all values, and their documentation."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from inspect import cleandoc
from numbers import Integral, Real
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args

from alps_geo.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alps_geo.fields.rules import Rule

T = TypeVar("T")

Stage: TypeAlias = Literal["scene", "tiles", "segments", "clusters", "outputs", "nothing"]
"""First stage that a setting decides; the stages after it follow from that one."""

STAGES: tuple[Stage, ...] = get_args(Stage)[:-1]
"""Stages that decide results, in their order."""


@dataclass(frozen=True)
class Setting:
    """Meaning of a field, next to its name, type and default.

    Attributes
    ----------
    within : Rule
        Allowed values.
    help : str
        First paragraph: help of the option. The docs show all of it.
    panel : str
        Panel of the option; empty for a field that is no option.
    decides : Stage or None
        First stage that it decides; None for a field that no run is told.
    metavar : str or None
        Placeholder of the value in the help; None to show its type.
    shown : str or None
        Default in words, where the value None stands for something else.
    """

    within: Rule
    help: str
    panel: str
    decides: Stage | None
    metavar: str | None
    shown: str | None


def setting(
    default: T,
    within: Rule,
    help: str = "",  # noqa: A002 (the word that options have for it)
    panel: str = "",
    decides: Stage | None = None,
    metavar: str | None = None,
    shown: str | None = None,
) -> T:
    """Define a field of a settings class; the parameters are those of `Setting`.

    >>> @dataclass(frozen=True)
    ... class Settings:
    ...     workers: int = setting(1, Between(1, 1024), "Processes that work on tiles.", "Model")
    """
    known = Setting(within, help, panel, decides, metavar, shown)
    found: T = field(default=default, metadata={"setting": known})
    return found


def settings_of(cls: type) -> Mapping[str, Setting]:
    """Return the `Setting` of each field of a class that has one, by name and in order."""
    return {
        each.name: each.metadata["setting"]
        for each in dataclasses.fields(cls)
        if "setting" in each.metadata
    }


def check_fields(owner: Any) -> None:
    """Check all values of a settings object.

    Raises
    ------
    SettingsError
        If one is not allowed.
    """
    types = _types(type(owner))
    for name, known in settings_of(type(owner)).items():
        value = getattr(owner, name)
        _check_type(name, value, types[name])
        known.within.check(name, value)


def _types(cls: type) -> dict[str, str]:
    """Return the types of a settings class's fields as they are written, by name."""
    return {each.name: str(each.type) for each in dataclasses.fields(cls)}


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return _is_number(value) and isinstance(value, Integral)


_TYPES: dict[str, tuple[str, Callable[[object], bool]]] = {
    "int": ("a whole number", _is_whole),
    "float": ("a number", _is_number),
    "str": ("text", lambda value: isinstance(value, str)),
    "bool": ("True or False", lambda value: isinstance(value, bool)),
    "tuple[str, ...]": (
        "a tuple of texts",
        lambda value: isinstance(value, tuple) and all(isinstance(each, str) for each in value),
    ),
    "tuple[int, ...]": (
        "a tuple of whole numbers",
        lambda value: isinstance(value, tuple) and all(map(_is_whole, value)),
    ),
    "tuple": (
        "a tuple of numbers",
        lambda value: isinstance(value, tuple) and all(map(_is_number, value)),
    ),
}
"""Types of settings: their names for people, and their tests."""


def _check_type(name: str, value: object, annotation: str) -> None:
    """Raise SettingsError if a value is of another type than its field, as from Python."""
    written = annotation.split(" | ")
    if value is None and "None" in written:
        return
    known = [
        _TYPES.get(each) or _TYPES[each.partition("[")[0]] for each in written if each != "None"
    ]
    if not any(fits(value) for _, fits in known):
        expected = " or ".join(words for words, _ in known)
        raise SettingsError(f"{name} is {value!r}, expected {expected}")


def documented(cls: type[T]) -> type[T]:
    """List the fields of a settings class in its docstring, for readers of its help."""
    lines, types = ["Attributes", "----------"], _types(cls)
    for name, known in settings_of(cls).items():
        lines.append(f"{name} : {types[name]}")
        lines += wrap(known.help, 90, initial_indent="    ", subsequent_indent="    ")
    summary, _, rest = cleandoc(cls.__doc__ or "").partition("\n\n")
    cls.__doc__ = "\n\n".join((summary, "\n".join(lines), rest))
    return cls
