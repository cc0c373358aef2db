"""Styles of segments that do not depend on the clusters, as QGIS stores them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

# Millimetres on the screen or on paper, next to metres on the ground: a border grows with the map,
# between two widths, so that it neither covers small segments nor is lost at 1:500.
_THINNEST, _WIDEST, _ON_GROUND = 0.15, 0.4, 0.2

_LINE, _BEHIND = "255,255,255,255", "0,0,0,140"


def outlines() -> ET.Element:
    """Style segments as outlines alone, light on dark: they are seen on any image."""
    renderer = ET.Element(
        "renderer-v2", {"type": "singleSymbol", "enableorderby": "0", "forceraster": "0"}
    )
    symbols = ET.SubElement(renderer, "symbols")
    symbol = ET.SubElement(symbols, "symbol", type="fill", name="0", alpha="1")
    for color, times in ((_BEHIND, 2.5), (_LINE, 1.0)):
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1"})
        options = ET.SubElement(layer, "Option", type="Map")
        for name, value in {"style": "no", **border(color, times)}.items():
            ET.SubElement(options, "Option", type="QString", name=name, value=value)
    return renderer


def border(color: str, times: float = 1.0) -> dict[str, str]:
    """Return the options of a border that is seen at all scales.

    Parameters
    ----------
    color : str
        Red, green, blue and alpha, 0 to 255 each.
    times : float
        Factor of its width.
    """
    limits = f"1,{_THINNEST * times:g},1,{_WIDEST * times:g}"
    return {
        "joinstyle": "bevel",
        "outline_color": color,
        "outline_style": "solid",
        "outline_width": f"{_ON_GROUND * times:g}",
        "outline_width_unit": "RenderMetersInMapUnits",
        "outline_width_map_unit_scale": f"3x:0,0,{limits}",
    }
