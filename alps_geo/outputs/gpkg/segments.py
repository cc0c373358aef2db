"""The output of segments as polygons with attributes, measured on the ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np

from alps_geo.outputs.cog import row_reader
from alps_geo.outputs.gpkg.metadata import About
from alps_geo.outputs.gpkg.write import write_segments_gpkg
from alps_geo.outputs.ground import Measures, ground_measures, pixel_area
from alps_geo.outputs.names import POLYGONS, SEGMENTS
from alps_geo.outputs.output import Output
from alps_geo.outputs.polygons import Polygons, polygonize, simplify
from alps_geo.outputs.styles import cluster_labels, cluster_style
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from alps_geo.outputs.output import LabelledScene, SceneSource
    from alps_geo.scene import Scene

AREA = "area_m2"
"""Attribute of the polygons of a scene with a CRS: their area on the ground."""

RASTER = "raster_"
"""Prefix of the measures of a segment's pixels, where its polygon is simplified."""

_BATCH = 50_000
"""Simplified polygons that are written at once."""

_NO_POLYGONS = Polygons(np.empty(0, np.int64), np.empty(0, object))


class SegmentPolygons(Output):
    """``segments.gpkg``, whose clusters are changed by `alps_geo.outputs.gpkg.update`."""

    files = (POLYGONS,)
    needs = (SEGMENTS,)

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:
        """Write the polygons of ``segments.tif``, measured on the ground."""
        # A generator that is given up would close the raster at any time, in any environment.
        with opened(str(labelled.folder / SEGMENTS)) as raster:
            exact = _measured(_polygons(raster, labelled, source.scene), source.scene)
            found = (
                _simplified(exact, source.scene, labelled.simplify_by)
                if labelled.simplify_by
                else exact
            )
            write_segments_gpkg(
                labelled.folder / POLYGONS,
                (_frame(labelled, source.scene, each) for each in found),
                crs=source.scene.crs,
                style=cluster_style(labelled.model.legend),
                about=About.of(labelled.origin, labelled.name, "Segments"),
            )


@dataclass(frozen=True)
class _Measured:
    """Polygons, and their measures by name: arrays (n,)."""

    polygons: Polygons
    measures: Mapping[str, NDArray[np.float64]]


def _polygons(raster: DatasetReader, labelled: LabelledScene, scene: Scene) -> Iterable[Polygons]:
    """Trace the segments of a raster, in batches: at least one, which may be empty."""
    if not len(labelled.segments):
        return [_NO_POLYGONS]
    return polygonize(row_reader(raster), scene.height, scene.width, scene.transform)


def _measured(batches: Iterable[Polygons], scene: Scene) -> Iterator[_Measured]:
    for polygons in batches:
        measures = ground_measures(polygons.geometry, scene.crs, scene.transform)
        yield _Measured(polygons, _named(measures, scene))


def _simplified(
    batches: Iterable[_Measured], scene: Scene, simplify_by: float
) -> Iterator[_Measured]:
    """Simplify polygons all at once, and give them in batches again with both their measures."""
    found = list(batches)
    whole = Polygons(
        np.concatenate([each.polygons.segment_id for each in found]),
        np.concatenate([each.polygons.geometry for each in found]),
    )
    exact = {
        RASTER + name: np.concatenate([each.measures[name] for each in found])
        for name in found[0].measures
    }
    found.clear()
    if len(whole.segment_id):
        tolerance = simplify_by / unit_length(scene)
        whole = simplify(whole, tolerance, scene.height, scene.width, scene.transform)
    for start in range(0, max(len(whole.segment_id), 1), _BATCH):
        rows = slice(start, start + _BATCH)
        part = Polygons(whole.segment_id[rows], whole.geometry[rows])
        drawn = _named(ground_measures(part.geometry, scene.crs, scene.transform), scene)
        yield _Measured(part, drawn | {name: values[rows] for name, values in exact.items()})


def unit_length(scene: Scene | DatasetReader) -> float:
    """Return metres, or pixels without a CRS, per unit of the coordinates at the scene's centre."""
    return float(np.sqrt(pixel_area(scene) / abs(scene.transform.determinant)))


def _named(measures: Measures, scene: Scene) -> dict[str, NDArray[np.float64]]:
    """Name measures by their units: without a CRS there is no ground, and they are in pixels."""
    if scene.crs is None:
        return {"area_px": measures.area, "perimeter_px": measures.perimeter}
    return {AREA: measures.area, "perimeter_m": measures.perimeter}


def _frame(labelled: LabelledScene, scene: Scene, measured: _Measured) -> gpd.GeoDataFrame:
    """Put together the features of some segments."""
    polygons = measured.polygons
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
            **measured.measures,
            "predicted_iou": attributes.predicted_iou[rows],
            "stability_score": attributes.stability_score[rows],
            **bands,
        },
        geometry=polygons.geometry,
        crs=scene.crs,
    )
