"""Record of a finished run or fit: the typed content of ``run.json``.

Nothing else reads or writes that file. A record of an earlier version lacks some keys, and one of a
later version has more: both are written again as they were found.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alps_geo.files import write_bytes
from alps_geo.runs.failures import (
    FAILED_IMAGE,
    FAILED_SCENE,
    FAILED_TILE,
    FailedScene,
    FailedTile,
    Failure,
    failure_from_json,
)
from alps_geo.runs.origin import ORIGIN, Origin
from alps_geo.runs.parts import (
    CLASS,
    CLUSTER,
    FOLDER,
    MACHINE,
    SCENE,
    ClassRecord,
    ClusterRecord,
    FolderRecord,
    MachineRecord,
    SceneRecord,
    machines_from_json,
    machines_to_json,
)
from alps_geo.runs.stored_json import (
    DamagedError,
    Perhaps,
    check_shape,
    further_fields,
    json_object,
    known_fields,
    read_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RUN = {
    **ORIGIN,
    "scenes": [SCENE, ...],
    "segments": int,
    "area_unit": ("m2", "px"),
    "labelled_share": float,
    "clusters": [CLUSTER, ...],
    "failed": [(FAILED_TILE, FAILED_SCENE, FAILED_IMAGE)],
    "seconds": {},
    "files": [str],
    "changes": Perhaps([str]),
    "folder": Perhaps(FOLDER),
    "classes": Perhaps([CLASS]),
    "machines": Perhaps([MACHINE, ...]),
}
"""Shape of a `RunRecord` as JSON."""

FIT = {
    **ORIGIN,
    "scenes": [SCENE, ...],
    "segments": int,
    "clusters": int,
    "fitted": str,
    "failed": [FAILED_TILE],
    "seconds": {},
    "files": [str],
    "machines": Perhaps([MACHINE, ...]),
}
"""Shape of a `FitRecord` as JSON."""


@dataclass(frozen=True)
class RunRecord:
    """Record of a run that has labelled scenes.

    Attributes
    ----------
    origin : Origin
        Programs, settings and weights.
    scenes : tuple of SceneRecord
        The scenes, without those whose results could not be written.
    segments : int
        Segments in all scenes.
    area_unit : str
        ``m2``, or ``px`` where not all scenes have ground areas.
    labelled_share : float
        Share of the area with data that carries a label.
    clusters : tuple of ClusterRecord
        The clusters, by ascending id.
    failed : tuple of Failure
        Tiles and images that could not be labelled, and scenes whose results could not be written.
    seconds : mapping of str to float
        Time that each stage took.
    files : tuple of str
        The results, relative to the run folder.
    changes : tuple of str or None
        Changes of the clusters, as typed after ``alps-geo clusters``; None before the first.
    folder : FolderRecord or None
        The folder of images that was labelled, whose splits are the scenes; None for rasters.
    classes : tuple of ClassRecord or None
        The classes of the segments, by ascending id; None before ``alps-geo classify``.
    machines : tuple of MachineRecord or None
        Devices and versions of torch that made the tiles; None where all were alike.
    further : mapping of str to object
        Keys of a later version.
    """

    origin: Origin
    scenes: tuple[SceneRecord, ...]
    segments: int
    area_unit: str
    labelled_share: float
    clusters: tuple[ClusterRecord, ...]
    failed: tuple[Failure, ...]
    seconds: Mapping[str, float]
    files: tuple[str, ...]
    changes: tuple[str, ...] | None = None
    folder: FolderRecord | None = None
    classes: tuple[ClassRecord, ...] | None = None
    machines: tuple[MachineRecord, ...] | None = None
    further: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def from_json(cls, found: object) -> RunRecord:
        """Build a record from JSON; raise ValueError for JSON of another shape, as of a fit."""
        known = _without(known_fields(found, RUN), ORIGIN)
        folder, classes = known["folder"], known["classes"]
        return cls(
            Origin.from_json(found),
            **known
            | {
                "scenes": tuple(map(SceneRecord.from_json, known["scenes"])),
                "clusters": tuple(map(ClusterRecord.from_json, known["clusters"])),
                "failed": tuple(map(failure_from_json, known["failed"])),
                "folder": None if folder is None else FolderRecord.from_json(folder),
                "classes": None if classes is None else tuple(map(ClassRecord.from_json, classes)),
                "machines": machines_from_json(known["machines"]),
            },
            further=further_fields(found, RUN),
        )

    def to_json(self) -> dict[str, object]:
        """Return the record as a JSON object, with its keys in the order of ``run.json``."""
        return {
            **self.origin.to_json(),
            **json_object(self, RUN, self.further),
            **({} if self.folder is None else {"folder": self.folder.to_json()}),
            "scenes": [scene.to_json() for scene in self.scenes],
            "clusters": [cluster.to_json() for cluster in self.clusters],
            "failed": [failure.to_json() for failure in self.failed],
            **({} if self.classes is None else {"classes": [c.to_json() for c in self.classes]}),
            **machines_to_json(self.machines),
        }


@dataclass(frozen=True)
class FitRecord:
    """Record of a fit, which leaves a cluster model and labels nothing.

    Attributes
    ----------
    origin, segments, seconds, machines, further
        As of `RunRecord`.
    scenes : tuple of SceneRecord
        All scenes.
    clusters : int
        Number of clusters of the model.
    fitted : str
        Path of the cluster model.
    failed : tuple of FailedTile
        Tiles that could not be worked on.
    files : tuple of str
        Results in the folder: none.
    """

    origin: Origin
    scenes: tuple[SceneRecord, ...]
    segments: int
    clusters: int
    fitted: str
    failed: tuple[FailedTile, ...]
    seconds: Mapping[str, float]
    files: tuple[str, ...] = ()
    machines: tuple[MachineRecord, ...] | None = None
    further: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def from_json(cls, found: object) -> FitRecord:
        """Build a record from JSON; raise ValueError for JSON of another shape, as of a label."""
        known = _without(known_fields(found, FIT), ORIGIN)
        return cls(
            Origin.from_json(found),
            **known
            | {
                "scenes": tuple(map(SceneRecord.from_json, known["scenes"])),
                "failed": tuple(map(FailedTile.from_json, known["failed"])),
                "machines": machines_from_json(known["machines"]),
            },
            further=further_fields(found, FIT),
        )

    def to_json(self) -> dict[str, object]:
        """Return the record as a JSON object, with its keys in the order of ``run.json``."""
        return {
            **self.origin.to_json(),
            **json_object(self, FIT, self.further),
            "scenes": [scene.to_json() for scene in self.scenes],
            "failed": [failure.to_json() for failure in self.failed],
            **machines_to_json(self.machines),
        }


@dataclass(frozen=True)
class RunInputs:
    """Settings and scenes of a run or fit, to give them again.

    Attributes
    ----------
    settings : mapping of str to object
        Settings under their names in a config file.
    scenes : tuple of str
        Paths of all scenes in their order, without results or with.
    """

    settings: Mapping[str, object]
    scenes: tuple[str, ...]

    @classmethod
    def from_json(cls, found: object) -> RunInputs:
        """Build inputs from a record of any version; raise ValueError for anything else."""
        values = check_shape(
            found,
            {
                "settings": {},
                "scenes": [{"path": str}],
                "failed": Perhaps([{}]),
                "folder": Perhaps({"settings": {}}),
            },
        )
        scenes = [scene["path"] for scene in values["scenes"]]
        for failed in values.get("failed", []):
            if "position" in failed:
                scene = FailedScene.from_json(failed)
                scenes.insert(scene.position, scene.path)
        of_folder = values.get("folder", {}).get("settings", {})
        return cls({**values["settings"], **of_folder}, tuple(scenes))


def write_record(path: Path, record: RunRecord | FitRecord) -> None:
    """Write a record to ``run.json``, indented for people.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    text = json.dumps(record.to_json(), indent=2, ensure_ascii=False)
    write_bytes(path, f"{text}\n".encode())


def listed_results(path: Path) -> tuple[str, ...]:
    """List the results that a record names, of any version and even if its other parts are damaged.

    Returns
    -------
    tuple of str
        Paths relative to the folder of the record; empty without a record.
    """
    try:
        found = read_json(path, lambda found: check_shape(found, {"versions": {}, "files": [str]}))
    except DamagedError:
        return ()
    return () if found is None else tuple(found["files"])


def _without(values: Mapping[str, Any], shape: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in shape}
