"""Sizes of tiles, and of views of their parts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from alps_geo.errors import SettingsError
from alps_geo.fields import Between, Rule

DEFAULT_TILE_SIZE = 1024


def default_overlap(tile_size: int) -> int:
    """Return the pixels that neighbouring tiles share unless told otherwise."""
    return tile_size // 8


@dataclass(frozen=True)
class FallingSizes(Rule):
    """One size in pixels, or several that fall.

    Attributes
    ----------
    low, high : int
        Least and largest size.
    most : int
        Sizes that may be given.
    """

    low: int
    high: int
    most: int

    def check(self, name: str, value: int | tuple[int, ...]) -> None:
        """Raise SettingsError if a size is out of the range, or the sizes do not fall."""
        sizes = as_sizes(value)
        for size in sizes:
            Between(self.low, self.high).check(name, size)
        falls = all(after < before for before, after in pairwise(sizes))
        if not 1 <= len(sizes) <= self.most or not falls:
            raise self._error(name, ",".join(map(str, sizes)) or "empty")

    def describe(self) -> str:
        """Return the allowed values in words."""
        one = Between(self.low, self.high).describe()
        return f"{one}, or up to {self.most} such sizes, each smaller than the one before"

    def stored(self, name: str, value: int | tuple[int, ...]) -> tuple[str, int | list[int]]:
        """Return the name, with a number for one size or a list as JSON has it for several."""
        sizes = as_sizes(value)
        return name, sizes[0] if len(sizes) == 1 else list(sizes)

    def read(self, name: str, text: str) -> int | tuple[int, ...]:
        """Read one size, or several that are separated by commas, such as 1024,512.

        Raises
        ------
        SettingsError
            If the text is something else.
        """
        try:
            sizes = tuple(int(part) for part in text.split(","))
        except ValueError:
            raise self._error(name, f"{text!r}, not whole numbers") from None
        return sizes[0] if len(sizes) == 1 else sizes

    def _error(self, name: str, found: str) -> SettingsError:
        return SettingsError(f"{name} is {found}, expected {self.describe()}, such as 1024,512")


def as_sizes(value: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return one size or several as a tuple.

    >>> as_sizes(1024)
    (1024,)
    """
    return value if isinstance(value, tuple) else (value,)
