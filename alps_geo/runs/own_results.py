"""Rasters that a run of this program wrote, which a glob must not take for scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.runs.folder import RECORD
from alps_geo.runs.record import listed_results

if TYPE_CHECKING:
    from pathlib import Path

# Results of a scene that GDAL opens, and pictures of the clusters of a run.
_OF_SCENE = {"labels.tif", "segments.tif", "preview.png"}
_OF_RUN = {"suggest.png"}

# These lie together in a scene's folder even after it was moved.
_TOGETHER = ("labels.tif", "labels.qml", "segments.tif", "segments.gpkg")


def is_own_result(file: Path) -> bool:
    """Return True if the record of a run lists a file, or it lies next to others of a scene."""
    if file.name in _OF_RUN:
        return bool(listed_results(file.parent / RECORD))
    if file.name not in _OF_SCENE:
        return False
    folder = file.parent
    if all((folder / name).exists() for name in _TOGETHER):
        return True
    folder = folder.resolve()
    return f"{folder.name}/{file.name}" in listed_results(folder.parent / RECORD)
