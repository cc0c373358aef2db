"""Styles that open a result in its clusters' colours: QML for QGIS, SLD for everyone else."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from alps_geo.clusters.colors import hex_color
from alps_geo.files import replacing, run_errors
from alps_geo.outputs.segment_styles import border, describing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from alps_geo.clusters.colors import Color
    from alps_geo.clusters.model import ClusterModel


_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
OTHERS = "all other values"
"""Entry in a legend of clusters or classes that have none of their own."""

# Sum of red, green and blue of colours on which a darker border is lost.
_DARK = 300
_OTHERS_COLOR = (128, 128, 128)
# 0.15 mm in SLD's pixels of 0.28 mm.
_OUTLINE_PIXELS = "0.54"
_SLD_NAMESPACES = {
    "xmlns": "http://www.opengis.net/sld",
    "xmlns:ogc": "http://www.opengis.net/ogc",
    "xmlns:se": "http://www.opengis.net/se",
    "version": "1.1.0",
}


def cluster_label(cluster: int, names: Mapping[int, str] | None) -> str:
    """Return the name of a cluster, its number where it has none."""
    return (names or {}).get(cluster) or str(cluster)


def legend_label(cluster: int, names: Mapping[int, str] | None) -> str:
    """Return name and number of a cluster for a legend, the number alone without a name."""
    name, number = cluster_label(cluster, names), str(cluster)
    return number if name == number else f"{name} ({number})"


def cluster_labels(model: ClusterModel) -> dict[int, str]:
    """Return labels of all clusters if one has a name, else of none.

    No cluster is blank in a legend, a map tip or a table where others have names.
    """
    legend = model.legend
    return {i: cluster_label(i, legend.names) for i in legend.palette} if legend.names else {}


def polygons_qml(
    field: str,
    palette: Mapping[int, Color],
    names: Mapping[int, str] | None = None,
    *,
    by_name: bool = False,
) -> str:
    """Style polygons by a field, one colour for each of its values, as QGIS stores it.

    Parameters
    ----------
    field : str
        The attribute that holds the cluster.
    palette : mapping of cluster to (red, green, blue)
        0 to 255 each. Outlines take another shade: where small polygons are little more than
        outline, the map keeps its colours. All other values are grey.
    names : mapping of cluster to str, optional
    by_name : bool
        True if the attribute holds the name, not the number.

    Returns
    -------
    str
        A QML document.
    """
    parts = "Symbology|Fields|MapTips"
    root = ET.Element("qgis", version="3.22.0", styleCategories=parts)
    renderer = ET.SubElement(
        root,
        "renderer-v2",
        {"type": "categorizedSymbol", "attr": field, "enableorderby": "0", "forceraster": "0"},
    )
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    kind, label = ("string", cluster_label) if by_name else ("long", legend_label)
    rows = [
        (label(cluster, names) if by_name else str(cluster), kind, label(cluster, names), color)
        for cluster, color in sorted(palette.items())
    ]
    # An empty value stands for all that have no category.
    rows.append(("", "string", OTHERS, _OTHERS_COLOR))
    for number, (value, type_, text, color) in enumerate(rows):
        entry = {"value": value, "type": type_, "label": text, "symbol": str(number)}
        ET.SubElement(categories, "category", entry, render="true")
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=str(number), alpha="1")
        symbol.append(_fill(color))
    root.extend(describing(by_class=by_name))
    return _DOCTYPE + _text(root)


def _fill(color: Color) -> ET.Element:
    """Return the layer of a symbol that fills polygons and draws their borders."""
    layer = ET.Element("layer", {"class": "SimpleFill", "enabled": "1"})
    options = ET.SubElement(layer, "Option", type="Map")
    values = {"color": _rgba(color), "style": "solid", **border(_rgba(_shade(color)))}
    for name, value in values.items():
        ET.SubElement(options, "Option", type="QString", name=name, value=value)
    return layer


def polygons_sld(
    field: str,
    palette: Mapping[int, Color],
    names: Mapping[int, str] | None = None,
    *,
    by_name: bool = False,
) -> str:
    """Style polygons by a field as `polygons_qml` does, in the OGC's SLD 1.1."""
    root = ET.Element("StyledLayerDescriptor", _SLD_NAMESPACES)
    layer = ET.SubElement(root, "NamedLayer")
    ET.SubElement(layer, "se:Name").text = "segments"
    style = ET.SubElement(layer, "UserStyle")
    ET.SubElement(style, "se:Name").text = "clusters"
    feature_type = ET.SubElement(style, "se:FeatureTypeStyle")
    for cluster, color in sorted(palette.items()):
        rule = ET.SubElement(feature_type, "se:Rule")
        text = cluster_label(cluster, names) if by_name else legend_label(cluster, names)
        ET.SubElement(rule, "se:Name").text = text
        condition = ET.SubElement(ET.SubElement(rule, "ogc:Filter"), "ogc:PropertyIsEqualTo")
        ET.SubElement(condition, "ogc:PropertyName").text = field
        label = cluster_label(cluster, names)
        ET.SubElement(condition, "ogc:Literal").text = label if by_name else str(cluster)
        symbolizer = ET.SubElement(rule, "se:PolygonSymbolizer")
        fill = ET.SubElement(symbolizer, "se:Fill")
        ET.SubElement(fill, "se:SvgParameter", name="fill").text = hex_color(color)
        stroke = ET.SubElement(symbolizer, "se:Stroke")
        for name, value in (
            ("stroke", hex_color(_shade(color))),
            ("stroke-width", _OUTLINE_PIXELS),
            ("stroke-linejoin", "bevel"),
        ):
            ET.SubElement(stroke, "se:SvgParameter", name=name).text = value
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + _text(root)


def write_raster_style(
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
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    root.append(raster_pipe(palette, names))
    path = raster.with_suffix(".qml")
    with replacing(path) as part, run_errors(path):
        part.write_text(_DOCTYPE + _text(root), encoding="utf-8")


def raster_pipe(
    palette: Mapping[int, Color], names: Mapping[int, str] | None, opacity: float = 1.0
) -> ET.Element:
    """Style a raster of ids by its values, as QGIS stores it in styles and projects."""
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


def _text(root: ET.Element) -> str:
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode") + "\n"


def _rgba(color: Color) -> str:
    return ",".join(str(part) for part in (*color, 255))


def _shade(color: Color) -> Color:
    """Return a darker shade of a colour, a lighter one of a dark colour: both are seen on it."""
    if sum(color) < _DARK:
        red, green, blue = (round(part + (255 - part) * 0.3) for part in color)
    else:
        red, green, blue = (round(part * 0.7) for part in color)
    return red, green, blue
