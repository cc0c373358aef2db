"""Places of chips on the ground, and the chips that are near each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import rasterio.warp
import shapely
from rasterio.errors import RasterioError

from alps_geo.files import gdal_error
from alps_geo.outputs.rings import on_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from rasterio.crs import CRS
    from rasterio.windows import Window

    from alps_geo.outputs.training_set.source import SourceFacts

GAP = 0.5
"""Distance of chips of different splits, at least, in sides of a chip."""

# Tolerance of the gap, in pixels, so that rounding decides nothing.
_SLACK = 0.25


@dataclass(frozen=True)
class Places:
    """Places of n chips.

    Attributes
    ----------
    centre : ndarray of float64, shape (n, 2)
        Centres in sides of a chip, along two axes. Chips of different planes are not comparable.
    plane : ndarray of int64, shape (n,)
        0 for the ground; each source without a CRS is a plane of its own.
    near : ndarray of int64, shape (m, 2)
        Pairs of chips that are nearer than the gap, the lower one first.
    """

    centre: NDArray[np.float64]
    plane: NDArray[np.int64]
    near: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.plane)


def places_of(
    sources: Sequence[SourceFacts], windows: Sequence[Sequence[Window]], side: int
) -> Places:
    """Find the places of chips.

    Sources with a CRS share the ground, since scenes often overlap; distances are in the pixels of
    each source. Any other source is apart from all others.

    Parameters
    ----------
    sources : sequence of SourceFacts
        The sources.
    windows : sequence of sequence of Window
        The chips of each source.
    side : int
        Side of a chip, in pixels.
    """
    common: CRS | None = None
    boxes, planes = [np.empty((0, 4, 2))], [np.empty(0, np.int64)]
    for number, inside in enumerate(windows):
        if not inside:
            continue
        source = sources[number]
        corners = _corners(inside, side * GAP / 2 - _SLACK)
        ground = None
        if source.crs is not None and source.transform is not None:
            common = common or source.crs
            ground = _on_ground(corners, source, common)
        boxes.append(corners if ground is None else ground)
        planes.append(np.full(len(inside), 0 if ground is not None else number + 1))
    corners, plane = np.concatenate(boxes), np.concatenate(planes)
    return Places(_centres(corners, plane), plane, _near(corners, plane))


def _corners(windows: Sequence[Window], margin: float) -> NDArray[np.float64]:
    """Corners (col, row) of widened windows, shape (n, 4, 2)."""
    found = np.array([(w.col_off, w.row_off, w.width, w.height) for w in windows], np.float64)
    left, top, width, height = found.T
    cols = np.stack([left - margin, left + width + margin], axis=1)[:, [0, 1, 1, 0]]
    rows = np.stack([top - margin, top + height + margin], axis=1)[:, [0, 0, 1, 1]]
    return np.stack([cols, rows], axis=-1)


def _on_ground(
    corners: NDArray[np.float64], source: SourceFacts, crs: CRS
) -> NDArray[np.float64] | None:
    """Take corners to coordinates of a CRS; None if they have none there."""
    if source.transform is None:
        return None
    x, y = on_map(corners[..., 0].ravel(), corners[..., 1].ravel(), source.transform).T
    if source.crs != crs:
        try:
            x, y = rasterio.warp.transform(source.crs, crs, x, y)
        except (RasterioError, gdal_error("rasterio")):
            return None
    found = np.stack([x, y], axis=-1).reshape(corners.shape)
    return found if np.isfinite(found).all() else None


def _centres(corners: NDArray[np.float64], plane: NDArray[np.int64]) -> NDArray[np.float64]:
    """Centres in units of the usual extent of a chip of the ground, and of all others."""
    centre: NDArray[np.float64] = corners.mean(axis=1)
    for here in (plane == 0, plane != 0):
        if here.any():
            extent = np.median(np.ptp(corners[here], axis=1), axis=0) / (1 + GAP)
            centre[here] /= extent
    return centre


def _near(corners: NDArray[np.float64], plane: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of widened chips that meet, in the same plane."""
    found = [np.empty((0, 2), np.int64)]
    order = np.argsort(plane, kind="stable")
    starts = np.flatnonzero(np.diff(plane[order], prepend=-1))
    for members in np.split(order, starts[1:]):
        if len(members) > 1:
            tree = shapely.STRtree(shapely.polygons(corners[members]))
            one, other = tree.query(tree.geometries, predicate="intersects")
            pairs = np.sort(np.stack([members[one], members[other]], axis=1), axis=1)
            found.append(np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0))
    return np.concatenate(found)
