"""Pictures of clusters: crops of segments that are typical of each, and of doubtful ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from PIL import Image, ImageDraw
from shapely.affinity import affine_transform

from alps_geo.errors import SceneError
from alps_geo.outputs.gallery_page import ClusterCrops, Crop, write_gallery_page
from alps_geo.outputs.gpkg_read import read_geometries
from alps_geo.outputs.preview import read_picture
from alps_geo.outputs.results import PICTURE, PREVIEW_SIZE
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.run import read_finished
from alps_geo.scene import open_scene, read_overview, read_tile
from alps_geo.scene.placed import north_up
from alps_geo.scene.raster import is_local, opened
from alps_geo.windows import centred, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
    """A segment that is shown, and how it lies in its cluster."""

    scene: str
    segment: int
    cluster: int
    distance: float
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
        Where to write.
    listen : callable
        Called with how many crops have been made, and of how many.

    Raises
    ------
    RunError
        If there is no finished run, or a file cannot be read or written.
    SceneError
        If a scene is gone, or is not the file any more that it was.
    """
    run = read_finished(RunFolder(path))
    scenes = {record["name"]: _open(record, run) for record in _scenes(run)}
    assigned = {
        name: run.model.apply(table).by_id(table.rows) for name, table in run.tables.items()
    }
    areas = {name: _by_id(table.rows, table.area) for name, table in run.tables.items()}
    chosen = {int(cluster): _choose(int(cluster), assigned, areas) for cluster in run.model.ids}
    picks = [pick for both in chosen.values() for some in both for pick in some]
    crops: dict[_Pick, Crop] = {}
    for name, scene in scenes.items():
        here = [pick for pick in picks if pick.scene == name]
        geometries = read_geometries(
            run.folder.scene_folder(name) / "segments.gpkg", [pick.segment for pick in here]
        )
        for pick in here:
            if pick.segment in geometries:
                crops[pick] = _crop(scene, pick, geometries[pick.segment])
            listen(len(crops), len(picks))
    maps = _Maps(run)
    clusters = [
        ClusterCrops(
            cluster=record["cluster"],
            name=record["name"],
            color=record["color"],
            share=record["share"],
            segments=record["segments"],
            map=maps.draw(record["cluster"]),
            typical=tuple(crops[pick] for pick in typical if pick in crops),
            doubtful=tuple(crops[pick] for pick in doubtful if pick in crops),
        )
        for record in run.record["clusters"]
        for typical, doubtful in [chosen[record["cluster"]]]
    ]
    names = [scene.name for scene in scenes.values()]
    write_gallery_page(page, str(path), run.model.stamp, names, clusters)


def _scenes(run: FinishedRun) -> list[dict[str, Any]]:
    return list(run.record["scenes"])


def _open(record: Mapping[str, Any], run: FinishedRun) -> Scene:
    path, settings = record["path"], run.record["settings"]
    if is_local(path) and not Path(path).exists():
        here = "" if Path(path).is_absolute() else " from the folder in which alps-geo label ran"
        raise SceneError(
            f"{path} is not there, and the gallery shows crops of it; "
            f"put the scene back and give the command again{here}"
        )
    scene = open_scene(
        path,
        bands=_tuple(settings["bands"]),
        nodata=None if settings["nodata"] is None else float(settings["nodata"]),
        stretch=_tuple(settings["stretch"]),
        alpha=settings.get("alpha", "auto"),  # records of before have none
    )
    found = (scene.height, scene.width, scene.size_bytes)
    expected = (record["height"], record["width"], record["size_bytes"])
    if found != expected:
        raise SceneError(
            f"{path} has changed since it was labelled ({_facts(found)}; expected "
            f"{_facts(expected)}); put back the file, or run alps-geo label again"
        )
    _check_same(record, scene, run.folder.segments_folder(record["name"]) / PICTURE)
    return scene


def _check_same(record: Mapping[str, Any], scene: Scene, picture: Path) -> None:
    """Check that outlines lie on the pixels that they were drawn on.

    Raises
    ------
    SceneError
        If a file of the scene has changed, and its place or its pixels with it.
    """
    if record.get("files_sha256") == scene.files_sha256:
        return
    crs = None if scene.crs is None else scene.crs.to_string()
    transform = list(scene.transform)[:6]
    placed = (record.get("crs"), record.get("transform", transform)) == (crs, transform)
    now, (image, valid) = read_overview(scene, PREVIEW_SIZE), read_picture(picture)
    if placed and np.array_equal(now.image, image) and np.array_equal(now.valid, valid):
        return  # as after the files were copied
    what = "its pixels are others" if placed else "it lies elsewhere"
    raise SceneError(
        f"{scene.path} has changed since it was labelled ({what}), it or a file that it refers to; "
        "put back the files, or run alps-geo label again"
    )


def _tuple(values: list[Any] | None) -> Any:
    return None if values is None else tuple(values)


def _facts(facts: tuple[int, int, int | None]) -> str:
    height, width, size = facts
    return f"{height} x {width} pixels" + ("" if size is None else f", {size} bytes")


def _by_id(rows: NDArray[np.uint32], values: NDArray[np.int64]) -> NDArray[np.int64]:
    return values[np.argsort(rows)]


def _choose(
    cluster: int, assigned: Mapping[str, Assigned], areas: Mapping[str, NDArray[np.int64]]
) -> tuple[list[_Pick], list[_Pick]]:
    """Choose typical and doubtful segments of a cluster; of few segments none is both."""
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
        typical.append([_pick(name, cluster, found, at) for at in near[:TYPICAL]])
        doubtful.append([_pick(name, cluster, found, at) for at in unsure[:DOUBTFUL]])
    shown = _in_turn(typical)[:TYPICAL]
    return shown, [pick for pick in _in_turn(doubtful) if pick not in shown][:DOUBTFUL]


def _pick(name: str, cluster: int, found: Assigned, at: int) -> _Pick:
    distance, confidence = float(found.distance[at]), float(found.confidence[at])
    return _Pick(name, int(at) + 1, cluster, distance, confidence)


def _in_turn(lists: Iterable[list[_Pick]]) -> list[_Pick]:
    """Take the first of each list, then the second of each, and so on."""
    ranked = [(rank, pick) for picks in lists for rank, pick in enumerate(picks)]
    return [pick for _, pick in sorted(ranked, key=lambda entry: entry[0])]


def _crop(scene: Scene, pick: _Pick, geometry: shapely.Geometry) -> Crop:
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
    """Draw a part of a raster with north up."""
    return Image.fromarray(np.asarray(image)[north_up(transform)])


def _in_pixels(geometry: shapely.Geometry, transform: Affine) -> shapely.Geometry:
    """Take coordinates to (col, row)."""
    back = ~transform
    return affine_transform(geometry, (back.a, back.b, back.d, back.e, back.c, back.f))


def crop_window(pixels: shapely.Geometry, shape: tuple[int, int]) -> Window:
    """Find a square window around a segment, as far as the scene goes.

    Of a segment that is too large for it, the window shows a part.

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
    """Maps of clusters, each in the scene that it covers most of."""

    def __init__(self, run: FinishedRun) -> None:
        self._palette = run.model.palette
        self._scenes = []
        for name in run.tables:
            image, valid = read_picture(run.folder.segments_folder(name) / PICTURE)
            with opened(str(run.folder.scene_folder(name) / "labels.tif")) as raster:
                labels = raster.read(1, out_shape=valid.shape)
                order = north_up(raster.transform)
            self._scenes.append((image[order], labels[order]))

    def draw(self, cluster: int) -> Image.Image:
        image, labels = max(self._scenes, key=lambda scene: float((scene[1] == cluster).mean()))
        faint = 255 - (255 - image.mean(axis=-1, keepdims=True).repeat(3, axis=-1)) * _FAINT
        faint[labels == cluster] = self._palette[cluster]
        whole = Image.fromarray(np.rint(faint).astype(np.uint8))
        whole.thumbnail((MAP_SIDE, MAP_SIDE), Image.Resampling.BOX)
        return whole
