"""Results of a scene whose pixels have classes: rasters, a style, regions and a preview."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np

from alps_geo.outputs.cog import GeoBox, IdBand, write_cogs
from alps_geo.outputs.gpkg.metadata import About
from alps_geo.outputs.gpkg.segments import unit_length
from alps_geo.outputs.gpkg.write import write_styled_layer
from alps_geo.outputs.ground import NamedMeasures
from alps_geo.outputs.id_styles import write_labels_style
from alps_geo.outputs.names import CLASSES, PREDICTED_PREVIEW, PROBABILITY, REGIONS
from alps_geo.outputs.polygons import Polygons, polygonize, simplify
from alps_geo.outputs.preview import write_preview
from alps_geo.outputs.preview_sheet import Captions
from alps_geo.outputs.preview_source import PREVIEW_SIZE, picture_of
from alps_geo.outputs.provenance import Provenance
from alps_geo.outputs.raster_rows import RasterRows
from alps_geo.outputs.regions import STRIP, find_regions
from alps_geo.outputs.styles import region_style
from alps_geo.scene import read_overview

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.clusters.legend import Legend
    from alps_geo.outputs.regions import Regions, RowReader
    from alps_geo.scene import Scene

    Pixels = NDArray[np.unsignedinteger]
    Blocks = Iterable[tuple[Window, tuple[Pixels, Pixels]]]

_LAYER = "regions"
_PERCENT = 100


@dataclass(frozen=True)
class ClassTotals:
    """Totals of the classes of a scene, in the order of the legend.

    Attributes
    ----------
    regions, pixels : ndarray of int64, shape (k,)
        Regions and pixels of each class.
    area : ndarray of float64, shape (k,)
        Its area in square metres; in pixels without a CRS.
    probability : ndarray of float64, shape (k,)
        Sum of the probabilities of its pixels.
    """

    regions: NDArray[np.int64]
    pixels: NDArray[np.int64]
    area: NDArray[np.float64]
    probability: NDArray[np.float64]


@dataclass(frozen=True)
class ClassMap:
    """A map of classes that is to be written.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the results.
    scene : Scene
        The scene.
    legend : Legend
        All classes of the run, with those that this scene lacks.
    simplify_by : float
        Detail of the regions' borders to leave out: see `alps_geo.outputs.output.LabelledScene`.
    origin : Provenance
        Program, model, settings and date that the results tell of.
    """

    folder: Path
    scene: Scene
    legend: Legend
    simplify_by: float
    origin: Provenance = field(default_factory=Provenance)

    def write(self, blocks: Blocks) -> ClassTotals:
        """Write all results, each whole or not at all.

        Parameters
        ----------
        blocks : iterable of (window, (array, array))
            The map in pieces, read once: the id of the class of each pixel, 0 for none, and its
            probability in percent, 1 to 100, as uint8, 0 for none.

        Raises
        ------
        RunError
            If a file cannot be written.
        """
        legend, box = self.legend, GeoBox.of_scene(self.scene)
        dtype = np.uint8 if legend.ids[-1] <= 255 else np.uint16
        path = self.folder / CLASSES
        tags = self.origin.tags(self.scene.name, "Classes")
        bands = {
            path: IdBand(dtype, "class", legend.palette, legend.names, tags=tags),
            self.folder / PROBABILITY: IdBand(
                np.uint8, "probability of the class in percent", is_quantity=True
            ),
        }
        write_cogs(bands, blocks, box)
        write_labels_style(path, legend.palette, legend.names)
        totals = self._write_regions()
        self._write_preview()
        return totals

    def _write_regions(self) -> ClassTotals:
        rows, percent = (RasterRows(self.folder / name) for name in (CLASSES, PROBABILITY))
        regions = find_regions(rows, percent, self.scene.height)
        area = np.zeros(len(regions))
        write_styled_layer(
            self.folder / REGIONS,
            self._frames(regions, regions.reader(rows), area),
            _LAYER,
            [region_style(self.legend, _LAYER)],
            crs=self.scene.crs,
            about=About.of(self.origin, self.scene.name, "Regions"),
        )
        position = np.searchsorted(self.legend.ids, regions.classes)

        def total(weights: NDArray[np.number]) -> NDArray[np.float64]:
            return np.bincount(position, weights, minlength=len(self.legend)).astype(np.float64)

        return ClassTotals(
            np.bincount(position, minlength=len(self.legend)),
            total(regions.pixels).astype(np.int64),
            total(area),
            total(regions.values * regions.pixels) / _PERCENT,
        )

    def _frames(
        self, regions: Regions, read: RowReader, area: NDArray[np.float64]
    ) -> Iterator[gpd.GeoDataFrame]:
        """Trace the regions in batches, one at least, and note the areas of their pixels."""
        scene = self.scene
        measure = NamedMeasures(scene.crs, scene.transform)
        if not len(regions):
            yield self._frame(regions, Polygons.none(measure))
            return
        shape, transform = (scene.height, scene.width), scene.transform
        whole: list[Polygons] = []
        for polygons in polygonize(read, shape, transform, strip=STRIP, measure=measure):
            area[polygons.segment_id - 1] = polygons.measures[measure.area]
            if self.simplify_by:
                whole.append(polygons)
            else:
                yield self._frame(regions, polygons)
        if whole:
            tolerance = self.simplify_by / unit_length(scene)
            simple = simplify(Polygons.together(whole), tolerance, *shape, transform)
            yield self._frame(regions, replace(simple, measures=measure(simple.geometry)))

    def _frame(self, regions: Regions, polygons: Polygons) -> gpd.GeoDataFrame:
        """Put together the features of some regions; areas are of their polygons as drawn."""
        scene, rows = self.scene, polygons.segment_id - 1
        classes = regions.classes[rows]
        return gpd.GeoDataFrame(
            {
                "region_id": polygons.segment_id,
                "class": np.array([self.legend.names[i] for i in classes.tolist()], object),
                "class_id": classes,
                "probability": regions.values[rows] / _PERCENT,
                "pixels": regions.pixels[rows],
                **polygons.measures,
            },
            geometry=polygons.geometry,
            crs=scene.crs,
        )

    def _write_preview(self) -> None:
        pixels = read_overview(self.scene, PREVIEW_SIZE)
        picture = picture_of(pixels.image, pixels.valid, self.folder / CLASSES)
        captions = Captions(labels="classes", segments="borders", heading="class")
        paths = [self.folder / PREDICTED_PREVIEW]
        write_preview(paths, picture, self.legend, title=self.scene.name, captions=captions)
