"""Results of a run, as layers of a project."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """One layer.

    Attributes
    ----------
    path : str
        Absolute path of the file.
    layer : str
        Layer in the file; empty for a raster.
    name : str
        Name of the layer in a project.
    """

    path: str
    layer: str
    name: str

    @property
    def is_raster(self) -> bool:
        """True for a raster."""
        return not self.layer

    @property
    def source(self) -> str:
        """The source of the layer, as QGIS writes it."""
        return f"{self.path}|layername={self.layer}" if self.layer else self.path


_MAPS = {
    "clusters": (("labels.tif", "", "labels"), ("segments.gpkg", "segments", "segments")),
    "classes": (("classes.tif", "", "classes"), ("segments.gpkg", "classes", "areas of classes")),
}


def results_of(run: str, maps: str) -> list[Result]:
    """List the results of a run that are there, scene by scene and from the lowest layer up.

    Parameters
    ----------
    run : str
        The run folder.
    maps : str
        ``clusters`` or ``classes``.

    Raises
    ------
    OSError, ValueError, KeyError or TypeError
        If the folder holds no finished run.
    """
    folder = Path(run).absolute()
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if not record.get(maps):
        return []
    return [
        Result(str(path), layer, f"{scene['name']}: {title}")
        for scene in record["scenes"]
        for file, layer, title in _MAPS[maps]
        if (path := folder / scene["name"] / file).is_file()
    ]


def suggested_of(run: str) -> list[Result]:
    """List the layer of segments to label next; empty if there is none."""
    path = Path(run).absolute() / "suggested.gpkg"
    return [Result(str(path), "suggested", "segments to label next")] if path.is_file() else []
