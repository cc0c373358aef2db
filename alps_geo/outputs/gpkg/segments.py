"""The output of segments as polygons with attributes, measured on the ground."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np

from alps_geo.outputs.gpkg.metadata import About
from alps_geo.outputs.gpkg.write import write_segments_gpkg
from alps_geo.outputs.ground import NamedMeasures, pixel_area
from alps_geo.outputs.names import POLYGONS, SEGMENTS
from alps_geo.outputs.output import Output
from alps_geo.outputs.polygons import Polygons, polygonize, simplify
from alps_geo.outputs.raster_rows import RasterRows
from alps_geo.outputs.styles import cluster_labels, cluster_style

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rasterio.io import DatasetReader

    from alps_geo.outputs.output import LabelledScene, SceneSource
    from alps_geo.scene import Scene

RASTER = "raster_"
"""Prefix of the measures of a segment's pixels, where its polygon is simplified."""


class SegmentPolygons(Output):
    """``segments.gpkg``, whose clusters are changed by `alps_geo.outputs.gpkg.update`."""

    files = (POLYGONS,)
    needs = (SEGMENTS,)
    is_mapped = True

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:
        """Write the polygons of ``segments.tif``, measured on the ground."""
        scene = source.scene
        found = _polygons(labelled, source)
        if labelled.simplify_by:
            found = _simplified(found, scene, labelled.simplify_by)
        write_segments_gpkg(
            labelled.folder / POLYGONS,
            (_frame(labelled, scene, each) for each in found),
            crs=scene.crs,
            style=cluster_style(labelled.model.legend),
            about=About.of(labelled.origin, labelled.name, "Segments"),
        )


def _polygons(labelled: LabelledScene, source: SceneSource) -> Iterable[Polygons]:
    """Trace the segments of a raster, in batches: at least one, which may be empty."""
    scene = source.scene
    measure = NamedMeasures(scene.crs, scene.transform)
    if not len(labelled.segments):
        return [Polygons.none(measure)]
    rows, shape = RasterRows(labelled.folder / SEGMENTS), (scene.height, scene.width)
    return polygonize(rows, shape, scene.transform, measure=measure, mapper=source.mapper)


def _simplified(
    batches: Iterable[Polygons], scene: Scene, simplify_by: float
) -> Iterator[Polygons]:
    """Simplify polygons all at once, and give them in batches again with both their measures."""
    exact = Polygons.together(list(batches))
    measures = {RASTER + name: values for name, values in exact.measures.items()}
    geometry = exact.geometry
    if len(exact):
        tolerance = simplify_by / unit_length(scene)
        geometry = simplify(exact, tolerance, scene.height, scene.width, scene.transform).geometry
    whole = Polygons(exact.segment_id, geometry, measures)
    measure = NamedMeasures(scene.crs, scene.transform)
    for part in whole.batches():
        yield replace(part, measures={**measure(part.geometry), **part.measures})


def unit_length(scene: Scene | DatasetReader) -> float:
    """Return metres, or pixels without a CRS, per unit of the coordinates at the scene's centre."""
    return float(np.sqrt(pixel_area(scene) / abs(scene.transform.determinant)))


def _frame(labelled: LabelledScene, scene: Scene, polygons: Polygons) -> gpd.GeoDataFrame:
    """Put together the features of some segments."""
    rows = polygons.segment_id - 1
    attributes, names = labelled.attributes, cluster_labels(labelled.model)
    cluster = labelled.assigned.cluster[rows]
    bands = {
        f"{measure}_{name}": values[rows, i]
        for measure, values in (("mean", attributes.band_means), ("std", attributes.band_stds))
        for i, name in enumerate(scene.band_names)
    }
    return gpd.GeoDataFrame(
        {
            "segment_id": polygons.segment_id,
            "scene": np.full(len(rows), labelled.name, object),
            "cluster": cluster,
            "cluster_name": np.array([names.get(i, "") for i in cluster.tolist()], object),
            "confidence": labelled.assigned.confidence[rows],
            "source": np.where(attributes.is_filled[rows], "fill", "sam"),
            **polygons.measures,
            "predicted_iou": attributes.predicted_iou[rows],
            "stability_score": attributes.stability_score[rows],
            **bands,
        },
        geometry=polygons.geometry,
        crs=scene.crs,
    )
