"""Attributes and geometries of the segments in a GeoPackage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyogrio

from alps_geo.errors import RunError, one_line
from alps_geo.outputs.gpkg.lock import (
    check_columns,
    connected,
    database_errors,
    layer_columns,
    unreadable,
)
from alps_geo.outputs.gpkg.write import ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import shapely
    from numpy.typing import NDArray


def read_attribute(
    path: Path, name: str, default: NDArray[np.float64], layer: str = "segments"
) -> NDArray[np.float64] | None:
    """Read an attribute of each segment, by id; None if the layer lacks it.

    Only features of the run count: the first feature that has the id of a segment.

    Parameters
    ----------
    path : pathlib.Path
        File of `write_segments_gpkg`.
    name : str
        Name of the attribute.
    default : array (n,), float64
        Values of segments that the layer lacks.
    layer : str

    Raises
    ------
    RunError
        If the file cannot be read.
    """
    values = default.copy()
    with connected(path) as database, database_errors(path):
        if name not in layer_columns(path, database, layer):
            return None
        # The first feature of an id is the run's, so it comes last here.
        query = (
            f'SELECT segment_id, "{name}" FROM "{layer}" '
            "WHERE segment_id BETWEEN 1 AND ? AND typeof(segment_id) = 'integer' "
            "ORDER BY rowid DESC"
        )
        for segment, value in database.execute(query, [len(values)]):
            values[segment - 1] = value if isinstance(value, (int, float)) else float("nan")
    return values


def read_geometries(
    path: Path, segments: Sequence[int], layer: str = "segments"
) -> dict[int, shapely.Geometry]:
    """Read the polygons of some segments, by id, without segments that the layer lacks.

    Raises
    ------
    RunError
        If the file cannot be read.
    """
    listed = ", ".join(map(str, segments)) or "NULL"
    with connected(path) as database:
        # Opening it to write settles the files of a killed process; GDAL opens it to read.
        check_columns(path, database, layer, ["segment_id"])
    try:
        found = pyogrio.read_dataframe(
            path, layer=layer, columns=["segment_id"], where=f"segment_id IN ({listed})"
        )
    except ERRORS as error:
        raise RunError(unreadable(path, one_line(error))) from error
    # The first feature of an id is the run's; a copy comes after it.
    first = found.drop_duplicates("segment_id")
    drawn = first[~(first.geometry.isna() | first.geometry.is_empty)]
    return dict(zip(drawn["segment_id"].tolist(), drawn.geometry, strict=True))
