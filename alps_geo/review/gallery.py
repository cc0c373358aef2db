"""Gallery of the clusters of a run: crops of segments that are typical of each, and doubtful."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from PIL import Image, ImageDraw
from shapely.affinity import affine_transform

from alps_geo.errors import RunError
from alps_geo.outputs.gallery_page import ClusterCrops, Crop, write_gallery_page
from alps_geo.outputs.gpkg.read import read_geometries
from alps_geo.outputs.names import LABELS, OVERVIEW, POLYGONS
from alps_geo.outputs.preview import PICTURE, read_picture
from alps_geo.review.scenes import open_labelled
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.run import read_finished
from alps_geo.scene import read_tile
from alps_geo.scene.placed import north_up
from alps_geo.scene.raster import opened
from alps_geo.windows import centred, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.clusters.tree import Assigned
    from alps_geo.runs.run import FinishedRun
    from alps_geo.scene import Scene

TYPICAL, DOUBTFUL = 6, 4
"""Crops per cluster, at most."""

CROP_SIDE = 132
"""Side of a crop, in pixels of the page."""

MAP_SIDE = 220
"""Longer side of the map of a cluster, in pixels of the page."""

_LEAST_WINDOW, _MOST_WINDOW = 40, 512
_MARGIN = 0.35
_JPEG_QUALITY = 80
_FAINT = 0.45


@dataclass(frozen=True)
class _Pick:
    """A segment that is shown, by its scene and id, and its confidence."""

    scene: str
    segment: int
    confidence: float


def make_gallery(
    path: Path,
    page: Path,
    listen: Callable[[int, int], None] = lambda _, __: None,
) -> None:
    """Show the clusters of a finished run on one HTML page that needs nothing else.

    Typical of a cluster are segments near its centre, doubtful those of the least confidence. Both
    are taken from all scenes in turn, and from the larger half of the cluster's segments in each
    scene, which show more.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    page : pathlib.Path
        File to write.
    listen : callable
        Called with the number of crops that are made, and of all crops.

    Raises
    ------
    RunError
        If there is no finished run, or a file cannot be read or written.
    SceneError
        If a scene is gone or has changed.
    """
    run = read_finished(RunFolder(path))
    if run.record.folder is not None:
        raise RunError(
            f"{path} holds masks of images, and the gallery shows crops of scenes: look at the "
            f"pictures in {path / OVERVIEW}, or label with --vis"
        )
    scenes = {record.name: open_labelled(run, record) for record in run.record.scenes}
    assigned = {name: run.clusters.assign(name, table) for name, table in run.tables.items()}
    areas = {name: _by_id(table.rows, table.area) for name, table in run.tables.items()}
    chosen = {i: _choose(i, assigned, areas) for i in run.model.legend.palette}
    picks = [pick for both in chosen.values() for some in both for pick in some]
    crops = _draw_crops(run, scenes, picks, listen)
    maps = _Maps(run)
    clusters = [
        ClusterCrops(
            cluster=record.cluster,
            name=record.name,
            color=record.color,
            share=record.share,
            segments=record.segments,
            map=maps.draw(record.cluster),
            typical=tuple(crops[pick] for pick in typical if pick in crops),
            doubtful=tuple(crops[pick] for pick in doubtful if pick in crops),
        )
        for record in run.record.clusters
        for typical, doubtful in [chosen[record.cluster]]
    ]
    names = [scene.name for scene in scenes.values()]
    write_gallery_page(page, str(path), run.model.stamp, names, clusters)


def _draw_crops(
    run: FinishedRun,
    scenes: Mapping[str, Scene],
    picks: Sequence[_Pick],
    listen: Callable[[int, int], None],
) -> dict[_Pick, Crop]:
    """Draw the segments that are shown, without those whose polygons a person has deleted."""
    crops: dict[_Pick, Crop] = {}
    for name, scene in scenes.items():
        here = [pick for pick in picks if pick.scene == name]
        geometries = read_geometries(
            run.folder.scene_folder(name) / POLYGONS, [pick.segment for pick in here]
        )
        for pick in here:
            if pick.segment in geometries:
                crops[pick] = _crop(scene, pick, geometries[pick.segment])
            listen(len(crops), len(picks))
    return crops


def _by_id(rows: NDArray[np.uint32], values: NDArray[np.int64]) -> NDArray[np.int64]:
    return values[np.argsort(rows)]


def _choose(
    cluster: int, assigned: Mapping[str, Assigned], areas: Mapping[str, NDArray[np.int64]]
) -> tuple[list[_Pick], list[_Pick]]:
    """Choose typical and doubtful segments of a cluster; no segment is both."""
    typical, doubtful = [], []
    for name, found in assigned.items():
        inside = np.flatnonzero(found.cluster == cluster)
        if len(inside) > TYPICAL + DOUBTFUL:
            # As many as are shown, at least.
            size = areas[name][inside]
            least = min(np.median(size), np.sort(size)[-(TYPICAL + DOUBTFUL)])
            inside = inside[size >= least]
        near = inside[np.argsort(found.distance[inside], kind="stable")]
        unsure = inside[np.argsort(found.confidence[inside], kind="stable")]
        typical.append([_pick(name, found, index) for index in near[:TYPICAL]])
        doubtful.append([_pick(name, found, index) for index in unsure[:DOUBTFUL]])
    shown = _in_turn(typical)[:TYPICAL]
    return shown, [pick for pick in _in_turn(doubtful) if pick not in shown][:DOUBTFUL]


def _pick(name: str, found: Assigned, index: int) -> _Pick:
    return _Pick(name, int(index) + 1, float(found.confidence[index]))


def _in_turn(lists: Iterable[list[_Pick]]) -> list[_Pick]:
    """Take the first of each list, then the second of each, and so on."""
    ranked = [(rank, pick) for picks in lists for rank, pick in enumerate(picks)]
    return [pick for _, pick in sorted(ranked, key=lambda entry: entry[0])]


def _crop(scene: Scene, pick: _Pick, geometry: shapely.Geometry) -> Crop:
    """Draw a segment's outline on the pixels around it."""
    pixels = _in_pixels(geometry, scene.transform)
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


def _in_pixels(geometry: shapely.Geometry, transform: Affine) -> shapely.Geometry:
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


class _Maps:
    """Maps of clusters, each in the scene of which it covers the largest share."""

    def __init__(self, run: FinishedRun) -> None:
        self._palette = run.model.legend.palette
        self._scenes = []
        for name in run.tables:
            image, valid = read_picture(run.folder.segments_folder(name) / PICTURE)
            with opened(str(run.folder.scene_folder(name) / LABELS)) as raster:
                labels = raster.read(1, out_shape=valid.shape)
                order = north_up(raster.transform)
            self._scenes.append((image[order], labels[order]))

    def draw(self, cluster: int) -> Image.Image:
        """Draw a cluster in its colour on a faint grey scene."""
        image, labels = max(self._scenes, key=lambda scene: float((scene[1] == cluster).mean()))
        faint = 255 - (255 - image.mean(axis=-1, keepdims=True).repeat(3, axis=-1)) * _FAINT
        faint[labels == cluster] = self._palette[cluster]
        whole = Image.fromarray(np.rint(faint).astype(np.uint8))
        whole.thumbnail((MAP_SIDE, MAP_SIDE), Image.Resampling.BOX)
        return whole
