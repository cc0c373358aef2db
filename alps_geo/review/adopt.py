"""Edits that a person made in the polygons of a run, made part of the run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.outputs.gpkg.contents import read_contents
from alps_geo.outputs.gpkg.edited import find_edits
from alps_geo.outputs.names import POLYGONS
from alps_geo.review.adopt_classes import adopt_classes, find_classes
from alps_geo.review.adoption import describe, resolve
from alps_geo.review.changes import Altered, change_run
from alps_geo.review.edits import given_values
from alps_geo.review.kept import scene_overrides
from alps_geo.review.polygon_note import read_note
from alps_geo.runs.clusters import RunClusters, overrides_of
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.overrides import NO_OVERRIDES, RunOverrides
from alps_geo.runs.reading import read_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from alps_geo.clusters.legend import Legend
    from alps_geo.clusters.model import ClusterModel
    from alps_geo.outputs.gpkg.edited import FoundEdits
    from alps_geo.review.adoption import Resolved
    from alps_geo.runs.record import RunRecord
    from alps_geo.runs.run import FinishedRun


@dataclass(frozen=True)
class Adoption:
    """Edits that became part of a run, and those that cannot.

    Attributes
    ----------
    record : RunRecord
        The record of the run, as written to ``run.json``.
    done : tuple of str
        Sentences on edits that became part of the run.
    left : tuple of str
        Sentences on edits that stay in the file alone.
    """

    record: RunRecord
    done: tuple[str, ...]
    left: tuple[str, ...] = ()


def adopt_edits(path: Path, *, discard_edits: bool = False) -> Adoption:
    """Make edits of cluster, its name and class in the polygons part of a finished run.

    They are kept as overrides of single segments, which no change of the clusters and no labelling
    of the same segments loses; the cluster model gives all other segments, and other scenes, the
    clusters of before. See `alps_geo.review.adoption` for the meaning of an edit.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    discard_edits : bool
        True to overwrite a confidence that a person edited in a feature that gets another cluster,
        and edited styles.

    Returns
    -------
    Adoption
        Nothing is written where nothing was edited.

    Raises
    ------
    RunError
        If there is no finished run, or it has images; if an edit has no meaning, two contradict
        each other, or a confidence would be overwritten; if a file lacks a column or is held by
        another program, or if a result cannot be read or written.

    Examples
    --------
    >>> adopt_edits(Path("results")).done  # doctest: +SKIP
    ('3 segments have the cluster that you gave', 'cluster 25, solar panels is new')
    """
    done = ["an adoption that was stopped is finished now"]
    left: list[str] = []

    def alter(run: FinishedRun) -> Altered | None:
        done.clear()
        if run.record.folder is not None:
            raise RunError(f"{path} holds masks of images, and no polygons that can be edited")
        found, _ = _find(run), find_classes(run)  # before anything is changed
        left.extend(line for each in found.values() for line in _left(run, each))
        resolved = resolve(found, run.model.legend)
        done.extend(describe(resolved))
        return _altered(run, found, resolved) if done else None

    change_run(path, ["adopt"], alter, discard_edits=discard_edits)
    done.extend(adopt_classes(path, discard_edits=discard_edits))
    return Adoption(read_record(RunFolder(path)), tuple(done), tuple(left))


def forget_overrides(path: Path, *, discard_edits: bool = False) -> Adoption:
    """Give all segments of a finished run the clusters of the model again.

    Clusters that have no segment then go. Takes `discard_edits` and raises as the commands of
    `alps_geo.review.relabel`.
    """
    done = ["clusters of the model are given to all segments again"]

    def alter(run: FinishedRun) -> Altered | None:
        done.clear()
        scenes = run.overrides.scenes.values()
        if not scenes:
            return None
        if clusters := sum(len(scene.clusters) for scene in scenes):
            done.append(f"{_counted(clusters, 'segment')} back in the cluster of the model")
        if classes := sum(len(scene.classes) for scene in scenes):
            done.append(
                f"{_counted(classes, 'class', 'classes')} of segments let go: they are as before "
                "until alps-geo classify gives classes again"
            )
        model = _without_empty(run, run.model.legend, NO_OVERRIDES)
        return Altered(RunClusters(model, NO_OVERRIDES))

    record = change_run(path, ["adopt", "--forget"], alter, discard_edits=discard_edits)
    return Adoption(record, tuple(done))


def _find(run: FinishedRun) -> dict[str, FoundEdits]:
    """Find the edits in the polygons of all scenes."""
    names = run.model.legend.names
    return {
        scene: find_edits(
            run.folder.scene_folder(scene) / POLYGONS,
            given_values(run.clusters, scene, table),
            names,
        )
        for scene, table in run.tables.items()
    }


def _altered(run: FinishedRun, found: Mapping[str, FoundEdits], resolved: Resolved) -> Altered:
    """Make overrides of resolved edits, next to those that the run has."""
    scenes = {
        scene: scene_overrides(run, scene, clusters=resolved.clusters.get(scene, {}))
        for scene in run.tables
    }
    extended = replace(run.model, legend=resolved.legend)
    model = _without_empty(run, resolved.legend, overrides_of(scenes, extended))
    clusters = RunClusters(model, overrides_of(scenes, model))
    return Altered(clusters, frozenset(scene for scene, each in found.items() if not each.sure))


def _without_empty(run: FinishedRun, legend: Legend, overrides: RunOverrides) -> ClusterModel:
    """Give the model a legend without the clusters that no override leads to any more."""
    left = (
        run.overrides.targets.keys() - overrides.targets.keys() - set(run.model.tree.ids.tolist())
    )
    return replace(run.model, legend=legend.kept(legend.palette.keys() - left))


def _left(run: FinishedRun, found: FoundEdits) -> Iterator[str]:
    """Describe the edits of a scene that cannot be adopted, and stay in its file alone."""
    path, count = found.path, _counted
    if found.drawn:
        field = "cluster_name" if run.record.classes is None else "class"
        yield (
            f"{path}: {count(found.drawn, 'feature')} of no segment, such as those you drew: left "
            f"as samples, for alps-geo classify {run.folder.path} --samples {path} "
            f"--layer segments --field {field}"
        )
    if unknown := found.unknown:
        more = f" ({len(unknown)} features have such an id)" if len(unknown) > 1 else ""
        yield (
            f"{path}: segment_id {unknown[0]!r} is no segment of this run{more}: edits of "
            "such features are not adopted"
        )
    if found.copied:
        yield (
            f"{path}: {count(found.copied, 'copy', 'copies')} of segments, or parts that you cut "
            "off: left in the file, for the first feature of a segment counts"
        )
    if found.deleted:
        yield (
            f"{path}: {count(found.deleted, 'feature')} deleted: left out of the file, and "
            "labelled as before"
        )
    if found.sure:
        yield f"{path}: confidence of {count(found.sure, 'feature')} edited: left in the file"
    if not (found.drawn or found.copied or found.deleted) and _has_other_rows(run, path):
        yield f"{path}: shapes or other attributes edited: left in the file, and rasters as before"


def _has_other_rows(run: FinishedRun, path: Path) -> bool:
    """Return True if columns that do not depend on clusters are not as the run wrote them."""
    noted = read_note(run.folder).get(path.relative_to(run.folder.path).as_posix())
    return noted is not None and noted.rows != read_contents(path).rows


def _counted(count: int, one: str, several: str | None = None) -> str:
    return f"{count} {one if count == 1 else several or one + 's'}"
