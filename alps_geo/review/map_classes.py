"""Maps of a finished run: its rasters of ids, and the class or cluster that each id stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from alps_geo.errors import RunError
from alps_geo.evaluate.rasters import open_ids
from alps_geo.outputs.ground import pixel_area
from alps_geo.outputs.names import CLASSES, LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.runs.run import FinishedRun

By: TypeAlias = Literal["class", "cluster"]


@dataclass(frozen=True)
class RunMap:
    """A map of all scenes of a run.

    Attributes
    ----------
    scenes : tuple of str
        Names of the scenes.
    rasters : tuple of pathlib.Path
        Raster of ids of each.
    names : tuple of str
        Names of the clusters or classes.
    number_of_id : ndarray of int64, shape (highest id + 2,)
        Index in `names` for each id, -1 for none; the last stands for ids of no cluster.
    unit : str
        Unit of areas: ``m2``, or ``px`` where not all scenes have ground areas.
    """

    scenes: tuple[str, ...]
    rasters: tuple[Path, ...]
    names: tuple[str, ...]
    number_of_id: NDArray[np.int64]
    unit: str

    def blocks(self) -> Iterator[tuple[int, Window, NDArray[np.int64]]]:
        """Read all pixels block by block: index of the scene, window, index in `names` or -1."""
        for number, path in enumerate(self.rasters):
            with open_ids(str(path)) as raster:
                for _, window in raster.dataset.block_windows(1):
                    yield number, window, self.numbers(raster.read(window))

    def numbers(self, ids: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return the index in `names` of each id, -1 for none."""
        return self.number_of_id[np.minimum(ids, len(self.number_of_id) - 1)]

    def pixel_areas(self) -> NDArray[np.float64]:
        """Return the area of a pixel of each scene, the central one; 1 without ground areas."""
        if self.unit == "px":
            return np.ones(len(self.rasters))
        areas = []
        for path in self.rasters:
            with open_ids(str(path)) as raster:
                areas.append(pixel_area(raster.dataset))
        return np.array(areas)


def class_names(run: FinishedRun) -> dict[int, str]:
    """Return the names of the classes of a run by their ids, or by clusters; empty without any."""
    if run.record.classes is None:
        return dict(run.model.legend.names)
    return {each.id: each.name for each in run.record.classes}


def map_of(run: FinishedRun, by: By) -> RunMap:
    """Return the map of the clusters of a run, or of its classes.

    Classes are those of ``alps-geo classify``; in a run without, the names of its clusters.

    Raises
    ------
    RunError
        If the run is over images, which have no maps, or has no classes.
    """
    if run.record.folder is not None:
        raise RunError(
            f"{run.folder.path}: this run is over a folder of images, which has no maps; "
            "expected one over rasters"
        )
    names_of_ids = class_names(run)
    file = LABELS if run.record.classes is None else CLASSES
    if by == "cluster":
        names_of_ids = {cluster: str(cluster) for cluster in run.model.legend.palette}
        file = LABELS
    if not names_of_ids:
        raise RunError(
            f"{run.folder.path}: its segments have no classes, and no cluster has a name; give "
            "them classes with alps-geo classify, name clusters with alps-geo clusters name, or "
            "take clusters with --strata cluster"
        )
    names = tuple(dict.fromkeys(names_of_ids.values()))
    if by == "class":
        names = tuple(sorted(names))
    numbers = np.full(max(names_of_ids) + 2, -1)
    numbers[list(names_of_ids)] = [names.index(name) for name in names_of_ids.values()]
    scenes = tuple(scene.name for scene in run.record.scenes)
    rasters = tuple(run.folder.scene_folder(name) / file for name in scenes)
    return RunMap(scenes, rasters, names, numbers, run.record.area_unit)
