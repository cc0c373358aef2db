"""All results of one scene, each made from those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.errors import RunError
from alps_geo.outputs.cog import GeoBox, IdBand, write_category_names, write_cog
from alps_geo.outputs.gpkg.read import read_attribute
from alps_geo.outputs.gpkg.segments import AREA, POLYGONS, RASTER, pixel_area, write_polygons
from alps_geo.outputs.preview import read_picture, write_picture, write_preview
from alps_geo.outputs.style import cluster_labels, write_raster_style
from alps_geo.scene import read_overview
from alps_geo.scene.placed import north_up
from alps_geo.scene.raster import opened, read_window

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.clusters.tree import Assigned
    from alps_geo.scene import Scene
    from alps_geo.segments.stitch import Segments
    from alps_geo.segments.table import Attributes

PREVIEW_SIZE = 1024
"""Longest side of each picture in the preview, in pixels."""

FILES = ("labels.tif", "labels.qml", "segments.tif", POLYGONS, "preview.png")

PICTURE = "picture.png"
"""The scene as the preview shows it, beside the segments: to draw another preview without it."""


@dataclass(frozen=True)
class SceneResults:
    """Counts and areas of the results of one scene.

    Attributes
    ----------
    valid_pixels : int
        Pixels with data.
    cluster_segments, cluster_pixels : ndarray of int64, shape (k,)
        Segments and pixels of each cluster, in the order of the model's ids.
    cluster_area_m2 : ndarray of float64, shape (k,), or None
        Ground area of each cluster; None for a scene without a CRS, or with pixels that lie
        nowhere on the ground.
    unlabelled_area_m2 : float or None
        Ground area of pixels with data but without a segment, likewise: as many as there are,
        each as large as the one amid the scene.
    """

    valid_pixels: int
    cluster_segments: NDArray[np.int64]
    cluster_pixels: NDArray[np.int64]
    cluster_area_m2: NDArray[np.float64] | None
    unlabelled_area_m2: float | None


def write_results(
    folder: Path,
    tables: Path,
    scene: Scene,
    blocks: Iterable[tuple[Window, NDArray[np.uint32]]],
    segments: Segments,
    attributes: Attributes,
    assigned: Assigned,
    model: ClusterModel,
    *,
    simplify_by: float = 0.0,
) -> SceneResults:
    """Write labels, segments, polygons and preview of a scene.

    Parameters
    ----------
    folder : pathlib.Path
        Where to write; made if need be.
    tables : pathlib.Path
        Where the segments are kept, for what `rewrite_results` needs of the scene.
    scene : Scene
        The scene.
    blocks : iterable of (window, ids)
        The segment ids of the scene, piece by piece.
    segments : Segments
        Those that there are.
    attributes : Attributes
        What users are told of them.
    assigned : Assigned
        Their clusters, by segment id.
    model : ClusterModel
        The clusters there are, also those that this scene lacks.
    simplify_by : float
        Detail of the polygons' borders to leave out, in metres, or in pixels without a CRS. The
        rasters stay as they are, and what they measure is told apart from the polygons. If not 0,
        all polygons of the scene are held at once.

    Raises
    ------
    RunError
        If a file cannot be written; those before it are whole, it and those after it are absent.
    """
    write_cog(
        folder / "segments.tif",
        blocks,
        GeoBox.of_scene(scene),
        IdBand(np.uint32, "segment id"),
    )
    _write_labels(folder, assigned, model)
    ground = write_polygons(folder, scene, segments, attributes, assigned, model, simplify_by)
    pixels = read_overview(scene, PREVIEW_SIZE)
    write_picture(tables / PICTURE, pixels.image, pixels.valid)
    _write_preview(folder, tables, model, scene.name)
    return _count(folder, assigned, model, segments, None if scene.crs is None else ground)


def rewrite_results(
    folder: Path,
    tables: Path,
    name: str,
    segments: Segments,
    assigned: Assigned,
    model: ClusterModel,
) -> SceneResults:
    """Write labels and preview again, from what `write_results` wrote.

    The polygons are changed in place before: see `alps_geo.outputs.gpkg.update`.

    Parameters
    ----------
    folder, tables, segments, assigned, model
        As in `write_results`.
    name : str
        Of the scene.

    Raises
    ------
    RunError
        If a file is absent, damaged or cannot be written; each of them is whole, old or new.
    """
    _write_labels(folder, assigned, model)
    _write_preview(folder, tables, model, name)
    with opened(str(folder / "segments.tif")) as raster:
        # As good as can be for segments whose polygons a person has deleted.
        estimated = (segments.area * pixel_area(raster)).astype(np.float64)
        ground = None if raster.crs is None else estimated
    if len(segments):
        ground = read_attribute(folder / POLYGONS, RASTER + AREA, estimated)
        if ground is None:
            ground = read_attribute(folder / POLYGONS, AREA, estimated)
    return _count(folder, assigned, model, segments, ground)


def rewrite_legends(folder: Path, tables: Path, name: str, model: ClusterModel) -> None:
    """Write names and colours of clusters again, where every segment keeps its cluster.

    The polygons are changed in place before: see `alps_geo.outputs.gpkg.update`.

    Parameters
    ----------
    folder, tables, model
        As in `write_results`.
    name : str
        Of the scene.

    Raises
    ------
    RunError
        If a file is absent, damaged or cannot be written; each of them is whole, old or new.
    """
    labels, shown = folder / "labels.tif", cluster_labels(model)
    with opened(str(labels)) as raster:
        colors = raster.colormap(1)
        recolored = any(colors[i][:3] != color for i, color in model.palette.items())
        if recolored:
            blocks = (
                (window, read_window(raster, str(labels), (1,), window)[0])
                for _, window in raster.block_windows(1)
            )
            _write_label_blocks(folder, raster, blocks, raster.dtypes[0], model)
    if not recolored:
        write_category_names(labels, shown)
    write_raster_style(labels, model.palette, model.legend)
    _write_preview(folder, tables, model, name)


def check_rewritable(folder: Path, tables: Path) -> None:
    """Make sure that what is to be written again can be, before anything is changed.

    Raises
    ------
    RunError
        If a file is absent.
    """
    for path in (folder / "segments.tif", tables / PICTURE):
        if not path.is_file():
            raise RunError(
                f"{path} is absent, expected that of a finished run: "
                "run alps-geo label there again with --force"
            )


def _write_labels(folder: Path, assigned: Assigned, model: ClusterModel) -> None:
    """Write labels.tif and its style, from segments.tif."""
    cluster_of_id = np.concatenate([[0], assigned.cluster])
    dtype = np.uint8 if model.ids[-1] <= 255 else np.uint16
    path = str(folder / "segments.tif")
    with opened(path) as ids:
        blocks = (
            (window, cluster_of_id[read_window(ids, path, (1,), window)[0]].astype(dtype))
            for _, window in ids.block_windows(1)
        )
        _write_label_blocks(folder, ids, blocks, dtype, model)
    write_raster_style(folder / "labels.tif", model.palette, model.legend)


def _write_label_blocks(
    folder: Path,
    like: DatasetReader,
    blocks: Iterable[tuple[Window, NDArray[np.unsignedinteger]]],
    dtype: DTypeLike,
    model: ClusterModel,
) -> None:
    """Write labels.tif on the grid of an open raster."""
    band = IdBand(dtype, "cluster", model.palette, cluster_labels(model))
    write_cog(folder / "labels.tif", blocks, GeoBox.of_raster(like), band)


def _write_preview(folder: Path, tables: Path, model: ClusterModel, title: str) -> None:
    image, valid = read_picture(tables / PICTURE)
    with opened(str(folder / "labels.tif")) as raster:
        labels = raster.read(1, out_shape=valid.shape)
        order = north_up(raster.transform)
    write_preview(
        folder / "preview.png",
        image[order],
        labels[order],
        valid[order],
        palette=model.palette,
        names=model.legend,
        title=title,
    )


def _count(
    folder: Path,
    assigned: Assigned,
    model: ClusterModel,
    segments: Segments,
    ground: NDArray[np.float64] | None,
) -> SceneResults:
    length = int(model.ids[-1]) + 1

    def total(weights: NDArray[np.number] | None) -> NDArray[np.float64]:
        sums = np.bincount(assigned.cluster, weights=weights, minlength=length)
        return sums[model.ids].astype(np.float64)

    rest = 0.0
    if unlabelled := segments.valid_pixels - int(segments.area.sum()):
        with opened(str(folder / "segments.tif")) as raster:
            rest = unlabelled * pixel_area(raster)
    known = ground is not None and bool(np.isfinite(ground.sum() + rest))
    return SceneResults(
        valid_pixels=segments.valid_pixels,
        cluster_segments=total(None).astype(np.int64),
        cluster_pixels=total(segments.area).astype(np.int64),
        cluster_area_m2=total(ground) if known else None,
        unlabelled_area_m2=rest if known else None,
    )
