"""Rasters that a run of this program wrote, which a glob must not take for scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.outputs.names import (
    GALLERY,
    LABELS,
    POLYGONS,
    PREDICTED_FILES,
    REPORT,
    SEGMENTS,
    SUGGESTION,
)
from alps_geo.outputs.results import run_files, scene_files
from alps_geo.runs.folder import RECORD
from alps_geo.runs.record import listed_results

if TYPE_CHECKING:
    from pathlib import Path

# These lie together in a scene's folder even where it was moved to another place.
_TOGETHER = (LABELS, SEGMENTS, POLYGONS, "labels.qml")


def is_own_result(file: Path) -> bool:
    """Return True if the record of a run lists a file, or it lies next to the others of a scene."""
    if file.name in (GALLERY, REPORT, SUGGESTION, *run_files()):
        return bool(listed_results(file.parent / RECORD))
    if file.name not in (*scene_files(), *PREDICTED_FILES):
        return False
    folder = file.parent
    if all((folder / name).exists() for name in _TOGETHER):
        return True
    folder = folder.resolve()
    return f"{folder.name}/{file.name}" in listed_results(folder.parent / RECORD)
