"""Prompts for masks: the innermost points of regions of a tile that look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt, maximum_position
from skimage import segmentation

from alps_geo.features.sums import pixel_counts, pixel_sums
from alps_geo.segments.borders import Borders
from alps_geo.segments.merging import merge_alike
from alps_geo.segments.regions import numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray


def innermost_points(
    superpixels: NDArray[np.int32], standard: NDArray[np.float32], count: int
) -> NDArray[np.float64]:
    """Find the innermost point of each region that superpixels of a tile are merged into.

    Superpixels that touch are merged by `alps_geo.segments.merging.merge_alike`, by the means of
    their bands.

    Parameters
    ----------
    superpixels : ndarray of int32, shape (H, W)
        Superpixel of every pixel, from 1; 0 where invalid.
    standard : ndarray of float32, shape (B, H, W)
        Standardised bands.
    count : int
        Regions of a tile full of data. Others have their share, by valid pixels and one at least;
        no tile has more than superpixels.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        (row, col) of the centre of a pixel of each region: the first of those that lie farthest
        from other regions, from invalid pixels and from the edges of the tile. Regions of more
        pixels come first.
    """
    labels, _ = numbered(superpixels)
    area = pixel_counts(labels, int(labels.max()))
    if not len(area):
        return np.empty((0, 2))
    share = max(1, round(count * int(area.sum()) / labels.size))
    means = pixel_sums(labels, len(area), standard) / area[:, None]
    alone = np.ones(len(area), np.bool_)
    sizes = area.astype(np.float64)
    region_of = merge_alike(means, sizes, Borders.between(labels), alone, np.inf, fewest=share)
    regions = np.append(0, region_of + 1)[labels]
    size = np.bincount(region_of, weights=area)
    # Islands of data never merge, so there may be more regions than are asked for.
    largest = np.argsort(-size, kind="stable")[:share] + 1
    inside = maximum_position(_distances(regions), regions, largest)
    return np.array(inside, dtype=np.float64).reshape(-1, 2) + 0.5


def _distances(regions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Distance of every pixel from those that touch another region or the edge of the tile."""
    around = np.pad(regions, 1)
    # By its package, as in superpixels: a worker that needs neither is smaller.
    at_border = segmentation.find_boundaries(  # type: ignore[no-untyped-call]
        around, connectivity=1, mode="thick"
    )
    distances: NDArray[np.float64] = distance_transform_edt(~at_border)[1:-1, 1:-1]
    return distances
