"""Looks of the clusters of a run, from its segments or from the pictures of its scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alps_geo.clusters.looks import mean_looks
from alps_geo.outputs.names import LABELS
from alps_geo.outputs.preview_source import PICTURE, read_picture
from alps_geo.scene.raster import opened
from alps_geo.segments.images import open_image_table
from alps_geo.segments.table import read_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.looks import Part
    from alps_geo.clusters.model import ClusterModel
    from alps_geo.runs.run import FinishedRun
    from alps_geo.segments.table import SegmentTable

    Display = Callable[[NDArray[np.float64]], NDArray[np.uint8]]
    """Colours in the image, shape (n, 3), of values of the bands, shape (n, B)."""


def segment_looks(
    model: ClusterModel, tables: Sequence[SegmentTable], displays: Sequence[Display]
) -> NDArray[np.float64]:
    """Return the mean colour of each cluster, shape (k, 3), from the bands of segments.

    Parameters
    ----------
    model : ClusterModel
        The clusters.
    tables : sequence of SegmentTable
        The segments of each scene.
    displays : sequence of callable
        For each scene, the colours in the image of values of its bands.
    """

    def parts() -> Iterator[Part]:
        for table, display in zip(tables, displays, strict=True):
            if len(table):
                segments, attributes = read_segments(table.folder)
                cluster = model.apply(table).by_id(table.rows).cluster
                yield cluster, display(attributes.band_means), segments.area

    return mean_looks(model.legend.ids, parts())


def run_looks(run: FinishedRun) -> NDArray[np.float64]:
    """Return the mean colour of each cluster of a finished run, shape (k, 3).

    Scenes are looked up in the pictures that are stored of them; of a folder of images, one image
    is opened.

    Raises
    ------
    RunError
        If the picture of a scene, or its labels, cannot be read.
    SceneError
        If an image is needed and cannot be read.
    """
    if run.record.folder is None:
        return mean_looks(run.model.legend.ids, _pictured(run))
    names = list(run.tables)
    displays = [open_image_table(run.folder.segments_folder(each)).displayed for each in names]
    return segment_looks(run.model, [run.tables[name] for name in names], displays)


def _pictured(run: FinishedRun) -> Iterator[Part]:
    """Give clusters and colours of the pixels in the pictures of all scenes."""
    for scene in run.record.scenes:
        image, valid = read_picture(run.folder.segments_folder(scene.name) / PICTURE)
        with opened(str(run.folder.scene_folder(scene.name) / LABELS)) as raster:
            labels = raster.read(1, out_shape=valid.shape)[valid]
        # A pixel of a picture stands for as many as the scene is larger than that.
        weight = scene.height * scene.width / valid.size
        yield labels, image[valid], np.full(len(labels), weight)
