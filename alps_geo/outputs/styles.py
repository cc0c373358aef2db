"""Styles that open a result in its clusters' colours: QML for QGIS, SLD for everyone else."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from alps_geo.outputs.segment_styles import (
    Style,
    categories,
    document,
    qml,
    shade,
)
from alps_geo.outputs.sld import Rule, equal_to, sld, with_others

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from alps_geo.clusters.colors import Color
    from alps_geo.clusters.legend import Legend
    from alps_geo.clusters.model import ClusterModel

CLUSTER_STYLE = "clusters"
"""Name of the style by cluster."""

CLUSTER_FIELD = "cluster"
"""Attribute that it shows."""

CLASS_STYLE = "classes"
"""Name of the style by class."""

_CLASS_FIELD = "class"


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


def cluster_style(legend: Legend, layer: str = "segments") -> Style:
    """Style polygons by cluster, one colour for each; all other values are grey.

    Parameters
    ----------
    legend : Legend
        The clusters.
    layer : str
        Name of the layer.
    """
    palette, names = legend.palette, legend.names
    rows = [(str(i), legend_label(i, names), color) for i, color in sorted(palette.items())]
    return Style(
        CLUSTER_STYLE,
        "One colour for each cluster",
        qml(categories(CLUSTER_FIELD, "long", rows)),
        sld(CLUSTER_STYLE, with_others(CLUSTER_FIELD, _rules(CLUSTER_FIELD, rows)), layer),
    )


def class_style(legend: Legend, layer: str) -> Style:
    """Style polygons by class, one colour for each; all other values are grey.

    Parameters
    ----------
    legend : Legend
        The classes.
    layer : str
        Name of the layer.
    """
    return _by_class(legend, layer, partial(qml, by_class=True))


def region_style(legend: Legend, layer: str) -> Style:
    """Style regions by class as `class_style`; they have other attributes than segments.

    Parameters
    ----------
    legend : Legend
        The classes.
    layer : str
        Name of the layer.
    """
    return _by_class(legend, layer, _without_attributes)


def _by_class(legend: Legend, layer: str, draw: Callable[[ET.Element], str]) -> Style:
    names = [(cluster_label(i, legend.names), color) for i, color in sorted(legend.palette.items())]
    rows = [(name, name, color) for name, color in names]
    return Style(
        CLASS_STYLE,
        "One colour for each class",
        draw(categories(_CLASS_FIELD, "string", rows)),
        sld(CLASS_STYLE, with_others(_CLASS_FIELD, _rules(_CLASS_FIELD, rows)), layer),
    )


def _without_attributes(renderer: ET.Element) -> str:
    """Return a QML document that says nothing of attributes."""
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    root.append(renderer)
    return document(root)


def _rules(field: str, rows: Iterable[tuple[str, str, Color]]) -> Iterator[Rule]:
    for value, label, color in rows:
        yield Rule(label, shade(color), color, equal_to(field, value))
