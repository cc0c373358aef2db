"""Paths of scenes, found by the files, folders, globs and URLs that a user gives."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import SceneError
from alps_geo.runs.own_results import is_own_result
from alps_geo.scene.raster import is_local, opened, real_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# Files of these endings are meant as rasters: if one is damaged, opening it says so. Others in a
# folder count if GDAL finds bands in them.
_RASTERS = {".tif", ".tiff", ".vrt", ".jp2", ".img"}

# Files that belong to a raster next to them, though GDAL may open them on their own.
_SIDECARS = (".aux.xml", ".ovr", ".msk", ".aux", ".rrd", ".tfw", ".prj", ".hdr")


def find_scenes(
    inputs: Sequence[str], tell: Callable[[str], None] = lambda _: None
) -> tuple[str, ...]:
    """Find the rasters that the user means.

    A folder or glob leaves out results of earlier runs and tables of x, y and z, which GDAL would
    open as rasters. Each of them can be given by its own name.

    Parameters
    ----------
    inputs : sequence of str
        Each a file, a URL, a GDAL dataset name, a folder (all rasters directly in it) or a glob.
    tell : callable
        Called with a sentence on files that were left out.

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
        for path in _expand(given, tell):
            found.setdefault(real_path(path), path)
    return tuple(found.values())


def _expand(given: str, tell: Callable[[str], None]) -> list[str]:
    if not given.strip():
        raise SceneError("a scene is given by an empty name: name a raster, or . for all in here")
    if not is_local(given):
        return [given]
    path = Path(given).expanduser()
    if path.is_dir():
        rasters, left_out = _rasters(str(file) for file in path.iterdir())
        problem = f"{given} holds no raster, expected a folder of GeoTIFF or the like"
    elif path.exists():
        return [str(path)]
    elif not glob.has_magic(given):
        raise SceneError(f"{given} does not exist: check the path of the scene")
    else:
        rasters, left_out = _rasters(glob.iglob(str(path), recursive=True))  # noqa: PTH207
        problem = f"{given} matches no raster: check the folder and the pattern"
    notes = [f"{given}: {note}" for note in _left_out_notes(left_out)]
    if not rasters:
        raise SceneError("; ".join([problem, *notes]))
    for note in notes:
        tell(note)
    return rasters


_RASTER, _RESULT, _TABLE = "raster", "result", "table"
_LEFT_OUT = {
    _RESULT: ("result of an alps-geo run", "results of alps-geo runs"),
    _TABLE: ("table of x, y and z", "tables of x, y and z"),
}


def _rasters(paths: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Split files into rasters, and files that only look like scenes, by their kind."""
    rasters, left_out = [], {}
    for path in sorted(paths):
        kind = _kind(Path(path))
        if kind == _RASTER:
            rasters.append(path)
        elif kind is not None:
            left_out[path] = kind
    return rasters, left_out


def _left_out_notes(left_out: dict[str, str]) -> list[str]:
    notes = []
    for kind, (one, many) in _LEFT_OUT.items():
        paths = [path for path, its in left_out.items() if its == kind]
        if len(paths) == 1:
            notes.append(f"1 {one} is left out, {paths[0]} (give it by name to use it)")
        elif paths:
            notes.append(
                f"{len(paths)} {many} are left out, such as {paths[0]} (give one by name to use it)"
            )
    return notes


def _kind(file: Path) -> str | None:
    """Return the kind of a file as GDAL opens it; None for any but a raster or a table."""
    name = file.name.lower()
    if not file.is_file() or name.startswith(".") or name.endswith(_SIDECARS):
        return None
    if file.suffix.lower() not in _RASTERS:
        try:
            with opened(str(file)) as dataset:
                if dataset.driver == "XYZ":
                    return _TABLE
                if dataset.count == 0:
                    return None
        except SceneError:
            return None
    return _RESULT if is_own_result(file) else _RASTER
