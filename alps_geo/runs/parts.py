"""Parts of the record of a run: scenes, clusters, and a folder of images."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from alps_geo.errors import SettingsError
from alps_geo.outputs.mask_files import MaskFiles
from alps_geo.runs.stored_json import Perhaps, further_fields, json_object, known_fields
from alps_geo.settings.folder import FolderSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    "stretch": Perhaps([float]),
    "valid_pixels": Perhaps(int),
    "labelled_pixels": Perhaps(int),
    "images": Perhaps(int),
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

CLASS = {
    "id": int,
    "name": str,
    "color": re.compile("#[0-9a-f]{6}"),
    "samples": int,
    "segments": int,
    "area": float,
    "share": float,
}
"""Shape of a `ClassRecord` as JSON."""

FOLDER = {"root": str, "settings": {}}
"""Shape of a `FolderRecord` as JSON."""


@dataclass(frozen=True)
class SceneRecord:
    """One scene of a run or fit, or one split of a folder of images.

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
        Size in pixels; of a split, that of its largest image.
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
    stretch : tuple of float or None
        Lowest and highest shown value of each of the `rgb` bands, one after the other, with scale
        and offset tags applied; empty where values are shown as they are, None in records of
        earlier versions.
    valid_pixels, labelled_pixels : int or None
        Pixels with data, and pixels with a label; None in a fit, which labels none.
    images : int or None
        Images of a split; None for a raster.
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
    stretch: tuple[float, ...] | None = None
    valid_pixels: int | None = None
    labelled_pixels: int | None = None
    images: int | None = None
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
class ClassRecord:
    """One class of the segments of a run, over all its scenes.

    Attributes
    ----------
    id : int
        Its number in ``classes.tif``.
    name : str
        Its name.
    color : str
        Its colour, as ``#rrggbb``.
    samples : int
        Its samples.
    segments : int
        Its segments.
    area : float
        Its area, in the unit of the record.
    share : float
        Share of the area with data.
    further : mapping of str to object
        Keys of a later version.
    """

    id: int
    name: str
    color: str
    samples: int
    segments: int
    area: float
    share: float
    further: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def from_json(cls, found: object) -> ClassRecord:
        """Build a class from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, CLASS), further=further_fields(found, CLASS))

    def to_json(self) -> dict[str, object]:
        """Return the class as a JSON object."""
        return json_object(self, CLASS, self.further)


@dataclass(frozen=True)
class FolderRecord:
    """Folder of images that a run has labelled.

    Attributes
    ----------
    root : str
        The folder.
    settings : FolderSettings
        Its layout, and the names of the masks.
    further : mapping of str to object
        Keys of a later version.
    """

    root: str
    settings: FolderSettings
    further: Mapping[str, object] = field(default_factory=dict)

    @property
    def files(self) -> MaskFiles:
        """Names of the masks."""
        found = self.settings
        return MaskFiles(**{each.name: getattr(found, each.name) for each in fields(MaskFiles)})

    @classmethod
    def from_json(cls, found: object) -> FolderRecord:
        """Build a folder from JSON; raise ValueError for JSON of another shape."""
        known = known_fields(found, FOLDER)
        try:
            settings = FolderSettings.from_dict(known["settings"])
        except SettingsError as error:
            raise ValueError(str(error)) from error
        return cls(known["root"], settings, further_fields(found, FOLDER))

    def to_json(self) -> dict[str, object]:
        """Return the folder as a JSON object."""
        return {"root": self.root, "settings": self.settings.to_dict(), **self.further}


MACHINE = {"name": str, "tiles": int, "scenes": Perhaps({})}
"""Shape of a `MachineRecord` as JSON."""


@dataclass(frozen=True)
class MachineRecord:
    """A device and torch that made tiles of a run.

    Attributes
    ----------
    name : str
        As `alps_geo.masks.machine` names it.
    tiles : int
        Number of tiles that it made.
    scenes : mapping or None
        These tiles by the name of the scene: for each row of tiles the columns, as "0-15, 18".
        Names of images, by the name of the split, for a folder of images. None in records of
        earlier versions.
    """

    name: str
    tiles: int
    scenes: Mapping[str, Mapping[str, str] | Sequence[str]] | None = None

    @classmethod
    def from_json(cls, found: object) -> MachineRecord:
        """Build a value from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, MACHINE))

    def to_json(self) -> dict[str, object]:
        """Return the value as a JSON object."""
        return json_object(self, MACHINE)


def machines_from_json(found: Sequence[object] | None) -> tuple[MachineRecord, ...] | None:
    """Build machines from a part of the JSON of a record; None if it has none."""
    return None if found is None else tuple(map(MachineRecord.from_json, found))


def machines_to_json(machines: Sequence[MachineRecord] | None) -> dict[str, object]:
    """Return the part of the JSON of a record that is about machines; empty without any."""
    return {} if machines is None else {"machines": [each.to_json() for each in machines]}
