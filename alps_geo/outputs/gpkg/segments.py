"""Segments of a scene as polygons with attributes, measured on the ground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import shapely

from alps_geo.outputs.cog import row_reader
from alps_geo.outputs.gpkg.write import write_segments_gpkg
from alps_geo.outputs.ground import Measures, ground_measures
from alps_geo.outputs.polygons import Polygons, polygonize, simplify
from alps_geo.outputs.style import cluster_labels
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.clusters.tree import Assigned
    from alps_geo.scene import Scene
    from alps_geo.segments.stitch import Segments
    from alps_geo.segments.table import Attributes

POLYGONS = "segments.gpkg"

AREA = "area_m2"
"""Attribute of the polygons of a scene with a CRS that their area on the ground is read from."""

RASTER = "raster_"
"""Prefix of what is measured of a segment's pixels, where its polygon is simplified."""

_BATCH = 50_000
"""Polygons that are written at once, where all of them are at hand."""

_NO_POLYGONS = Polygons(np.empty(0, np.int64), np.empty(0, object))


def write_polygons(
    folder: Path,
    scene: Scene,
    segments: Segments,
    attributes: Attributes,
    assigned: Assigned,
    model: ClusterModel,
    simplify_by: float,
) -> NDArray[np.float64]:
    """Write segments.gpkg, from segments.tif.

    Parameters
    ----------
    folder, scene, segments, attributes, assigned, model, simplify_by
        As for `alps_geo.outputs.results.write_results`.

    Returns
    -------
    ndarray of float64, shape (n,)
        Area of each segment as it is in the raster, in m², or pixels without a CRS.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    whole = Measures(np.zeros(len(segments)), np.zeros(len(segments)))
    names = cluster_labels(model)

    def exact(raster: DatasetReader) -> Iterator[Polygons]:
        read = row_reader(raster)
        for polygons in polygonize(read, scene.height, scene.width, scene.transform):
            measures = ground_measures(polygons.geometry, scene.crs, scene.transform)
            whole.area[polygons.segment_id - 1] = measures.area
            whole.perimeter[polygons.segment_id - 1] = measures.perimeter
            yield polygons

    def batches(raster: DatasetReader) -> Iterator[gpd.GeoDataFrame]:
        found = exact(raster)
        found = _simplified(found, scene, simplify_by) if simplify_by else found
        for polygons in found if len(segments) else [_NO_POLYGONS]:
            rows = polygons.segment_id - 1
            in_raster = Measures(whole.area[rows], whole.perimeter[rows])
            columns = _measured(in_raster, scene)
            if simplify_by:
                drawn = ground_measures(polygons.geometry, scene.crs, scene.transform)
                columns = _measured(drawn, scene) | _measured(in_raster, scene, RASTER)
            yield _attributes(scene, attributes, assigned, polygons, columns, names)

    # Opened out here: a generator that is given up would close it at any time, in any environment.
    with opened(str(folder / "segments.tif")) as raster:
        write_segments_gpkg(
            folder / POLYGONS, batches(raster), crs=scene.crs, palette=model.palette, names=names
        )
    return whole.area


def _simplified(
    batches: Iterable[Polygons], scene: Scene, simplify_by: float
) -> Iterator[Polygons]:
    """Simplify polygons all at once, and give them in batches again."""
    found = list(batches)
    whole = Polygons(
        np.concatenate([polygons.segment_id for polygons in found]),
        np.concatenate([polygons.geometry for polygons in found]),
    )
    found.clear()
    tolerance = simplify_by / _unit_length(scene)
    simple = simplify(whole, tolerance, scene.height, scene.width, scene.transform)
    for start in range(0, len(simple.segment_id), _BATCH):
        rows = slice(start, start + _BATCH)
        yield Polygons(simple.segment_id[rows], simple.geometry[rows])


def _unit_length(scene: Scene) -> float:
    """Metres, or pixels without a CRS, per unit of the scene's coordinates, amid the scene."""
    return float(np.sqrt(pixel_area(scene) / abs(scene.transform.determinant)))


def pixel_area(raster: Scene | DatasetReader) -> float:
    """Ground area in m², or pixels without a CRS, of the pixel amid a raster."""
    row, col = raster.height // 2, raster.width // 2
    corners = [raster.transform @ (col + x, row + y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
    pixel = np.array([shapely.Polygon(corners)], dtype=object)
    return float(ground_measures(pixel, raster.crs, raster.transform).area[0])


def _measured(measures: Measures, scene: Scene, prefix: str = "") -> dict[str, NDArray[np.float64]]:
    """Name measures by their units: without a CRS there is no ground, and they are in pixels."""
    names = ("area_px", "perimeter_px") if scene.crs is None else ("area_m2", "perimeter_m")
    values = (measures.area, measures.perimeter)
    return {prefix + name: value for name, value in zip(names, values, strict=True)}


def _attributes(
    scene: Scene,
    attributes: Attributes,
    assigned: Assigned,
    polygons: Polygons,
    measured: Mapping[str, NDArray[np.float64]],
    cluster_names: Mapping[int, str],
) -> gpd.GeoDataFrame:
    rows = polygons.segment_id - 1
    bands = {
        f"mean_{name}": attributes.band_means[rows, i] for i, name in enumerate(scene.band_names)
    }
    cluster = assigned.cluster[rows]
    return gpd.GeoDataFrame(
        {
            "segment_id": polygons.segment_id,
            "cluster": cluster,
            "cluster_name": np.array([cluster_names.get(i, "") for i in cluster.tolist()], object),
            "confidence": assigned.confidence[rows],
            "source": np.where(attributes.is_filled[rows], "fill", "sam"),
            **measured,
            "predicted_iou": attributes.predicted_iou[rows],
            "stability_score": attributes.stability_score[rows],
            **bands,
        },
        geometry=polygons.geometry,
        crs=scene.crs,
    )
