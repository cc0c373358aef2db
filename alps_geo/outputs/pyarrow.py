"""GeoParquet files, written with pyarrow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyogrio
import shapely
from pyarrow import parquet
from pyogrio.raw import open_arrow
from pyproj import CRS

if TYPE_CHECKING:
    from pathlib import Path

_GEOMETRY, _BOX = "geometry", "bbox"

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def write_geoparquet(geopackage: Path, layer: str, path: Path) -> None:
    """Copy a layer of a GeoPackage to GeoParquet 1.1, some features at a time.

    Each feature has its box in the column ``bbox``, by which readers skip row groups.

    Parameters
    ----------
    geopackage : pathlib.Path
        The GeoPackage.
    layer : str
        Its layer of multipolygons.
    path : pathlib.Path
        File to write.
    """
    with open_arrow(geopackage, layer=layer, use_pyarrow=True) as (meta, batches):
        fields = [field for field in batches.schema if field.name != meta["geometry_name"]]
        schema = pa.schema(
            [
                *(pa.field(field.name, field.type) for field in fields),
                pa.field(_BOX, pa.struct([(side, pa.float64()) for side in _SIDES])),
                pa.field(_GEOMETRY, pa.binary()),
            ],
            metadata={"geo": json.dumps(_metadata(geopackage, layer, meta["crs"]))},
        )
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in batches:
                shapes = batch.column(meta["geometry_name"]).cast(pa.binary())
                columns = [batch.column(field.name) for field in fields]
                columns += [_boxes(shapes), shapes]
                writer.write_batch(pa.record_batch(columns, schema=schema))


def _boxes(shapes: pa.Array) -> pa.StructArray:
    """Return the box of each geometry in well-known binary."""
    geometries = shapely.from_wkb(np.array(shapes.to_pylist(), object))
    sides = shapely.bounds(geometries).reshape(-1, len(_SIDES)).T
    return pa.StructArray.from_arrays([pa.array(side) for side in sides], names=list(_SIDES))


def _metadata(geopackage: Path, layer: str, crs: str | None) -> dict[str, object]:
    """Return the metadata of the file, by the specification of GeoParquet 1.1."""
    info = pyogrio.read_info(geopackage, layer=layer, force_total_bounds=True)
    bounds = info["total_bounds"]
    return {
        "version": "1.1.0",
        "primary_column": _GEOMETRY,
        "columns": {
            _GEOMETRY: {
                "encoding": "WKB",
                "geometry_types": ["MultiPolygon"],
                # Without a CRS, readers would take longitude and latitude for it.
                "crs": None if crs is None else CRS(crs).to_json_dict(),
                **({"bbox": [*map(float, bounds)]} if info["features"] else {}),
                "covering": {_BOX: {side: [_BOX, side] for side in _SIDES}},
            }
        },
    }
