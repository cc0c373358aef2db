"""Classes of the segments of a finished run, learnt from a few samples, without SAM or scenes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.classes.cross_validation import block_of, cross_validate
from alps_geo.classes.graph import SegmentGraph, borders_of
from alps_geo.classes.model import ClassModel, table_rows
from alps_geo.classes.next_samples import Candidates, uncertainty_of
from alps_geo.errors import RunError, SceneError, SettingsError
from alps_geo.outputs.names import SEGMENTS
from alps_geo.outputs.raster_rows import RasterRows
from alps_geo.review.changes import finish_stopped
from alps_geo.review.class_model import ClassifyRequest, make_model
from alps_geo.review.class_results import Classification, write_classification
from alps_geo.review.sample_files import (
    Gathered,
    disputes_note,
    gather_samples,
    named_samples,
)
from alps_geo.review.suggested import Suggested, Uncertain, middles, write_suggestions
from alps_geo.runs.classes import SegmentClasses
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.lock import held
from alps_geo.runs.reading import read_record
from alps_geo.runs.run import read_finished
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.classes.classifier import Fitted
    from alps_geo.classes.cross_validation import SampleAccuracy
    from alps_geo.classes.samples import Sampled
    from alps_geo.runs.record import RunRecord
    from alps_geo.runs.run import FinishedRun
    from alps_geo.segments.borders import Borders

_ROWS = 512


@dataclass(frozen=True)
class Classified:
    """Outcome of a classification.

    Attributes
    ----------
    record : RunRecord
        The record of the run.
    model : ClassModel or None
        The model of classes; None if segments were suggested alone.
    accuracy : SampleAccuracy or None
        Accuracy on samples left out by blocks; None for too few samples of this run.
    notes : tuple of str
        Samples that were left out, and segments whose samples disagree.
    suggested : Suggested or None
        Segments to label next.
    """

    record: RunRecord
    model: ClassModel | None
    accuracy: SampleAccuracy | None
    notes: tuple[str, ...]
    suggested: Suggested | None

    @property
    def is_classified(self) -> bool:
        """True if classes were written; False if segments were suggested alone."""
        return self.model is not None

    def to_json(self) -> dict[str, object]:
        """Return the outcome as a JSON object."""
        suggested = self.suggested
        classes = self.record.classes or () if self.is_classified else ()
        return {
            "classes": [each.to_json() for each in classes],
            "accuracy": None if self.accuracy is None else asdict(self.accuracy),
            "notes": list(self.notes),
            "suggested": None if suggested is None else str(suggested.layer),
            "page": None if suggested is None or suggested.page is None else str(suggested.page),
        }


def classify_segments(
    path: Path,
    request: ClassifyRequest,
    listen: Callable[[int, int], None] = lambda _, __: None,
) -> Classified:
    """Give all segments of a finished run the classes of samples, or suggest samples.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    request : ClassifyRequest
        Samples and settings. Without samples, segments are suggested only.
    listen : callable
        Called with the number of scenes that are classified, and of all.

    Raises
    ------
    RunError
        If there is no finished run, if it is one over images, if another process is at work in the
        folder, if polygons are held by another program or edits would be overwritten, or if a file
        cannot be read or written.
    SceneError
        If a file of samples cannot be read, or lies elsewhere, or if samples are of one class only.
    SettingsError
        If there are no samples, or if a model is of other bands or features.
    """
    folder = RunFolder(path)
    if (record := read_record(folder)).folder is not None:
        raise RunError(
            f"{path} holds masks of images, which have no place on a map for samples; expected a "
            "run over scenes"
        )
    if not request.has_samples and not request.suggest:
        raise SettingsError(
            "there are no samples: give --samples FILE, --from-names or --model FILE, or "
            "--suggest 20 for segments to label first"
        )
    with held(folder):
        finish_stopped(folder)
        run = read_finished(folder)
        gathered = _gather(run, request)
        model = make_model(run, request, gathered.sampled) if request.has_samples else None
        accuracy = None if model is None else _accuracy(run, model, gathered.sampled)
        scenes = list(_classed(run, model, request, gathered, listen))
        record = run.record
        if model is not None:
            classes = {each.name: each.classes for each in scenes if each.classes is not None}
            found = Classification(request.command, model, classes)
            record = write_classification(
                folder, record, found, discard_edits=request.discard_edits
            )
    suggested = None
    if request.suggest:
        uncertain = [each.uncertain for each in scenes if each.uncertain is not None]
        suggested = write_suggestions(
            replace(run, record=record), uncertain, request.suggest, request.files.paths
        )
    notes = (*gathered.notes, *disputes_note(gathered.sampled))
    return Classified(record, model, accuracy, notes, suggested)


def _gather(run: FinishedRun, request: ClassifyRequest) -> Gathered:
    """Gather the samples of this run; those drawn by a person go before those of names."""
    gathered = gather_samples(run, request.files)
    if not request.from_names:
        return gathered
    named = named_samples(run)
    sampled = {name: _first(part, named[name]) for name, part in gathered.sampled.items()}
    return replace(gathered, sampled=sampled)


def _first(drawn: Sampled, named: Sampled) -> Sampled:
    """Put samples together, of a segment in both the first."""
    rest = ~np.isin(named.segment, drawn.segment)
    segment = np.concatenate([drawn.segment, named.segment[rest]])
    name = np.concatenate([drawn.name, named.name[rest]])
    order = np.argsort(segment)
    return replace(drawn, segment=segment[order], name=name[order])


def _accuracy(
    run: FinishedRun, model: ClassModel, sampled: Mapping[str, Sampled]
) -> SampleAccuracy | None:
    """Cross-validate the classifier on the samples of this run, by blocks of its scenes."""
    counts = [len(part) for part in sampled.values()]
    if not sum(counts):
        return None
    blocks = [
        block_of(middles(run, name, part.segment), _shape(run, name), number)
        for number, (name, part) in enumerate(sampled.items())
    ]
    last = slice(len(model.samples) - sum(counts), None)
    return cross_validate(
        model.method, model.rows()[last], model.classes()[last], np.concatenate(blocks)
    )


def _shape(run: FinishedRun, scene: str) -> tuple[int, int]:
    (found,) = (each for each in run.record.scenes if each.name == scene)
    return found.height, found.width


@dataclass(frozen=True)
class _ClassedScene:
    """Classes of the segments of a scene, and those that are uncertain if that is asked for."""

    name: str
    classes: SegmentClasses | None
    uncertain: Uncertain | None


def _classed(
    run: FinishedRun,
    model: ClassModel | None,
    request: ClassifyRequest,
    gathered: Gathered,
    listen: Callable[[int, int], None],
) -> Iterator[_ClassedScene]:
    """Classify the scenes one after the other."""
    fitted = None if model is None or request.per_scene else model.fitted()
    projection = run.model.projection if model is None else model.projection
    for number, (name, table) in enumerate(run.tables.items()):
        sampled = gathered.sampled[name]
        rows = table_rows(projection, table, table.rows)
        known = np.concatenate([sampled.segment, gathered.seen[name]]) - 1
        area = table.area[np.argsort(table.rows)].astype(np.float64)
        if model is None:
            yield _ClassedScene(name, None, Uncertain.without_classes(name, rows, area, known))
            continue
        classifier = fitted or _fitted_to(model, rows, sampled, name)
        probability = classifier.probability(rows, len(model.legend))
        averaged = SegmentGraph.of(rows, segment_borders(run, name)).averaged(probability)
        given = run.overrides.classes_of(name)
        classes = _decided(averaged, sampled, model).overridden(given)
        uncertain = None
        if request.suggest:
            names = tuple(model.legend.names.values())
            guess = np.searchsorted(model.legend.ids, classes.ids)
            candidates = Candidates(rows, area, uncertainty_of(averaged), guess)
            uncertain = Uncertain(name, candidates, known, averaged, names)
        yield _ClassedScene(name, classes, uncertain)
        listen(number + 1, len(run.tables))


def _fitted_to(
    model: ClassModel, rows: NDArray[np.float64], sampled: Sampled, scene: str
) -> Fitted:
    """Fit the classifier to the samples of one scene."""
    names = set(sampled.name.tolist())
    if len(names) < 2:
        raise SceneError(
            f"{scene} has samples of {len(names)} classes, and --per-scene fits a classifier to "
            "those of each scene; expected two classes at least in each: draw some, or leave out "
            "--per-scene"
        )
    index = {name: position for position, name in enumerate(model.legend.names.values())}
    classes = np.array([index[name] for name in sampled.name.tolist()], np.int64)
    return model.method.fitted(rows[sampled.segment - 1], classes)


def segment_borders(run: FinishedRun, scene: str) -> Borders:
    """Measure the borders of the segments of a scene."""
    path = run.folder.scene_folder(scene) / SEGMENTS
    with opened(str(path)) as raster:
        height = raster.height
    rows = RasterRows(path)
    return borders_of(rows(start, min(start + _ROWS, height)) for start in range(0, height, _ROWS))


def _decided(
    probability: NDArray[np.float64], sampled: Sampled, model: ClassModel
) -> SegmentClasses:
    """Give each segment its most probable class, and samples their own."""
    legend = model.legend
    best = probability.argmax(axis=1)
    confidence = probability[np.arange(len(best)), best]
    margin = 1 - uncertainty_of(probability)
    index = {name: position for position, name in enumerate(legend.names.values())}
    at = sampled.segment - 1
    best[at] = [index[name] for name in sampled.name.tolist()]
    confidence[at] = margin[at] = 1.0
    return SegmentClasses(legend.ids[best], confidence, margin, dict(legend.names))
