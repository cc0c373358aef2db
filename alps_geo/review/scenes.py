"""Scenes of a finished run, opened again for pictures of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.errors import SceneError
from alps_geo.outputs.preview_source import PICTURE, PREVIEW_SIZE, read_picture
from alps_geo.scene import open_scene, read_overview
from alps_geo.scene.raster import is_local

if TYPE_CHECKING:
    from alps_geo.runs.parts import SceneRecord
    from alps_geo.runs.run import FinishedRun
    from alps_geo.scene import Scene


def open_labelled(run: FinishedRun, record: SceneRecord) -> Scene:
    """Open a scene of a run as the run has opened it, and check that it is unchanged.

    Raises
    ------
    SceneError
        If the scene is gone or has changed.
    """
    path, reading = record.path, run.record.origin.reading
    if is_local(path) and not Path(path).exists():
        here = "" if Path(path).is_absolute() else " from the folder in which alps-geo label ran"
        raise SceneError(
            f"{path} is not there, and its pixels are needed; "
            f"put the scene back and give the command again{here}"
        )
    scene = open_scene(
        path,
        bands=reading.bands,
        nodata=reading.nodata,
        stretch=reading.stretch,
        alpha=reading.alpha,
    )
    found = (scene.height, scene.width, scene.size_bytes)
    expected = (record.height, record.width, record.size_bytes)
    if found != expected:
        raise SceneError(
            f"{path} has changed since it was labelled ({_facts(found)}; expected "
            f"{_facts(expected)}); put back the file, or run alps-geo label again"
        )
    _check_same(record, scene, run.folder.segments_folder(record.name) / PICTURE)
    return scene


def _check_same(record: SceneRecord, scene: Scene, picture: Path) -> None:
    """Check that outlines lie on the pixels that they were drawn on.

    Raises
    ------
    SceneError
        If a file of the scene has changed, and its position or its pixels with it.
    """
    if record.files_sha256 == scene.files_sha256:
        return
    crs = None if scene.crs is None else scene.crs.to_string()
    transform = tuple(scene.transform)[:6]
    placed = (record.crs, record.transform or transform) == (crs, transform)
    now, (image, valid) = read_overview(scene, PREVIEW_SIZE), read_picture(picture)
    if placed and np.array_equal(now.image, image) and np.array_equal(now.valid, valid):
        return  # as after the files were copied
    change = "its pixels are others" if placed else "it lies elsewhere"
    raise SceneError(
        f"{scene.path} has changed since it was labelled ({change}), it or a file that it "
        "refers to; put back the files, or run alps-geo label again"
    )


def _facts(facts: tuple[int, int, int | None]) -> str:
    height, width, size = facts
    return f"{height} x {width} pixels" + ("" if size is None else f", {size} bytes")
