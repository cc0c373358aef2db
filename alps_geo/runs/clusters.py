"""All that decides the cluster of each segment of a run: its model, and what a person decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageColor

from alps_geo.clusters.colors import hex_color
from alps_geo.clusters.limits import MAX_CLUSTERS
from alps_geo.errors import RunError
from alps_geo.outputs.output import assign
from alps_geo.runs.identity import fingerprint
from alps_geo.runs.overrides import NO_OVERRIDES, RunOverrides, Target, clusters_of
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.clusters.tree import Assigned
    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.overrides import SceneOverrides
    from alps_geo.segments.table import SegmentTable

_DIGITS = 16


@dataclass(frozen=True)
class RunClusters:
    """All that decides the cluster of each segment of a run.

    Attributes
    ----------
    model : ClusterModel
        The cluster model.
    overrides : RunOverrides
        Clusters that a person gave segments.
    """

    model: ClusterModel
    overrides: RunOverrides = NO_OVERRIDES

    def assign(self, scene: str, table: SegmentTable) -> Assigned:
        """Find the clusters of the segments of a scene, by segment id."""
        return assign(self.model, table, self.overrides.of(scene))

    def moves(self, other: RunClusters) -> bool:
        """Return True if segments can have another cluster under others, or another legend."""
        return self.model.stamp != other.model.stamp or any(
            self.overrides.of(scene) != other.overrides.of(scene)
            for scene in self.overrides.scenes.keys() | other.overrides.scenes.keys()
        )

    def carried_to(self, model: ClusterModel) -> RunClusters:
        """Let the overrides go on under another model.

        A cluster with the same centres is the same one. Else the cluster of the same name takes the
        place of a named one; and else it stays as a cluster without a centre, with its name and,
        if that is free, its id and colour.

        Raises
        ------
        RunError
            If an id would be too high.
        """
        legend, ids = model.legend, {}
        by_name = {name: cluster for cluster, name in reversed([*legend.names.items()])}
        # First those whose ids are free, so that no other takes their ids and colours.
        targets = sorted(self.overrides.targets.items(), key=lambda each: each[0] in legend.palette)
        for cluster, target in targets:
            if _is_same(cluster, target, model):
                ids[cluster] = cluster
            elif target.name in by_name:
                ids[cluster] = by_name[target.name]
            else:
                taken = cluster in legend.palette
                ids[cluster] = max(legend.palette) + 1 if taken else cluster
                check_id(ids[cluster])
                red, green, blue, *_ = ImageColor.getrgb(target.color)
                legend = legend.added(ids[cluster], target.name, (red, green, blue))
        extended = replace(model, legend=legend)
        return RunClusters(extended, renumbered(self.overrides, ids, extended))


def overrides_of(scenes: Mapping[str, SceneOverrides], model: ClusterModel) -> RunOverrides:
    """Make overrides whose clusters are those of a model."""
    held = {name: scene for name, scene in scenes.items() if scene.segment_ids}
    legend = model.legend
    targets = {
        cluster: Target(
            legend.names.get(cluster, ""),
            hex_color(legend.palette[cluster]),
            model.centre_digest(cluster),
        )
        for cluster in sorted(clusters_of(held))
    }
    return RunOverrides(held, targets)


def renumbered(
    overrides: RunOverrides, clusters: Mapping[int, int], model: ClusterModel
) -> RunOverrides:
    """Let overrides lead to other clusters, all of a model; those left out stay as they are."""
    scenes = {
        name: replace(
            scene,
            clusters={
                segment: clusters.get(cluster, cluster)
                for segment, cluster in scene.clusters.items()
            },
        )
        for name, scene in overrides.scenes.items()
    }
    return overrides_of(scenes, model)


def segments_digest(table: SegmentTable) -> str:
    """Return a digest of the segments of a scene: their areas, in the order of their ids."""
    areas = np.empty(len(table), dtype=np.int64)
    areas[table.rows.astype(np.int64) - 1] = table.area
    return sha256(areas.tobytes()).hexdigest()


def segments_key(tiles_folder: str, settings: Mapping[str, object]) -> str:
    """Return a key of all that decides the segments of a scene, known before they are made.

    Parameters
    ----------
    tiles_folder : str
        Name of the folder of its tiles.
    settings : mapping of str to object
        Settings of the run.
    """
    deciding = {name: settings.get(name) for name in LabelSettings().deciding("segments")}
    return fingerprint([tiles_folder, deciding])[:_DIGITS]


def check_id(cluster: int) -> None:
    """Raise RunError if an id is too high for a cluster."""
    if cluster > MAX_CLUSTERS:
        raise RunError(
            f"a new cluster would have the id {cluster}, expected {MAX_CLUSTERS} at most"
        )


def check_overrides(
    folder: RunFolder,
    overrides: RunOverrides,
    model: ClusterModel,
    tables: Mapping[str, SegmentTable],
) -> None:
    """Check that overrides are of the segments and clusters of a run.

    Raises
    ------
    RunError
        If they are not.
    """
    known = set(model.legend.palette)
    for name, scene in overrides.scenes.items():
        if name not in tables:
            continue  # its results could not be written
        if segments_digest(tables[name]) != scene.segments:
            reason = f"of other segments than those of {name}"
        elif max(scene.segment_ids, default=0) > len(tables[name]):
            reason = f"of more segments than {name} has"
        elif unknown := set(scene.clusters.values()) - known:
            reason = f"of clusters that are not those of {folder.model_path.name} ({min(unknown)})"
        else:
            continue
        raise RunError(
            f"{folder.overrides_path} is {reason}: it is not that of this run; put that back, or "
            "remove the file to let go the clusters that a person gave segments"
        )


def _is_same(cluster: int, target: Target, model: ClusterModel) -> bool:
    """Return True if a cluster of a model is the one that overrides lead to."""
    legend = model.legend
    if cluster not in legend.palette or model.centre_digest(cluster) != target.centres:
        return False
    return target.centres is not None or legend.names.get(cluster, "") == target.name
