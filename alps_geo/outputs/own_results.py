"""Rasters that a run of this program wrote, which a glob must not take for scenes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from alps_geo.outputs.names import GALLERY, LABELS, POLYGONS, SEGMENTS, SUGGESTION
from alps_geo.outputs.results import run_files, scene_files

if TYPE_CHECKING:
    from pathlib import Path

# These lie together in a scene's folder even where it was moved to another place.
_TOGETHER = (LABELS, SEGMENTS, POLYGONS, "labels.qml")


def is_own_result(file: Path) -> bool:
    """Return True if the record of a run lists a file, or it lies next to the others of a scene."""
    if file.name in (GALLERY, SUGGESTION, *run_files()):
        return bool(_listed(file.parent))
    if file.name not in scene_files():
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
