"""Results of a scene whose segments have classes: a raster, its style, a preview, and regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.outputs.attribute_table import Counts
from alps_geo.outputs.cog import GeoBox, IdBand, write_cog
from alps_geo.outputs.gpkg.classes import Dissolved
from alps_geo.outputs.gpkg.lock import check_free
from alps_geo.outputs.gpkg.metadata import About
from alps_geo.outputs.gpkg.patches import PatchLayer, write_patches
from alps_geo.outputs.gpkg.segments import unit_length
from alps_geo.outputs.ground import NamedMeasures
from alps_geo.outputs.id_styles import write_labels_style
from alps_geo.outputs.measures import ground_areas
from alps_geo.outputs.names import CLASSES, PATCHES, SEGMENTS, class_preview_file, preview_formats
from alps_geo.outputs.output import check_present
from alps_geo.outputs.polygons import Polygons, polygonize, simplify
from alps_geo.outputs.preview import write_preview
from alps_geo.outputs.preview_sheet import Captions
from alps_geo.outputs.preview_source import PICTURE, read_map
from alps_geo.outputs.raster_rows import RasterRows
from alps_geo.scene.raster import opened, read_window
from alps_geo.segments.table import read_segments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

    from alps_geo.clusters.legend import Legend
    from alps_geo.outputs.output import Place
    from alps_geo.outputs.provenance import Provenance


@dataclass(frozen=True)
class ClassedScene:
    """A scene whose segments have classes.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the scene's results.
    segments_folder : pathlib.Path
        Folder of its segments.
    title : str
        Name of the scene on pictures.
    legend : Legend
        All classes of the run, with those that this scene lacks.
    ids : ndarray of int64, shape (n,)
        Class of each segment, by segment id.
    place : Place
        Place of the scene on the map.
    origin : Provenance
        Program, model, settings and date that the results tell of.
    results : frozenset of str
        Names of the results that the scene had before.
    simplify_by : float
        Detail of the borders to leave out, as of the segments: see
        `alps_geo.outputs.output.LabelledScene`.
    """

    folder: Path
    segments_folder: Path
    title: str
    legend: Legend
    ids: NDArray[np.int64]
    place: Place
    origin: Provenance
    results: frozenset[str]
    simplify_by: float

    @property
    def preview_formats(self) -> tuple[str, ...]:
        """Formats of its preview: those of the preview of its clusters."""
        return preview_formats(self.results)

    @property
    def area_unit(self) -> str:
        """Unit of areas: m2, or px for a scene without a CRS."""
        return "px" if self.place.crs is None else "m2"

    def check(self) -> None:
        """Check that the files are there that the results are made of.

        Raises
        ------
        RunError
            If one is absent.
        """
        check_present(self.folder / SEGMENTS)
        check_present(self.segments_folder / PICTURE)
        if PATCHES in self.results:
            check_free(self.folder / PATCHES)

    def write(self) -> None:
        """Write the raster, its style and the preview, each whole or not at all.

        Raises
        ------
        RunError
            If a file cannot be read or written.
        """
        path, legend = self.folder / CLASSES, self.legend
        dtype = np.uint8 if legend.ids[-1] <= 255 else np.uint16
        of_segment = self._of_segment().astype(dtype)
        tags = self.origin.tags(self.folder.name, "Classes")
        band = IdBand(dtype, "class", legend.palette, legend.names, tags, self._counts())
        with opened(str(self.folder / SEGMENTS)) as ids:
            blocks = ((window, of_segment[block]) for window, block in _blocks(ids, self.folder))
            write_cog(path, blocks, GeoBox.of_raster(ids), band)
        write_labels_style(path, legend.palette, legend.names)
        self._write_preview(path)
        if PATCHES in self.results:
            write_patches(self.folder, self._patches())

    def dissolved(self) -> tuple[Dissolved, NDArray[np.float64]]:
        """Join the segments of each class.

        Returns
        -------
        dissolved : Dissolved
            The regions of the classes that the scene has.
        area : ndarray of float64, shape (k,)
            Area of the pixels of each class of the legend.
        """
        with opened(str(self.folder / SEGMENTS)) as raster:
            transform, crs = self.place.transform_of(raster), self.place.crs
            measure = NamedMeasures(crs, transform)
            exact = found = self._regions(raster, transform, measure)
            measures = exact.measures
            area = np.zeros(len(self.legend))
            area[np.searchsorted(self.legend.ids, exact.segment_id)] = measures[measure.area]
            if self.simplify_by and len(exact):
                tolerance = self.simplify_by / unit_length(raster)
                found = simplify(exact, tolerance, raster.height, raster.width, transform)
                measures = measure(found.geometry)
        listed = tuple(found.segment_id.tolist())
        counts = np.bincount(self.ids, minlength=int(self.legend.ids[-1]) + 1)
        dissolved = Dissolved(
            tuple(self.legend.names[i] for i in listed),
            listed,
            found.geometry,
            measures,
            tuple(counts[list(listed)].tolist()),
        )
        return dissolved, area

    def _patches(self) -> PatchLayer:
        about = About.of(self.origin, self.folder.name, "Patches of classes")
        return PatchLayer(
            self._of_segment(), self.legend, self.place, self.simplify_by, about, by_class=True
        )

    def _counts(self) -> Counts:
        """Count pixels and ground area of each class."""
        segments, _ = read_segments(self.segments_folder)
        ids, length = self.legend.ids, int(self.legend.ids[-1]) + 1
        pixels = np.bincount(self.ids, weights=segments.area, minlength=length)[ids]
        ground = ground_areas(self.folder, segments.area)
        if ground is None or not np.isfinite(ground).all():
            return Counts(ids, pixels.astype(np.int64), None)
        areas = np.bincount(self.ids, weights=ground, minlength=length)[ids]
        return Counts(ids, pixels.astype(np.int64), areas.astype(np.float64))

    def _of_segment(self) -> NDArray[np.int64]:
        """Return the class of each segment id, 0 at 0."""
        return np.concatenate([[0], self.ids])

    def _regions(
        self, raster: DatasetReader, transform: Affine, measure: NamedMeasures
    ) -> Polygons:
        """Trace the classes in the raster of segments; all are held at once."""
        of_segment, rows = self._of_segment(), RasterRows(self.folder / SEGMENTS)
        if not len(self.ids):
            return Polygons.none(measure)
        parts = polygonize(
            lambda start, stop: of_segment[rows(start, stop)],
            (raster.height, raster.width),
            transform,
            measure=measure,
        )
        return Polygons.together(list(parts))

    def _write_preview(self, raster_path: Path) -> None:
        picture = read_map(self.segments_folder, raster_path, self.folder / SEGMENTS)
        paths = [self.folder / class_preview_file(each) for each in self.preview_formats]
        captions = Captions(labels="classes", heading="class")
        write_preview(paths, picture, self.legend, title=self.title, captions=captions)


def _blocks(
    raster: DatasetReader, folder: Path
) -> Iterator[tuple[Window, NDArray[np.unsignedinteger]]]:
    for _, window in raster.block_windows(1):
        yield window, read_window(raster, str(folder / SEGMENTS), (1,), window)[0]
