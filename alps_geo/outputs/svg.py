"""Drawings as SVG: text is text, lines are lines, and panels are pictures.

Parts of the package's typefaces are embedded, so that text looks alike wherever it is shown. Text
in a typeface of the system is drawn as paths.
"""

from __future__ import annotations

import re
from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from PIL import Image

from alps_geo.outputs.drawing import WIDTH_MM, Area, Box, Line, Panel, Text
from alps_geo.outputs.letters import shape, writable
from alps_geo.outputs.outlines import outline, part_of
from alps_geo.outputs.typefaces import shipped_typefaces, typeface_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color
    from alps_geo.outputs.drawing import Drawing, Mark, PanelLines
    from alps_geo.outputs.typefaces import Typeface

_FAMILIES = ("'DejaVu Sans'", "'Noto Sans'", "Verdana", "sans-serif")
_STEPS = {"m": "M", "l": "L", "c": "C", "h": "Z"}
_ANCHORS = {"l": "start", "m": "middle", "r": "end"}

# XML has no characters of these codes, not even escaped.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def to_svg(drawing: Drawing) -> bytes:
    """Draw marks as an SVG of `alps_geo.outputs.drawing.WIDTH_MM`."""
    width, height = drawing.width, drawing.height
    attributes = {
        "xmlns": "http://www.w3.org/2000/svg",
        "width": f"{WIDTH_MM}mm",
        "height": f"{_number(height * WIDTH_MM / width)}mm",
        "viewBox": f"0 0 {width} {height}",
    }
    root = ET.Element("svg", attributes)
    _add_typefaces(root, [mark.text for mark in drawing.marks if isinstance(mark, Text)])
    if drawing.title:
        ET.SubElement(root, "title").text = _xml(drawing.title)
    ET.SubElement(root, "rect", {"width": str(width), "height": str(height), "fill": "#ffffff"})
    for mark in drawing.marks:
        _add(root, mark)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _add(root: ET.Element, mark: Mark) -> None:
    if isinstance(mark, Panel):
        _add_panel(root, mark)
    elif isinstance(mark, Text):
        _add_text(root, mark)
    elif isinstance(mark, Box):
        _add_box(root, mark)
    elif isinstance(mark, Line):
        (x1, y1), (x2, y2) = mark.start, mark.end
        ends = zip(("x1", "y1", "x2", "y2"), map(_number, (x1, y1, x2, y2)), strict=True)
        stroke = {"stroke": _css(mark.ink), "stroke-width": str(mark.width)}
        ET.SubElement(root, "line", {**dict(ends), **stroke})
    else:
        _add_area(root, mark)


def _add_typefaces(root: ET.Element, texts: Iterable[str]) -> None:
    """Embed the parts of the package's typefaces that texts use, and choose them for all text."""
    letters: dict[Typeface, set[str]] = {}
    for letter in sorted(set().union(*map(writable, texts))):
        found = typeface_of(letter)
        if found is not None and found.is_shipped:
            letters.setdefault(found, set()).add(letter)
    used = [typeface for typeface in shipped_typefaces() if typeface in letters]
    rules, names = [], []
    for typeface in used:
        # Signs between letters are drawn in the typeface of the letters, if it has them.
        common = {letter for each in letters.values() for letter in each if typeface.has(letter)}
        data = b64encode(part_of(typeface, letters=common)).decode("ascii")
        names.append(f"'alps {typeface.name.rpartition('.')[0]}'")
        rules.append(f"@font-face{{font-family:{names[-1]};src:url(data:font/ttf;base64,{data})}}")
    ET.SubElement(root, "style").text = "".join(rules)
    root.set("font-family", ", ".join([*names, *_FAMILIES]))


def _add_text(root: ET.Element, text: Text) -> None:
    words, size = writable(text.text), text.lettering.size
    glyphs, width = shape(words, size)
    x, ink = text.at[0], {"fill": _css(text.ink)}
    if all(glyph.typeface.is_shipped for glyph in glyphs):
        place = {"x": _number(x), "y": _number(text.baseline), "font-size": str(size)}
        anchor = {"text-anchor": _ANCHORS[text.anchor[0]]}
        ET.SubElement(root, "text", {**place, **anchor, **ink}).text = _xml(words)
        return
    left = x - {"l": 0.0, "m": width / 2, "r": width}[text.anchor[0]]
    group = ET.SubElement(root, "g", {"role": "img", "aria-label": _xml(words), **ink})
    for glyph in glyphs:
        scale = size / glyph.typeface.face.upem
        move = f"translate({_number(left + glyph.x)} {_number(text.baseline - glyph.y)})"
        path = "".join(
            _STEPS[step] + " ".join(_number(value) for point in points for value in point)
            for step, points in outline(glyph)
        )
        attributes = {"transform": f"{move} scale({scale:.6f} {-scale:.6f})", "d": path}
        ET.SubElement(group, "path", attributes)


def _add_area(root: ET.Element, area: Area) -> None:
    points = " ".join(f"{_number(x)},{_number(y)}" for x, y in area.corners)
    ET.SubElement(root, "polygon", {"points": points, "fill": _css(area.fill)})


def _add_panel(root: ET.Element, panel: Panel) -> None:
    rows, cols = panel.bare.shape[:2]
    place = {"x": str(panel.corner[0]), "y": str(panel.corner[1])}
    size = {"width": str(cols), "height": str(rows)}
    data = {"href": f"data:image/png;base64,{_png(panel.bare)}"}
    # Pixels that are enlarged stay pixels.
    style = {"image-rendering": "pixelated"}
    ET.SubElement(root, "image", {**place, **size, **style, **data})
    if panel.lines is not None:
        _add_lines(root, panel.lines, panel.corner)


def _add_lines(root: ET.Element, lines: PanelLines, corner: tuple[int, int]) -> None:
    """Add upright and level lines as one path."""
    steps = (
        f"M{x1} {y1}v{y2 - y1}" if x1 == x2 else f"M{x1} {y1}h{x2 - x1}"
        for x1, y1, x2, y2 in lines.ends.tolist()
    )
    attributes = {
        "transform": f"translate({corner[0]} {corner[1]})",
        "d": "".join(steps),
        "fill": "none",
        "stroke": _css(lines.ink),
        "stroke-width": str(lines.width),
        "stroke-linecap": "square",
    }
    ET.SubElement(root, "path", attributes)


def _add_box(root: ET.Element, box: Box) -> None:
    """Add a rectangle; frames lie on its outermost pixels, whose middles are half a pixel in."""
    inset = box.width / 2 if box.frame is not None else 0
    (x1, y1), (x2, y2) = box.first, box.last
    attributes = {
        "x": _number(x1 + inset),
        "y": _number(y1 + inset),
        "width": _number(x2 + 1 - x1 - 2 * inset),
        "height": _number(y2 + 1 - y1 - 2 * inset),
        "fill": "none" if box.fill is None else _css(box.fill),
    }
    if box.frame is not None:
        attributes |= {"stroke": _css(box.frame), "stroke-width": str(box.width)}
    ET.SubElement(root, "rect", attributes)


def _png(pixels: NDArray[np.uint8]) -> str:
    file = BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return b64encode(file.getvalue()).decode("ascii")


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _css(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
