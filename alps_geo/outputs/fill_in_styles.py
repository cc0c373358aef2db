"""Styles of layers in which a person fills in a column, with a list of choices in QGIS."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from alps_geo.outputs.segment_styles import Style, document, outlines
from alps_geo.outputs.sld import Rule, sld

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.clusters.colors import Color

_YELLOW: Color = (255, 230, 0)


def points_style(layer: str, field: str, choices: Sequence[str]) -> Style:
    """Style points as rings, through which their pixels can be seen.

    Parameters
    ----------
    layer : str
        Name of the layer.
    field : str
        Column that is to be filled in.
    choices : sequence of str
        Values that QGIS offers for it; without any, it takes any text.
    """
    root = _form(_rings(), field, choices)
    return Style(layer, "Points to be checked", document(root), "")


def areas_style(layer: str, field: str, choices: Sequence[str], hint: str) -> Style:
    """Style polygons as outlines, named by the column or, as long as it is empty, by a hint.

    Parameters
    ----------
    layer : str
        Name of the layer.
    field : str
        Column that is to be filled in.
    choices : sequence of str
        Values that QGIS offers for it; without any, it takes any text.
    hint : str
        Column of the hint.
    """
    root = _form(outlines(_YELLOW), field, choices)
    shown = f"""coalesce(nullif(trim("{field}"), ''), "{hint}", '')"""
    ET.SubElement(root, "previewExpression").text = shown
    tip = f"[% replace({shown}, '<', '&lt;') %]"
    ET.SubElement(root, "mapTip").text = tip
    drawn = sld(layer, [Rule("segments to label", _YELLOW)], layer)
    return Style(layer, "Segments to label next", document(root), drawn)


def _rings() -> ET.Element:
    renderer = ET.Element("renderer-v2", type="singleSymbol", enableorderby="0")
    symbol = ET.SubElement(
        ET.SubElement(renderer, "symbols"), "symbol", type="marker", name="0", alpha="1"
    )
    marker = ET.SubElement(symbol, "layer", {"class": "SimpleMarker", "enabled": "1"})
    options = ET.SubElement(marker, "Option", type="Map")
    outline = ",".join(map(str, (*_YELLOW, 255)))
    ring = {"name": "circle", "color": "255,255,255,0", "outline_color": outline, "size": "3"}
    for name, value in ring.items():
        ET.SubElement(options, "Option", type="QString", name=name, value=value)
    return renderer


def _form(renderer: ET.Element, field: str, choices: Sequence[str]) -> ET.Element:
    """Return the QML of a layer whose form lists the choices for a column."""
    parts = "LayerConfiguration|Symbology|Fields|Forms|MapTips"
    root = ET.Element("qgis", version="3.22.0", styleCategories=parts)
    root.append(renderer)
    if choices:
        fields = ET.SubElement(root, "fieldConfiguration")
        widget = ET.SubElement(ET.SubElement(fields, "field", name=field), "editWidget")
        widget.set("type", "ValueMap")
        config = ET.SubElement(ET.SubElement(widget, "config"), "Option", type="Map")
        listed = ET.SubElement(config, "Option", type="List", name="map")
        for choice in choices:
            entry = ET.SubElement(listed, "Option", type="Map")
            ET.SubElement(entry, "Option", type="QString", name=choice, value=choice)
    return root
