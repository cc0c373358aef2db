"""Labels against ground truth, window by window.

Clusters have no meaning of their own, so they are compared in three ways: each cluster given the
class that most of its pixels have (as a person who names the clusters would do), clusters and
classes paired one to one, and both as mere groupings of the pixels. The oracle gives every segment
the class that most of its pixels have: no clustering of these segments can do better, so it shows
whether masks or clusters are the limit.

Only pixels with truth count. Pixels with truth and without a label count as wrong.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import subdivide

from alps_geo.errors import SceneError
from alps_geo.evaluate.boundary import BoundaryCounts, BoundaryScores, count_boundaries, halo
from alps_geo.evaluate.contingency import NO_CLASS, PairCounts
from alps_geo.evaluate.rasters import check_same_grid, crs_name, open_ids
from alps_geo.evaluate.truth import open_truth
from alps_geo.scene.raster import is_local
from alps_geo.windows import buffered, origin, whole, within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.evaluate.contingency import Contingency, Scores, VMeasure
    from alps_geo.evaluate.rasters import IdRaster
    from alps_geo.evaluate.truth import Truth, TruthFile

TOLERANCES = (1, 3)
"""Distances at which boundary F1 is measured, in pixels."""

WINDOW_SIZE = 1024
MAP_SIZE = 1024

NO_TRUTH, RIGHT, WRONG, UNLABELLED = range(4)
"""Codes of `Quality.agreement`."""


@dataclass(frozen=True)
class Quality:
    """Labels measured against ground truth.

    Attributes
    ----------
    labels, truth, segments : str
        The files; segments are None if there were none.
    table : Contingency
        Pixels with truth by cluster and class; cluster 0 is unlabelled.
    names : mapping of int to str
        Names of classes, as far as they are known.
    majority : Scores
        Every cluster has its majority class.
    one_to_one : Scores
        Clusters and classes are paired so that most pixels agree.
    oracle : Scores or None
        Every segment has its majority class; None without segments.
    v_measure : VMeasure
        Clusters and classes as groupings.
    adjusted_rand : float
        Adjusted Rand index of the same.
    boundary : tuple of BoundaryScores
        Boundary F1 of the majority map at each of the tolerances.
    agreement : ndarray of uint8, shape (h, w)
        The majority map against the truth, at `MAP_SIZE` pixels at most: `NO_TRUTH`, `RIGHT`,
        `WRONG` or `UNLABELLED`.
    """

    labels: str
    truth: str
    segments: str | None
    table: Contingency
    names: Mapping[int, str]
    majority: Scores
    one_to_one: Scores
    oracle: Scores | None
    v_measure: VMeasure
    adjusted_rand: float
    boundary: tuple[BoundaryScores, ...]
    agreement: NDArray[np.uint8]

    @property
    def coverage(self) -> float:
        """Share of the pixels with truth that carry a label."""
        return self.table.coverage

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, its number where none is known."""
        return tuple(self.names.get(number, str(number)) for number in self.table.classes.tolist())


def evaluate_quality(
    labels: str,
    truth: TruthFile,
    *,
    segments: str | None = None,
    tolerances: Sequence[int] = TOLERANCES,
    window_size: int = WINDOW_SIZE,
    listen: Callable[[int, int], None] = lambda _done, _total: None,
) -> Quality:
    """Measure labels against ground truth.

    Memory depends on the window size and on the number of segments (16 to 32 bytes for each pair
    of a segment and a class that it lies on), not on the size of the raster; results do not
    depend on the window size.

    Parameters
    ----------
    labels : str
        Raster of cluster ids, 0 for unlabelled.
    truth : TruthFile
        Classes of pixels or polygons.
    segments : str, optional
        Raster of segment ids on the grid of the labels; by default ``segments.tif`` next to
        the labels, if it is there.
    tolerances : sequence of int
        Distances for boundary F1, in pixels.
    window_size : int
        Side of the windows that are read, in pixels.
    listen : callable
        Called with the number of windows that are done, and of all.

    Raises
    ------
    SceneError
        If a file cannot be read or does not go with the others, or if no pixel has truth.
    SettingsError
        If the options do not go with the truth.
    """
    segments = segments or _segments_next_to(labels)
    with ExitStack() as stack:
        label_raster = stack.enter_context(open_ids(labels))
        segment_raster = stack.enter_context(open_ids(segments)) if segments else None
        if segment_raster is not None:
            check_same_grid(label_raster, segment_raster)
        truth_on_grid = stack.enter_context(open_truth(truth, label_raster))
        work = _Work(label_raster, segment_raster, truth_on_grid, truth.path, window_size, listen)
        table, segment_table = work.count()
        majority = table.score(table.majority())
        boundary, agreement = work.compare(table, tolerances)
    oracle = None if segment_table is None else segment_table.score(segment_table.majority())
    return Quality(
        labels=labels,
        truth=truth.path,
        segments=segments,
        table=table,
        names={**truth_on_grid.names, **(truth.names or {})},
        majority=majority,
        one_to_one=table.score(table.one_to_one()),
        oracle=oracle,
        v_measure=table.v_measure(),
        adjusted_rand=table.adjusted_rand(),
        boundary=boundary.scores(tolerances),
        agreement=agreement,
    )


def _segments_next_to(labels: str) -> str | None:
    """Find the segments that belong to labels in a run folder."""
    segments = Path(labels).with_name("segments.tif")
    return str(segments) if is_local(labels) and segments.exists() else None


class _Work:
    """The two passes over the rasters."""

    def __init__(
        self,
        labels: IdRaster,
        segments: IdRaster | None,
        truth: Truth,
        truth_path: str,
        window_size: int,
        listen: Callable[[int, int], None],
    ) -> None:
        self._labels = labels
        self._segments = segments
        self._truth = truth
        self._truth_path = truth_path
        self._listen = listen
        self._windows = subdivide(whole(labels.height, labels.width), window_size, window_size)
        self._done = 0

    def count(self) -> tuple[Contingency, Contingency | None]:
        """Count labels and segments by class."""
        by_label, by_segment = PairCounts(), PairCounts()
        for window in self._windows:
            classes, valid = self._truth.read(window)
            classes = classes[valid]
            by_label.add(self._labels.read(window)[valid], classes)
            if self._segments is not None:
                by_segment.add(self._segments.read(window)[valid], classes)
            self._count_window()
        everything = by_label.table()
        table = everything.without(self._truth.ignored)
        self._check_overlap(everything, table)
        if self._segments is None:
            return table, None
        return table, by_segment.table().without(self._truth.ignored)

    def compare(
        self, table: Contingency, tolerances: Sequence[int]
    ) -> tuple[BoundaryCounts, NDArray[np.uint8]]:
        """Compare the majority map with the truth, pixel by pixel."""
        given = table.majority()
        height, width = self._labels.height, self._labels.width
        total = BoundaryCounts.zero(len(tolerances), len(table.classes))
        picture = _AgreementMap(height, width)
        for window in self._windows:
            wide = buffered(window, halo(tolerances), whole(height, width))
            inner = within(window, wide)
            classes, valid = self._truth.read(wide)
            valid &= ~np.isin(classes, list(self._truth.ignored))
            labels = self._labels.read(wide)
            truth = _lookup(table.classes, np.arange(len(table.classes)), classes)
            found = _lookup(table.ids, given, labels)
            total += count_boundaries(truth, found, valid, inner, len(table.classes), tolerances)
            picture.draw(
                *origin(window),
                _agreement(truth[inner], found[inner], valid[inner], labels[inner] != 0),
            )
            self._count_window()
        return total, picture.pixels

    def _count_window(self) -> None:
        self._done += 1
        self._listen(self._done, 2 * len(self._windows))

    def _check_overlap(self, everything: Contingency, table: Contingency) -> None:
        if table.pixels:
            return
        if everything.pixels:
            raise SceneError(
                f"{self._truth_path}: all its classes on {self._labels.path} "
                f"({', '.join(map(str, everything.classes.tolist()))}) are ignored; "
                "expected at least one to compare with: ignore fewer"
            )
        raise SceneError(
            f"{self._truth_path}: has no class on any pixel of {self._labels.path} "
            f"({crs_name(self._labels.crs)}); expected truth of the same place: check where both "
            "lie, and their CRS"
        )


def _lookup(
    keys: NDArray[np.integer], values: NDArray[np.intp], where: NDArray[np.integer]
) -> NDArray[np.intp]:
    """Replace each key by its value; `NO_CLASS` for numbers that are no key."""
    index = np.minimum(np.searchsorted(keys, where), len(keys) - 1)
    return np.where(keys[index] == where, values[index], NO_CLASS)


def _agreement(
    truth: NDArray[np.intp],
    found: NDArray[np.intp],
    valid: NDArray[np.bool_],
    labelled: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    codes = np.where(truth == found, RIGHT, WRONG)
    codes = np.where(labelled, codes, UNLABELLED)
    return np.where(valid, codes, NO_TRUTH).astype(np.uint8)


class _AgreementMap:
    """A decimated map, drawn window by window: each of its pixels shows the middle one of many."""

    def __init__(self, height: int, width: int) -> None:
        step = max(height, width, MAP_SIZE) / MAP_SIZE
        self._rows = _middles(height, max(round(height / step), 1))
        self._cols = _middles(width, max(round(width / step), 1))
        self.pixels = np.full((len(self._rows), len(self._cols)), NO_TRUTH, np.uint8)

    def draw(self, top: int, left: int, codes: NDArray[np.uint8]) -> None:
        """Draw a window whose first pixel is (top, left)."""
        rows = slice(*np.searchsorted(self._rows, (top, top + codes.shape[0])))
        cols = slice(*np.searchsorted(self._cols, (left, left + codes.shape[1])))
        self.pixels[rows, cols] = codes[np.ix_(self._rows[rows] - top, self._cols[cols] - left)]


def _middles(length: int, count: int) -> NDArray[np.intp]:
    """Cut `length` pixels into `count` pieces and return the pixel in the middle of each."""
    return ((2 * np.arange(count) + 1) * length // (2 * count)).astype(np.intp)
