"""The output of patches: connected areas of one cluster, or of one class once there are classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np

from alps_geo.outputs.gpkg.layer_styles import update_style
from alps_geo.outputs.gpkg.lock import check_columns, check_free, database_errors, exclusive
from alps_geo.outputs.gpkg.metadata import About, timestamp
from alps_geo.outputs.gpkg.segments import AREA, unit_length
from alps_geo.outputs.gpkg.update import set_changed, without_triggers
from alps_geo.outputs.gpkg.write import write_styled_layer
from alps_geo.outputs.ground import ground_measures
from alps_geo.outputs.names import PATCHES, SEGMENTS
from alps_geo.outputs.output import Output
from alps_geo.outputs.patches import STRIP, find_patches
from alps_geo.outputs.polygons import Polygons, polygonize, simplify
from alps_geo.outputs.styles import class_style, cluster_labels, cluster_style
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from alps_geo.clusters.legend import Legend
    from alps_geo.outputs.output import LabelledScene, Place, SceneSource
    from alps_geo.outputs.patches import Patches
    from alps_geo.outputs.segment_styles import Style

LAYER = "patches"
"""Layer of the patches."""

_BATCH = 50_000
"""Simplified polygons that are written at once."""


class PatchPolygons(Output):
    """``patches.gpkg``: connected areas of one cluster, dissolved.

    Once the segments have classes, `alps_geo.outputs.classes` writes areas of one class instead.
    """

    files = (PATCHES,)
    needs = (SEGMENTS,)

    def check(self, labelled: LabelledScene) -> None:
        """Check that no other program holds the file."""
        check_free(labelled.folder / PATCHES)

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:  # noqa: ARG002
        """Write the areas of each cluster."""
        self.rewrite(labelled)

    def rewrite(self, labelled: LabelledScene) -> None:
        """Write the areas of each cluster, unless there are classes."""
        if labelled.has_classes:
            return
        legend = labelled.model.legend
        about = About.of(labelled.origin, labelled.name, "Patches of clusters")
        of_segment = np.append(0, labelled.assigned.cluster)
        layer = PatchLayer(of_segment, legend, labelled.place, labelled.simplify_by, about)
        write_patches(labelled.folder, layer)

    def rewrite_legend(self, labelled: LabelledScene) -> None:
        """Write names and colours of clusters into the file, unless there are classes."""
        path = labelled.folder / PATCHES
        if labelled.has_classes:
            return
        if not path.is_file():
            self.rewrite(labelled)
            return
        legend, date = labelled.model.legend, labelled.origin.date
        names = cluster_labels(labelled.model)
        with exclusive(path) as database:
            check_columns(path, database, LAYER, ["cluster", "cluster_name"])
            with database_errors(path), without_triggers(database, LAYER):
                changed = 0
                for cluster in legend.palette:
                    name = names.get(cluster, "")
                    changed += database.execute(
                        f"UPDATE {LAYER} SET cluster_name = ?1 "
                        "WHERE cluster = ?2 AND cluster_name IS NOT ?1",
                        [name, cluster],
                    ).rowcount
            with database_errors(path):
                if changed:
                    set_changed(database, LAYER, date)
                update_style(database, LAYER, cluster_style(legend, LAYER), timestamp(date))
                database.execute("COMMIT")


@dataclass(frozen=True)
class PatchLayer:
    """Areas to draw.

    Attributes
    ----------
    of_segment : ndarray of int64, shape (s + 1,)
        Cluster or class of each segment; that at 0 is 0.
    legend : Legend
        The clusters or classes.
    place : Place
        Place of the scene.
    simplify_by : float
        Detail of the borders to leave out.
    about : About
        Description of the layer.
    by_class : bool
        True for classes.
    """

    of_segment: NDArray[np.int64]
    legend: Legend
    place: Place
    simplify_by: float
    about: About
    by_class: bool = False

    @property
    def style(self) -> Style:
        """Style by cluster or class."""
        return (class_style if self.by_class else cluster_style)(self.legend, LAYER)

    def attributes(self, ids: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
        """Return number and name of the cluster or class of some patches."""
        names = np.array([self._names.get(i, "") for i in ids.tolist()], object)
        if self.by_class:
            return {"class": names, "class_id": ids}
        return {"cluster": ids, "cluster_name": names}

    @property
    def _names(self) -> dict[int, str]:
        if self.by_class or not self.legend.names:
            return dict(self.legend.names)
        return {i: self.legend.names.get(i) or str(i) for i in self.legend.palette}


def write_patches(folder: Path, layer: PatchLayer) -> None:
    """Write the patches of a scene.

    Memory follows the number of patches and the width of the scene; if borders are simplified, all
    polygons are held at once.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the scene's results, with its raster of segments.
    layer : PatchLayer
        The areas.

    Raises
    ------
    RunError
        If a file cannot be read or written, or another program holds the one that is there.
    """
    check_free(folder / PATCHES)
    with opened(str(folder / SEGMENTS)) as raster:
        patches = find_patches(raster, layer.of_segment)
        polygons = _polygons(patches, layer)
        write_styled_layer(
            folder / PATCHES,
            (_frame(patches, layer, each) for each in polygons),
            LAYER,
            [layer.style],
            crs=layer.place.crs,
            about=layer.about,
        )


def _polygons(patches: Patches, layer: PatchLayer) -> Iterable[Polygons]:
    """Trace the patches, in batches: at least one, which may be empty."""
    none = Polygons(np.empty(0, np.int64), np.empty(0, object))
    if not len(patches):
        return [none]
    raster = patches.raster
    transform = layer.place.transform_of(raster)
    found = polygonize(patches.read, raster.height, raster.width, transform, strip=STRIP)
    return _simplified(list(found), raster, layer) if layer.simplify_by else found


def _simplified(
    found: list[Polygons], raster: DatasetReader, layer: PatchLayer
) -> Iterator[Polygons]:
    whole = Polygons(
        np.concatenate([each.segment_id for each in found]),
        np.concatenate([each.geometry for each in found]),
    )
    tolerance, transform = layer.simplify_by / unit_length(raster), layer.place.transform_of(raster)
    whole = simplify(whole, tolerance, raster.height, raster.width, transform)
    for start in range(0, len(whole.segment_id), _BATCH):
        rows = slice(start, start + _BATCH)
        yield Polygons(whole.segment_id[rows], whole.geometry[rows])


def _frame(patches: Patches, layer: PatchLayer, polygons: Polygons) -> gpd.GeoDataFrame:
    """Put together the features of some patches."""
    rows, crs = polygons.segment_id - 1, layer.place.crs
    measured = ground_measures(polygons.geometry, crs, layer.place.transform_of(patches.raster))
    names = ("area_px", "perimeter_px") if crs is None else (AREA, "perimeter_m")
    return gpd.GeoDataFrame(
        {
            "patch_id": polygons.segment_id,
            "scene": np.full(len(rows), layer.about.scene, object),
            **layer.attributes(patches.ids[rows]),
            **dict(zip(names, (measured.area, measured.perimeter), strict=True)),
            "segments": patches.segments[rows],
        },
        geometry=polygons.geometry,
        crs=crs,
    )
