"""Edits that a person made to the polygons of a run, found before a command would overwrite them.

The values that a run wrote are known from two sources: cluster model and segments give every
feature its cluster, name and confidence; a note of the contents of each file tells of all else.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.errors import RunError
from alps_geo.files import allow_open_files
from alps_geo.outputs.gpkg.contents import changed_styles, read_contents
from alps_geo.outputs.gpkg.layer_styles import style_digest
from alps_geo.outputs.gpkg.lock import DamagedDatabaseError, check_free, is_database, settle
from alps_geo.outputs.gpkg.update import WRITTEN, Edits, Given, locked_segments
from alps_geo.outputs.ground import AREA
from alps_geo.outputs.names import PATCHES, POLYGONS
from alps_geo.outputs.styles import CLUSTER_STYLE, cluster_labels, cluster_style
from alps_geo.review.kept import check_keepable
from alps_geo.review.polygon_note import read_note, write_note
from alps_geo.runs.reading import read_change, read_record
from alps_geo.runs.run import read_changed, read_clusters
from alps_geo.segments.table import open_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.outputs.gpkg.contents import Contents
    from alps_geo.outputs.gpkg.update import LockedSegments
    from alps_geo.runs.clusters import RunClusters
    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.record import RunRecord
    from alps_geo.segments.table import SegmentTable

FILES_OF_ONE = 5
"""A database, its two files in WAL mode or its journal, and tables for the time being."""

# Bytes of pages that SQLite holds, for all scenes together and for one.
_CACHE, _LEAST_CACHE = 64 * 2**20, 2**18

KEEP = (
    "alps-geo clusters adopt {run} makes edits of cluster, cluster_name and class part of the "
    "run; or copy the file to keep {it}, and give the command again with --discard-edits"
)
"""Remedy of an error for users whose edits would be overwritten."""

NOT_ADOPTED = (
    "adopt cannot make {it} part of the run: undo {it} in QGIS, or overwrite {it} with "
    "alps-geo clusters adopt {run} --discard-edits"
)
"""Remedy of an error for users whose edits would be overwritten by an adoption."""


OVERWRITTEN_STYLE = (
    "{path}: the style {style} was edited by hand and would be overwritten; "
    "save it under another name, or give the command again with --discard-edits"
)
"""Error for users whose edited style would be overwritten."""


@dataclass(frozen=True)
class PolygonChange:
    """A change of the clusters in the polygons of a run.

    Attributes
    ----------
    command : str
        The command, as typed after ``alps-geo clusters``.
    before, after : RunClusters
        The clusters now and after the change.
    adopted : frozenset of str
        Scenes all of whose edits become part of the run.
    date : str
        Its date, in UTC by ISO 8601.
    """

    command: str
    before: RunClusters
    after: RunClusters
    date: str
    adopted: frozenset[str] = frozenset()

    def prepare(self, segments: LockedSegments, scene: str, table: SegmentTable) -> Edits:
        """Find edits that the change would overwrite in a scene, and prepare its update."""
        before, after = self.before, self.after
        old = given_values(before, scene, table)
        new = replace(old, names=cluster_labels(after.model))
        if after.moves(before):
            new = given_values(after, scene, table)
        known = before.overrides.of(scene)
        moved = {i for i, cluster in after.overrides.of(scene).items() if known.get(i) != cluster}
        return segments.compare(old, new, new.differs(old), adopted=moved, spare=True)


@contextmanager
def changing_polygons(
    folder: RunFolder,
    record: RunRecord,
    change: PolygonChange,
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
    change : PolygonChange
        The change.
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
    names = [scene.name for scene in record.scenes if record.folder is None]
    paths = {name: folder.scene_folder(name) / POLYGONS for name in names}
    # Noted again in the end, so that changes of ours are not taken for those of a person.
    untouched = [
        _key(name)
        for name, path in paths.items()
        if path.is_file() and _is_ours(path, noted.get(_key(name)), name in change.adopted)
    ]
    needed = ["segment_id", *WRITTEN, *([AREA] if record.area_unit == "m2" else [])]
    model = change.after.model
    with ExitStack() as stack:
        allow_open_files(len(paths) * FILES_OF_ONE)
        cache = cache_size(len(paths))
        scenes = {
            name: stack.enter_context(locked_segments(path, cache)) for name, path in paths.items()
        }
        found = {}
        for name, scene in scenes.items():
            table = open_table(folder.segments_folder(name))
            # Earlier versions wrote a layer without features with few of its columns.
            scene.check_columns(needed if len(table) else [])
            found[scene.path] = change.prepare(scene, name, table)
        if not discard_edits:
            _refuse(folder, found, change.command)
            _refuse_styles({scene: noted.get(_key(name)) for name, scene in scenes.items()}, model)
        for scene in scenes.values():
            scene.update(cluster_style(model.legend), change.date)
        styles = {_key(name): _digest(scene) for name, scene in scenes.items()}
        yield
        for number, scene in enumerate(scenes.values()):
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


def check_replaceable(
    folder: RunFolder,
    files: Iterable[str],
    *,
    keys: Mapping[str, str] | None = None,
    discard_edits: bool,
) -> None:
    """Check that results can be replaced: no program holds them, and no work of a person is lost.

    The contents of files that may be replaced are noted. A run that is stopped leaves neither its
    record nor its segments behind, and knows by the note that nobody has changed them since.

    Parameters
    ----------
    folder : RunFolder
        The run folder, held by this process.
    files : iterable of str
        The results, relative to the folder; all but GeoPackages are skipped.
    keys : mapping of str to str, optional
        For each scene the key of the segments that replace those here, as for `check_keepable`;
        by default for a run that labels no scenes.
    discard_edits : bool
        True to replace the work of a person.

    Raises
    ------
    RunError
        If another program holds a file, if a person has changed it, or if clusters that a person
        gave segments could not be kept.
    """
    files = list(files)
    check_keepable(folder, keys or {}, discard_edits=discard_edits)
    _check_patches(folder, files)
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
            + KEEP.format(run=folder.path, it="all else")
        )
    if found:
        write_note(folder, noted | found)


def _check_patches(folder: RunFolder, files: Iterable[str]) -> None:
    """Check that no other program holds a layer of patches, which is written again."""
    for name in files:
        if name.endswith(PATCHES):
            check_free(folder.path / name)


def note_polygons(folder: RunFolder, polygons: Mapping[str, Contents | None]) -> None:
    """Note the contents of polygons that were just written.

    Parameters
    ----------
    folder : RunFolder
        The folder that they were written to.
    polygons : mapping of str to Contents or None
        The contents of the polygons of each scene; None for a scene without any.

    Raises
    ------
    RunError
        If the note cannot be written.
    """
    write_note(folder, {_key(name): found for name, found in polygons.items() if found is not None})


def given_values(clusters: RunClusters, scene: str, table: SegmentTable) -> Given:
    """Return the clusters and confidences of the segments of a scene, by their ids."""
    assigned = clusters.assign(scene, table)
    return Given(assigned.cluster, assigned.confidence, cluster_labels(clusters.model))


def _key(scene: str) -> str:
    """Return the name of the polygons of a scene in the note."""
    return f"{scene}/{POLYGONS}"


def _is_ours(path: Path, noted: Contents | None, adopted: bool) -> bool:
    """Return True if a file is as the run wrote it, but for clusters that the run adopts."""
    if noted is None:
        return False
    found = read_contents(path)
    return noted == (replace(found, clusters=noted.clusters) if adopted else found)


def _refuse(folder: RunFolder, found: dict[Path, Edits], command: str) -> None:
    """Raise RunError if features that a person edited would be overwritten."""
    edited = [(path, edits) for path, edits in found.items() if edits.count]
    if not edited:
        return
    path, edits = edited[0]
    count = sum(edits.count for _, edits in edited)
    them = "it" if count == 1 else f"{count} features that were edited by hand, the first of them"
    where = f" (in {len(edited)} scenes)" if len(edited) > 1 else ""
    remedy = NOT_ADOPTED if command == "adopt" else KEEP
    verb, space, rest = command.partition(" ")
    raise RunError(
        f"{path}: {edits.first}: alps-geo clusters {verb} {folder.path}{space}{rest} would "
        f"overwrite {them}{where}; "
        + remedy.format(run=folder.path, it="it" if count == 1 else "them")
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


def _refuse_styles(scenes: Mapping[LockedSegments, Contents | None], after: ClusterModel) -> None:
    """Raise RunError if a style that a person edited would be overwritten.

    A change that was cut short may have written the style of the model that it leads to.
    """
    new = cluster_style(after.legend)
    for scene, known in scenes.items():
        style = _digest(scene)
        if known is None or known.style is None or style is None:
            continue
        if style not in (known.style, style_digest(new.qml, new.sld)):
            raise RunError(OVERWRITTEN_STYLE.format(path=scene.path, style=CLUSTER_STYLE))


def _reasons(folder: RunFolder, path: Path, noted: Contents | None, found: Contents) -> list[str]:
    """List the changes that a person has made in the polygons of a scene."""
    reasons = [f"{each} added" for each in found.extras]
    if noted is not None:
        reasons = [f"{each} added" for each in found.extras if each not in noted.extras]
        reasons += changed_styles(noted, found)
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
        now = after = read_clusters(folder)
        if (change := read_change(folder)) is not None:
            after = read_changed(folder, change)
        table = open_table(folder.segments_folder(scene))
        listed = [cluster.cluster for cluster in record.clusters]
        known = listed in [each.model.legend.ids.tolist() for each in (now, after)]
        if not known or not set(now.model.projection.column_names) <= set(table.names):
            return None  # another model was put there
        return given_values(now, scene, table), given_values(after, scene, table)
    except RunError:
        # A damaged run is about to be replaced; the note of its polygons has to do.
        return None
