"""Record of a finished run or fit: the typed content of ``run.json``.

Nothing else reads or writes that file. A record of an earlier version lacks some keys, and one of a
later version has more: both are written again as they were found.
"""

from __future__ import annotations

import json
import re
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

SCENE = {
    "name": str,
    "path": str,
    "size_bytes": (None, int),
    "mtime": (None, float),
    "files_sha256": Perhaps(str),
    "height": int,
    "width": int,
    "crs": (None, str),
    "transform": Perhaps([float]),
    "bands": [str],
    "rgb": [int],
    "notes": [str],
    "segments": int,
    "valid_pixels": Perhaps(int),
    "labelled_pixels": Perhaps(int),
}
"""Shape of a `SceneRecord` as JSON; see `alps_geo.runs.stored_json`."""

CLUSTER = {
    "cluster": int,
    "name": str,
    "color": re.compile("#[0-9a-f]{6}"),
    "segments": int,
    "area": float,
    "share": float,
}
"""Shape of a `ClusterRecord` as JSON."""

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
}
"""Shape of a `FitRecord` as JSON."""


@dataclass(frozen=True)
class SceneRecord:
    """One scene of a run or fit.

    Attributes
    ----------
    name : str
        Name of its folder in the run folder.
    path : str
        The scene; absolute for a file.
    size_bytes : int or None
        Size of its file; None for a remote scene.
    mtime : float or None
        Time of its file's last change, in seconds since 1970; None for a remote scene.
    files_sha256 : str or None
        Digest of all files behind the scene; None in records of earlier versions.
    height, width : int
        Size in pixels.
    crs : str or None
        Its CRS, if it has one.
    transform : tuple of float or None
        First six coefficients of its affine transform; None in records of earlier versions.
    bands : tuple of str
        Names of its bands.
    rgb : tuple of int
        Numbers of the bands that SAM saw, from 1.
    notes : tuple of str
        Notes on the scene for users.
    segments : int
        Its segments.
    valid_pixels, labelled_pixels : int or None
        Pixels with data, and pixels with a label; None in a fit, which labels none.
    further : mapping of str to object
        Keys of a later version.
    """

    name: str
    path: str
    size_bytes: int | None
    mtime: float | None
    files_sha256: str | None
    height: int
    width: int
    crs: str | None
    transform: tuple[float, ...] | None
    bands: tuple[str, ...]
    rgb: tuple[int, ...]
    notes: tuple[str, ...]
    segments: int
    valid_pixels: int | None = None
    labelled_pixels: int | None = None
    further: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def from_json(cls, found: object) -> SceneRecord:
        """Build a scene from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, SCENE), further=further_fields(found, SCENE))

    def to_json(self) -> dict[str, object]:
        """Return the scene as a JSON object."""
        return json_object(self, SCENE, self.further)


@dataclass(frozen=True)
class ClusterRecord:
    """One cluster of a run, over all its scenes.

    Attributes
    ----------
    cluster : int
        Its id.
    name : str
        Its name; empty without one.
    color : str
        Its colour, as ``#rrggbb``.
    segments : int
        Its segments.
    area : float
        Its area, in the unit of the record.
    share : float
        Share of the area with data.
    further : mapping of str to object
        Keys of a later version.
    """

    cluster: int
    name: str
    color: str
    segments: int
    area: float
    share: float
    further: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def from_json(cls, found: object) -> ClusterRecord:
        """Build a cluster from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, CLUSTER), further=further_fields(found, CLUSTER))

    def to_json(self) -> dict[str, object]:
        """Return the cluster as a JSON object."""
        return json_object(self, CLUSTER, self.further)


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
    further: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def from_json(cls, found: object) -> RunRecord:
        """Build a record from JSON; raise ValueError for JSON of another shape, as of a fit."""
        known = _without(known_fields(found, RUN), ORIGIN)
        return cls(
            Origin.from_json(found),
            **known
            | {
                "scenes": tuple(map(SceneRecord.from_json, known["scenes"])),
                "clusters": tuple(map(ClusterRecord.from_json, known["clusters"])),
                "failed": tuple(map(failure_from_json, known["failed"])),
            },
            further=further_fields(found, RUN),
        )

    def to_json(self) -> dict[str, object]:
        """Return the record as a JSON object, with its keys in the order of ``run.json``."""
        return {
            **self.origin.to_json(),
            **json_object(self, RUN, self.further),
            "scenes": [scene.to_json() for scene in self.scenes],
            "clusters": [cluster.to_json() for cluster in self.clusters],
            "failed": [failure.to_json() for failure in self.failed],
        }


@dataclass(frozen=True)
class FitRecord:
    """Record of a fit, which leaves a cluster model and labels nothing.

    Attributes
    ----------
    origin, segments, seconds, further
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
            found, {"settings": {}, "scenes": [{"path": str}], "failed": Perhaps([{}])}
        )
        scenes = [scene["path"] for scene in values["scenes"]]
        for failed in values.get("failed", []):
            if "position" in failed:
                scene = FailedScene.from_json(failed)
                scenes.insert(scene.position, scene.path)
        return cls(values["settings"], tuple(scenes))


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
