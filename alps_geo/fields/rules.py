"""Rules: the allowed values of a field of settings, checked, described and read from text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from alps_geo.errors import SettingsError


@dataclass(frozen=True)
class Rule:
    """Allowed values of a field; this one allows all."""

    earlier_names: ClassVar[tuple[str, ...]] = ()
    """Names that the field had in earlier versions. Files of settings may still have them."""

    def check(self, name: str, value: Any) -> None:
        """Raise SettingsError if a value is not allowed."""

    def describe(self) -> str:
        """Return the allowed values in words, for the docs; empty if all are."""
        return ""

    def stored(self, name: str, value: Any) -> tuple[str, Any]:
        """Return name and value in fingerprints, which stay those of earlier versions."""
        return name, value

    def is_silent(self, value: Any) -> bool:  # noqa: ARG002 (for settings of later versions)
        """Return True for a value that fingerprints leave out, as those of earlier versions do."""
        return False

    def current(self, name: str, value: Any) -> Any:  # noqa: ARG002 (for rules with such names)
        """Return today's form of a value that has one of the field's names."""
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

    def stored(self, name: str, value: str) -> tuple[str, str]:
        """Return name and word that fingerprints have for a choice."""
        return name, next((before for before, now in self.earlier if now == value), value)

    def current(self, name: str, value: str) -> str:  # noqa: ARG002 (as other rules)
        """Return today's word for a choice."""
        return dict(self.earlier).get(value, value)


@dataclass(frozen=True)
class SomeOf(Rule):
    """Some of a few words, one at least and each once.

    Attributes
    ----------
    words : tuple of str
        The words.
    silent : tuple of str
        Words that fingerprints leave out if no other is there, as those of earlier versions do.
    """

    words: tuple[str, ...]
    silent: tuple[str, ...] = ()

    def check(self, name: str, value: tuple[str, ...]) -> None:
        """Raise SettingsError if a word is none of them or twice there, or there is none."""
        # From Python, one word may be given by mistake for several: its letters are no words.
        given = tuple(value)
        if not given or len(set(given)) < len(given) or not {*given} <= {*self.words}:
            shown = ",".join(map(str, given))
            raise SettingsError(f"{name} is {shown!r}, expected {self.describe()}")

    def describe(self) -> str:
        """Return the allowed values in words."""
        return f"some of {', '.join(self.words)}, each once, separated by commas"

    def stored(self, name: str, value: tuple[str, ...]) -> tuple[str, list[str]]:
        """Return the name, and the words in their own order."""
        return name, [word for word in self.words if word in value]

    def is_silent(self, value: tuple[str, ...]) -> bool:
        """Return True for the words alone that fingerprints leave out."""
        return set(value) == set(self.silent)

    def read(self, name: str, text: str) -> tuple[str, ...]:
        """Read words that are separated by commas, such as png,pdf.

        Raises
        ------
        SettingsError
            If one of them is not allowed.
        """
        words = tuple(part.strip().lower() for part in text.split(","))
        self.check(name, words)
        return words


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


class NumberList(Rule):
    """Base of rules for several numbers, which are typed with commas between them."""

    example: ClassVar[str]
    """Numbers that are allowed, as they are typed."""

    def read(self, name: str, text: str) -> tuple[float, ...]:
        """Read numbers that are separated by commas.

        Raises
        ------
        SettingsError
            If the text is something else.
        """
        try:
            return tuple(float(part) for part in text.split(","))
        except ValueError:
            raise self._error(name, repr(text)) from None

    def _refuse(self, name: str, value: tuple[float, ...]) -> None:
        raise self._error(name, ",".join(f"{number:g}" for number in value))

    def _error(self, name: str, found: str) -> SettingsError:
        return SettingsError(
            f"{name} is {found}, expected {self.describe()}, such as {self.example}"
        )


@dataclass(frozen=True)
class Shares(NumberList):
    """Three shares that add up to 1."""

    example = "0.8,0.1,0.1"

    def check(self, name: str, value: tuple[float, ...]) -> None:
        """Raise SettingsError if other numbers are given."""
        if len(value) != 3 or min(value) < 0 or abs(sum(value) - 1) > 1e-6:
            self._refuse(name, value)

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "three shares that add up to 1"


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
class Percentiles(NumberList):
    """Two percentiles that rise."""

    example = "2,98"

    def check(self, name: str, value: tuple[float, float] | None) -> None:
        """Raise SettingsError if other numbers are given."""
        if value is not None and (len(value) != 2 or not 0 <= value[0] < value[1] <= 100):
            self._refuse(name, value)

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "two percentiles from 0 to 100, the lower first"


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
        if not value and not self.empty:
            raise SettingsError(f"{name} is empty, expected {self.describe()}")
        if value in (".", "..") or set(value) & set("/\\\0"):
            raise SettingsError(f"{name} is {value!r}, expected {self.describe()}")

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "a name, without / in it"


def _number(value: float) -> str:
    """Write a number for people; large ones in full."""
    return f"{value:,.0f}".replace(",", " ") if value >= 10_000 else f"{value:g}"
