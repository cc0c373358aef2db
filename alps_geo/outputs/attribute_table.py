"""Raster attribute tables: name, colour, pixels and ground area of each id of a raster.

GDAL keeps a table next to the raster, in ``<name>.aux.xml``, where QGIS, ArcGIS and terra find it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np

from alps_geo.clusters.colors import hex_color

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color
    from alps_geo.clusters.legend import Legend

TAG = "GDALRasterAttributeTable"
"""Element of a table in GDAL's sidecar of a raster."""

PIXELS, AREA = "Pixel_Count", "Area_m2"
"""Columns of pixels and ground areas."""

_INTEGER, _REAL, _TEXT = "0", "1", "2"

# GDAL's numbers of types and of usages: 0 generic, 1 pixel count, 2 name, 5 value, 6 to 8 colours.
_COLUMNS = (
    ("Value", _INTEGER, "5"),
    ("Name", _TEXT, "2"),
    ("Color", _TEXT, "0"),
    ("Red", _INTEGER, "6"),
    ("Green", _INTEGER, "7"),
    ("Blue", _INTEGER, "8"),
    (PIXELS, _INTEGER, "1"),
)

UNLABELLED = "unlabelled"
"""Name of pixels of 0."""


@dataclass(frozen=True)
class Counts:
    """Pixels and ground areas of the ids of a raster.

    Attributes
    ----------
    ids : ndarray of int64, shape (k,)
        The ids.
    pixels : ndarray of int64, shape (k,)
        Pixels of each.
    areas : ndarray of float64, shape (k,), or None
        Ground area of each in m²; None where the raster lies nowhere on the ground.
    """

    ids: NDArray[np.int64]
    pixels: NDArray[np.int64]
    areas: NDArray[np.float64] | None


def category_names(legend: Legend) -> dict[int, str]:
    """Name all ids of a legend, by their numbers where they have no name, and 0.

    Programs that list category names, such as terra, show an id without one as blank.
    """
    numbers = {number: legend.names.get(number) or str(number) for number in legend.palette}
    return {0: UNLABELLED, **numbers}


def table_element(
    counts: Counts, palette: Mapping[int, Color], names: Mapping[int, str]
) -> ET.Element:
    """Return a table as GDAL stores it, with colours and names of the ids."""
    root = ET.Element(TAG, tableType="thematic")
    columns = _COLUMNS if counts.areas is None else (*_COLUMNS, (AREA, _REAL, "0"))
    for index, (name, kind, usage) in enumerate(columns):
        field = ET.SubElement(root, "FieldDefn", index=str(index))
        for tag, text in (("Name", name), ("Type", kind), ("Usage", usage)):
            ET.SubElement(field, tag).text = text
    for index, number in enumerate(counts.ids.tolist()):
        color = palette[number]
        values: list[object] = [number, names[number], hex_color(color), *color]
        values.append(int(counts.pixels[index]))
        if counts.areas is not None:
            values.append(repr(float(counts.areas[index])))
        row = ET.SubElement(root, "Row", index=str(index))
        for value in values:
            ET.SubElement(row, "F").text = str(value)
    return root


def read_counts(root: ET.Element) -> Counts | None:
    """Read pixels and areas from a table; None if it is not one of `table_element`."""
    names = [field.findtext("Name") for field in root.iter("FieldDefn")]
    rows = [[field.text or "" for field in row.iter("F")] for row in root.iter("Row")]
    if "Value" not in names or PIXELS not in names or any(len(row) != len(names) for row in rows):
        return None
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    try:
        return Counts(
            np.array(columns["Value"]).astype(np.int64),
            np.array(columns[PIXELS]).astype(np.int64),
            np.array(columns[AREA]).astype(np.float64) if AREA in names else None,
        )
    except (KeyError, ValueError):
        return None
