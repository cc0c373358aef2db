"""Parts of styles of segments that do not depend on the clusters, as QGIS stores them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

# Millimetres on the screen or on paper, next to metres on the ground: a border grows with the map,
# between two widths, so that it neither covers small segments nor is lost at 1:500.
_THINNEST, _WIDEST, _ON_GROUND = 0.15, 0.4, 0.2

_LINE, _BEHIND = "255,255,255,255", "0,0,0,140"

_MEASURES = {
    "area_m2": "Area (m²)",
    "area_px": "Area (pixels)",
    "perimeter_m": "Perimeter (m)",
    "perimeter_px": "Perimeter (pixels)",
}

CLUSTER_ALIASES = {
    "segment_id": "Segment",
    "cluster": "Cluster",
    "cluster_name": "Name",
    "confidence": "Confidence",
    "source": "Found by",
    "predicted_iou": "Predicted IoU",
    "stability_score": "Stability",
    **_MEASURES,
}
"""Names of attributes in QGIS, where segments are shown by cluster."""

CLASS_ALIASES = {
    **CLUSTER_ALIASES,
    "class": "Class",
    "class_id": "Number of the class",
    "class_confidence": "Confidence of the class",
    "class_margin": "Margin of the class",
    "segments": "Segments",
}
"""Names of attributes in QGIS, where segments are shown by class."""


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


def describing(*, by_class: bool) -> Iterator[ET.Element]:
    """Yield aliases, map tip and display name of segments: their cluster or class, never empty.

    Attributes that a layer lacks, and empty ones, are left out.
    """
    noun, aliases = ("class", CLASS_ALIASES) if by_class else ("cluster", CLUSTER_ALIASES)
    listed = ET.Element("aliases")
    for field, alias in aliases.items():
        ET.SubElement(listed, "alias", field=field, name=alias)
    yield listed
    shown = _CLASS if by_class else _CLUSTER
    display = ET.Element("previewExpression")
    display.text = f"coalesce({shown}, 'no {noun}')"
    yield display
    confidence = "class_confidence" if by_class else "confidence"
    tip = ET.Element("mapTip")
    tip.text = (
        f"<b>[% replace(coalesce({shown}, 'no {noun}'), '<', '&lt;') %]</b>"
        f"[% coalesce('<br>confidence ' || format_number({_value(confidence)}, 2), '') %]"
        f"[% coalesce('<br>area ' || format_number({_value('area_m2')}, 0) || ' m²', "
        f"'<br>area ' || format_number({_value('area_px')}, 0) || ' px', '') %]"
    )
    yield tip


def _value(attribute: str) -> str:
    """Return the expression of an attribute that a layer may lack."""
    return f"attribute($currentfeature, '{attribute}')"


_CLUSTER = (
    f"coalesce(nullif(nullif(trim({_value('cluster_name')}), ''), to_string({_value('cluster')})) "
    f"|| ' (' || {_value('cluster')} || ')', 'cluster ' || {_value('cluster')})"
)
_CLASS = f"nullif(trim({_value('class')}), '')"


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
