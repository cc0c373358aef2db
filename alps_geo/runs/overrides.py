"""Clusters and classes that a person gave segments of a run, kept apart from the models.

They lie in ``overrides.json``, with name, colour and a digest of the centres of each of their
clusters, so that they can go on under another model. They hold for the segments that they were
given to: a digest of these tells whether a scene still has them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alps_geo.errors import RunError
from alps_geo.files import run_errors, write_bytes
from alps_geo.runs.stored_json import (
    DamagedError,
    Perhaps,
    check_shape,
    json_object,
    known_fields,
    read_json,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from alps_geo.runs.folder import RunFolder

SCENE = {"segments": str, "made_with": str, "clusters": {}, "classes": Perhaps({})}
"""Shape of a `SceneOverrides` as JSON; see `alps_geo.runs.stored_json`."""

TARGET = {
    "name": str,
    "color": re.compile("#[0-9a-f]{6}"),
    "centres": Perhaps((None, str)),
}
"""Shape of a `Target` as JSON."""

_ID = re.compile("[1-9][0-9]*")


@dataclass(frozen=True)
class SceneOverrides:
    """Clusters and classes that a person gave segments of one scene.

    Attributes
    ----------
    segments : str
        `alps_geo.runs.clusters.segments_digest` of the segments of the scene.
    made_with : str
        `alps_geo.runs.clusters.segments_key` of the run that made them.
    clusters : mapping of int to int
        Cluster by segment id, ascending.
    classes : mapping of int to str
        Name of the class by segment id, ascending.
    """

    segments: str
    made_with: str
    clusters: Mapping[int, int] = field(default_factory=dict)
    classes: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, found: object) -> SceneOverrides:
        """Build overrides from JSON; raise ValueError for JSON of another shape."""
        known = known_fields(found, SCENE)
        clusters, classes = _by_id(known["clusters"], int), _by_id(known["classes"] or {}, str)
        return cls(known["segments"], known["made_with"], clusters, classes)

    def to_json(self) -> dict[str, object]:
        """Return the overrides as a JSON object."""
        clusters = {str(segment): cluster for segment, cluster in self.clusters.items()}
        classes = {str(segment): name for segment, name in self.classes.items()}
        return {
            **json_object(self, SCENE),
            "clusters": clusters,
            **({"classes": classes} if classes else {}),
        }

    @property
    def segment_ids(self) -> set[int]:
        """Ids of the segments that a person decided on."""
        return {*self.clusters, *self.classes}


@dataclass(frozen=True)
class Target:
    """A cluster that overrides lead to, as the last model had it.

    Attributes
    ----------
    name : str
        Its name; empty for none.
    color : str
        Its colour, as ``#1f77b4``.
    centres : str or None
        `ClusterModel.centre_digest` of it.
    """

    name: str
    color: str
    centres: str | None


def clusters_of(scenes: Mapping[str, SceneOverrides]) -> set[int]:
    """Return the clusters that overrides of some scenes lead to."""
    return {cluster for scene in scenes.values() for cluster in scene.clusters.values()}


@dataclass(frozen=True)
class RunOverrides:
    """Clusters that a person gave segments of a run.

    Attributes
    ----------
    scenes : mapping of str to SceneOverrides
        By the name of the scene; scenes without overrides are left out.
    targets : mapping of int to Target
        Each cluster of an override.

    Raises
    ------
    ValueError
        If an override leads to no target.
    """

    scenes: Mapping[str, SceneOverrides] = field(default_factory=dict)
    targets: Mapping[int, Target] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := clusters_of(self.scenes) - self.targets.keys():
            raise ValueError(f"overrides lead to {sorted(unknown)}, which are not described")

    @classmethod
    def from_json(cls, found: object) -> RunOverrides:
        """Build overrides from JSON; raise ValueError for JSON of another shape."""
        known = check_shape(found, {"clusters": {}, "scenes": {}})
        targets = {
            cluster: Target(**known_fields(each, TARGET))
            for cluster, each in _by_id(known["clusters"], TARGET).items()
        }
        scenes = {name: SceneOverrides.from_json(each) for name, each in known["scenes"].items()}
        return cls(scenes, targets)

    def to_json(self) -> dict[str, object]:
        """Return the overrides as a JSON object."""
        return {
            "clusters": {str(i): json_object(each, TARGET) for i, each in self.targets.items()},
            "scenes": {name: scene.to_json() for name, scene in self.scenes.items()},
        }

    def __len__(self) -> int:
        return sum(len(scene.segment_ids) for scene in self.scenes.values())

    def of_scenes(self, names: Collection[str]) -> RunOverrides:
        """Return the overrides of some scenes alone."""
        scenes = {name: scene for name, scene in self.scenes.items() if name in names}
        used = clusters_of(scenes)
        return RunOverrides(scenes, {i: each for i, each in self.targets.items() if i in used})

    def classes_of(self, scene: str) -> Mapping[int, str]:
        """Return the class overrides of a scene: name by segment id."""
        return self.scenes[scene].classes if scene in self.scenes else {}

    def of(self, scene: str) -> Mapping[int, int]:
        """Return the overrides of a scene: cluster by segment id."""
        return self.scenes[scene].clusters if scene in self.scenes else {}


NO_OVERRIDES = RunOverrides()
"""Every segment has the cluster that the model gives it."""


def read_overrides(folder: RunFolder) -> RunOverrides:
    """Read the clusters that a person gave segments of a run; none without the file.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    try:
        return read_json(folder.overrides_path, RunOverrides.from_json) or NO_OVERRIDES
    except DamagedError as error:
        raise RunError(
            f"{error}: it holds the clusters and classes that a person gave segments; put "
            "back a copy, or remove the file to let them go"
        ) from error


def write_overrides(folder: RunFolder, overrides: RunOverrides) -> None:
    """Write the clusters that a person gave segments of a run; without any, the file goes.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    if overrides.scenes:
        write_bytes(folder.overrides_path, _to_bytes(overrides))
        return
    with run_errors(folder.overrides_path):
        folder.overrides_path.unlink(missing_ok=True)


def replace_overrides(folder: RunFolder, target: RunFolder, overrides: RunOverrides) -> None:
    """Write overrides next to results that are to take their places in a folder.

    Empty ones are written where there are some, so that these go together with the results.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    if overrides.scenes or folder.overrides_path.exists():
        write_bytes(target.overrides_path, _to_bytes(overrides))


def _to_bytes(overrides: RunOverrides) -> bytes:
    return json.dumps(overrides.to_json(), indent=1, ensure_ascii=False).encode()


def _by_id(found: Mapping[str, Any], shape: object) -> dict[int, Any]:
    """Read values by id from a JSON object; raise ValueError for other keys or values."""
    for key, value in found.items():
        if not _ID.fullmatch(key):
            raise ValueError(f"there is an id {key!r}, expected a whole number from 1")
        check_shape(value, shape, key)
    return dict(sorted((int(key), value) for key, value in found.items()))
