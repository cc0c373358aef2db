"""Rasters that a run of this program wrote, which a glob must not take for scenes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What GDAL opens of a scene's results, and of those on the clusters of a run.
_OF_SCENE = {"labels.tif", "segments.tif", "preview.png"}
_OF_RUN = {"suggest.png"}

# These lie together in a scene's folder wherever that is moved to.
_TOGETHER = ("labels.tif", "labels.qml", "segments.tif", "segments.gpkg")


def is_own_result(file: Path) -> bool:
    """Tell if a file is a result of a run: its record lists it, or it lies among its fellows."""
    if file.name in _OF_RUN:
        return bool(_listed(file.parent))
    if file.name not in _OF_SCENE:
        return False
    folder = file.parent
    if all((folder / name).exists() for name in _TOGETHER):
        return True
    folder = folder.resolve()
    return f"{folder.name}/{file.name}" in _listed(folder.parent)


def _listed(run_folder: Path) -> list[str]:
    """Read the results that the record of a run lists; none if the folder is no run's."""
    try:
        record = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    files = record.get("files") if isinstance(record, dict) and "versions" in record else None
    return [str(name) for name in files] if isinstance(files, list) else []
