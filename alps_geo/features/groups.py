"""From sums to columns: what the clusters compare, in named groups.

Each feature that a user can choose stands for one or more groups; each group counts by its weight,
however many columns it has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from alps_geo.features.images import CONTEXT_SCALES, TEXTURE_SCALES
from alps_geo.features.kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.features.sums import RegionSums

    Named = dict[str, NDArray[np.float64]]

BATCH_ROWS = 16_384
"""Rows that are read at once, and segments in a mini-batch of k-means."""


class Table(Protocol):
    """Columns of any number of segments, read some rows at a time."""

    @property
    def kind(self) -> str:
        """As in `Columns`."""

    @property
    def features(self) -> tuple[str, ...]:
        """As in `Columns`."""

    @property
    def names(self) -> tuple[str, ...]:
        """As in `Columns`."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> Columns:
        """Return some rows, half-open."""
        ...


def batches(table: Table) -> Iterator[Columns]:
    """Read a table from the first row to the last, `BATCH_ROWS` at a time."""
    return (
        table.read(start, min(start + BATCH_ROWS, len(table)))
        for start in range(0, len(table), BATCH_ROWS)
    )


@dataclass(frozen=True)
class Columns:
    """Named columns that describe segments of one scene.

    Attributes
    ----------
    kind : str
        Scenes of one kind have the same bands in the same units: see `alps_geo.features.kinds`.
    features : tuple of str
        The features that the columns come from.
    names : tuple of str
        ``group.column``, the columns of a group in a row.
    values : ndarray of float, shape (n, C)
    """

    kind: str
    features: tuple[str, ...]
    names: tuple[str, ...]
    values: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.values)

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
        place = {name: index for index, name in enumerate(self.names)}
        return self.values[:, [place[name] for name in names]]


def segment_columns(
    segments: RegionSums, band_names: Sequence[str], unit: str, features: Sequence[str]
) -> Columns:
    """Describe segments by the chosen features.

    Parameters
    ----------
    segments : RegionSums
        What the columns are made of, one row for each segment.
    band_names : sequence of str
        Names of the bands.
    unit : str
        Unit of the bands: their data type, or scaled by tags.
    features : sequence of str
        Keys of `FEATURES`; ``timm:`` has the name of its backbone behind it.
    """
    columns: Named = {}
    for feature in features:
        columns |= FEATURES[feature.split(":")[0]](segments, band_names)
    values = list(columns.values())
    return Columns(
        kind=kind_of(unit, band_names),
        features=tuple(features),
        names=tuple(columns),
        values=np.stack(values, axis=1) if values else np.empty((len(segments), 0)),
    )


def group_of(name: str) -> str:
    """Return the group that a column belongs to."""
    return name.split(".", 1)[0]


def current_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names of columns as they are now, also of those that an earlier version stored."""
    return tuple(_EARLIER_NAMES.get(name, name) for name in names)


def _sam(segments: RegionSums, _: Sequence[str]) -> Named:
    return {f"sam.{i}": column for i, column in enumerate(segments.features.T)}


def _timm(segments: RegionSums, _: Sequence[str]) -> Named:
    return {f"timm.{i}": column for i, column in enumerate(segments.dense_features.T)}


def _spectral(segments: RegionSums, bands: Sequence[str]) -> Named:
    """Mean of each band, and normalised differences where the bands for them are known."""
    means = dict(zip(bands, segments.band_means.T, strict=True))
    columns = {f"mean.{band}": values for band, values in means.items()}
    for index, (plus, minus) in INDICES.items():
        if plus in means and minus in means:
            total = means[plus] + means[minus]
            usable = np.abs(total) > 1e-9 * np.abs(total).max(initial=0)
            ratio = (means[plus] - means[minus]) / np.where(usable, total, 1)
            # Outside -1..1 there are only artefacts of bands that go below zero.
            columns[f"index.{index}"] = np.where(usable, np.clip(ratio, -1, 1), 0)
    return columns


def _spread(segments: RegionSums, bands: Sequence[str]) -> Named:
    """Describe the segment by the standard deviation of each band inside it."""
    stds = segments.band_stds.T
    return {f"spread.{band}": column for band, column in zip(bands, stds, strict=True)}


def _texture(segments: RegionSums, _: Sequence[str]) -> Named:
    return {
        f"texture.{scale:g}": column
        for scale, column in zip(TEXTURE_SCALES, segments.texture.T, strict=True)
    }


def _context(segments: RegionSums, bands: Sequence[str]) -> Named:
    """Mean of each band around the segment's pixels, in Gaussian windows, itself included.

    Neighbouring segments count by what of them lies nearby, and not one by one.
    """
    names = [f"context.{band}.{scale:g}" for scale in CONTEXT_SCALES for band in bands]
    return dict(zip(names, segments.context.T, strict=True))


def _shape(segments: RegionSums, _: Sequence[str]) -> Named:
    """Size, elongation and ellipticity, all from the moments.

    Elongation is that of the ellipse of equal moments. Ellipticity is the segment's area over that
    of this ellipse: 1 for an ellipse, less for whatever is ragged, hollow or scattered. It is the
    root of the measure in Rosin 2003, "Measuring shape: ellipticity, rectangularity, and
    triangularity".
    """
    row, col, row_row, col_col, row_col = segments.moments.T
    # A pixel is a square of variance 1/12, not a point.
    rows = np.maximum(row_row - row * row, 0) + 1 / 12
    cols = np.maximum(col_col - col * col, 0) + 1 / 12
    cross = row_col - row * col
    middle = (rows + cols) / 2
    half = np.sqrt(np.maximum(((rows - cols) / 2) ** 2 + cross**2, 0))
    major, minor = middle + half, np.maximum(middle - half, 1 / 12)
    return {
        "shape.size": np.log(segments.area),
        "shape.elongation": 0.5 * np.log(major / minor),
        "shape.ellipticity": segments.area / (4 * np.pi * np.sqrt(major * minor)),
    }


FEATURES: dict[str, Callable[[RegionSums, Sequence[str]], Named]] = {
    "sam": _sam,
    "spectral": _spectral,
    "spread": _spread,
    "texture": _texture,
    "context": _context,
    "shape": _shape,
    "timm": _timm,
}

_EARLIER_NAMES = {"shape.solidity": "shape.ellipticity"}

INDICES = {"ndvi": ("nir", "red"), "ndwi": ("green", "nir")}
