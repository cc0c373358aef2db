"""Layers of vector files that hold classes: the layer, its column, its CRS and its features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from alps_geo.errors import SceneError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    import geopandas

# GeoPackage's name for the CRS of a layer that has none.
_UNDEFINED_CRS = '"Undefined Cartesian SRS"'


def is_vector(path: str) -> bool:
    """Return True if a file holds layers of features, and no pixels as well."""
    try:
        layers = pyogrio.list_layers(path)
    except DataSourceError:
        return False
    return len(layers) > 0


def layer_names(path: str) -> list[str]:
    """List the layers of a vector file that have geometries."""
    return [str(name) for name, geometry in pyogrio.list_layers(path) if geometry is not None]


def pick_layer(path: str, layer: str | None) -> str:
    """Return the layer of a file, its only one with geometries if none is named.

    Raises
    ------
    SceneError
        If there is no such layer, or none is named and there are several.
    """
    layers = layer_names(path)
    if not layers:
        raise SceneError(f"{path}: has no geometries; expected a vector file with features")
    if layer is None and len(layers) == 1:
        return layers[0]
    if layer is None:
        raise SceneError(
            f"{path}: has {len(layers)} layers with geometries ({listed(layers)}), "
            "expected one: name it with --layer"
        )
    if layer not in layers:
        raise SceneError(
            f"{path}: has no layer {layer!r} with geometries, but {listed(layers)}: "
            "give one of these as --layer"
        )
    return layer


def pick_field(path: str, fields: list[str], field: str | None) -> str:
    """Return the column of the class, the only column if none is named.

    Raises
    ------
    SceneError
        If there is no such column, or none is named and there are several.
    """
    if field is None and len(fields) == 1:
        return fields[0]
    if field is None or field not in fields:
        found = (
            "does not say which column holds the class"
            if field is None
            else f"has no column {field!r}"
        )
        raise SceneError(
            f"{path}: {found}; its columns are {listed(fields)}: give one of these as --field"
        )
    return field


def layer_crs(found: str | None) -> str | None:
    """Return the CRS of a layer, None for GeoPackage's stand-in for a layer without one."""
    return None if found is None or _UNDEFINED_CRS in found else found


def read_features(path: str, **options: Any) -> geopandas.GeoDataFrame:
    """Read features by `pyogrio.read_dataframe`.

    Raises
    ------
    SceneError
        If they cannot be read.
    """
    try:
        return pyogrio.read_dataframe(path, **options)
    except (DataSourceError, DataLayerError) as error:
        raise SceneError(
            f"{path}: cannot be read ({one_line(error)}); expected a vector file with features: "
            "check it in a GIS, or save it as GeoPackage"
        ) from error


def check_both_placed(path: str, crs: object | None, other: str, other_crs: object | None) -> None:
    """Check that two files both have a CRS, or neither.

    Raises
    ------
    SceneError
        If one of them lacks it.
    """
    if (crs is None) == (other_crs is None):
        return
    lacking, has, known = (path, other, other_crs) if crs is None else (other, path, crs)
    tool = "ogr2ogr -a_srs" if is_vector(lacking) else "rio edit-info --crs"
    raise SceneError(
        f"{lacking}: has no CRS, while {has} has {str(known).split('[', maxsplit=1)[0]}; "
        f"expected both or neither: assign the CRS first, such as with `{tool}`"
    )


def listed(names: Iterable[object], most: int = 12) -> str:
    """List names, not more than a line holds."""
    found = [str(name) for name in names]
    return ", ".join(found[:most]) + (", …" if len(found) > most else "")
