"""Points of a sample as features: written for a person to check, and read again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor
from typing import TYPE_CHECKING, Any, TypeAlias

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.windows import Window
from shapely import Point

from alps_geo.classes.accuracy import Strata
from alps_geo.errors import RunError, SceneError, one_line
from alps_geo.evaluate.rasters import open_ids
from alps_geo.windows import whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.classes.sampling import Drawn
    from alps_geo.evaluate.rasters import IdRaster
    from alps_geo.review.map_classes import RunMap

    Pixels: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

LAYER, REFERENCE = "sample", "reference"
"""Names of the layer of points, and of the column that a person fills in."""

_OF_STRATA = ("stratum", "pixels", "area")
"""Columns that tell how a point was drawn; all names are short enough for a Shapefile."""

# GeoPackage's name for the CRS of a layer that has none.
_UNDEFINED_CRS = "Undefined Cartesian SRS"


@dataclass(frozen=True)
class Reference:
    """Points with the classes that a person found there; the i-th of each sequence is one.

    Attributes
    ----------
    path : str
        The file, for messages.
    labels : tuple of str
        Names of the points, for messages.
    scene, row, col : ndarray of int64, shape (n,)
        Index of the scene, and the pixel in it.
    classes : tuple of str
        Class on the ground, empty where the point was not checked.
    stratum : ndarray of int64, shape (n,), or None
        Index of the stratum that each was drawn from; None if the file does not say.
    strata : Strata or None
        All strata of the sample, likewise.
    """

    path: str
    labels: tuple[str, ...]
    scene: NDArray[np.int64]
    row: NDArray[np.int64]
    col: NDArray[np.int64]
    classes: tuple[str, ...]
    stratum: NDArray[np.int64] | None
    strata: Strata | None

    @property
    def checked(self) -> NDArray[np.int64]:
        """Indices of the points that were checked."""
        return np.flatnonzero([name != "" for name in self.classes])

    def of_scene(self, scene: int) -> Pixels:
        """Return index, row and column of the points in a scene."""
        index = np.flatnonzero(self.scene == scene)
        return index, self.row[index], self.col[index]

    def with_classes(self, path: str, classes: tuple[str, ...]) -> Reference:
        """Give the points other classes on the ground, those of a file of truth."""
        return replace(self, path=path, classes=classes)


def by_block(raster: IdRaster, points: Pixels) -> Iterator[tuple[Window, Pixels]]:
    """Group pixels by the blocks of a raster that hold them.

    Parameters
    ----------
    raster : IdRaster
        The open raster.
    points : (index, row, col)
        Arrays of int64, shape (n,) each: any number for each pixel, and its place.

    Yields
    ------
    window : rasterio.windows.Window
        A block.
    points : (index, row, col)
        The pixels in it, their places counted from its first row and column.
    """
    height, width = raster.dataset.block_shapes[0]
    index, row, col = points
    blocks = np.stack([row // height, col // width], axis=1)
    for down, across in np.unique(blocks, axis=0).tolist():
        window = Window(across * width, down * height, width, height).intersection(
            whole(raster.height, raster.width)
        )
        inside = np.flatnonzero((blocks == (down, across)).all(axis=1))
        places = row[inside] - window.row_off, col[inside] - window.col_off
        yield window, (index[inside], *places)


def sample_frame(found: RunMap, strata: Strata, drawn: Drawn) -> gpd.GeoDataFrame:
    """Make features of points: their place, stratum, its size, and an empty reference.

    Raises
    ------
    RunError
        If some scenes have a CRS and others none.
    """
    parts, points = [], []
    for number, path in enumerate(found.rasters):
        of_scene = np.flatnonzero(drawn.scene == number)
        with open_ids(str(path)) as raster:
            centres = [
                Point(raster.map_transform @ (col + 0.5, row + 0.5))
                for row, col in zip(drawn.row[of_scene], drawn.col[of_scene], strict=True)
            ]
            parts.append(gpd.GeoSeries(centres, index=of_scene, crs=raster.crs))
    known = {part.crs for part in parts}
    if None in known and len(known) > 1:
        raise RunError(
            "some scenes have a CRS and others none, so that points of both go into no one layer; "
            "label them in runs of their own"
        )
    crs = known.pop() if len(known) == 1 else "EPSG:4326"
    points = [part if crs is None else part.to_crs(crs) for part in parts]
    frame = gpd.GeoDataFrame(geometry=pd.concat(points).sort_index(), crs=crs)
    columns: dict[str, Any] = {
        "id": np.arange(1, len(frame) + 1),
        "scene": [found.scenes[number] for number in drawn.scene],
        "row": drawn.row,
        "col": drawn.col,
        REFERENCE: pd.Series([None] * len(frame), dtype=object),
        "stratum": [strata.names[number] for number in drawn.stratum],
        "pixels": strata.pixels[drawn.stratum],
        "area": strata.area[drawn.stratum],
        "unit": found.unit,
    }
    return frame.assign(**columns)


def read_reference(path: str, layer: str | None, field: str, found: RunMap) -> Reference:
    """Read points that a person has checked, and find their pixels.

    Raises
    ------
    SceneError
        If the file has no such points, or some lie outside of the scenes or were moved.
    """
    frame = _read(path, layer, field)
    labels = _labels(path, frame)
    scene, row, col = _places(path, frame, labels, found)
    stratum, strata = _strata(path, frame)
    return Reference(
        path,
        labels,
        scene,
        row,
        col,
        tuple(map(_text, frame[field])),
        stratum,
        strata,
    )


def _read(path: str, layer: str | None, field: str) -> gpd.GeoDataFrame:
    try:
        frame = pyogrio.read_dataframe(path, layer=layer)
    except (DataSourceError, DataLayerError) as error:
        raise SceneError(
            f"{path}: cannot be read ({one_line(error)}); expected the points that alps-geo "
            "assess sample wrote, filled in"
        ) from error
    if field not in frame.columns:
        listed = ", ".join(name for name in frame.columns if name != "geometry")
        raise SceneError(
            f"{path}: has no column {field!r} (its columns are {listed or 'none'}); expected "
            "the points that alps-geo assess sample wrote, or name the column with --field"
        )
    frame = frame[frame.geometry.notna() & ~frame.geometry.is_empty].reset_index(drop=True)
    if not len(frame):
        raise SceneError(f"{path}: holds no point; expected those of alps-geo assess sample")
    return frame


def _labels(path: str, frame: gpd.GeoDataFrame) -> tuple[str, ...]:
    """Return the ids of the points, or their numbers in the file."""
    if "id" not in frame.columns:
        return tuple(str(number) for number in range(1, len(frame) + 1))
    labels = tuple(map(_text, frame["id"]))
    twice = [label for label, count in frame["id"].map(_text).value_counts().items() if count > 1]
    if twice:
        raise SceneError(
            f"{path}: the id {twice[0] or 'that is empty'} occurs more than once; expected each "
            "point once: remove copies of it"
        )
    return labels


def _places(path: str, frame: gpd.GeoDataFrame, labels: Sequence[str], found: RunMap) -> Pixels:
    """Find the scene and the pixel of each point."""
    scene, row, col = np.full((3, len(frame)), -1)
    has_crs = frame.crs is not None and _UNDEFINED_CRS not in frame.crs.to_wkt()
    for number, (name, raster_path) in enumerate(zip(found.scenes, found.rasters, strict=True)):
        with open_ids(str(raster_path)) as raster:
            if has_crs != (raster.crs is not None):
                having = f"has a CRS, and the scene {name} none"
                lacking = f"has no CRS, and the scene {name} has one"
                raise SceneError(
                    f"{path}: {having if has_crs else lacking}; expected points on the map of "
                    "this run"
                )
            points = frame.geometry
            if raster.crs is not None:
                points = points.to_crs(raster.crs.to_wkt())
            back = ~raster.map_transform
            shape = raster.height, raster.width
        cols, rows = (np.floor(each) for each in back @ (points.x.to_numpy(), points.y.to_numpy()))
        inside = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1]) & (scene < 0)
        if "scene" in frame.columns:
            inside &= (frame["scene"] == name).to_numpy()
        scene[inside], row[inside], col[inside] = number, rows[inside], cols[inside]
    outside = np.flatnonzero(scene < 0)
    if len(outside):
        others = f" (and {len(outside) - 1} more points too)" if len(outside) > 1 else ""
        raise SceneError(
            f"{path}: point {labels[outside[0]]} lies outside of the scenes of the run{others}; "
            "expected points of this run: give the run that the sample is of, or remove them"
        )
    if {"row", "col"} <= set(frame.columns):
        _check_unmoved(path, frame, labels, row, col)
    return scene, row, col


def _check_unmoved(
    path: str,
    frame: gpd.GeoDataFrame,
    labels: Sequence[str],
    row: NDArray[np.int64],
    col: NDArray[np.int64],
) -> None:
    """Raise SceneError if a point is not in the pixel that it was drawn in."""
    moved = np.flatnonzero((frame["row"] != row) | (frame["col"] != col))
    if len(moved):
        first = moved[0]
        drawn = f"row {frame['row'][first]}, column {frame['col'][first]}"
        raise SceneError(
            f"{path}: point {labels[first]} lies in row {row[first]}, column {col[first]}, "
            f"expected {drawn}, where it was drawn: it was moved, or the sample is of another run"
        )


def _strata(path: str, frame: gpd.GeoDataFrame) -> tuple[NDArray[np.int64] | None, Strata | None]:
    """Return the stratum of each point, and all strata, if the file tells of them."""
    if not set(_OF_STRATA) <= set(frame.columns):
        return None, None
    known = frame[list(_OF_STRATA)].drop_duplicates()
    if known.isna().any(axis=None) or known["stratum"].duplicated().any():
        raise SceneError(
            f"{path}: the columns stratum, pixels and area do not agree with each other; expected "
            "them as alps-geo assess sample wrote them: draw the sample again"
        )
    known = known.sort_values("stratum")
    names = tuple(map(_text, known["stratum"]))
    strata = Strata(
        names,
        known["pixels"].to_numpy(np.int64),
        known["area"].to_numpy(np.float64),
    )
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[_text(name)] for name in frame["stratum"]]), strata


def _text(value: Any) -> str:
    """Return the text of an attribute, empty for none; whole numbers without decimals."""
    if pd.isna(value):
        return ""
    if isinstance(value, float) and value == floor(value):
        return str(int(value))
    return str(value).strip()
