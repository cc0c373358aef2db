"""Samples for the segments of a run: files of a person, or the clusters that have names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.classes.sample_layer import LEAST_SHARE, place, read_layer
from alps_geo.classes.samples import Sampled, Votes, resolve
from alps_geo.classes.vector_file import is_vector, layer_names, pick_layer
from alps_geo.clusters.overrides import override
from alps_geo.errors import SceneError, SettingsError
from alps_geo.evaluate.rasters import open_ids
from alps_geo.evaluate.truth import open_truth
from alps_geo.evaluate.truth_file import TruthFile
from alps_geo.outputs.names import SEGMENTS
from alps_geo.scene.raster import is_local

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.classes.sample_layer import SampleLayer
    from alps_geo.evaluate.rasters import IdRaster
    from alps_geo.runs.run import FinishedRun
    from alps_geo.segments.table import SegmentTable

_VECTOR_ENDINGS = (".gpkg", ".shp", ".geojson", ".json", ".fgb", ".kml", ".gml", ".parquet")

TYPICAL = 20
"""Segments of each named cluster that are samples, at most."""


@dataclass(frozen=True)
class SampleFiles:
    """Files of samples, and where the class stands in them.

    Attributes
    ----------
    paths : tuple of str
        Vector files of points, lines or polygons, or rasters of classes.
    field : str or None
        Column of the class in vector files.
    layers : tuple of str
        Layers of vector files: all of these that a file has. None is needed for a file with one
        layer alone.
    """

    paths: tuple[str, ...]
    field: str | None = None
    layers: tuple[str, ...] = ()


NO_FILES = SampleFiles(())
"""No files of samples."""


@dataclass(frozen=True)
class Gathered:
    """Samples on the segments of a run.

    Attributes
    ----------
    sampled : mapping of str to Sampled
        Those of each scene, by the name of its folder.
    seen : mapping of str to ndarray of int64
        Segments of each scene that features without a class lie on.
    notes : tuple of str
        Samples that were left out.
    """

    sampled: Mapping[str, Sampled]
    seen: Mapping[str, NDArray[np.int64]]
    notes: tuple[str, ...]


def gather_samples(run: FinishedRun, files: SampleFiles) -> Gathered:
    """Place the samples of all files on the segments of all scenes of a run.

    Raises
    ------
    SceneError
        If a file cannot be read, or none of its samples lies on a segment.
    """
    votes: dict[str, list[Votes]] = {name: [] for name in run.tables}
    seen: dict[str, list[NDArray[np.int64]]] = {name: [] for name in run.tables}
    notes: list[str] = []
    for path in files.paths:
        _check_file(path)
    layers = _layers_of(files)
    for path in files.paths:
        for layer in layers.get(path, ()):
            _place_features(run, read_layer(path, files.field, layer), votes, seen, notes)
        if path not in layers:
            _place_raster(run, path, votes, notes)
    return Gathered(
        {name: resolve(Votes.together(parts)) for name, parts in votes.items()},
        {name: _distinct(parts) for name, parts in seen.items()},
        tuple(notes),
    )


def _check_file(path: str) -> None:
    """Check that a file of samples is there, and not a vector file that cannot be opened."""
    if not is_local(path):
        return
    if not Path(path).exists():
        raise SceneError(f"{path} does not exist: check the path of the samples")
    if Path(path).suffix.lower() in _VECTOR_ENDINGS and not is_vector(path):
        raise SceneError(
            f"{path} cannot be opened as a vector file: expected points, lines or polygons; check "
            "it in a GIS, or save it again"
        )


def _layers_of(files: SampleFiles) -> dict[str, list[str]]:
    """Choose the layers of each vector file."""
    found = {path: layer_names(path) for path in files.paths if is_vector(path)}
    known = {name for names in found.values() for name in names}
    for name in files.layers:
        if found and name not in known:
            pick_layer(next(iter(found)), name)  # Raises that it is not there.
    return {
        path: [name for name in names if name in files.layers] or [pick_layer(path, None)]
        for path, names in found.items()
    }


def named_samples(run: FinishedRun) -> dict[str, Sampled]:
    """Take typical segments of the clusters that have names as samples of classes of these names.

    Typical are those nearest to the centre, among the larger half of the cluster in all scenes.

    Raises
    ------
    SettingsError
        If no cluster has a name.
    """
    names = run.model.legend.names
    if not names:
        raise SettingsError(
            f"no cluster of {run.folder.path} has a name, so there are no samples; give some with "
            "alps-geo clusters name, or samples of your own with --samples"
        )
    if len(set(names.values())) == 1:
        raise SettingsError(
            f"the clusters of {run.folder.path} have one name alone, {next(iter(names.values()))}; "
            "expected two at least: name another cluster with alps-geo clusters name"
        )
    assigned = {
        name: override(run.model.apply(table), table.rows, run.overrides.of(name))
        for name, table in run.tables.items()
    }
    picked: dict[str, list[tuple[int, str]]] = {name: [] for name in run.tables}
    for cluster, class_name in names.items():
        found = [
            (scene, row)
            for scene, each in assigned.items()
            for row in np.flatnonzero(each.cluster == cluster).tolist()
        ]
        areas = np.array([run.tables[scene].area[row] for scene, row in found])
        distances = np.array([assigned[scene].distance[row] for scene, row in found])
        large = np.flatnonzero(areas >= np.median(areas)) if len(areas) else np.empty(0, int)
        for index in large[np.argsort(distances[large], kind="stable")][:TYPICAL].tolist():
            scene, row = found[index]
            picked[scene].append((int(run.tables[scene].rows[row]), class_name))
    return {
        scene: Sampled(
            np.array([segment for segment, _ in sorted(pairs)], np.int64),
            np.array([name for _, name in sorted(pairs)], object),
        )
        for scene, pairs in picked.items()
    }


def _place_features(
    run: FinishedRun,
    layer: SampleLayer,
    votes: Mapping[str, list[Votes]],
    seen: Mapping[str, list[NDArray[np.int64]]],
    notes: list[str],
) -> None:
    """Add the votes of the features of a layer."""
    path = layer.path
    on_segments, inside = np.zeros(len(layer), np.bool_), np.zeros(len(layer), np.bool_)
    for name, table in run.tables.items():
        with open_ids(_segments(run, name)) as grid:
            area = _areas(table)
            placed = place(layer, grid, area)
            if len(layer.unlabelled):
                seen[name].append(place(layer.unlabelled_layer(), grid, area).votes.segment)
        votes[name].append(placed.votes)
        on_segments |= placed.on_segments
        inside |= placed.inside
    outside, nowhere = int((~inside).sum()), int((inside & ~on_segments).sum())
    if not on_segments.any():
        where = "outside the scenes" if not inside.any() else "on pixels without a segment"
        raise SceneError(
            f"{path}: all {len(layer)} samples lie {where} of {run.folder.path}; expected some on "
            "its segments: check the CRS of the file, or draw samples inside"
        )
    for count, where in ((outside, "outside the scenes"), (nowhere, "on pixels without a segment")):
        if count:
            notes.append(f"{path}: {count} of {len(layer)} samples lie {where}, and are left out")
    if left := len(layer.unlabelled):
        features = (
            "1 feature has no class, and is"
            if left == 1
            else f"{left} features have no class, and are"
        )
        notes.append(f"{path}: {features} left out")


def _place_raster(
    run: FinishedRun, path: str, votes: Mapping[str, list[Votes]], notes: list[str]
) -> None:
    """Add the votes of the pixels of a raster of classes."""
    total = small = 0
    for name, table in run.tables.items():
        area = _areas(table)
        with open_ids(_segments(run, name)) as grid, open_truth(TruthFile(path), grid) as truth:
            found: dict[tuple[int, int], float] = {}
            for window in _windows(grid):
                classes, valid = truth.read(window)
                ids = grid.read(window)
                valid &= ids > 0
                pairs, counts = np.unique(
                    np.stack([ids[valid], classes[valid]]), axis=1, return_counts=True
                )
                for segment, number, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
                    key = segment, number
                    found[key] = found.get(key, 0.0) + count
        kept = {
            key: count for key, count in found.items() if count >= LEAST_SHARE * area[key[0] - 1]
        }
        total, small = total + len(found), small + len(found) - len(kept)
        rows = [(segment, str(number), count) for (segment, number), count in kept.items()]
        votes[name].append(Votes.of(rows))
    if total == small:
        found_there = "no class on any segment of"
        if total:
            found_there = f"classes on less than {LEAST_SHARE:.0%} of each segment of"
        raise SceneError(
            f"{path}: has {found_there} {run.folder.path}; expected a raster "
            "of classes of the same place, nodata where there is none: draw single pixels as points"
        )
    if small:
        notes.append(
            f"{path}: {small} times less than {LEAST_SHARE:.0%} of a segment has a class, which "
            "is left out"
        )


def _distinct(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.unique(np.concatenate([np.empty(0, np.int64), *parts]))


def _segments(run: FinishedRun, scene: str) -> str:
    return str(run.folder.scene_folder(scene) / SEGMENTS)


def _areas(table: SegmentTable) -> NDArray[np.int64]:
    """Return the pixels of each segment, by id."""
    return table.area[np.argsort(table.rows)]


def _windows(grid: IdRaster) -> Iterator[Window]:
    for _, window in grid.dataset.block_windows(1):
        yield window


def disputes_note(sampled: Mapping[str, Sampled], most: int = 3) -> Sequence[str]:
    """Describe the segments whose samples disagree: how many, and the first of them."""
    found = [(scene, each) for scene, part in sampled.items() for each in part.disputes]
    if not found:
        return []
    untaken = sum(each.taken is None for _, each in found)
    shown = "; ".join(f"{scene}, {each}" for scene, each in found[:most])
    more = f"; and {len(found) - most} more" if len(found) > most else ""
    count = "1 segment holds" if len(found) == 1 else f"{len(found)} segments hold"
    left = f"{untaken} {'is' if untaken == 1 else 'are'} left out as undecided"
    return [f"{count} samples of several classes: most pixels decide, {left} ({shown}{more})"]
