"""From what the user typed to the paths of scenes."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import SceneError
from alps_geo.scene.raster import is_local, opened, real_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Files of these endings are meant as rasters: if one is damaged, opening it says so. Others in a
# folder count if GDAL finds bands in them.
_RASTERS = {".tif", ".tiff", ".vrt", ".jp2", ".img"}

# Files that belong to a raster beside them, though GDAL may open them on their own.
_SIDECARS = (".aux.xml", ".ovr", ".msk", ".aux", ".rrd", ".tfw", ".prj", ".hdr")


def find_scenes(inputs: Sequence[str]) -> tuple[str, ...]:
    """Find the rasters that the user means.

    Parameters
    ----------
    inputs : sequence of str
        Each a file, a URL, a GDAL dataset name, a folder (all rasters directly in it) or a glob.

    Returns
    -------
    tuple of str
        Paths in the order of `inputs`, those of a folder or glob sorted; each file once.

    Raises
    ------
    SceneError
        If an input names nothing.
    """
    found: dict[str, str] = {}
    for given in inputs:
        for path in _expand(given):
            found.setdefault(real_path(path), path)
    return tuple(found.values())


def _expand(given: str) -> list[str]:
    if not given.strip():
        raise SceneError("a scene is given by an empty name: name a raster, or . for all in here")
    if not is_local(given):
        return [given]
    path = Path(given).expanduser()
    if path.is_dir():
        rasters = _rasters(str(file) for file in path.iterdir())
        if not rasters:
            raise SceneError(f"{given} holds no raster, expected a folder of GeoTIFF or the like")
        return rasters
    if path.exists():
        return [str(path)]
    if not glob.has_magic(given):
        raise SceneError(f"{given} does not exist: check the path of the scene")
    rasters = _rasters(glob.iglob(str(path), recursive=True))  # noqa: PTH207
    if not rasters:
        raise SceneError(f"{given} matches no raster: check the folder and the pattern")
    return rasters


def _rasters(paths: Iterable[str]) -> list[str]:
    return sorted(path for path in paths if _is_raster(Path(path)))


def _is_raster(file: Path) -> bool:
    name = file.name.lower()
    if not file.is_file() or name.startswith(".") or name.endswith(_SIDECARS):
        return False
    if file.suffix.lower() in _RASTERS:
        return True
    try:
        with opened(str(file)) as dataset:
            return bool(dataset.count > 0)
    except SceneError:
        return False
