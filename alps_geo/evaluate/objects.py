"""Segments against true objects, such as mapped buildings, fields or lakes.

Every true object is compared with the segments that lie on it:

- Its best IoU is the largest ratio of common pixels to pixels of either, over all segments. Above
  one half at most one object goes with a segment and one segment with an object (Kirillov et al.
  2019, Panoptic segmentation, CVPR): such an object is matched.
- Over-segmentation is one minus the share of the object that lies in the segment with the largest
  overlap, under-segmentation one minus the share of this segment that lies in the object, both from
  0, none, to 1: the measures of Clinton et al. 2010 (Accuracy assessment measures for object-based
  image segmentation goodness, Photogrammetric Engineering and Remote Sensing 76) for the segment
  that Persello and Bruzzone 2010 choose (A novel protocol for accuracy assessment in
  classification of very high resolution images, IEEE TGRS 48).

Only pixels with truth count: none else is held against a segment. Objects that the scene cuts off
are the part inside it; those without any segment have an IoU of 0 and an over-segmentation of 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import fsum, nan
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import subdivide
from scipy.sparse import coo_array

from alps_geo.classes.vector_file import listed
from alps_geo.errors import SceneError, SettingsError
from alps_geo.evaluate.contingency import PairCounts
from alps_geo.evaluate.object_truth import open_objects
from alps_geo.evaluate.rasters import crs_name, open_ids
from alps_geo.outputs.ground import pixel_area
from alps_geo.windows import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.evaluate.contingency import Contingency
    from alps_geo.evaluate.object_truth import FoundObjects
    from alps_geo.evaluate.rasters import IdRaster
    from alps_geo.evaluate.truth_file import TruthFile

THRESHOLDS = (0.5, 0.75)
"""IoU above which an object is matched."""

MIN_AREA = 16
"""Objects of fewer pixels are left out."""

# Pixels from which on classes of size begin: squares of 8, 16, … 128 px.
_SIZES = (1, 64, 256, 1024, 4096, 16384)

_WINDOW_SIZE = 1024


@dataclass(frozen=True)
class ObjectScores:
    """Scores of true objects: all, or those of one size or class.

    Attributes
    ----------
    objects : int
        Number of objects; all scores are NaN if there is none.
    matched : tuple of float
        Share of them with an IoU above each of `THRESHOLDS` with a segment.
    mean_iou : float
        Mean of their best IoU.
    over_segmentation, under_segmentation : float
        Means; under-segmentation is that of the objects that have a segment, NaN if none has.
    """

    objects: int
    matched: tuple[float, ...]
    mean_iou: float
    over_segmentation: float
    under_segmentation: float


@dataclass(frozen=True)
class SizeScores:
    """Scores of the true objects of one size.

    Attributes
    ----------
    least : int
        Fewest pixels of an object.
    most : int or None
        Most pixels; None for any number.
    scores : ObjectScores
        Scores of these objects.
    """

    least: int
    most: int | None
    scores: ObjectScores


@dataclass(frozen=True)
class ObjectQuality:
    """Segments measured against true objects.

    Attributes
    ----------
    segments, truth : str
        The files.
    min_area : int
        Objects of fewer pixels are left out.
    pixels : int
        Pixels with truth.
    pixel_area : float or None
        Ground area of the central pixel in m²; None without a CRS.
    too_small, without_pixels : int
        Objects that were left out: of fewer pixels, and polygons without the centre of a pixel,
        which lie between centres or under later polygons.
    scores : ObjectScores
        Of all objects.
    sizes : tuple of SizeScores
        By size, from small to large.
    classes : mapping of int to ObjectScores
        By class; empty if objects have none.
    names : mapping of int to str
        Names of classes, as far as they are known.
    """

    segments: str
    truth: str
    min_area: int
    pixels: int
    pixel_area: float | None
    too_small: int
    without_pixels: int
    scores: ObjectScores
    sizes: tuple[SizeScores, ...]
    classes: Mapping[int, ObjectScores]
    names: Mapping[int, str]


def evaluate_objects(
    segments: str,
    truth: TruthFile,
    *,
    classes: Sequence[str] = (),
    min_area: int = MIN_AREA,
    window_size: int = _WINDOW_SIZE,
    listen: Callable[[int, int], None] = lambda _done, _total: None,
) -> ObjectQuality:
    """Measure how well single segments match true objects.

    Memory depends on the window size and on the number of segments and objects (16 to 32 bytes for
    each pair that shares a pixel), not on the size of the rasters; results do not depend on the
    window size.

    Parameters
    ----------
    segments : str
        Raster of segment ids, 0 for none.
    truth : TruthFile
        Polygons, each of which is an object; of two that overlap, the later in the file has the
        pixels. Or a raster of classes: each region of one class whose pixels share sides is an
        object.
    classes : sequence of str
        Classes whose objects count, as numbers or by name; none for all.
    min_area : int
        Objects of fewer pixels are left out.
    window_size : int
        Side of the windows that are read, in pixels.
    listen : callable
        Called with the number of windows that are done, and of all.

    Raises
    ------
    SceneError
        If a file cannot be read, or holds no object on the raster.
    SettingsError
        If an option does not go with the truth, or leaves no object.

    Examples
    --------
    >>> truth = TruthFile("buildings.gpkg")
    >>> evaluate_objects("segments.tif", truth).scores.matched  # doctest: +SKIP
    (0.52, 0.31)
    """
    if min_area < 1:
        raise SettingsError(f"--min-area is {min_area}, expected at least 1: give more")
    with open_ids(segments) as raster, open_objects(truth, classes, raster) as objects:
        counts = PairCounts()
        windows = subdivide(whole(raster.height, raster.width), window_size, window_size)
        for done, window in enumerate(windows, start=1):
            numbers, valid = objects.read(window)
            counts.add(raster.read(window)[valid], numbers[valid])
            listen(done, len(windows))
        found, table = objects.found(), counts.table()
        _check_found(raster, truth.path, found, table, classes)
        compared = _compare(table, found)
        ground = None if raster.crs is None else pixel_area(raster.dataset)
    if not (compared.area >= min_area).any():
        raise SettingsError(
            f"--min-area is {min_area}, but the largest object of {truth.path} on {segments} has "
            f"{compared.area.max()} pixels: give less"
        )
    return ObjectQuality(
        segments=segments,
        truth=truth.path,
        min_area=min_area,
        pixels=table.pixels,
        pixel_area=ground,
        too_small=int(((compared.area > 0) & (compared.area < min_area)).sum()),
        without_pixels=int((compared.area == 0).sum()),
        scores=compared.score(compared.area >= min_area),
        sizes=_by_size(compared, min_area),
        classes=_by_class(compared, found, objects.chosen, min_area),
        names={**found.names, **(truth.names or {})},
    )


@dataclass(frozen=True)
class _Compared:
    """Objects compared with segments: arrays of shape (m,).

    Attributes
    ----------
    area : ndarray of int64
        Pixels.
    best_iou : ndarray of float64
        Largest IoU with a segment; 0 without one.
    over, under : ndarray of float64
        Over- and under-segmentation; 1 and NaN without a segment.
    """

    area: NDArray[np.int64]
    best_iou: NDArray[np.float64]
    over: NDArray[np.float64]
    under: NDArray[np.float64]

    def score(self, which: NDArray[np.bool_]) -> ObjectScores:
        """Return the means over some of the objects."""
        best, under = self.best_iou[which], self.under[which]
        return ObjectScores(
            objects=int(which.sum()),
            matched=tuple(_mean(best > threshold) for threshold in THRESHOLDS),
            mean_iou=_mean(best),
            over_segmentation=_mean(self.over[which]),
            under_segmentation=_mean(under[~np.isnan(under)]),
        )


def _compare(table: Contingency, found: FoundObjects) -> _Compared:
    """Compare each object with the segments that share pixels with it."""
    numbers = found.of_number[table.classes[table.cols]]
    shape = (len(table.ids), len(found) + 1)
    # An object of several windows has several numbers: their counts are added up here.
    shared = coo_array((table.counts, (table.rows, numbers)), shape=shape)
    shared.sum_duplicates()
    segment_area, area = shared.sum(axis=1), shared.sum(axis=0)
    rows, cols = shared.coords
    on_both = (table.ids[rows] != 0) & (cols != 0)
    rows, cols, common = rows[on_both], cols[on_both], shared.data[on_both]
    best = np.zeros(len(area))
    np.maximum.at(best, cols, common / (segment_area[rows] + area[cols] - common))
    # Of two overlaps of one size that with the smaller segment is taken.
    order = np.lexsort((segment_area[rows], -common, cols))
    with_segment, first = np.unique(cols[order], return_index=True)
    largest = order[first]
    over, under = np.ones(len(area)), np.full(len(area), np.nan)
    over[with_segment] = 1 - common[largest] / area[with_segment]
    under[with_segment] = 1 - common[largest] / segment_area[rows[largest]]
    return _Compared(area[1:], best[1:], over[1:], under[1:])


def _by_size(compared: _Compared, min_area: int) -> tuple[SizeScores, ...]:
    sizes = []
    for least, above in pairwise([*_SIZES, None]):
        if above is not None and above <= min_area:
            continue
        least = max(least or 1, min_area)
        which = compared.area >= least
        if above is not None:
            which &= compared.area < above
        most = None if above is None else above - 1
        sizes.append(SizeScores(least, most, compared.score(which)))
    return tuple(sizes)


def _by_class(
    compared: _Compared, found: FoundObjects, chosen: tuple[int, ...] | None, min_area: int
) -> dict[int, ObjectScores]:
    if found.classes is None:
        return {}
    counted = compared.area >= min_area
    classes = np.unique(found.classes[counted]).tolist() if chosen is None else chosen
    return {number: compared.score(counted & (found.classes == number)) for number in classes}


def _check_found(
    raster: IdRaster, truth: str, found: FoundObjects, table: Contingency, classes: Sequence[str]
) -> None:
    """Refuse truth without an object on the segments."""
    place = f"any pixel of {raster.path} ({crs_name(raster.crs)})"
    if table.pixels and (table.classes != 0).any():
        return
    if classes and table.pixels:
        raise SceneError(
            f"{truth}: has no object of class {listed(classes)} on {place}; "
            "expected at least one: give other classes, or truth of the same place"
        )
    raise SceneError(
        f"{truth}: has no object on {place}; expected truth of the same place: check where both "
        "lie, and their CRS" + ("; polygons may be smaller than a pixel" if len(found) else "")
    )


def _mean(values: NDArray[np.bool_] | NDArray[np.float64]) -> float:
    """Return the mean, rounded once, so that it does not depend on the order of the objects."""
    return fsum(values.tolist()) / values.size if values.size else nan
