"""Styles in the OGC's SLD 1.1, which GIS programs other than QGIS read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from alps_geo.clusters.colors import hex_color
from alps_geo.outputs.segment_styles import OTHERS, OTHERS_COLOR, shade

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alps_geo.clusters.colors import Color

# 0.15 mm in SLD's pixels of 0.28 mm.
_OUTLINE_PIXELS = "0.54"
_NAMESPACES = {
    "xmlns": "http://www.opengis.net/sld",
    "xmlns:ogc": "http://www.opengis.net/ogc",
    "xmlns:se": "http://www.opengis.net/se",
    "version": "1.1.0",
}


@dataclass(frozen=True)
class Rule:
    """Symbol of some polygons.

    Attributes
    ----------
    label : str
        Text in the legend.
    border : tuple of int
        Red, green and blue of their borders, 0 to 255 each.
    fill : tuple of int or None
        Red, green and blue inside; None for outlines alone.
    condition : xml.etree.ElementTree.Element or None
        Filter that they pass; None for all polygons.
    """

    label: str
    border: Color
    fill: Color | None = None
    condition: ET.Element | None = None


def equal_to(field: str, value: str) -> ET.Element:
    """Return the filter of an attribute that has a value."""
    condition = ET.Element("ogc:Filter")
    compared = ET.SubElement(condition, "ogc:PropertyIsEqualTo")
    ET.SubElement(compared, "ogc:PropertyName").text = field
    ET.SubElement(compared, "ogc:Literal").text = value
    return condition


def between(field: str, low: str, high: str) -> ET.Element:
    """Return the filter of an attribute from a lowest to a highest value, both included."""
    condition = ET.Element("ogc:Filter")
    compared = ET.SubElement(condition, "ogc:PropertyIsBetween")
    ET.SubElement(compared, "ogc:PropertyName").text = field
    for name, limit in (("Lower", low), ("Upper", high)):
        boundary = ET.SubElement(compared, f"ogc:{name}Boundary")
        ET.SubElement(boundary, "ogc:Literal").text = limit
    return condition


def with_others(field: str, rules: Iterable[Rule]) -> list[Rule]:
    """Add a rule for all other values of an attribute, empty ones included.

    QGIS passes over an ``ElseFilter`` and draws everything by its rule, so the filter is spelt out.

    Parameters
    ----------
    field : str
        The attribute.
    rules : iterable of Rule
        The rules of its values, each with a condition.
    """
    rules = list(rules)
    if not rules:
        return [Rule(OTHERS, shade(OTHERS_COLOR), OTHERS_COLOR)]
    condition = ET.Element("ogc:Filter")
    either = ET.SubElement(condition, "ogc:Or")
    empty = ET.SubElement(either, "ogc:PropertyIsNull")
    ET.SubElement(empty, "ogc:PropertyName").text = field
    others = ET.SubElement(either, "ogc:Not")
    if len(rules) > 1:
        others = ET.SubElement(others, "ogc:Or")
    for rule in rules:
        others.extend(() if rule.condition is None else rule.condition)
    return [*rules, Rule(OTHERS, shade(OTHERS_COLOR), OTHERS_COLOR, condition)]


def sld(style_name: str, rules: Iterable[Rule], layer: str = "segments") -> str:
    """Style polygons by rules; those that no rule takes are not drawn.

    Parameters
    ----------
    style_name : str
        Name of the style.
    rules : iterable of Rule
        In the order of the legend.
    layer : str
        Name of the layer.

    Returns
    -------
    str
        An SLD document.
    """
    root = ET.Element("StyledLayerDescriptor", _NAMESPACES)
    named = ET.SubElement(root, "NamedLayer")
    ET.SubElement(named, "se:Name").text = layer
    style = ET.SubElement(named, "UserStyle")
    ET.SubElement(style, "se:Name").text = style_name
    feature_type = ET.SubElement(style, "se:FeatureTypeStyle")
    feature_type.extend(map(_rule, rules))
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _rule(rule: Rule) -> ET.Element:
    element = ET.Element("se:Rule")
    ET.SubElement(element, "se:Name").text = rule.label
    if rule.condition is not None:
        element.append(rule.condition)
    symbolizer = ET.SubElement(element, "se:PolygonSymbolizer")
    if rule.fill is not None:
        fill = ET.SubElement(symbolizer, "se:Fill")
        ET.SubElement(fill, "se:SvgParameter", name="fill").text = hex_color(rule.fill)
    stroke = ET.SubElement(symbolizer, "se:Stroke")
    for name, value in (
        ("stroke", hex_color(rule.border)),
        ("stroke-width", _OUTLINE_PIXELS),
        ("stroke-linejoin", "bevel"),
    ):
        ET.SubElement(stroke, "se:SvgParameter", name=name).text = value
    return element
