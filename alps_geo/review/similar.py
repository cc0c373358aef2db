"""Segments most like one, found in all scenes of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
from rasterio.windows import Window

from alps_geo.classes.model import table_rows
from alps_geo.errors import RunError, SettingsError
from alps_geo.evaluate.rasters import open_ids
from alps_geo.outputs.gpkg.read import read_geometries
from alps_geo.outputs.gpkg.write import write_layer
from alps_geo.outputs.names import POLYGONS, SEGMENTS
from alps_geo.outputs.styles import cluster_label
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.run import read_finished

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alps_geo.runs.run import FinishedRun

LAYER = "similar"
"""Layer of the segments most like one."""


@dataclass(frozen=True)
class Similar:
    """A segment that is like another.

    Attributes
    ----------
    scene : str
        Name of the scene's folder.
    segment : int
        Its id.
    distance : float
        Distance of the two in the space in which segments are compared; 0 for the segment itself.
    cluster : int
        Its cluster.
    name : str
        Name of the cluster, or its number.
    """

    scene: str
    segment: int
    distance: float
    cluster: int
    name: str

    def to_json(self) -> dict[str, object]:
        """Return the segment as a JSON object."""
        return {
            "scene": self.scene,
            "segment_id": self.segment,
            "distance": self.distance,
            "cluster": self.cluster,
            "cluster_name": self.name,
        }


@dataclass(frozen=True)
class Wanted:
    """The segment that others are compared with.

    Attributes
    ----------
    segment : int or None
        Its id.
    point : tuple of float or None
        A point on it, (x, y) in the CRS of the scene; (col, -row) of a scene without one.
    scene : str or None
        Name of its scene's folder; not needed for a run of one scene, or a point in one alone.
    """

    segment: int | None = None
    point: tuple[float, float] | None = None
    scene: str | None = None


def find_similar(path: Path, wanted: Wanted, count: int, layer: Path) -> tuple[Similar, ...]:
    """Find the segments most like one in all scenes of a finished run, and write them as a layer.

    Segments are compared as the clusters of the run compare them.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    wanted : Wanted
        The segment.
    count : int
        Number of segments to find, the segment itself not counted.
    layer : pathlib.Path
        GeoPackage to write, in the CRS of the segment's scene.

    Returns
    -------
    tuple of Similar
        The segment itself first, then the others by their distance.

    Raises
    ------
    RunError
        If there is no finished run, or it is one over images; or if a file cannot be read or
        written.
    SettingsError
        If there is no such scene or segment, or the layer's name does not end in .gpkg.
    """
    if layer.suffix.lower() != ".gpkg":
        raise SettingsError(
            f"{layer}: the layer is a GeoPackage; expected a name that ends in .gpkg"
        )
    run = read_finished(RunFolder(path))
    if run.record.folder is not None:
        raise RunError(f"{path} holds masks of images, expected a run over scenes")
    scene, segment = _find(run, wanted)
    projection = run.model.projection
    rows = {
        name: table_rows(projection, table, table.rows)
        for name, table in run.tables.items()
        if table.kind in projection.kinds
    }
    here = rows[scene][segment - 1]
    distances = {name: np.sqrt(((each - here) ** 2).sum(axis=1)) for name, each in rows.items()}
    nearest = [
        (float(values[index]), name, int(index) + 1)
        for name, values in distances.items()
        for index in np.argsort(values, kind="stable")[: count + 1]
    ]
    nearest.sort(key=lambda entry: (entry[1:] != (scene, segment), entry[0]))
    names = run.model.legend.names
    clusters = {
        name: run.clusters.assign(name, table).cluster for name, table in run.tables.items()
    }
    found = tuple(
        Similar(
            name,
            number,
            distance,
            int(clusters[name][number - 1]),
            cluster_label(int(clusters[name][number - 1]), names),
        )
        for distance, name, number in nearest[: count + 1]
    )
    write_layer(layer, _frame(run, scene, found), LAYER)
    return found


def _find(run: FinishedRun, wanted: Wanted) -> tuple[str, int]:
    """Return scene and id of the segment that is wanted."""
    names = list(run.tables)
    if wanted.scene is not None and wanted.scene not in names:
        raise SettingsError(f"there is no scene {wanted.scene!r}; expected one of {names}")
    scenes = names if wanted.scene is None else [wanted.scene]
    if wanted.point is not None:
        return _at(run, wanted.point, scenes)
    if len(scenes) > 1:
        raise SettingsError(
            f"{run.folder.path} has the scenes {', '.join(names)}, and a segment of each number "
            "in all of them: give one as --scene"
        )
    (scene,), segment = scenes, wanted.segment or 0
    if not 1 <= segment <= len(run.tables[scene]):
        raise SettingsError(
            f"there is no segment {segment} in {scene}; expected one of 1 to "
            f"{len(run.tables[scene])}"
        )
    return scene, segment


def _at(run: FinishedRun, point: tuple[float, float], scenes: Sequence[str]) -> tuple[str, int]:
    """Return scene and id of the segment at a point, in the first scene that has one there."""
    inside = False
    for scene in scenes:
        with open_ids(str(run.folder.scene_folder(scene) / SEGMENTS)) as grid:
            col, row = (int(np.floor(value)) for value in ~grid.map_transform @ point)
            if not (0 <= col < grid.width and 0 <= row < grid.height):
                continue
            inside = True
            if segment := int(grid.read(Window(col, row, 1, 1))[0, 0]):
                return scene, segment
    x, y = point
    where = "on a pixel without a segment" if inside else "outside"
    crs = next((each.crs for each in run.record.scenes if each.name == scenes[0]), None)
    raise SettingsError(
        f"{x:g},{y:g} lies {where} of {', '.join(scenes)}; expected a point on a segment, "
        f"x,y in {'pixels as col,-row' if crs is None else crs.split('[')[0]}"
    )


def _frame(run: FinishedRun, scene: str, found: Sequence[Similar]) -> gpd.GeoDataFrame:
    """Put the layer together, in the CRS of one scene; others without a CRS are left out."""
    crs_of = {each.name: each.crs for each in run.record.scenes}
    crs, parts = crs_of[scene], []
    for name in dict.fromkeys([scene, *run.tables]):
        here = [each for each in found if each.scene == name]
        if name != scene and None in (crs, crs_of[name]):
            continue
        path = run.folder.scene_folder(name) / POLYGONS
        shapes = read_geometries(path, [each.segment for each in here])
        kept = [each for each in here if each.segment in shapes]
        part = gpd.GeoDataFrame(
            pd.DataFrame([{**each.to_json(), "rank": found.index(each)} for each in kept]),
            geometry=[shapes[each.segment] for each in kept],
            crs=crs_of[name],
        )
        if len(part):
            parts.append(part if crs is None else part.to_crs(crs))
    if not parts:
        raise RunError(
            f"{run.folder.scene_folder(scene) / POLYGONS} has none of the similar segments any "
            "more; run alps-geo label there again with --force"
        )
    return gpd.GeoDataFrame(pd.concat(parts).sort_values("rank"), crs=crs)
