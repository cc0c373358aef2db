"""All results of one scene, each made from those before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import rasterio
import shapely

from alps_geo.ground import ground_measures
from alps_geo.outputs.cog import row_reader, write_cog
from alps_geo.outputs.gpkg import write_segments_gpkg
from alps_geo.outputs.preview import write_preview
from alps_geo.outputs.style import write_raster_style
from alps_geo.scene import read_overview
from alps_geo.vectorize import Polygons, polygonize, simplify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.clusters import Assigned, Color
    from alps_geo.ground import Measures
    from alps_geo.scene import Scene
    from alps_geo.stitch import Segments
    from alps_geo.tables import Scores

PREVIEW_SIZE = 1024
"""Longest side of each picture in the preview, in pixels."""

_BATCH = 50_000
"""Polygons that are written at once, where all of them are at hand."""

FILES = ("labels.tif", "labels.qml", "segments.tif", "segments.gpkg", "preview.png")


@dataclass(frozen=True)
class SceneResults:
    """What was written for one scene, in numbers.

    Attributes
    ----------
    valid_pixels : int
        Pixels with data.
    cluster_segments, cluster_pixels : ndarray of int64, shape (k,)
        Segments and pixels of each cluster.
    cluster_area_m2 : ndarray of float64, shape (k,), or None
        Ground area of each cluster; None for a scene without a CRS.
    """

    valid_pixels: int
    cluster_segments: NDArray[np.int64]
    cluster_pixels: NDArray[np.int64]
    cluster_area_m2: NDArray[np.float64] | None


def write_results(
    folder: Path,
    scene: Scene,
    blocks: Iterable[tuple[Window, NDArray[np.uint32]]],
    segments: Segments,
    scores: Scores,
    assigned: Assigned,
    palette: Mapping[int, Color],
    *,
    simplify_by: float = 0.0,
) -> SceneResults:
    """Write labels, segments, polygons and preview of a scene.

    Parameters
    ----------
    folder : pathlib.Path
        Where to write; made if need be.
    scene : Scene
        The scene.
    blocks : iterable of (window, ids)
        The segment ids of the scene, piece by piece.
    segments : Segments
        What is known of them.
    scores : Scores
        What SAM says of them.
    assigned : Assigned
        Their clusters, by segment id.
    palette : mapping of int to (red, green, blue)
        Colour of each cluster there is, also of those that this scene lacks.
    simplify_by : float
        Detail of the polygons' borders to leave out, in metres, or in pixels without a CRS. The
        rasters and the polygons' areas stay those of the pixels. If not 0, all polygons of the
        scene are held at once.

    Raises
    ------
    RunError
        If a file cannot be written; those before it are whole, it and those after it are absent.
    """
    cluster = assigned.cluster
    cluster_of_id = np.concatenate([[0], cluster])
    on_grid = partial(
        write_cog,
        height=scene.height,
        width=scene.width,
        crs=scene.crs,
        transform=scene.transform,
    )

    on_grid(folder / "segments.tif", blocks, dtype=np.uint32, description="segment id")
    label_type = np.uint8 if len(palette) <= 255 else np.uint16
    with rasterio.open(folder / "segments.tif") as ids:
        on_grid(
            folder / "labels.tif",
            (
                (window, cluster_of_id[ids.read(1, window=window)].astype(label_type))
                for _, window in ids.block_windows(1)
            ),
            dtype=label_type,
            description="cluster",
            colormap=palette,
        )
    write_raster_style(folder / "labels.tif", palette)
    ground = _write_polygons(folder, scene, segments, scores, assigned, palette, simplify_by)
    _write_preview(folder, scene, palette)
    return SceneResults(
        valid_pixels=segments.valid_pixels,
        cluster_segments=_per_cluster(cluster, None, len(palette)).astype(np.int64),
        cluster_pixels=_per_cluster(cluster, segments.area, len(palette)).astype(np.int64),
        cluster_area_m2=None if scene.crs is None else _per_cluster(cluster, ground, len(palette)),
    )


def _write_polygons(
    folder: Path,
    scene: Scene,
    segments: Segments,
    scores: Scores,
    assigned: Assigned,
    palette: Mapping[int, Color],
    simplify_by: float,
) -> NDArray[np.float64]:
    """Write segments.gpkg; return the area of each segment, in m² or pixels."""
    area = np.zeros(len(segments))

    def exact() -> Iterator[Polygons]:
        with rasterio.open(folder / "segments.tif") as raster:
            read = row_reader(raster)
            for polygons in polygonize(read, scene.height, scene.width, scene.transform):
                measures = ground_measures(polygons.geometry, scene.crs, scene.transform)
                area[polygons.segment_id - 1] = measures.area
                yield polygons

    def batches() -> Iterator[gpd.GeoDataFrame]:
        for polygons in _simplified(exact(), scene, simplify_by) if simplify_by else exact():
            measures = ground_measures(polygons.geometry, scene.crs, scene.transform)
            rows = polygons.segment_id - 1
            measures = replace(measures, area=area[rows])
            yield _attributes(scene, segments, scores, assigned, polygons, measures)

    write_segments_gpkg(folder / "segments.gpkg", batches(), crs=scene.crs, palette=palette)
    return area


def _simplified(
    batches: Iterable[Polygons], scene: Scene, simplify_by: float
) -> Iterator[Polygons]:
    """Simplify polygons all at once, and give them in batches again."""
    found = list(batches)
    if not found:
        return
    whole = Polygons(
        np.concatenate([polygons.segment_id for polygons in found]),
        np.concatenate([polygons.geometry for polygons in found]),
    )
    found.clear()
    simple = simplify(whole, simplify_by / _unit_length(scene))
    for start in range(0, len(simple.segment_id), _BATCH):
        rows = slice(start, start + _BATCH)
        yield Polygons(simple.segment_id[rows], simple.geometry[rows])


def _unit_length(scene: Scene) -> float:
    """Metres, or pixels without a CRS, per unit of the scene's coordinates, amid the scene."""
    row, col = scene.height // 2, scene.width // 2
    corners = [scene.transform @ (col + x, row + y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
    pixel = np.array([shapely.Polygon(corners)], dtype=object)
    ground = ground_measures(pixel, scene.crs, scene.transform).area[0]
    return float(np.sqrt(ground / abs(scene.transform.determinant)))


def _attributes(
    scene: Scene,
    segments: Segments,
    scores: Scores,
    assigned: Assigned,
    polygons: Polygons,
    measures: Measures,
) -> gpd.GeoDataFrame:
    rows = polygons.segment_id - 1
    # Without a CRS there is no ground to measure: names say that these are pixels.
    names = ("area_px", "perimeter_px") if scene.crs is None else ("area_m2", "perimeter_m")
    bands = {
        f"mean_{name}": segments.band_means[rows, i] for i, name in enumerate(scene.band_names)
    }
    return gpd.GeoDataFrame(
        {
            "segment_id": polygons.segment_id,
            "cluster": assigned.cluster[rows],
            "confidence": assigned.confidence[rows],
            "source": np.where(scores.is_filled[rows], "fill", "sam"),
            names[0]: measures.area,
            names[1]: measures.perimeter,
            "predicted_iou": scores.predicted_iou[rows],
            "stability_score": scores.stability_score[rows],
            **bands,
        },
        geometry=polygons.geometry,
        crs=scene.crs,
    )


def _write_preview(folder: Path, scene: Scene, palette: Mapping[int, Color]) -> None:
    pixels = read_overview(scene, PREVIEW_SIZE)
    with rasterio.open(folder / "labels.tif") as raster:
        labels = raster.read(1, out_shape=pixels.valid.shape)
    write_preview(
        folder / "preview.png",
        pixels.image,
        labels,
        pixels.valid,
        palette=palette,
        title=scene.name,
    )


def _per_cluster(
    cluster: NDArray[np.int64], weights: NDArray[np.number] | None, count: int
) -> NDArray[np.float64]:
    """Count the segments of each cluster, or add up their weights; shape (count,)."""
    return np.bincount(cluster, weights=weights, minlength=count + 1)[1:].astype(np.float64)
