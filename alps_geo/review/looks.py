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
    from alps_geo.clusters.tree import Assigned
    from alps_geo.runs.run import FinishedRun
    from alps_geo.segments.table import SegmentTable

    Display = Callable[[NDArray[np.float64]], NDArray[np.uint8]]
    """Colours in the image, shape (n, 3), of values of the bands, shape (n, B)."""


def segment_looks(
    ids: NDArray[np.int64],
    tables: Sequence[SegmentTable],
    assigned: Sequence[Assigned],
    displays: Sequence[Display],
) -> NDArray[np.float64]:
    """Return the mean colour of each cluster, shape (k, 3), from the bands of segments.

    Parameters
    ----------
    ids : ndarray of int64, shape (k,)
        Ids of the clusters, ascending.
    tables : sequence of SegmentTable
        The segments of each scene.
    assigned : sequence of Assigned
        Their clusters, in the order of the rows of each table.
    displays : sequence of callable
        For each scene, the colours in the image of values of its bands.
    """

    def parts() -> Iterator[Part]:
        for table, found, display in zip(tables, assigned, displays, strict=True):
            if len(table):
                segments, attributes = read_segments(table.folder)
                yield found.by_id(table.rows).cluster, display(attributes.band_means), segments.area

    return mean_looks(ids, parts())


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
    tables = [run.tables[name] for name in names]
    return segment_looks(run.model.legend.ids, tables, run.model.apply_to_all(tables), displays)


def _pictured(run: FinishedRun) -> Iterator[Part]:
    """Give clusters and colours of the pixels in the pictures of all scenes."""
    for scene in run.record.scenes:
        image, valid = read_picture(run.folder.segments_folder(scene.name) / PICTURE)
        with opened(str(run.folder.scene_folder(scene.name) / LABELS)) as raster:
            labels = raster.read(1, out_shape=valid.shape)[valid]
        # A pixel of a picture stands for as many as the scene is larger than that.
        weight = scene.height * scene.width / valid.size
        yield labels, image[valid], np.full(len(labels), weight)
