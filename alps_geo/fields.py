"""Fields of settings: each carries its allowed values, help, panel of options and effect.

The mechanism behind `alps_geo.settings.LabelSettings` and `alps_geo.sam.settings.MaskSettings`.
Validation, options, fingerprints and the page of options in the docs are read from the fields.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from inspect import cleandoc
from numbers import Integral, Real
from textwrap import wrap
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    get_args,
    runtime_checkable,
)

from alps_geo.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

Stage: TypeAlias = Literal["scene", "tiles", "segments", "clusters", "outputs", "nothing"]
"""First stage that a setting decides; the stages after it follow from that one."""

STAGES: tuple[Stage, ...] = get_args(Stage)[:-1]
"""Stages that decide results, in their order."""


@dataclass(frozen=True)
class Rule:
    """Allowed values of a field; this one allows all."""

    def check(self, name: str, value: Any) -> None:
        """Raise SettingsError if a value is not allowed."""

    def describe(self) -> str:
        """Return the allowed values in words, for the docs; empty if all are."""
        return ""

    def stored(self, value: Any) -> Any:
        """Return the form of a value in fingerprints."""
        return value


@runtime_checkable
class Readable(Protocol):
    """A rule whose values are typed as text of a form of its own, such as 4,3,2."""

    def read(self, name: str, text: str) -> Any:
        """Read a value; raise SettingsError for text of another form."""


@dataclass(frozen=True)
class FilePath(Rule):
    """The path of a file, whose content decides results and not its name."""

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "a file"


@dataclass(frozen=True)
class Between(Rule):
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float

    def check(self, name: str, value: float | None) -> None:
        """Raise SettingsError if a number is given that is out of the range."""
        if value is not None and not self.low <= value <= self.high:
            raise SettingsError(f"{name} is {value:g}, expected {self.low:g} to {self.high:g}")

    def describe(self) -> str:
        """Return the allowed values in words."""
        return f"{_number(self.low)} to {_number(self.high)}"


@dataclass(frozen=True)
class AtLeast(Rule):
    """Numbers from `low` on."""

    low: float

    def check(self, name: str, value: float | None) -> None:
        """Raise SettingsError if a number is given that is too small."""
        if value is not None and not value >= self.low:
            raise SettingsError(f"{name} is {value}, expected {self.low:g} or more")

    def describe(self) -> str:
        """Return the allowed values in words."""
        return f"{_number(self.low)} or more"


@dataclass(frozen=True)
class Choices(Rule):
    """Words to choose from.

    Attributes
    ----------
    words : tuple of str
        The words.
    earlier : tuple of (str, str)
        Words of earlier versions and those of today that replaced them. Files of settings may
        still have them. Fingerprints keep them, so that tiles and runs of before still count.
    """

    words: tuple[str, ...]
    earlier: tuple[tuple[str, str], ...] = ()

    def check(self, name: str, value: str) -> None:
        """Raise SettingsError if a word is none of the choices."""
        if value not in self.words:
            raise SettingsError(f"{name} is {value!r}, expected one of {', '.join(self.words)}")

    def describe(self) -> str:
        """Return the allowed values in words."""
        return ", ".join(f"`{word}`" for word in self.words)

    def stored(self, value: str) -> str:
        """Return the word that fingerprints have for a choice."""
        return next((before for before, now in self.earlier if now == value), value)

    def current(self, value: str) -> str:
        """Return today's word for a choice."""
        return dict(self.earlier).get(value, value)


@dataclass(frozen=True)
class BandNumbers(Rule):
    """Band numbers, counted from 1.

    Attributes
    ----------
    counts : tuple of int
        Allowed numbers of bands; empty for any.
    """

    counts: tuple[int, ...] = (1, 3)

    def check(self, name: str, value: tuple[int, ...] | None) -> None:
        """Raise SettingsError if other numbers are given."""
        if value is not None and not self.allow(value):
            raise self._error(name, ",".join(map(str, value)))

    def allow(self, numbers: tuple[int, ...]) -> bool:
        """Return True if the numbers are allowed."""
        is_count = len(numbers) in self.counts or (bool(numbers) and not self.counts)
        return is_count and min(numbers) >= 1

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "one or three band numbers from 1" if self.counts else "band numbers from 1"

    def read(self, name: str, text: str) -> tuple[int, ...]:
        """Read band numbers that are separated by commas, such as 4,3,2.

        Raises
        ------
        SettingsError
            If the text is something else.
        """
        try:
            return tuple(int(part) for part in text.split(","))
        except ValueError:
            raise self._error(name, f"{text!r}, not whole numbers") from None

    def _error(self, name: str, found: str) -> SettingsError:
        return SettingsError(f"{name} is {found}, expected {self.describe()}, such as 4,3,2")


@dataclass(frozen=True)
class Shares(Rule):
    """Three shares that add up to 1."""

    def check(self, name: str, value: tuple[float, ...]) -> None:
        """Raise SettingsError if other numbers are given."""
        if len(value) != 3 or min(value) < 0 or abs(sum(value) - 1) > 1e-6:
            raise self._error(name, ",".join(f"{number:g}" for number in value))

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "three shares that add up to 1"

    def read(self, name: str, text: str) -> tuple[float, ...]:
        """Read numbers that are separated by commas, such as 0.8,0.1,0.1.

        Raises
        ------
        SettingsError
            If the text is something else.
        """
        try:
            return tuple(float(part) for part in text.split(","))
        except ValueError:
            raise self._error(name, repr(text)) from None

    def _error(self, name: str, found: str) -> SettingsError:
        return SettingsError(f"{name} is {found}, expected {self.describe()}, such as 0.8,0.1,0.1")


@dataclass(frozen=True)
class Words(Rule):
    """Words of a user, such as names."""

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "names or numbers, separated by commas"

    def read(self, name: str, text: str) -> tuple[str, ...]:  # noqa: ARG002 (all text is allowed)
        """Read words that are separated by commas, such as water,7."""
        return tuple(word for part in text.split(",") if (word := part.strip()))


@dataclass(frozen=True)
class Percentiles(Rule):
    """Two percentiles that rise."""

    def check(self, name: str, value: tuple[float, float] | None) -> None:
        """Raise SettingsError if other numbers are given."""
        if value is not None and (len(value) != 2 or not 0 <= value[0] < value[1] <= 100):
            raise self._error(name, ",".join(f"{number:g}" for number in value))

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "two percentiles from 0 to 100, the lower first"

    def read(self, name: str, text: str) -> tuple[float, ...]:
        """Read numbers that are separated by commas, such as 2,98.

        Raises
        ------
        SettingsError
            If the text is something else.
        """
        try:
            return tuple(float(part) for part in text.split(","))
        except ValueError:
            raise self._error(name, repr(text)) from None

    def _error(self, name: str, found: str) -> SettingsError:
        return SettingsError(f"{name} is {found}, expected {self.describe()}, such as 2,98")


@dataclass(frozen=True)
class Names(Rule):
    """Names of files or folders, one at least and each once."""

    def check(self, name: str, value: tuple[str, ...] | None) -> None:
        """Raise SettingsError if there is none, or one is empty or a path."""
        if value is None:
            return
        if not value or len(set(value)) < len(value):
            raise SettingsError(f"{name} is {','.join(value)!r}, expected {self.describe()}")
        for each in value:
            FileName().check(name, each)

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "names, each once, separated by commas"

    def read(self, name: str, text: str) -> tuple[str, ...]:  # noqa: ARG002 (as other rules)
        """Read names that are separated by commas, such as train,val."""
        return tuple(part.strip() for part in text.split(","))


@dataclass(frozen=True)
class FileName(Rule):
    """The name of a file or folder, or an ending of one: no path.

    Attributes
    ----------
    empty : bool
        True if it may be empty.
    """

    empty: bool = False

    def check(self, name: str, value: str) -> None:
        """Raise SettingsError if it is empty or a path."""
        if value in (".", "..") or set(value) & set("/\\\0") or not (value or self.empty):
            raise SettingsError(f"{name} is {value!r}, expected {self.describe()}")

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "a name without / in it"


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
    for name, known in settings_of(type(owner)).items():
        value = getattr(owner, name)
        _check_type(name, value, type(owner).__annotations__[name])
        known.within.check(name, value)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


_TYPES: dict[str, tuple[str, Callable[[object], bool]]] = {
    "int": ("a whole number", lambda value: _is_number(value) and isinstance(value, Integral)),
    "float": ("a number", _is_number),
    "str": ("text", lambda value: isinstance(value, str)),
    "bool": ("True or False", lambda value: isinstance(value, bool)),
    "tuple[str, ...]": (
        "a tuple of texts",
        lambda value: isinstance(value, tuple) and all(isinstance(each, str) for each in value),
    ),
    "tuple": (
        "a tuple of numbers",
        lambda value: isinstance(value, tuple) and all(map(_is_number, value)),
    ),
}
"""Types of settings: their names for people, and their tests."""


def _check_type(name: str, value: object, annotation: str) -> None:
    """Raise SettingsError if a value is of another type than its field, as from Python."""
    written, _, optional = annotation.partition(" | ")
    if value is None and optional == "None":
        return
    expected, fits = _TYPES.get(written) or _TYPES[written.partition("[")[0]]
    if not fits(value):
        raise SettingsError(f"{name} is {value!r}, expected {expected}")


def documented(cls: type[T]) -> type[T]:
    """List the fields of a settings class in its docstring, for readers of its help."""
    lines = ["Attributes", "----------"]
    for name, known in settings_of(cls).items():
        lines.append(f"{name} : {cls.__annotations__[name]}")
        lines += wrap(known.help, 90, initial_indent="    ", subsequent_indent="    ")
    summary, _, rest = cleandoc(cls.__doc__ or "").partition("\n\n")
    cls.__doc__ = "\n\n".join((summary, "\n".join(lines), rest))
    return cls


def _number(value: float) -> str:
    """Write a number for people; large ones in full."""
    return f"{value:,.0f}".replace(",", " ") if value >= 10_000 else f"{value:g}"
