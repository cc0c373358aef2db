"""Record of a finished prediction: the typed content of its ``run.json``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alps_geo.files import write_bytes
from alps_geo.runs.failures import FAILED_SCENE, FAILED_TILE, Failure, failure_from_json
from alps_geo.runs.parts import MACHINE, MachineRecord, machines_from_json, machines_to_json
from alps_geo.runs.stored_json import Perhaps, further_fields, json_object, known_fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NETWORK = {"path": str, "sha256": str, "architecture": str, "encoder": str}
"""Shape of a `NetworkRecord` as JSON; see `alps_geo.runs.stored_json`."""

PREDICTED_SCENE = {
    "name": str,
    "path": str,
    "files_sha256": str,
    "height": int,
    "width": int,
    "crs": (None, str),
    "bands": [str],
    "notes": [str],
    "regions": int,
    "valid_pixels": int,
}
"""Shape of a `PredictedScene` as JSON."""

PREDICTED_CLASS = {
    "id": int,
    "name": str,
    "color": re.compile("#[0-9a-f]{6}"),
    "regions": int,
    "area": float,
    "share": float,
    "probability": (None, float),
}
"""Shape of a `PredictedClass` as JSON."""

PREDICTION = {
    "versions": {},
    "settings": {},
    "network": NETWORK,
    "scenes": [PREDICTED_SCENE, ...],
    "regions": int,
    "area_unit": ("m2", "px"),
    "classes": [PREDICTED_CLASS, ...],
    "failed": [(FAILED_TILE, FAILED_SCENE)],
    "seconds": {},
    "files": [str],
    "machines": Perhaps([MACHINE, ...]),
}
"""Shape of a `PredictionRecord` as JSON."""


@dataclass(frozen=True)
class NetworkRecord:
    """The trained model that a prediction was made with.

    Attributes
    ----------
    path : str
        Its folder.
    sha256 : str
        SHA-256 of its weights.
    architecture, encoder : str
        Names of its parts.
    """

    path: str
    sha256: str
    architecture: str
    encoder: str

    @classmethod
    def from_json(cls, found: object) -> NetworkRecord:
        """Build a value from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, NETWORK))


@dataclass(frozen=True)
class PredictedScene:
    """One scene of a prediction.

    Attributes
    ----------
    name : str
        Name of its folder in the run folder.
    path : str
        The scene; absolute for a file.
    files_sha256 : str
        Digest of all files behind the scene.
    height, width : int
        Size in pixels.
    crs : str or None
        Its CRS, if it has one.
    bands : tuple of str
        Names of the bands that the network was given, in its order.
    notes : tuple of str
        Notes on the scene for users.
    regions : int
        Its regions.
    valid_pixels : int
        Pixels that have a class.
    """

    name: str
    path: str
    files_sha256: str
    height: int
    width: int
    crs: str | None
    bands: tuple[str, ...]
    notes: tuple[str, ...]
    regions: int
    valid_pixels: int

    @classmethod
    def from_json(cls, found: object) -> PredictedScene:
        """Build a scene from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, PREDICTED_SCENE))


@dataclass(frozen=True)
class PredictedClass:
    """One class of a prediction, over all its scenes.

    Attributes
    ----------
    id : int
        Its number in ``classes.tif``.
    name : str
        Its name.
    color : str
        Its colour, as ``#rrggbb``.
    regions : int
        Its regions.
    area : float
        Its area, in the unit of the record.
    share : float
        Share of the area that has a class.
    probability : float or None
        Mean probability of its pixels; None without any.
    """

    id: int
    name: str
    color: str
    regions: int
    area: float
    share: float
    probability: float | None

    @classmethod
    def from_json(cls, found: object) -> PredictedClass:
        """Build a class from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, PREDICTED_CLASS))


@dataclass(frozen=True)
class PredictionRecord:
    """Record of a prediction, which has classes but neither segments nor clusters.

    Attributes
    ----------
    versions : mapping of str to str
        Versions of the packages.
    settings : mapping of str to object
        Settings, as plain values.
    network : NetworkRecord
        The trained model.
    scenes : tuple of PredictedScene
        The scenes, without those whose results could not be written.
    regions : int
        Regions in all scenes.
    area_unit : str
        ``m2``, or ``px`` where not all scenes have a CRS.
    classes : tuple of PredictedClass
        The classes, by ascending id.
    failed : tuple of Failure
        Tiles that could not be predicted, and scenes whose results could not be written.
    seconds : mapping of str to float
        Time that each stage took.
    files : tuple of str
        The results, relative to the run folder.
    machines : tuple of MachineRecord or None
        Devices that made the tiles, where they differ; else None.
    further : mapping of str to object
        Keys of a later version.
    """

    versions: Mapping[str, str]
    settings: Mapping[str, object]
    network: NetworkRecord
    scenes: tuple[PredictedScene, ...]
    regions: int
    area_unit: str
    classes: tuple[PredictedClass, ...]
    failed: tuple[Failure, ...]
    seconds: Mapping[str, float]
    files: tuple[str, ...]
    machines: tuple[MachineRecord, ...] | None = None
    further: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def from_json(cls, found: object) -> PredictionRecord:
        """Build a record from JSON; raise ValueError for JSON of another shape, as of a label."""
        known = known_fields(found, PREDICTION)
        parts = {
            "network": NetworkRecord.from_json(known["network"]),
            "scenes": tuple(map(PredictedScene.from_json, known["scenes"])),
            "classes": tuple(map(PredictedClass.from_json, known["classes"])),
            "failed": tuple(map(failure_from_json, known["failed"])),
            "machines": machines_from_json(known["machines"]),
        }
        return cls(**{**known, **parts}, further=further_fields(found, PREDICTION))

    def to_json(self) -> dict[str, object]:
        """Return the record as a JSON object, with its keys in the order of ``run.json``."""
        return {
            **json_object(self, PREDICTION, self.further),
            "network": json_object(self.network, NETWORK),
            "scenes": [json_object(each, PREDICTED_SCENE) for each in self.scenes],
            "classes": [json_object(each, PREDICTED_CLASS) for each in self.classes],
            "failed": [each.to_json() for each in self.failed],
            **machines_to_json(self.machines),
        }


def write_prediction(path: Path, record: PredictionRecord) -> None:
    """Write a record to ``run.json``, indented for people.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    text = json.dumps(record.to_json(), indent=2, ensure_ascii=False)
    write_bytes(path, f"{text}\n".encode())
