"""Edits that a person made to the polygons of a run, found before a command would overwrite them.

A run's cluster model and segments give every feature its cluster, name and confidence; a feature that
says something else was edited.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from alps_geo.errors import RunError
from alps_geo.files import allow_open_files
from alps_geo.outputs.gpkg_update import WRITTEN, Edits, Given, locked_segments
from alps_geo.outputs.results import AREA, POLYGONS
from alps_geo.tables import open_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from alps_geo.clusters import ClusterModel
    from alps_geo.store import RunFolder
    from alps_geo.tables import SegmentTable

# A database, its two files in WAL mode or its journal, and tables for the time being.
_FILES_OF_ONE = 5

# Bytes of pages that SQLite holds, for all scenes together and for one.
_CACHE, _LEAST_CACHE = 64 * 2**20, 2**18

_KEEP = "copy the file to keep {}, and give the command again with --discard-edits"


@contextmanager
def changing_polygons(
    folder: RunFolder,
    record: dict[str, Any],
    before: ClusterModel,
    after: ClusterModel,
    command: str,
    *,
    discard_edits: bool,
    forget: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Change the clusters in the polygons of all scenes of a run, or in none.

    All files are locked, checked and changed first; the changes last once the block has ended, and
    are taken back if it fails.

    Parameters
    ----------
    folder : RunFolder
        The run folder.
    record : dict
        Its record.
    before, after : ClusterModel
        The clusters as they were and as they are to be.
    command : str
        What the user typed after ``alps-geo clusters``.
    discard_edits : bool
        Whether features that a person edited, and that change, may be overwritten.
    forget : callable
        Called if not even the first file can be changed, after the block has ended.

    Raises
    ------
    RunError
        If a file is absent, damaged or held by another program, if a column was deleted or
        renamed, or if edits would be overwritten; nothing is changed then.
    """
    needed = ["segment_id", *WRITTEN, *([AREA] if record["area_unit"] == "m2" else [])]
    with ExitStack() as stack:
        paths = [folder.scene_folder(scene["name"]) / POLYGONS for scene in record["scenes"]]
        allow_open_files(len(paths) * _FILES_OF_ONE)
        cache = max(_LEAST_CACHE, _CACHE // len(paths))
        scenes = [stack.enter_context(locked_segments(path, cache)) for path in paths]
        found = {}
        for scene, path in zip(scenes, paths, strict=True):
            table = open_table(folder.segments_folder(path.parent.name))
            # A layer without features has not all columns either.
            scene.check_columns(needed if len(table) else [])
            old = _given(before, table)
            same = before.stamp == after.stamp
            new = replace(old, names=after.legend) if same else _given(after, table)
            found[path] = scene.compare(old, new, new.differs(old))
        if not discard_edits:
            _refuse(found, command)
        for scene in scenes:
            scene.update(after.palette, after.legend)
        yield
        for number, scene in enumerate(scenes):
            try:
                scene.commit()
            except RunError:
                if number == 0:
                    forget()
                raise


def _given(model: ClusterModel, table: SegmentTable) -> Given:
    assigned = model.apply(table).by_id(table.rows)
    return Given(assigned.cluster, assigned.confidence, model.legend)


def _refuse(found: dict[Path, Edits], command: str) -> None:
    """Stop if features that were edited would be overwritten."""
    edited = [(path, edits) for path, edits in found.items() if edits.count]
    if not edited:
        return
    path, edits = edited[0]
    count = sum(edits.count for _, edits in edited)
    them = "it" if count == 1 else f"{count} features that were edited by hand, the first of them"
    where = f" (in {len(edited)} scenes)" if len(edited) > 1 else ""
    raise RunError(
        f"{path}: {edits.first}: alps-geo clusters {command} would overwrite {them}{where}; "
        + _KEEP.format("it" if count == 1 else "them")
    )
