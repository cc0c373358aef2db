"""Gallery of the clusters of a run: crops of segments that are typical of each, and doubtful."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from alps_geo.errors import RunError
from alps_geo.outputs.gallery_page import ClusterCrops, write_gallery_page
from alps_geo.outputs.names import LABELS, OVERVIEW
from alps_geo.outputs.preview_source import PICTURE, read_picture
from alps_geo.review.crops import draw_crops
from alps_geo.review.picks import pick_segments
from alps_geo.review.scenes import open_labelled
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.run import read_finished
from alps_geo.scene.placed import north_up
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alps_geo.runs.run import FinishedRun

TYPICAL, DOUBTFUL = 6, 4
"""Crops per cluster, at most."""

MAP_SIDE = 220
"""Longer side of the map of a cluster, in pixels of the page."""

_FAINT = 0.45


def make_gallery(
    path: Path,
    page: Path,
    listen: Callable[[int, int], None] = lambda _, __: None,
) -> None:
    """Show the clusters of a finished run on one HTML page that needs nothing else.

    It shows segments of each cluster that `alps_geo.review.picks.pick_segments` chooses.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    page : pathlib.Path
        File to write.
    listen : callable
        Called with the number of crops that are made, and of all crops.

    Raises
    ------
    RunError
        If there is no finished run, or a file cannot be read or written.
    SceneError
        If a scene is gone or has changed.
    """
    run = read_finished(RunFolder(path))
    if run.record.folder is not None:
        raise RunError(
            f"{path} holds masks of images, and the gallery shows crops of scenes: look at the "
            f"pictures in {path / OVERVIEW}, or label with --vis"
        )
    scenes = {record.name: open_labelled(run, record) for record in run.record.scenes}
    chosen = pick_segments(run, scenes, typical=TYPICAL, doubtful=DOUBTFUL)
    picks = [pick for both in chosen.values() for some in both for pick in some]
    crops = draw_crops(run, scenes, picks, listen)
    maps = _Maps(run)
    clusters = [
        ClusterCrops(
            cluster=record.cluster,
            name=record.name,
            color=record.color,
            share=record.share,
            segments=record.segments,
            map=maps.draw(record.cluster),
            typical=tuple(crops[pick] for pick in typical if pick in crops),
            doubtful=tuple(crops[pick] for pick in doubtful if pick in crops),
        )
        for record in run.record.clusters
        for typical, doubtful in [chosen[record.cluster]]
    ]
    names = [scene.name for scene in scenes.values()]
    write_gallery_page(page, str(path), run.model.stamp, names, clusters)


class _Maps:
    """Maps of clusters, each in the scene of which it covers the largest share."""

    def __init__(self, run: FinishedRun) -> None:
        self._palette = run.model.legend.palette
        self._scenes = []
        for name in run.tables:
            image, valid = read_picture(run.folder.segments_folder(name) / PICTURE)
            with opened(str(run.folder.scene_folder(name) / LABELS)) as raster:
                labels = raster.read(1, out_shape=valid.shape)
                order = north_up(raster.transform)
            self._scenes.append((image[order], labels[order]))

    def draw(self, cluster: int) -> Image.Image:
        """Draw a cluster in its colour on a faint grey scene."""
        image, labels = max(self._scenes, key=lambda scene: float((scene[1] == cluster).mean()))
        faint = 255 - (255 - image.mean(axis=-1, keepdims=True).repeat(3, axis=-1)) * _FAINT
        faint[labels == cluster] = self._palette[cluster]
        whole = Image.fromarray(np.rint(faint).astype(np.uint8))
        whole.thumbnail((MAP_SIDE, MAP_SIDE), Image.Resampling.BOX)
        return whole
