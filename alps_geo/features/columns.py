"""Columns of segments: named numbers, made of sums, which clusters compare."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from alps_geo.features.group import SQUARE_SUM, PixelSum
from alps_geo.features.kinds import kind_of
from alps_geo.features.registry import find_group
from alps_geo.features.sums import BANDS, MASKS, SQUARES, WEIGHT, RegionSums

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.features.group import FeatureGroup, NamedColumns

BATCH_ROWS = 16_384
"""Rows that are read at once, and segments in a mini-batch of k-means."""


class RowSource(Protocol):
    """The rows of a table, read some at a time; small to pickle if they are on disk."""

    def read(self, start: int, stop: int) -> Columns:
        """Return some rows, half-open."""
        ...


class Table(RowSource, Protocol):
    """Columns of any number of segments, read some rows at a time."""

    @property
    def kind(self) -> str:
        """See `Columns`."""

    @property
    def features(self) -> tuple[str, ...]:
        """See `Columns`."""

    @property
    def names(self) -> tuple[str, ...]:
        """See `Columns`."""

    @property
    def source(self) -> RowSource:
        """The rows, to be read in other processes."""

    def __len__(self) -> int: ...


def batches(table: Table) -> Iterator[Columns]:
    """Read a table from the first row to the last, `BATCH_ROWS` at a time."""
    return (table.read(start, stop) for start, stop in batch_rows(len(table)))


def batch_rows(count: int) -> list[tuple[int, int]]:
    """List the rows of the batches of a table of so many, half-open.

    >>> batch_rows(20_000)
    [(0, 16384), (16384, 20000)]
    """
    starts = range(0, count, BATCH_ROWS)
    return [(start, min(start + BATCH_ROWS, count)) for start in starts]


@dataclass(frozen=True)
class Columns:
    """Named columns that describe segments of one scene.

    Attributes
    ----------
    kind : str
        Scenes of one kind have the same bands in the same units: see `alps_geo.features.kinds`.
    features : tuple of str
        The features that the columns are made of.
    names : tuple of str
        ``prefix.column``, the columns of a group in a row.
    values : ndarray of float, shape (n, C)
    """

    kind: str
    features: tuple[str, ...]
    names: tuple[str, ...]
    values: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def source(self) -> Columns:
        """These columns themselves: see `Table`."""
        return self

    def read(self, start: int, stop: int) -> Columns:
        """Return some rows, half-open."""
        return replace(self, values=self.values[start:stop])

    def select(self, names: Sequence[str]) -> NDArray[np.floating]:
        """Return the values of the columns of these names, in their order.

        Raises
        ------
        KeyError
            If there is no column of a name.
        """
        position = {name: index for index, name in enumerate(self.names)}
        return self.values[:, [position[name] for name in names]]


@dataclass(frozen=True)
class ColumnSchema:
    """The columns of the segments of a scene, and everything that they are made of.

    Attributes
    ----------
    band_names : tuple of str
        Names of the bands.
    unit : str
        Unit of the bands: their data type, or scaled by tags.
    features : tuple of str
        Names of feature groups; that of a backbone is followed by the backbone's.
    channels : mapping of str to int
        Channels of the embeddings that are known before one is there. Of others, a scene without
        segments has no columns.
    """

    band_names: tuple[str, ...]
    unit: str
    features: tuple[str, ...]
    channels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def groups(self) -> tuple[FeatureGroup, ...]:
        """The feature groups, in the order of their columns."""
        return tuple(map(find_group, self.features))

    @property
    def pixel_sums(self) -> tuple[PixelSum, ...]:
        """The sums that columns and attributes are made of, each once."""
        needed = {each.name: each for group in self.groups for each in group.sums}
        return (_BAND_SUM, *{SQUARES: SQUARE_SUM, **needed}.values())

    @property
    def reach(self) -> int:
        """Reach of the images of the sums around a pixel, in pixels."""
        return max(each.reach for each in self.pixel_sums)

    @property
    def embeddings(self) -> tuple[str, ...]:
        """The embeddings that the columns are made of."""
        return tuple(group.embedding for group in self.groups if group.embedding is not None)

    def no_segments(self) -> RegionSums:
        """Return the sums of a scene without segments."""
        bands = len(self.band_names)
        widths = {each.name: each.width(bands) for each in self.pixel_sums}
        widths |= {name: self.channels.get(name, 0) for name in self.embeddings}
        widths |= {WEIGHT: 1} if self.embeddings else {}
        return RegionSums.empty(widths | {MASKS: 3})

    def columns(self, segments: RegionSums) -> Columns:
        """Describe segments, one row of the sums for each."""
        named: NamedColumns = {}
        for group in self.groups:
            named |= group.columns(segments, self.band_names)
        values = list(named.values())
        return Columns(
            kind=kind_of(self.unit, self.band_names),
            features=self.features,
            names=tuple(named),
            values=np.stack(values, axis=1) if values else np.empty((len(segments), 0)),
        )


_BAND_SUM = PixelSum(BANDS, lambda pixels: pixels.core_bands, width=lambda bands: bands)


def group_of(name: str) -> str:
    """Return the prefix of a column, which names the part of a group that it belongs to."""
    return name.split(".", 1)[0]
