"""The outputs of segment ids and cluster ids as rasters on the grid of the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alps_geo.outputs.attribute_table import Counts, category_names
from alps_geo.outputs.cog import GeoBox, IdBand, stored_counts, write_cog, write_legend
from alps_geo.outputs.id_styles import write_labels_style, write_segments_style
from alps_geo.outputs.measures import measure
from alps_geo.outputs.names import LABELS, LABELS_TABLE, POLYGONS, SEGMENTS
from alps_geo.outputs.output import Output, check_present
from alps_geo.scene.raster import opened, read_window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

    from alps_geo.outputs.output import LabelledScene, SceneSource


class SegmentsRaster(Output):
    """``segments.tif``: the id of the segment of each pixel."""

    files = (SEGMENTS,)

    def check(self, labelled: LabelledScene) -> None:
        """Check that the raster is there: labels are painted from it."""
        check_present(labelled.folder / SEGMENTS)

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:
        """Write the blocks of the source."""
        box = GeoBox.of_scene(source.scene)
        tags = labelled.origin.tags(labelled.name, "Ids of segments")
        band = IdBand(np.uint32, "segment id", tags=tags)
        write_cog(labelled.folder / SEGMENTS, source.blocks, box, band)


class SegmentsStyle(Output):
    """``segments.qml``: the style of ``segments.tif`` in QGIS."""

    files = ("segments.qml",)

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:  # noqa: ARG002
        """Write the style."""
        write_segments_style(labelled.folder / SEGMENTS, len(labelled.segments))


class LabelsRaster(Output):
    """``labels.tif``: the id of the cluster of each pixel, with colours and names.

    GDAL reads names, counts and areas from ``labels.tif.aux.xml``.
    """

    files = (LABELS, LABELS_TABLE)
    needs = (SEGMENTS, POLYGONS)

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:  # noqa: ARG002
        """Write the cluster of each pixel's segment."""
        self.rewrite(labelled)

    def rewrite(self, labelled: LabelledScene) -> None:
        """Write the cluster of each pixel's segment."""
        model = labelled.model
        cluster_of_id = np.concatenate([[0], labelled.assigned.cluster])
        dtype = np.uint8 if model.legend.ids[-1] <= 255 else np.uint16
        with opened(str(labelled.folder / SEGMENTS)) as ids:
            blocks = (
                (window, cluster_of_id[block].astype(dtype))
                for window, block in _blocks(ids, labelled.folder / SEGMENTS)
            )
            band = _band(labelled, dtype, _counts(labelled))
            write_cog(labelled.folder / LABELS, blocks, GeoBox.of_raster(ids), band)

    def rewrite_legend(self, labelled: LabelledScene) -> None:
        """Write the raster again where colours changed, else the names next to it."""
        path, model = labelled.folder / LABELS, labelled.model
        if not path.is_file():
            self.rewrite(labelled)
            return
        counts = stored_counts(path)
        if counts is None or counts.ids.tolist() != model.legend.ids.tolist():
            counts = _counts(labelled)
        with opened(str(path)) as raster:
            colors, band = raster.colormap(1), _band(labelled, raster.dtypes[0], counts)
            recolored = any(colors[i][:3] != color for i, color in model.legend.palette.items())
            if recolored:
                write_cog(path, _blocks(raster, path), GeoBox.of_raster(raster), band)
        if not recolored:
            write_legend(path, band)


class LabelsStyle(Output):
    """``labels.qml``: the style of ``labels.tif`` in QGIS."""

    files = ("labels.qml",)

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:  # noqa: ARG002
        """Write the style."""
        self.rewrite_legend(labelled)

    def rewrite(self, labelled: LabelledScene) -> None:
        """Write the style again."""
        self.rewrite_legend(labelled)

    def rewrite_legend(self, labelled: LabelledScene) -> None:
        """Write the style again."""
        model = labelled.model
        write_labels_style(labelled.folder / LABELS, model.legend.palette, model.legend.names)


def _blocks(
    raster: DatasetReader, path: Path
) -> Iterator[tuple[Window, NDArray[np.unsignedinteger]]]:
    for _, window in raster.block_windows(1):
        yield window, read_window(raster, str(path), (1,), window)[0]


def _band(labelled: LabelledScene, dtype: DTypeLike, counts: Counts) -> IdBand:
    legend, tags = labelled.model.legend, labelled.origin.tags(labelled.name, "Clusters")
    return IdBand(dtype, "cluster", legend.palette, category_names(legend), tags, counts)


def _counts(labelled: LabelledScene) -> Counts:
    found = measure(labelled)
    return Counts(labelled.model.legend.ids, found.cluster_pixels, found.cluster_area_m2)
