"""Edits that a person made to the polygons of a run, found before a command would overwrite them.

The values that a run wrote are known from two sources: cluster model and segments give every
feature its cluster, name and confidence; a note of the contents of each file tells of all else.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.errors import RunError
from alps_geo.files import allow_open_files
from alps_geo.outputs.gpkg.contents import read_contents, style_digest
from alps_geo.outputs.gpkg.lock import DamagedDatabaseError, is_database, settle
from alps_geo.outputs.gpkg.segments import AREA
from alps_geo.outputs.gpkg.update import WRITTEN, Edits, Given, locked_segments
from alps_geo.outputs.gpkg.write import FIELD, STYLE
from alps_geo.outputs.names import POLYGONS
from alps_geo.outputs.styles import cluster_labels, polygons_qml, polygons_sld
from alps_geo.review.polygon_note import read_note, write_note
from alps_geo.runs.reading import read_record
from alps_geo.runs.run import read_model
from alps_geo.segments.table import open_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.outputs.gpkg.contents import Contents
    from alps_geo.outputs.gpkg.update import LockedSegments
    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.record import RunRecord
    from alps_geo.segments.table import SegmentTable

FILES_OF_ONE = 5
"""A database, its two files in WAL mode or its journal, and tables for the time being."""

# Bytes of pages that SQLite holds, for all scenes together and for one.
_CACHE, _LEAST_CACHE = 64 * 2**20, 2**18

KEEP = "copy the file to keep {}, and give the command again with --discard-edits"
"""Remedy of an error for users whose edits would be overwritten."""


@contextmanager
def changing_polygons(
    folder: RunFolder,
    record: RunRecord,
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
    record : RunRecord
        Its record.
    before, after : ClusterModel
        The clusters now and after the change.
    command : str
        The command, as typed after ``alps-geo clusters``.
    discard_edits : bool
        True to overwrite features that a person edited and that change.
    forget : callable
        Called if not even the first file can be changed, after the block has ended.

    Raises
    ------
    RunError
        If a file is absent, damaged or held by another program, if a column was deleted or
        renamed, or if edits would be overwritten; nothing is changed then.
    """
    noted = read_note(folder)
    # Images have no polygons.
    names = [f"{scene.name}/{POLYGONS}" for scene in record.scenes if record.folder is None]
    # Noted again in the end, so that changes of ours are not taken for those of a person.
    untouched = [
        name
        for name in names
        if (folder.path / name).is_file() and noted.get(name) == read_contents(folder.path / name)
    ]
    needed = ["segment_id", *WRITTEN, *([AREA] if record.area_unit == "m2" else [])]
    with ExitStack() as stack:
        paths = [folder.path / name for name in names]
        allow_open_files(len(paths) * FILES_OF_ONE)
        cache = cache_size(len(paths))
        scenes = [stack.enter_context(locked_segments(path, cache)) for path in paths]
        found = {}
        for scene, path in zip(scenes, paths, strict=True):
            table = open_table(folder.segments_folder(path.parent.name))
            # Earlier versions wrote a layer without features with few of its columns.
            scene.check_columns(needed if len(table) else [])
            old = _given(before, table)
            same = before.stamp == after.stamp
            new = replace(old, names=cluster_labels(after)) if same else _given(after, table)
            found[path] = scene.compare(old, new, new.differs(old), spare=True)
        if not discard_edits:
            _refuse(found, command)
            _refuse_styles(scenes, {folder.path / name: noted.get(name) for name in names}, after)
        for scene in scenes:
            scene.update(after.legend.palette, cluster_labels(after))
        styles = {name: _digest(scene) for name, scene in zip(names, scenes, strict=True)}
        yield
        for number, scene in enumerate(scenes):
            try:
                scene.commit()
            except RunError:
                if number == 0:
                    forget()
                raise
    _note_again(folder, noted, untouched, styles)


def cache_size(files: int) -> int:
    """Return the bytes of its pages that SQLite may hold of each of some files."""
    return max(_LEAST_CACHE, _CACHE // max(1, files))


def check_replaceable(folder: RunFolder, files: Iterable[str], *, discard_edits: bool) -> None:
    """Check that results can be replaced: no program holds them, and they hold no edits.

    The contents of files that may be replaced are noted. A run that is stopped leaves neither its
    record nor its segments behind, and knows by the note that nobody has changed them since.

    Parameters
    ----------
    folder : RunFolder
        The run folder, held by this process.
    files : iterable of str
        The results, relative to the folder; all but GeoPackages are skipped.
    discard_edits : bool
        True to replace the work of a person.

    Raises
    ------
    RunError
        If another program holds a file, or a person has changed it.
    """
    noted, found, edited = read_note(folder), {}, {}
    for name in sorted({name for name in files if name.endswith(POLYGONS)}):
        path = folder.path / name
        outside = not path.resolve().is_relative_to(folder.path.resolve())
        if outside or not path.is_file() or not is_database(path):
            continue
        try:
            settle(path)
            found[name] = read_contents(path)
            if not discard_edits and found[name] != noted.get(name):
                edited[path] = _reasons(folder, path, noted.get(name), found[name])
        except DamagedDatabaseError:
            continue  # Nobody can read its content, and only a new one helps.
    if edited := {path: reasons for path, reasons in edited.items() if reasons}:
        (path, reasons), *more = edited.items()
        others = f" (and {len(more)} more files too)" if more else ""
        raise RunError(
            f"{path} was changed by hand and would be replaced: {', '.join(reasons)}{others}; "
            + KEEP.format("this")
        )
    if found:
        write_note(folder, noted | found)


def note_polygons(folder: RunFolder, files: Iterable[str]) -> None:
    """Note the contents of polygons that were just written.

    Parameters
    ----------
    folder : RunFolder
        The folder that they were written to.
    files : iterable of str
        The results, relative to the folder; all but GeoPackages are skipped.

    Raises
    ------
    RunError
        If the note cannot be written.
    """
    names = [name for name in files if name.endswith(POLYGONS) and (folder.path / name).is_file()]
    write_note(folder, {name: read_contents(folder.path / name) for name in names})


def _given(model: ClusterModel, table: SegmentTable) -> Given:
    """Return the clusters and confidences that a model gives to segments, by their ids."""
    assigned = model.apply(table).by_id(table.rows)
    return Given(assigned.cluster, assigned.confidence, cluster_labels(model))


def _refuse(found: dict[Path, Edits], command: str) -> None:
    """Raise RunError if features that a person edited would be overwritten."""
    edited = [(path, edits) for path, edits in found.items() if edits.count]
    if not edited:
        return
    path, edits = edited[0]
    count = sum(edits.count for _, edits in edited)
    them = "it" if count == 1 else f"{count} features that were edited by hand, the first of them"
    where = f" (in {len(edited)} scenes)" if len(edited) > 1 else ""
    raise RunError(
        f"{path}: {edits.first}: alps-geo clusters {command} would overwrite {them}{where}; "
        + KEEP.format("it" if count == 1 else "them")
    )


def _note_again(
    folder: RunFolder,
    noted: Mapping[str, Contents],
    untouched: Iterable[str],
    styles: Mapping[str, str | None],
) -> None:
    """Note the contents of untouched files, and of files with edits the style alone."""
    styled = {
        name: replace(noted[name], style=style)
        for name, style in styles.items()
        if name in noted and style is not None
    }
    renewed = {name: read_contents(folder.path / name) for name in untouched}
    if styled | renewed:
        write_note(folder, {**noted, **styled, **renewed})


def _digest(scene: LockedSegments) -> str | None:
    """Return the digest of the style by cluster of a scene's polygons, if it is there."""
    style = scene.style()
    return None if style is None else style_digest(*style)


def _refuse_styles(
    scenes: Iterable[LockedSegments], noted: Mapping[Path, Contents | None], after: ClusterModel
) -> None:
    """Raise RunError if a style that a person edited would be overwritten.

    A change that was cut short may have written the style of the model that it leads to.
    """
    names, palette = cluster_labels(after), after.legend.palette
    new = style_digest(polygons_qml(FIELD, palette, names), polygons_sld(FIELD, palette, names))
    for scene in scenes:
        known, style = noted[scene.path], _digest(scene)
        if known is None or known.style is None or style is None:
            continue
        if style not in (known.style, new):
            raise RunError(
                f"{scene.path}: the style {STYLE} was edited by hand and would be overwritten; "
                "save it under another name, or give the command again with --discard-edits"
            )


def _reasons(folder: RunFolder, path: Path, noted: Contents | None, found: Contents) -> list[str]:
    """List the changes that a person has made in the polygons of a scene."""
    reasons = [f"{each} added" for each in found.extras]
    if noted is not None:
        reasons = [f"{each} added" for each in found.extras if each not in noted.extras]
        if noted.style is not None and found.style != noted.style:
            reasons.append(f"style {STYLE} {'removed' if found.style is None else 'edited'}")
        if found.classes != noted.classes:
            reasons.append("classes edited")
        for which, one, other in (("added", found, noted), ("removed", noted, found)):
            names = [name for name in one.columns if name not in other.columns]
            reasons += [f"column {name} {which}" for name in names]
    given = _values_of_run(folder, path.parent.name)
    if given is None:
        if noted is not None and (noted.rows, noted.clusters) != (found.rows, found.clusters):
            reasons.append("features edited")
        return reasons
    missing = {"segment_id", *WRITTEN} - set(found.columns)
    features = [] if missing and len(given[0].cluster) else _features(path, given, found.features)
    if noted is not None and noted.rows != found.rows and not reasons and not features:
        features = ["shapes or attributes edited"]
    return reasons + features


def _features(path: Path, given: tuple[Given, Given], count: int) -> list[str]:
    """Count the features that a person has edited, added and deleted."""
    ids = np.arange(1, len(given[0].cluster) + 1)
    if not len(ids):
        return [f"{count} features added"] if count else []
    with locked_segments(path) as segments:
        edits = segments.compare(*given, ids)
        own = segments.count_own()
    changes = (
        (edits.count, f"edited ({edits.first})"),
        (count - own, "added"),
        (len(ids) - own, "deleted"),
    )
    return [
        f"{number} feature{'s' if number > 1 else ''} {which}"
        for number, which in changes
        if number
    ]


def _values_of_run(folder: RunFolder, scene: str) -> tuple[Given, Given] | None:
    """Return clusters before and after a stopped change, if there is one; None if unknown."""
    if not folder.record_path.exists():
        return None
    try:
        record = read_record(folder)
        if scene not in {known.name for known in record.scenes}:
            return None
        model = read_model(folder.model_path)
        after = read_model(folder.changed_model_path) if folder.change_path.exists() else model
        table = open_table(folder.segments_folder(scene))
        listed = [cluster.cluster for cluster in record.clusters]
        known = listed in (model.legend.ids.tolist(), after.legend.ids.tolist())
        if not known or not set(model.projection.column_names) <= set(table.names):
            return None  # another model was put there
        return _given(model, table), _given(after, table)
    except RunError:
        # A damaged run is about to be replaced; the note of its polygons has to do.
        return None
