"""The table of a tile index, GDAL's mosaic (GTI) of the rasters that a vector layer names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    import geopandas as gpd

_INDEX = (".gpkg", ".fgb", ".shp", ".geojson", ".parquet")
_LOCATION = "location"


def index_file(name: str) -> str | None:
    """Find the file of the table, given the name of a tile index; None if nothing names one."""
    index = name.removeprefix("GTI:")
    if index.endswith(_INDEX):
        return index
    found = _described(index, "IndexDataset")
    return None if found is None else next_to(index, found)


def location_column(name: str) -> str:
    """Name the column that holds the rasters of a tile index."""
    index = name.removeprefix("GTI:")
    described = None if index.endswith(_INDEX) else _described(index, "LocationField")
    return described or _LOCATION


def read_index(index: str) -> gpd.GeoDataFrame | None:
    """Read the table of a tile index; None if it cannot be read."""
    # Few scenes are tile indexes, and this takes half a second to import.
    from pyogrio import read_dataframe
    from pyogrio.errors import DataSourceError

    try:
        return read_dataframe(index)
    except DataSourceError:
        return None


def next_to(file: str, name: str) -> str:
    """Resolve a name in a file, which may be relative to the folder of the file."""
    neighbour = Path(file).parent / name
    try:
        return str(neighbour) if neighbour.exists() else name
    except OSError:  # a text that is too long to be a name
        return name


def _described(index: str, element: str) -> str | None:
    """Read an element of the XML that describes a tile index, if it is such a file."""
    try:
        return ET.parse(index).findtext(element)
    except (ET.ParseError, OSError):
        return None
