"""Models of classes, made of the samples of a run and of models that are given."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.classes.classifier import Method
from alps_geo.classes.legend import class_legend
from alps_geo.classes.model import ClassModel, SampleColumns, sample_columns
from alps_geo.errors import RunError, SettingsError
from alps_geo.review.relabel import parse_color
from alps_geo.review.sample_files import NO_FILES, SampleFiles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from alps_geo.classes.samples import Sampled
    from alps_geo.clusters.colors import Color
    from alps_geo.runs.run import FinishedRun


@dataclass(frozen=True)
class ClassifyRequest:
    """Samples and settings of a classification.

    Attributes
    ----------
    files : SampleFiles
        Files of samples.
    from_names : bool
        True to take typical segments of named clusters as samples.
    models : tuple of pathlib.Path
        Models of classes whose samples count too, of this run or others.
    classifier : str or None
        Name of the classifier.
    seed : int or None
        Seed of the classifier.
    balanced : bool or None
        True if all classes weigh the same. All three are by default as in the first model, or else
        as in `alps_geo.classes.classifier.Method`.
    per_scene : bool
        True to fit a classifier for each scene to its own samples alone.
    suggest : int
        Number of segments to suggest for labelling next.
    discard_edits : bool
        True to overwrite classes that a person has edited.
    """

    files: SampleFiles = NO_FILES
    from_names: bool = False
    models: tuple[Path, ...] = ()
    classifier: str | None = None
    seed: int | None = None
    balanced: bool | None = None
    per_scene: bool = False
    suggest: int = 0
    discard_edits: bool = False

    @property
    def has_samples(self) -> bool:
        """True if there are samples of any source."""
        return bool(self.files.paths or self.from_names or self.models)

    @property
    def command(self) -> str:
        """The command, as typed after ``alps-geo``."""
        words = ["classify"]
        for option, values in (("--samples", self.files.paths), ("--model", self.models)):
            words += [word for value in values for word in (option, str(value))]
        words += ["--from-names"] if self.from_names else []
        return shlex.join(words)


def read_class_model(path: Path) -> ClassModel:
    """Read a model of classes.

    Raises
    ------
    RunError
        If the file cannot be read, or is no model of classes.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(
            f"{path}: the model of classes cannot be read ({error.strerror}); expected the "
            "classes.npz of a run that alps-geo classify has classified"
        ) from error
    return ClassModel.from_bytes(data, str(path))


def make_model(
    run: FinishedRun, request: ClassifyRequest, sampled: Mapping[str, Sampled]
) -> ClassModel:
    """Make the model of classes of all samples, of this run and of given models."""
    given = [read_class_model(path) for path in request.models]
    projection = given[0].projection if given else run.model.projection
    method = _method(request, given[0].method if given else Method())
    names = {name for part in sampled.values() for name in part.name.tolist()}
    names |= {name for each in run.overrides.scenes.values() for name in each.classes.values()}
    legend = given[0].legend if given else None
    for each in given[1:]:
        legend = class_legend(each.legend.names.values(), known=legend)
    ids = {each.name: each.id for each in run.record.classes or ()}
    legend = class_legend(names, _colors(run), legend, ids)
    id_of = {name: number for number, name in legend.names.items()}
    parts = [_renamed(each, given[0], id_of) for each in given]
    for scene, table in run.tables.items():
        if given:
            given[0].check(table, scene)
        part = sampled[scene]
        row_of = np.argsort(table.rows)
        classes = np.array([id_of[name] for name in part.name.tolist()], np.int64)
        parts.append(sample_columns(projection, table, row_of[part.segment - 1], classes))
    return ClassModel(projection, method, legend, SampleColumns.together(parts))


def _method(request: ClassifyRequest, default: Method) -> Method:
    """Return the classifier that is asked for, a default where nothing is said."""
    return Method(
        request.classifier or default.classifier,
        default.seed if request.seed is None else request.seed,
        default.balanced if request.balanced is None else request.balanced,
    )


def _colors(run: FinishedRun) -> dict[str, Color]:
    """Return the colours of clusters by name, and those that classes of these names have now."""
    legend = run.model.legend
    colors = {name: legend.palette[i] for i, name in reversed(list(legend.names.items()))}
    return colors | {each.name: parse_color(each.color) for each in run.record.classes or ()}


def _renamed(model: ClassModel, first: ClassModel, id_of: Mapping[str, int]) -> SampleColumns:
    """Return the samples of a model with the columns of the first, and the ids of a legend."""
    columns = model.projection.column_names
    wanted = first.projection.column_names
    if unknown := set(model.samples.kinds) - set(first.projection.kinds):
        raise SettingsError(
            f"a model has samples of {sorted(unknown)[0]}, and the first one knows "
            f"{' and '.join(first.projection.kinds)}; expected the same bands and data type"
        )
    if absent := set(wanted) - set(columns):
        raise SettingsError(
            f"the models are of different features: one has no column {sorted(absent)[0]}; "
            "give models of runs with the same --features"
        )
    order = [columns.index(name) for name in wanted]
    classes = [id_of[model.legend.names[i]] for i in model.samples.classes.tolist()]
    return replace(
        model.samples, values=model.samples.values[:, order], classes=np.array(classes, np.int64)
    )
