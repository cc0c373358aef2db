"""Counts and areas of the clusters of a scene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.outputs.gpkg.read import read_attribute
from alps_geo.outputs.gpkg.segments import RASTER
from alps_geo.outputs.ground import AREA, pixel_area
from alps_geo.outputs.names import POLYGONS, SEGMENTS
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.outputs.output import LabelledScene


@dataclass(frozen=True)
class SceneResults:
    """Counts and areas of the results of one scene.

    Attributes
    ----------
    valid_pixels : int
        Pixels with data.
    cluster_segments, cluster_pixels : ndarray of int64, shape (k,)
        Segments and pixels of each cluster, in the order of the model's ids.
    cluster_area_m2 : ndarray of float64, shape (k,), or None
        Ground area of each cluster; None for a scene without a CRS, or with pixels that lie
        nowhere on the ground.
    unlabelled_area_m2 : float or None
        Ground area of pixels with data but without a segment, None in the same cases. Estimated as
        pixel count times the ground area of the scene's central pixel.
    """

    valid_pixels: int
    cluster_segments: NDArray[np.int64]
    cluster_pixels: NDArray[np.int64]
    cluster_area_m2: NDArray[np.float64] | None
    unlabelled_area_m2: float | None


def measure(labelled: LabelledScene) -> SceneResults:
    """Count segments, pixels and ground area of each cluster."""
    segments = labelled.segments
    ground = ground_areas(labelled.folder, segments.area)
    counted = count(labelled)
    if ground is None:
        return counted
    rest = segments.valid_pixels - int(segments.area.sum())
    unlabelled = rest * _pixel(labelled.folder) if rest else 0.0
    if not np.isfinite(ground.sum() + unlabelled):
        return counted
    areas = _totals(labelled, ground)
    return replace(counted, cluster_area_m2=areas, unlabelled_area_m2=unlabelled)


def ground_areas(folder: Path, pixels: NDArray[np.integer]) -> NDArray[np.float64] | None:
    """Return the ground area of each segment of a scene in m², as it is in the raster, by id.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the scene's results.
    pixels : ndarray of int, shape (n,)
        Pixels of each segment.

    Returns
    -------
    ndarray of float64, shape (n,), or None
        None for a scene without a CRS; NaN for segments that lie nowhere on the ground.
    """
    with opened(str(folder / SEGMENTS)) as raster:
        if raster.crs is None:
            return None
    # As good as can be for segments whose polygons a person has deleted.
    estimated = (pixels * _pixel(folder)).astype(np.float64)
    if not len(estimated):
        return estimated
    for name in (RASTER + AREA, AREA):
        if (found := read_attribute(folder / POLYGONS, name, estimated)) is not None:
            return found
    return estimated


def _pixel(folder: Path) -> float:
    with opened(str(folder / SEGMENTS)) as raster:
        return pixel_area(raster)


def count(labelled: LabelledScene) -> SceneResults:
    """Count segments and pixels of each cluster."""
    segments = labelled.segments
    return SceneResults(
        valid_pixels=segments.valid_pixels,
        cluster_segments=_totals(labelled, None).astype(np.int64),
        cluster_pixels=_totals(labelled, segments.area).astype(np.int64),
        cluster_area_m2=None,
        unlabelled_area_m2=None,
    )


def _totals(labelled: LabelledScene, weights: NDArray[np.number] | None) -> NDArray[np.float64]:
    """Add up weights of the segments of each cluster, or count them, in the order of the ids."""
    ids = labelled.model.legend.ids
    sums = np.bincount(labelled.assigned.cluster, weights=weights, minlength=int(ids[-1]) + 1)
    return sums[ids].astype(np.float64)
