"""Images of a folder: their names and files, and the way in which all of one kind are read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from alps_geo.errors import SceneError
from alps_geo.scene.describe import Alike, open_scene

if TYPE_CHECKING:
    from alps_geo.scene.read import Scene
    from alps_geo.scene.stretch import Limits


@dataclass(frozen=True)
class FolderImage:
    """One image of a folder.

    Attributes
    ----------
    split : str
        Name of its split; empty in a folder without splits.
    name : str
        Name of its file without the ending.
    path : str
        Its file; an image is the same wherever the folder lies.
    stamp : tuple of int
        Sizes and times of change of the file, and of the files that GDAL reads with it.
    """

    split: str
    name: str
    path: str = field(compare=False)
    stamp: tuple[int, ...]

    @property
    def title(self) -> str:
        """Split and name, as ``train/a``."""
        return f"{self.split}/{self.name}" if self.split else self.name


@dataclass(frozen=True)
class ImageReading:
    """Decisions that all images of one kind share.

    Attributes
    ----------
    unit : str
        Unit of the bands: see `Scene.unit`.
    band_names : tuple of str
        Names of the bands, in the order in which they are read.
    stretch : tuple of (low, high), or None
        Stretch limits, as in `Scene`.
    bands : tuple of int or None
        Numbers of the bands that SAM sees, if they were given.
    nodata : float or None
        Value of pixels without data, if it was given.
    alpha : str
        "yes" if bands tagged as alpha are transparency, else "no".
    """

    unit: str
    band_names: tuple[str, ...]
    stretch: Limits | None
    bands: tuple[int, ...] | None
    nodata: float | None
    alpha: str

    def open(self, path: str) -> Scene:
        """Open an image of the kind.

        Raises
        ------
        SceneError
            If it cannot be read, or is of another kind.
        """
        scene = open_scene(
            path,
            bands=self.bands,
            nodata=self.nodata,
            alpha=self.alpha,
            alike=Alike(self.stretch),
        )
        read = as_bands(scene, self.band_names)
        if (read.unit, read.band_names) != (self.unit, self.band_names):
            found = f"{scene.unit}: {', '.join(scene.band_names)}"
            expected = f"{self.unit}: {', '.join(self.band_names)}"
            raise SceneError(
                f"{path} has bands {found}, expected {expected}, as its header says: write the "
                "image again"
            )
        return read

    def to_text(self) -> str:
        """Return the value as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> ImageReading:
        """Build a value from the JSON that `to_text` returns."""
        found = json.loads(text)
        stretch, bands = found["stretch"], found["bands"]
        return cls(
            found["unit"],
            tuple(found["band_names"]),
            None if stretch is None else tuple((low, high) for low, high in stretch),
            None if bands is None else tuple(bands),
            found["nodata"],
            found["alpha"],
        )


def as_bands(scene: Scene, names: tuple[str, ...]) -> Scene:
    """Read a scene in the order of `names`, and a grey one as several equal bands of them.

    A scene with other bands is returned as it is.
    """
    if scene.palette is not None:
        return scene
    if len(scene.band_names) == 1 and len(names) > 1:
        return scene.as_colour(names)
    return scene.in_order(names) if set(scene.band_names) == set(names) else scene
