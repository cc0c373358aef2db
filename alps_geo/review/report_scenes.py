"""Scenes of a finished run for its report, also of a run whose scenes have moved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from alps_geo.errors import RunError, SceneError
from alps_geo.outputs.map_layers import IdMap, SceneArrays, SceneLayers, draw_layers
from alps_geo.outputs.names import CLASSES, LABELS, OVERVIEW, SEGMENTS
from alps_geo.outputs.preview_source import PICTURE, read_picture
from alps_geo.outputs.readers import read_labels
from alps_geo.outputs.report_page import ReportScene
from alps_geo.review.scenes import open_labelled
from alps_geo.scene import read_overview
from alps_geo.scene.placed import north_up

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from affine import Affine
    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color
    from alps_geo.runs.parts import SceneRecord
    from alps_geo.runs.run import FinishedRun
    from alps_geo.scene import Scene

LONGEST_SIDE = 3072
"""Longest side of the pictures of a scene, in pixels."""

MOST_PICTURED = 60
"""Scenes with pictures; the others are listed."""

_BYTES_PER_PIXEL = 0.3
"""Bytes that the layers of a scene take in the page for each pixel, about."""


@dataclass(frozen=True)
class FoundScenes:
    """Scenes of a run, opened again where that is possible.

    Attributes
    ----------
    opened : mapping of str to Scene
        Scenes that are as they were, by name.
    lost : mapping of str to str
        The reasons of the others.
    """

    opened: Mapping[str, Scene]
    lost: Mapping[str, str]


def find_scenes(run: FinishedRun) -> FoundScenes:
    """Open the scenes of a run again; the reason tells of each that is gone or has changed."""
    opened, lost = {}, {}
    for record in run.record.scenes:
        if record.images is not None:
            continue
        try:
            opened[record.name] = open_labelled(run, record)
        except (SceneError, RunError) as error:
            lost[record.name] = str(error)
    return FoundScenes(opened, lost)


def report_scenes(
    run: FinishedRun,
    found: FoundScenes,
    budget: int,
    listen: Callable[[int, int], None],
) -> tuple[ReportScene, ...]:
    """Draw all scenes of a run in so many bytes; each may take an equal part of those left."""
    records, left = run.record.scenes, max(0, budget)
    pictured = min(len(records), MOST_PICTURED)
    scenes = []
    for index, record in enumerate(records):
        layers, problems = None, ["the first scenes alone are shown; this one is listed"]
        if index < pictured:
            share = left // (pictured - index)
            layers, problems = _draw(run, record, found, share)
            left = max(0, left - (0 if layers is None else layers.size))
            listen(index + 1, pictured)
        scenes.append(
            ReportScene(
                record.name, record.path, _facts(record), record.notes, tuple(problems), layers
            )
        )
    return tuple(scenes)


def _facts(record: SceneRecord) -> tuple[str, ...]:
    segments = f"{record.segments:,} segments"
    bands = ", ".join(record.bands)
    if record.images is not None:
        return f"{record.images:,} images", f"bands {bands}", segments
    size = f"{record.width:,} x {record.height:,} pixels"
    return size, record.crs or "no CRS", f"bands {bands}", segments


def _draw(
    run: FinishedRun, record: SceneRecord, found: FoundScenes, budget: int
) -> tuple[SceneLayers | None, list[str]]:
    """Draw the layers of a scene, and say which are absent and why."""
    # Somewhat larger than will do, for scenes that compress well.
    longest = min(LONGEST_SIDE, max(256, int(1.5 * math.sqrt(budget / _BYTES_PER_PIXEL))))
    if record.images is not None:
        path = run.folder.path / OVERVIEW / f"{record.name}.png"
        arrays, problems = _overview(path)
        return draw_layers(arrays, budget), problems
    maps, segments, order, problems = _read_maps(run, record.name, longest)
    image, valid = None, None
    if (scene := found.opened.get(record.name)) is not None:
        pixels = read_overview(scene, longest)
        image, valid = pixels.image, pixels.valid
    else:
        picture = run.folder.segments_folder(record.name) / PICTURE
        if picture.exists():
            image, valid = read_picture(picture)
        kept = "its labels alone" if image is None else "its labels over a small picture"
        problems.insert(0, f"{found.lost[record.name]}; until then {kept}, and no crops, are shown")
    if image is not None and valid is not None:
        if order is None:
            order = slice(None), slice(None)
        image, valid = image[order], valid[order]
    return draw_layers(SceneArrays(image, valid, maps, segments), budget), problems


def _read_maps(
    run: FinishedRun, name: str, longest: int
) -> tuple[tuple[IdMap, ...], NDArray[np.integer] | None, tuple[slice, slice] | None, list[str]]:
    """Read maps and segment ids of a scene north up, with the order of rows and columns."""
    folder, problems = run.folder.scene_folder(name), []
    palettes = [("clusters", LABELS, run.model.legend.palette)]
    if run.record.classes is not None:
        colors = {each.id: _color(each.color) for each in run.record.classes}
        palettes.append(("classes", CLASSES, colors))
    maps, segments, order = [], None, None
    for title, file, palette in (*palettes, ("segments", SEGMENTS, None)):
        try:
            ids, transform = _read_ids(folder / file, longest)
        except RunError as error:
            problems.append(str(error))
            continue
        order = north_up(transform)
        if palette is None:
            segments = ids[order]
        else:
            maps.append(IdMap(title, ids[order], palette))
    return tuple(maps), segments, order, problems


def _read_ids(path: Path, longest: int) -> tuple[NDArray[np.integer], Affine]:
    ids, transform, _ = read_labels(path, longest=longest)
    return ids.filled(0), transform


def _color(css: str) -> Color:
    red, green, blue = bytes.fromhex(css.removeprefix("#"))
    return red, green, blue


def _overview(path: Path) -> tuple[SceneArrays, list[str]]:
    try:
        with Image.open(path) as picture:
            image = np.asarray(picture.convert("RGB"))
    except OSError as error:
        return SceneArrays(None, None, (), None), [f"{path} cannot be read ({error})"]
    return SceneArrays(image, None, (), None), []
