"""Styles of segments that are the same in every run: outlines, confidence, and SAM or fill."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from xml.etree import ElementTree as ET

from alps_geo.outputs.segment_styles import (
    OTHERS,
    OTHERS_COLOR,
    Style,
    categories,
    outlines,
    qml,
    shade,
    symbol,
)
from alps_geo.outputs.sld import Rule, between, equal_to, sld, with_others

# Light for sure, dark for unsure: five steps of viridis, apart to every eye.
_STEPS = (
    (68, 1, 84),
    (59, 82, 139),
    (33, 145, 140),
    (94, 201, 98),
    (253, 231, 37),
)
_LIMITS = ("0", "0.2", "0.4", "0.6", "0.8", "1")

# Blue and orange of Okabe and Ito.
_SOURCES = {"sam": ("found by SAM", (0, 114, 178)), "fill": ("filled in", (230, 159, 0))}

# Seen on white as on an image: most programs draw one line, not a light one on a dark one.
_OUTLINE = (255, 140, 0)


@cache
def fixed_styles() -> tuple[Style, ...]:
    """Return the styles that a person can choose next to that of the clusters.

    Returns
    -------
    tuple of Style
        Outlines alone; steps of confidence; segments of SAM and those that fill gaps.

    Examples
    --------
    >>> [style.name for style in fixed_styles()]
    ['outlines', 'confidence', 'source']
    """
    return (
        Style(
            "outlines",
            "Borders alone, over an image",
            qml(outlines()),
            sld("outlines", [Rule("segments", _OUTLINE)]),
        ),
        Style(
            "confidence",
            "Confidence of the cluster, in steps",
            qml(_graduated()),
            sld("confidence", with_others("confidence", _confidence_rules())),
        ),
        Style(
            "source",
            "Segments that SAM found, and those that fill gaps",
            qml(categories("source", "string", _source_rows())),
            sld("source", with_others("source", _source_rules())),
        ),
    )


def _graduated() -> ET.Element:
    """Style segments by steps of confidence; those without one are grey."""
    renderer = ET.Element(
        "renderer-v2",
        {
            "type": "graduatedSymbol",
            "attr": 'coalesce("confidence", -1)',
            "graduatedMethod": "GraduatedColor",
            "enableorderby": "0",
            "forceraster": "0",
        },
    )
    ranges = ET.SubElement(renderer, "ranges")
    symbols = ET.SubElement(renderer, "symbols")
    rows = [(*limits, _step_label(limits), color) for limits, color in _confidence_steps()]
    rows.append(("-1", "-0.5", OTHERS, OTHERS_COLOR))
    for number, (low, high, label, color) in enumerate(rows):
        entry = {"lower": low, "upper": high, "label": label, "symbol": str(number)}
        ET.SubElement(ranges, "range", entry, render="true")
        symbols.append(symbol(str(number), color))
    return renderer


def _confidence_steps() -> list[tuple[tuple[str, str], tuple[int, int, int]]]:
    return list(zip(pairwise(_LIMITS), _STEPS, strict=True))


def _step_label(limits: tuple[str, str]) -> str:
    low, high = limits
    return f"{low} to {high}"


def _confidence_rules() -> list[Rule]:
    return [
        Rule(_step_label(limits), shade(color), color, between("confidence", *limits))
        for limits, color in _confidence_steps()
    ]


def _source_rows() -> list[tuple[str, str, tuple[int, int, int]]]:
    return [(value, label, color) for value, (label, color) in _SOURCES.items()]


def _source_rules() -> list[Rule]:
    return [
        Rule(label, shade(color), color, equal_to("source", value))
        for value, label, color in _source_rows()
    ]
