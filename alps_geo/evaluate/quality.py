"""Labels against ground truth, window by window.

Clusters have no meaning of their own, so they are compared in three ways: each cluster given the
class that most of its pixels have (as a person who names the clusters would do), clusters and
classes paired one to one, and both as mere groupings of the pixels. The oracle gives every segment
the class that most of its pixels have: no clustering of these segments can do better, so it shows
whether masks or clusters are the limit.

Only pixels with truth count. Pixels with truth and without a label count as wrong.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import SceneError, SettingsError
from alps_geo.evaluate.agreement_map import AgreementMap
from alps_geo.evaluate.folders import MaskLayout, open_mask_truth, pair_folders
from alps_geo.evaluate.passes import Image, Passes
from alps_geo.evaluate.rasters import check_same_grid, crs_name, open_ids
from alps_geo.evaluate.truth import open_truth
from alps_geo.evaluate.truth_file import ignored_numbers
from alps_geo.scene.raster import is_local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from alps_geo.evaluate.boundary import BoundaryScores
    from alps_geo.evaluate.contingency import Contingency, Scores, VMeasure
    from alps_geo.evaluate.folders import MaskPair
    from alps_geo.evaluate.truth_file import TruthFile

TOLERANCES = (1, 3)
"""Distances at which boundary F1 is measured, in pixels."""

WINDOW_SIZE = 1024


@dataclass(frozen=True)
class Quality:
    """Labels measured against ground truth.

    Attributes
    ----------
    labels, truth, segments : str
        The files, or folders; segments are None if there were none.
    images : int
        Number of rasters of labels.
    truth_without_labels : tuple of str
        Files of truth without a mask, which do not count; none for a raster.
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
        The majority map against the truth, in the codes of `alps_geo.evaluate.agreement_map`;
        of shape (0, 0) for a folder of masks.
    """

    labels: str
    truth: str
    segments: str | None
    images: int
    truth_without_labels: tuple[str, ...]
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


DEFAULT_MASKS = MaskLayout()


def evaluate_quality(
    labels: str,
    truth: TruthFile,
    *,
    segments: str | None = None,
    masks: MaskLayout = DEFAULT_MASKS,
    tolerances: Sequence[int] = TOLERANCES,
    window_size: int = WINDOW_SIZE,
    listen: Callable[[int, int], None] = lambda _done, _total: None,
) -> Quality:
    """Measure labels against ground truth.

    Memory depends on the window size and on the number of segments (16 to 32 bytes for each pair
    of a segment and a class that it lies on), not on the size or number of the rasters; results
    do not depend on the window size.

    Parameters
    ----------
    labels : str
        Raster of cluster ids, 0 for unlabelled; or a folder of masks, whose pixels are all
        counted in one table.
    truth : TruthFile
        Classes of pixels or polygons; a folder for a folder of masks.
    segments : str, optional
        Raster of segment ids on the grid of the labels; by default ``segments.tif`` next to
        the labels, if it is there. None for a folder.
    masks : MaskLayout
        First id of the labels, and ending of the names in a folder of masks.
    tolerances : sequence of int
        Distances for boundary F1, in pixels.
    window_size : int
        Side of the windows that are read, in pixels.
    listen : callable
        Called with the number of windows, or of masks, that are done, and of all.

    Raises
    ------
    SceneError
        If a file cannot be read or does not go with the others, or if no pixel has truth.
    SettingsError
        If the options do not go with the truth.
    """
    _check_kinds(labels, truth, segments)
    with ExitStack() as stack:
        if Path(labels).is_dir():
            compared = _folders(labels, truth, masks)
        else:
            segments = segments or _segments_next_to(labels)
            opened = _rasters(labels, truth, segments, zero_based=masks.zero_based)
            compared = stack.enter_context(opened)
        passes = Passes(compared.images, window_size, listen)
        everything, by_segment = passes.count()
        table = everything.without(compared.ignored)
        if not table.pixels:
            raise _no_overlap(labels, truth.path, everything, compared)
        boundary = passes.compare(table, tolerances, compared.picture)
    by_segment = by_segment.without(compared.ignored)
    return Quality(
        labels=labels,
        truth=truth.path,
        segments=segments,
        images=len(compared.images),
        truth_without_labels=compared.truth_without_labels,
        table=table,
        names={**compared.names, **(truth.names or {})},
        majority=table.score(table.majority()),
        one_to_one=table.score(table.one_to_one()),
        oracle=None if segments is None else by_segment.score(by_segment.majority()),
        v_measure=table.v_measure(),
        adjusted_rand=table.adjusted_rand(),
        boundary=boundary.scores(tolerances),
        agreement=compared.picture.pixels,
    )


def _check_kinds(labels: str, truth: TruthFile, segments: str | None) -> None:
    """Refuse a folder on one side and a file on the other, and options of the other kind."""
    is_folder = Path(labels).is_dir()
    if is_folder and not Path(truth.path).is_dir():
        problem = "is no folder" if Path(truth.path).exists() else "does not exist"
        raise SceneError(
            f"{truth.path} {problem}, while {labels} is a folder of masks; expected a folder of "
            "truth with files of the same names"
        )
    if not is_folder and Path(truth.path).is_dir():
        raise SceneError(
            f"{truth.path} is a folder, while {labels} is none; expected a file of truth: give "
            "one, or the folder of the masks"
        )
    if is_folder and segments is not None:
        raise SettingsError(
            f"--segments is {segments!r}, but {labels} is a folder of masks: leave it out"
        )
    if not is_folder and truth.ending is not None:
        raise SettingsError(
            f"--truth-ending is {truth.ending!r}, but {labels} is no folder of masks: leave it out"
        )


@dataclass(frozen=True)
class _Compared:
    """Images that are compared, and all that is known of them before the first is read."""

    images: Sequence[Callable[[], AbstractContextManager[Image]]]
    ignored: frozenset[int]
    names: Mapping[int, str]
    place: str = ""
    truth_without_labels: tuple[str, ...] = ()
    picture: AgreementMap = field(default_factory=lambda: AgreementMap(0, 0))


@contextmanager
def _rasters(
    labels: str, truth: TruthFile, segments: str | None, *, zero_based: bool
) -> Iterator[_Compared]:
    """Open a raster of labels, and its truth."""
    with ExitStack() as stack:
        raster = stack.enter_context(open_ids(labels, zero_based=zero_based))
        segment_raster = stack.enter_context(open_ids(segments)) if segments else None
        if segment_raster is not None:
            check_same_grid(raster, segment_raster)
        on_grid = stack.enter_context(open_truth(truth, raster))
        image = Image(raster, on_grid, segment_raster)
        yield _Compared(
            [lambda: nullcontext(image)],
            on_grid.ignored,
            on_grid.names,
            place=f" ({crs_name(raster.crs)})",
            picture=AgreementMap(raster.height, raster.width),
        )


def _folders(labels: str, truth: TruthFile, masks: MaskLayout) -> _Compared:
    """Pair the masks of a folder with their truth."""
    ignored = ignored_numbers(truth, "a folder of rasters")
    paired = pair_folders(labels, truth.path, truth.ending, masks.ending)
    images = [partial(_open_pair, pair, ignored, masks.zero_based) for pair in paired.pairs]
    return _Compared(images, ignored, {}, truth_without_labels=paired.without_labels)


@contextmanager
def _open_pair(pair: MaskPair, ignored: frozenset[int], zero_based: bool) -> Iterator[Image]:
    with (
        open_ids(pair.labels, zero_based=zero_based) as raster,
        open_mask_truth(pair.truth, raster, ignored) as truth,
    ):
        yield Image(raster, truth)


def _segments_next_to(labels: str) -> str | None:
    """Find the segments that belong to labels in a run folder."""
    segments = Path(labels).with_name("segments.tif")
    return str(segments) if is_local(labels) and segments.exists() else None


def _no_overlap(
    labels: str, truth: str, everything: Contingency, compared: _Compared
) -> SceneError:
    if everything.pixels:
        return SceneError(
            f"{truth}: all its classes on {labels} "
            f"({', '.join(map(str, everything.classes.tolist()))}) are ignored; "
            "expected at least one to compare with: ignore fewer"
        )
    return SceneError(
        f"{truth}: has no class on any pixel of {labels}{compared.place}; "
        "expected truth of the same place: check where both lie, and their CRS"
    )
