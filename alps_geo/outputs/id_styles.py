"""Styles of rasters of ids, as QGIS stores them next to a raster and in projects."""

from __future__ import annotations

from colorsys import hls_to_rgb
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np

from alps_geo.clusters.colors import hex_color
from alps_geo.files import replacing, run_errors
from alps_geo.outputs.segment_styles import document
from alps_geo.outputs.styles import legend_label

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from alps_geo.clusters.colors import Color

# Segments have a colour each up to this number; of more, those between two with one have a mixture
# of them. Ids of neighbours differ by dozens, so that they are still apart, and QGIS reads the file
# in less than a second.
_MOST_COLORS = 20_000

# Each hue is this part of the circle after the one before it: no two of a few are alike.
_GOLDEN = (5**0.5 - 1) / 2
_LIGHTNESS = (0.45, 0.62, 0.78)
_SATURATION = (0.75, 0.5)


def write_labels_style(
    raster: Path, palette: Mapping[int, Color], names: Mapping[int, str] | None = None
) -> None:
    """Write the style that QGIS applies when it opens a raster of clusters.

    The raster's own colour table already gives the colours. But QGIS lists every entry of the
    table, 256 or 65 536, most of them black; with this file it lists the clusters and their names.

    Parameters
    ----------
    raster : pathlib.Path
        Raster of clusters. The style lies next to it, with the suffix .qml.
    palette : mapping of cluster to (red, green, blue)
    names : mapping of cluster to str, optional

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    _write(raster, labels_pipe(palette, names))


def write_segments_style(raster: Path, count: int) -> None:
    """Write the style that QGIS applies when it opens a raster of segments.

    Without it, segments are greys by their ids, in which neighbours are alike. With it, segments
    of successive ids have colours far apart, and the legend is a bar, not a list.

    Parameters
    ----------
    raster : pathlib.Path
        Raster of segments. The style lies next to it, with the suffix .qml.
    count : int
        Number of segments.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    pipe = ET.Element("pipe")
    last = max(count, 1)
    limits = {"classificationMin": "1", "classificationMax": str(last)}
    renderer = ET.SubElement(
        pipe,
        "rasterrenderer",
        {
            "type": "singlebandpseudocolor",
            "band": "1",
            "alphaBand": "-1",
            "opacity": "1",
            **limits,
        },
    )
    shader = ET.SubElement(
        ET.SubElement(renderer, "rastershader"),
        "colorrampshader",
        {
            "colorRampType": "INTERPOLATED",
            "classificationMode": "1",
            "clip": "0",
            "minimumValue": "1",
            "maximumValue": str(last),
        },
    )
    ids = np.unique(np.linspace(1, last, min(last, _MOST_COLORS)).round().astype(np.int64))
    for number, segment in enumerate(ids.tolist()):
        entry = {"value": str(segment), "color": hex_color(_color(number)), "alpha": "255"}
        ET.SubElement(shader, "item", entry)
    _write(raster, pipe)


def labels_pipe(
    palette: Mapping[int, Color], names: Mapping[int, str] | None, opacity: float = 1.0
) -> ET.Element:
    """Style a raster of ids by its values, one colour for each."""
    pipe = ET.Element("pipe")
    renderer = ET.SubElement(
        pipe,
        "rasterrenderer",
        {"type": "paletted", "band": "1", "alphaBand": "-1", "opacity": f"{opacity:g}"},
    )
    entries = ET.SubElement(renderer, "colorPalette")
    for cluster, color in sorted(palette.items()):
        ET.SubElement(
            entries,
            "paletteEntry",
            value=str(cluster),
            color=hex_color(color),
            alpha="255",
            label=legend_label(cluster, names),
        )
    return pipe


def _color(number: int) -> Color:
    hue = number * _GOLDEN % 1
    lightness = _LIGHTNESS[number % len(_LIGHTNESS)]
    saturation = _SATURATION[number % len(_SATURATION)]
    red, green, blue = (round(255 * part) for part in hls_to_rgb(hue, lightness, saturation))
    return red, green, blue


def _write(raster: Path, pipe: ET.Element) -> None:
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    root.append(pipe)
    path = raster.with_suffix(".qml")
    with replacing(path) as part, run_errors(path):
        part.write_text(document(root), encoding="utf-8")
