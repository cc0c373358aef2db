"""Tiles of a run by the device and torch that made them, as notes and records keep them.

The columns of the tiles of each row are one text, such as "0-15, 18", for there may be very many.
"""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NUMBERS = re.compile(r"(\d+(-\d+)?)?(, \d+(-\d+)?)*")


def text_of(numbers: Iterable[int]) -> str:
    """Write numbers as ranges.

    >>> text_of({3, 0, 1, 2, 7})
    '0-3, 7'
    """
    parts = []
    for _, group in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        found = [number for _, number in group]
        parts.append(f"{found[0]}-{found[-1]}" if len(found) > 1 else str(found[0]))
    return ", ".join(parts)


def numbers_in(text: str) -> list[int]:
    """Read what `text_of` has written; raise ValueError for other text.

    >>> numbers_in("0-3, 7")
    [0, 1, 2, 3, 7]
    """
    if _NUMBERS.fullmatch(text) is None:
        raise ValueError(text)
    numbers: list[int] = []
    for part in filter(None, text.split(", ")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


class Made:
    """Tiles that were made, by device and torch, scene and row."""

    def __init__(self) -> None:
        self._columns: defaultdict[tuple[str, str, int], set[int]] = defaultdict(set)

    def add(self, machine: str, scene: str, row: int, columns: Iterable[int]) -> None:
        """Add tiles of one row."""
        self._columns[machine, scene, row].update(columns)

    def update(self, other: Made) -> Self:
        """Add the tiles of another; return this one."""
        for place, columns in other._columns.items():
            self._columns[place].update(columns)
        return self

    @classmethod
    def from_json(cls, found: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Made:
        """Read the result of `to_json`.

        Raises
        ------
        ValueError
            For JSON of another shape.
        """
        made = cls()
        try:
            for machine, scenes in found.items():
                for scene, rows in scenes.items():
                    for row, columns in rows.items():
                        made.add(machine, scene, int(row), numbers_in(columns))
        except (AttributeError, TypeError) as error:
            raise ValueError("tiles are not as machine, scene and row") from error
        return made

    def to_json(self) -> dict[str, dict[str, dict[str, str]]]:
        """Return columns as text by machine, scene and row, in order."""
        found: dict[str, dict[str, dict[str, str]]] = {}
        for machine, scene, row in sorted(self._columns):
            rows = found.setdefault(machine, {}).setdefault(scene, {})
            rows[str(row)] = text_of(self._columns[machine, scene, row])
        return found

    @property
    def tiles(self) -> dict[str, int]:
        """Number of tiles of each machine, in order."""
        counts: dict[str, int] = {}
        for machine, scene, row in sorted(self._columns):
            number = len(self._columns[machine, scene, row])
            counts[machine] = counts.get(machine, 0) + number
        return counts
