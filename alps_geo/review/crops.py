"""Crops of segments: their outlines drawn on the pixels around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from PIL import Image, ImageDraw
from shapely.affinity import affine_transform

from alps_geo.outputs.gallery_page import Crop
from alps_geo.outputs.gpkg.read import read_geometries
from alps_geo.outputs.names import POLYGONS
from alps_geo.scene import read_tile
from alps_geo.scene.placed import north_up
from alps_geo.windows import centred, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from affine import Affine
    from rasterio.windows import Window

    from alps_geo.runs.run import FinishedRun
    from alps_geo.scene import Scene

CROP_SIDE = 132
"""Side of a crop, in pixels of the page."""

_LEAST_WINDOW, _MOST_WINDOW = 40, 512
_MARGIN = 0.35
_JPEG_QUALITY = 80


@dataclass(frozen=True)
class Pick:
    """A segment that is shown, by its scene and id, and its confidence."""

    scene: str
    segment: int
    confidence: float


def draw_crops(
    run: FinishedRun,
    scenes: Mapping[str, Scene],
    picks: Sequence[Pick],
    listen: Callable[[int, int], None],
) -> dict[Pick, Crop]:
    """Draw the segments that are shown, without those whose polygons a person has deleted."""
    crops: dict[Pick, Crop] = {}
    for name, scene in scenes.items():
        here = [pick for pick in picks if pick.scene == name]
        geometries = read_geometries(
            run.folder.scene_folder(name) / POLYGONS, [pick.segment for pick in here]
        )
        for pick in here:
            if pick.segment in geometries:
                crops[pick] = draw_crop(scene, pick, geometries[pick.segment])
            listen(len(crops), len(picks))
    return crops


def draw_crop(scene: Scene, pick: Pick, geometry: shapely.Geometry) -> Crop:
    """Draw a segment's outline on the pixels around it."""
    pixels = in_pixels(geometry, scene.transform)
    window = crop_window(pixels, scene.shape)
    image = Image.fromarray(read_tile(scene, window).image)
    scale = CROP_SIDE / max(window.height, window.width)
    size = (max(1, round(window.width * scale)), max(1, round(window.height * scale)))
    image = image.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    corner = np.array([window.col_off, window.row_off])
    rings = [
        [tuple(point) for point in (shapely.get_coordinates(ring) - corner) * scale]
        for ring in shapely.get_rings(shapely.get_parts(pixels))
    ]
    # White on black shows on any ground.
    for color, width in (((0, 0, 0), 4), ((255, 255, 255), 2)):
        for ring in rings:
            draw.line(ring, color, width, joint="curve")
    image = _turned(image, scene.transform)
    return Crop(scene.name, pick.segment, pick.confidence, image, _JPEG_QUALITY)


def _turned(image: Image.Image, transform: Affine) -> Image.Image:
    """Turn a picture of a part of a raster north up."""
    return Image.fromarray(np.asarray(image)[north_up(transform)])


def in_pixels(geometry: shapely.Geometry, transform: Affine) -> shapely.Geometry:
    """Transform coordinates to (col, row)."""
    back = ~transform
    return affine_transform(geometry, (back.a, back.b, back.d, back.e, back.c, back.f))


def crop_window(pixels: shapely.Geometry, shape: tuple[int, int]) -> Window:
    """Return a square window around a segment, cut at the borders of the scene.

    A segment that is larger than the largest window is shown in part.

    Parameters
    ----------
    pixels : shapely.Geometry
        The segment, in (col, row) of the scene.
    shape : tuple of int
        (height, width) of the scene.
    """
    left, top, right, bottom = shapely.bounds(pixels)
    longest = max(right - left, bottom - top)
    side = round(min(max(longest * (1 + 2 * _MARGIN), _LEAST_WINDOW), _MOST_WINDOW))
    middle = (left + right) / 2, (top + bottom) / 2
    if longest > side:
        point = shapely.point_on_surface(pixels)
        middle = shapely.get_x(point), shapely.get_y(point)
    return centred((middle[1], middle[0]), side, whole(*shape))
