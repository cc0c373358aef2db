"""The output of patches: connected areas of one cluster, or of one class once there are classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np

from alps_geo.features.mapping import HERE
from alps_geo.outputs.gpkg.layer_styles import update_style
from alps_geo.outputs.gpkg.lock import check_columns, check_free, database_errors, exclusive
from alps_geo.outputs.gpkg.metadata import About, timestamp
from alps_geo.outputs.gpkg.segments import unit_length
from alps_geo.outputs.gpkg.update import set_changed, without_triggers
from alps_geo.outputs.gpkg.write import write_styled_layer
from alps_geo.outputs.ground import NamedMeasures
from alps_geo.outputs.names import PATCHES, SEGMENTS
from alps_geo.outputs.output import Output
from alps_geo.outputs.patches import STRIP, find_patches
from alps_geo.outputs.polygons import Polygons, no_measures, polygonize, simplify
from alps_geo.outputs.raster_rows import RasterRows
from alps_geo.outputs.styles import class_style, cluster_labels, cluster_style
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.clusters.legend import Legend
    from alps_geo.features.mapping import Mapper
    from alps_geo.outputs.output import LabelledScene, Place, SceneSource
    from alps_geo.outputs.patches import Patches
    from alps_geo.outputs.segment_styles import Style

LAYER = "patches"
"""Layer of the patches."""


class PatchPolygons(Output):
    """``patches.gpkg``: connected areas of one cluster, dissolved.

    Once the segments have classes, `alps_geo.outputs.classes` writes areas of one class instead.
    """

    files = (PATCHES,)
    needs = (SEGMENTS,)
    is_mapped = True

    def check(self, labelled: LabelledScene) -> None:
        """Check that no other program holds the file."""
        check_free(labelled.folder / PATCHES)

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:
        """Write the areas of each cluster."""
        self._write(labelled, source.mapper)

    def rewrite(self, labelled: LabelledScene) -> None:
        """Write the areas of each cluster, unless there are classes."""
        self._write(labelled, HERE)

    def _write(self, labelled: LabelledScene, mapper: Mapper) -> None:
        if labelled.has_classes:
            return
        legend = labelled.model.legend
        about = About.of(labelled.origin, labelled.name, "Patches of clusters")
        of_segment = np.append(0, labelled.assigned.cluster)
        layer = PatchLayer(of_segment, legend, labelled.place, labelled.simplify_by, about)
        write_patches(labelled.folder, layer, mapper)

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


def write_patches(folder: Path, layer: PatchLayer, mapper: Mapper = HERE) -> None:
    """Write the patches of a scene.

    Memory follows the number of patches and the width of the scene; if borders are simplified, all
    polygons are held at once.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the scene's results, with its raster of segments.
    layer : PatchLayer
        The areas.
    mapper : Mapper
        Maps the work over strips of the raster.

    Raises
    ------
    RunError
        If a file cannot be read or written, or another program holds the one that is there.
    """
    check_free(folder / PATCHES)
    with opened(str(folder / SEGMENTS)) as raster:
        shape, transform = (raster.height, raster.width), layer.place.transform_of(raster)
        tolerance = layer.simplify_by / unit_length(raster) if layer.simplify_by else 0.0
    patches = find_patches(RasterRows(folder / SEGMENTS), shape[0], layer.of_segment, mapper)
    measure = NamedMeasures(layer.place.crs, transform)
    found: Iterable[Polygons] = [Polygons.none(measure)]
    if len(patches):
        traced = no_measures if tolerance else measure
        found = polygonize(
            patches.read, shape, transform, strip=STRIP, measure=traced, mapper=mapper
        )
    if tolerance and len(patches):
        whole = simplify(Polygons.together(list(found)), tolerance, *shape, transform)
        found = replace(whole, measures=measure(whole.geometry)).batches()
    write_styled_layer(
        folder / PATCHES,
        (_frame(patches, layer, each) for each in found),
        LAYER,
        [layer.style],
        crs=layer.place.crs,
        about=layer.about,
    )


def _frame(patches: Patches, layer: PatchLayer, polygons: Polygons) -> gpd.GeoDataFrame:
    """Put together the features of some patches."""
    rows = polygons.segment_id - 1
    return gpd.GeoDataFrame(
        {
            "patch_id": polygons.segment_id,
            "scene": np.full(len(rows), layer.about.scene, object),
            **layer.attributes(patches.ids[rows]),
            **polygons.measures,
            "segments": patches.segments[rows],
        },
        geometry=polygons.geometry,
        crs=layer.place.crs,
    )
