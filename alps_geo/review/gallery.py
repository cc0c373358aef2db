"""Gallery of the clusters of a run: crops of segments that are typical of each, and doubtful."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from alps_geo.errors import RunError
from alps_geo.outputs.gallery_page import ClusterCrops, write_gallery_page
from alps_geo.outputs.names import LABELS, OVERVIEW
from alps_geo.outputs.preview import PICTURE, read_picture
from alps_geo.review.crops import Pick, draw_crops
from alps_geo.review.scenes import open_labelled
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.run import read_finished
from alps_geo.scene.placed import north_up
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.clusters.tree import Assigned
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

    Typical of a cluster are segments near its centre, doubtful those of the least confidence. Both
    are taken from all scenes in turn, and from the larger half of the cluster's segments in each
    scene, which show more.

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
    assigned = {
        name: run.model.apply(table).by_id(table.rows) for name, table in run.tables.items()
    }
    areas = {name: _by_id(table.rows, table.area) for name, table in run.tables.items()}
    chosen = {i: _choose(i, assigned, areas) for i in run.model.legend.palette}
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


def _by_id(rows: NDArray[np.uint32], values: NDArray[np.int64]) -> NDArray[np.int64]:
    return values[np.argsort(rows)]


def _choose(
    cluster: int, assigned: Mapping[str, Assigned], areas: Mapping[str, NDArray[np.int64]]
) -> tuple[list[Pick], list[Pick]]:
    """Choose typical and doubtful segments of a cluster; no segment is both."""
    typical, doubtful = [], []
    for name, found in assigned.items():
        inside = np.flatnonzero(found.cluster == cluster)
        if len(inside) > TYPICAL + DOUBTFUL:
            # As many as are shown, at least.
            size = areas[name][inside]
            least = min(np.median(size), np.sort(size)[-(TYPICAL + DOUBTFUL)])
            inside = inside[size >= least]
        near = inside[np.argsort(found.distance[inside], kind="stable")]
        unsure = inside[np.argsort(found.confidence[inside], kind="stable")]
        typical.append([_pick(name, found, index) for index in near[:TYPICAL]])
        doubtful.append([_pick(name, found, index) for index in unsure[:DOUBTFUL]])
    shown = _in_turn(typical)[:TYPICAL]
    return shown, [pick for pick in _in_turn(doubtful) if pick not in shown][:DOUBTFUL]


def _pick(name: str, found: Assigned, index: int) -> Pick:
    return Pick(name, int(index) + 1, float(found.confidence[index]))


def _in_turn(lists: Iterable[list[Pick]]) -> list[Pick]:
    """Take the first of each list, then the second of each, and so on."""
    ranked = [(rank, pick) for picks in lists for rank, pick in enumerate(picks)]
    return [pick for _, pick in sorted(ranked, key=lambda entry: entry[0])]


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
