"""Parts of styles of segments that do not depend on the clusters, as QGIS stores them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alps_geo.clusters.colors import Color

OTHERS = "all other values"
"""Entry in a legend of values that have none of their own."""

OTHERS_COLOR = (128, 128, 128)
"""Their colour."""

_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"

# Sum of red, green and blue of colours on which a darker border is lost.
_DARK = 300

# Millimetres on the screen or on paper, next to metres on the ground: a border grows with the map,
# between two widths, so that it neither covers small segments nor is lost at 1:500.
_THINNEST, _WIDEST, _ON_GROUND = 0.05, 0.26, 0.2

_WHITE: Color = (255, 255, 255)
_BEHIND = "0,0,0,140"

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


@dataclass(frozen=True)
class Style:
    """A style of a layer, as `layer_styles` of a GeoPackage stores it.

    Attributes
    ----------
    name, description : str
        Texts in QGIS.
    qml, sld : str
        The style for QGIS, and for other programs.
    """

    name: str
    description: str
    qml: str
    sld: str


def qml(renderer: ET.Element, *, by_class: bool = False) -> str:
    """Return the QML document of segments that a renderer draws, and that describe themselves.

    Parameters
    ----------
    renderer : xml.etree.ElementTree.Element
        Their symbols.
    by_class : bool
        True to describe segments by their class, not their cluster.
    """
    # The name that segments are shown by belongs to the configuration of the layer.
    parts = "LayerConfiguration|Symbology|Fields|MapTips"
    root = ET.Element("qgis", version="3.22.0", styleCategories=parts)
    root.append(renderer)
    root.extend(describing(by_class=by_class))
    return document(root)


def document(root: ET.Element) -> str:
    """Return a QML document as text."""
    ET.indent(root, " ")
    return _DOCTYPE + ET.tostring(root, encoding="unicode") + "\n"


def categories(field: str, kind: str, rows: Iterable[tuple[str, str, Color]]) -> ET.Element:
    """Style polygons by the values of an attribute, those of all other values in grey.

    Parameters
    ----------
    field : str
        The attribute.
    kind : str
        Its type in QGIS: long or string.
    rows : iterable of (str, str, Color)
        Each value with its label and colour.
    """
    renderer = ET.Element(
        "renderer-v2",
        {"type": "categorizedSymbol", "attr": field, "enableorderby": "0", "forceraster": "0"},
    )
    listed = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    # An empty value stands for all that have no category.
    others = ("", "string", OTHERS, OTHERS_COLOR)
    entries = [(value, kind, label, color) for value, label, color in rows]
    for number, (value, type_, text, color) in enumerate([*entries, others]):
        entry = {"value": value, "type": type_, "label": text, "symbol": str(number)}
        ET.SubElement(listed, "category", entry, render="true")
        symbols.append(symbol(str(number), color))
    return renderer


def symbol(name: str, color: Color) -> ET.Element:
    """Return the symbol of polygons of a colour.

    Borders take another shade: where small polygons are little more than border, the map keeps its
    colours.
    """
    element = ET.Element("symbol", type="fill", name=name, alpha="1")
    values = {"color": _rgba(color), "style": "solid", **_border(_rgba(shade(color)))}
    element.append(_fill_layer(values))
    return element


def shade(color: Color) -> Color:
    """Return a darker shade of a colour, a lighter one of a dark colour: both are seen on it."""
    if sum(color) < _DARK:
        red, green, blue = (round(part + (255 - part) * 0.3) for part in color)
    else:
        red, green, blue = (round(part * 0.7) for part in color)
    return red, green, blue


def outlines(color: Color = _WHITE) -> ET.Element:
    """Style segments as outlines alone, light on dark: they are seen on any image."""
    renderer = ET.Element(
        "renderer-v2", {"type": "singleSymbol", "enableorderby": "0", "forceraster": "0"}
    )
    symbols = ET.SubElement(renderer, "symbols")
    element = ET.SubElement(symbols, "symbol", type="fill", name="0", alpha="1")
    for line, times in ((_BEHIND, 2.5), (_rgba(color), 1.0)):
        element.append(_fill_layer({"style": "no", **_border(line, times)}))
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


def _fill_layer(values: dict[str, str]) -> ET.Element:
    layer = ET.Element("layer", {"class": "SimpleFill", "enabled": "1"})
    options = ET.SubElement(layer, "Option", type="Map")
    for name, value in values.items():
        ET.SubElement(options, "Option", type="QString", name=name, value=value)
    return layer


def _rgba(color: Color) -> str:
    return ",".join(str(part) for part in (*color, 255))


def _border(color: str, times: float = 1.0) -> dict[str, str]:
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
        "border_width_map_unit_scale": f"3x:0,0,{limits}",
    }
