"""A finished run, read again: its record, clusters and segments."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.clusters.model import ClusterModel
from alps_geo.errors import RunError
from alps_geo.runs.clusters import RunClusters, check_overrides
from alps_geo.runs.overrides import NO_OVERRIDES, read_overrides
from alps_geo.runs.reading import read_record, remedy, stopped_change
from alps_geo.segments.table import open_table
from alps_geo.settings import current_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.journal import Change
    from alps_geo.runs.overrides import RunOverrides
    from alps_geo.runs.record import RunRecord
    from alps_geo.segments.table import SegmentTable


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: its record, clusters and segments.

    Attributes
    ----------
    folder : RunFolder
        Its folder.
    record : RunRecord
        Its record.
    model : ClusterModel
        The clusters.
    tables : dict of str to SegmentTable
        The segments of each scene, by the name of its folder.
    overrides : RunOverrides
        Clusters that a person gave segments.
    """

    folder: RunFolder
    record: RunRecord
    model: ClusterModel
    tables: dict[str, SegmentTable]
    overrides: RunOverrides

    @property
    def clusters(self) -> RunClusters:
        """All that decides the cluster of each segment."""
        return RunClusters(self.model, self.overrides)


def read_finished(folder: RunFolder) -> FinishedRun:
    """Read a finished run.

    Raises
    ------
    RunError
        If there is none, if a change of its clusters or classes was stopped, if a file cannot be
        read, or if the cluster model is of something else.
    """
    record = read_record(folder)
    if (change := stopped_change(folder)) is not None:
        raise RunError(
            f"{folder.path}: alps-geo {change} is at work here, or was stopped; wait "
            "until it ends, or give that command again"
        )
    model = read_model(folder.model_path)
    tables = {scene.name: open_table(folder.segments_folder(scene.name)) for scene in record.scenes}
    columns = {name for table in tables.values() for name in table.names}
    listed = [cluster.cluster for cluster in record.clusters]
    if listed != list(model.legend.palette) or not columns >= set(model.projection.column_names):
        raise RunError(
            f"{folder.model_path} has other clusters than {folder.record_path}: it is not the "
            "model of this run; put that back, or run again with --force"
        )
    overrides = read_overrides(folder)
    check_overrides(folder, overrides, model, tables)
    return FinishedRun(folder, record, model, tables, overrides)


def read_clusters(folder: RunFolder) -> RunClusters:
    """Read the cluster model of a run, and the clusters that a person gave segments.

    Raises
    ------
    RunError
        If one is damaged, or the model absent.
    """
    return RunClusters(read_model(folder.model_path), read_overrides(folder))


def read_changed(folder: RunFolder, change: Change) -> RunClusters:
    """Read the clusters that a change leads to.

    Raises
    ------
    RunError
        If it is absent or damaged.
    """
    try:
        model = read_model(folder.changed_model_path)
    except RunError as error:
        raise RunError(
            f"{folder.changed_model_path} is gone or damaged, so that alps-geo clusters "
            f"{change.command}, which was stopped here, cannot be finished; {remedy(folder)}"
        ) from error
    return RunClusters(model, change.overrides or NO_OVERRIDES)


def read_model(path: Path) -> ClusterModel:
    """Read a cluster model.

    Raises
    ------
    RunError
        If the file cannot be read, or is no cluster model of this version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(
            f"{path}: the cluster model cannot be read ({error.strerror}); "
            "expected a file that alps-geo fit wrote, or the clusters.npz of a finished run"
        ) from error
    return ClusterModel.from_bytes(data, str(path))


_BEFORE = {"superpixel_size": 16, "merge": False, "neighbours": 0.0}
"""Settings that versions without them had in effect."""


def fitted_settings(model: ClusterModel) -> dict[str, object]:
    """Return the settings that segments were made with when a model was fitted, in today's words.

    Settings without a value are left out.
    """
    return {name: value for name, value in all_fitted_settings(model).items() if value is not None}


def all_fitted_settings(model: ClusterModel) -> Mapping[str, object]:
    """Return what `fitted_settings` does, with those without a value."""
    fitted = json.loads(model.fitted_with).get("settings", {})
    return current_words(_BEFORE | fitted if fitted else {})
