"""Segments in a GeoPackage, read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pyogrio

from alps_geo.errors import RunError
from alps_geo.outputs.gpkg import ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import shapely
    from numpy.typing import NDArray


def read_attribute(
    path: Path, name: str, count: int, layer: str = "segments"
) -> NDArray[np.float64] | None:
    """Read a number of each segment, by id; None if the layer has no such attribute.

    Parameters
    ----------
    path : pathlib.Path
        What `write_segments_gpkg` wrote.
    name : str
        Of the attribute.
    count : int
        How many segments there are; 0 for those that the layer lacks.
    layer : str

    Raises
    ------
    RunError
        If the file cannot be read.
    """
    values = np.zeros(count)
    try:
        with closing(sqlite3.connect(path)) as database:
            columns = [row[1] for row in database.execute(f'PRAGMA table_info("{layer}")')]
            if name not in columns:
                return None
            for segment, value in database.execute(f'SELECT segment_id, "{name}" FROM "{layer}"'):
                values[segment - 1] = value
    except sqlite3.Error as error:
        raise RunError(_unreadable(path, str(error))) from error
    return values


def read_geometries(
    path: Path, segments: Sequence[int], layer: str = "segments"
) -> dict[int, shapely.Geometry]:
    """Read the polygons of some segments, by id; those that the layer lacks are left out.

    Raises
    ------
    RunError
        If the file cannot be read.
    """
    listed = ", ".join(map(str, segments)) or "NULL"
    try:
        found = pyogrio.read_dataframe(
            path, layer=layer, columns=["segment_id"], where=f"segment_id IN ({listed})"
        )
    except ERRORS as error:
        raise RunError(_unreadable(path, " ".join(str(error).split()))) from error
    return dict(zip(found["segment_id"].tolist(), found.geometry, strict=True))


def check_closed(path: Path) -> None:
    """Make sure that a GeoPackage is there, and that no program keeps changes of it apart from it.

    Raises
    ------
    RunError
        If it is absent, or there are such changes.
    """
    if not path.is_file():
        raise RunError(_unreadable(path, "it is absent"))
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise RunError(
            f"{path}: another program is writing it ({log.name} lies beside it); "
            "close it there, and give the command again"
        )


def _unreadable(path: Path, reason: str) -> str:
    return (
        f"{path}: the segments cannot be read ({reason}); expected those of a finished run: "
        "run alps-geo label there again with --force"
    )
