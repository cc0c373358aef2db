"""Drawings as PDF: text is text in embedded typefaces, lines are lines, and panels are pictures."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import uharfbuzz as hb

from alps_geo.outputs.drawing import WIDTH_MM, Area, Box, Line, Panel, Text
from alps_geo.outputs.letters import shape
from alps_geo.outputs.outlines import outline, part_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alps_geo.clusters.colors import Color
    from alps_geo.outputs.drawing import Drawing, Mark, PanelLines
    from alps_geo.outputs.letters import Glyph
    from alps_geo.outputs.typefaces import Typeface

_POINTS_PER_MM = 72 / 25.4


def to_pdf(drawing: Drawing) -> bytes:
    """Draw marks on a page that is `alps_geo.outputs.drawing.WIDTH_MM` wide.

    Glyphs of the package's own typefaces are embedded; those of the system, which may not allow
    that, are drawn as areas. The same drawing gives the same bytes.
    """
    scale = WIDTH_MM * _POINTS_PER_MM / drawing.width
    size = drawing.width * scale, drawing.height * scale
    page = _Page()
    # From pixels downwards to points upwards.
    page.commands.append(f"{_n(scale)} 0 0 {_n(-scale)} 0 {_n(size[1])} cm")
    for mark in drawing.marks:
        page.add(mark)
    file = _File()
    catalogue, pages, info = file.reserve(), file.reserve(), file.reserve()
    content = file.add_stream("", "\n".join(page.commands).encode("ascii"))
    fonts = " ".join(f"/F{i} {_add_font(file, each)} 0 R" for i, each in enumerate(page.fonts))
    images = " ".join(f"/I{i} {_add_image(file, each)} 0 R" for i, each in enumerate(page.panels))
    only = file.add(
        f"<</Type/Page/Parent {pages} 0 R/MediaBox[0 0 {_n(size[0])} {_n(size[1])}]/Contents "
        f"{content} 0 R/Resources<</Font<<{fonts}>>/XObject<<{images}>>>>>>".encode()
    )
    file.put(pages, f"<</Type/Pages/Count 1/Kids[{only} 0 R]>>".encode())
    file.put(catalogue, f"<</Type/Catalog/Pages {pages} 0 R>>".encode())
    title = _utf16(drawing.title)
    file.put(info, f"<</Title {title}/Producer(alps-geo)>>".encode())
    return file.to_bytes(catalogue, info)


class _Font:
    """A typeface on a page, with the glyphs that are used of it and their letters."""

    def __init__(self, typeface: Typeface) -> None:
        self.typeface = typeface
        self.letters: dict[int, str] = {}


class _Page:
    """Commands of a page, and the panels and fonts that they name."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.panels: list[Panel] = []
        self.fonts: list[_Font] = []

    def add(self, mark: Mark) -> None:
        """Add the commands that draw a mark."""
        if isinstance(mark, Panel):
            rows, cols = mark.bare.shape[:2]
            (x, y), name = mark.corner, f"/I{len(self.panels)}"
            self.commands.append(f"q {cols} 0 0 {-rows} {x} {y + rows} cm {name} Do Q")
            self.panels.append(mark)
            if mark.lines is not None:
                self.commands.append(_lines(mark.lines, mark.corner))
        elif isinstance(mark, Text):
            self._add_text(mark)
        elif isinstance(mark, Box):
            self._add_box(mark)
        elif isinstance(mark, Line):
            (x1, y1), (x2, y2) = mark.start, mark.end
            ends = f"{_n(x1)} {_n(y1)} m {_n(x2)} {_n(y2)} l S"
            self.commands.append(f"{_rgb(mark.ink)} RG {mark.width} w {ends}")
        else:
            self._add_area(mark)

    def _add_box(self, box: Box) -> None:
        inset = box.width / 2 if box.frame is not None else 0
        (x1, y1), (x2, y2) = box.first, box.last
        width, height = x2 + 1 - x1 - 2 * inset, y2 + 1 - y1 - 2 * inset
        path = f"{_n(x1 + inset)} {_n(y1 + inset)} {_n(width)} {_n(height)} re"
        if box.fill is not None:
            self.commands.append(f"{_rgb(box.fill)} rg {path} f")
        if box.frame is not None:
            self.commands.append(f"{_rgb(box.frame)} RG {box.width} w {path} S")

    def _add_area(self, area: Area) -> None:
        (x, y), *others = area.corners
        path = f"{_n(x)} {_n(y)} m " + " ".join(f"{_n(x)} {_n(y)} l" for x, y in others)
        self.commands.append(f"{_rgb(area.fill)} rg {path} h f")

    def _add_text(self, text: Text) -> None:
        size = text.lettering.size
        glyphs, width = shape(text.text, size)
        left = text.at[0] - {"l": 0.0, "m": width / 2, "r": width}[text.anchor[0]]
        spoken = f"/Span <</ActualText {_utf16(text.text)}>> BDC {_rgb(text.ink)} rg"
        self.commands += [spoken, "BT"]
        drawn = [glyph for glyph in glyphs if not glyph.typeface.is_shipped]
        for glyph in glyphs:
            if glyph.typeface.is_shipped:
                place = f"1 0 0 -1 {_n(left + glyph.x)} {_n(text.baseline - glyph.y)} Tm"
                font = f"/F{self._font(glyph)} {size} Tf"
                self.commands.append(f"{font} {place} <{glyph.number:04x}> Tj")
        self.commands.append("ET")
        for glyph in drawn:
            self.commands.append(_outline(glyph, size, (left, text.baseline)))
        self.commands.append("EMC")

    def _font(self, glyph: Glyph) -> int:
        """Return the number of the font of a glyph, which is noted there."""
        known = [font.typeface for font in self.fonts]
        if glyph.typeface not in known:
            self.fonts.append(_Font(glyph.typeface))
            known.append(glyph.typeface)
        number = known.index(glyph.typeface)
        letters = self.fonts[number].letters
        letters[glyph.number] = letters.get(glyph.number) or glyph.text
        return number


def _lines(lines: PanelLines, corner: tuple[int, int]) -> str:
    """Draw the lines of a panel as one path, with square ends."""
    path = " ".join(f"{x1} {y1} m {x2} {y2} l" for x1, y1, x2, y2 in lines.ends.tolist())
    place = f"1 0 0 1 {corner[0]} {corner[1]} cm"
    return f"q {place} {_rgb(lines.ink)} RG {lines.width} w 2 J {path} S Q"


def _outline(glyph: Glyph, size: int, start: tuple[float, float]) -> str:
    """Fill the outline of a glyph of a line that starts at (x, y)."""
    path = " ".join(
        " ".join([*(_n(value) for point in points for value in point), step])
        for step, points in outline(glyph)
    )
    scale = size / glyph.typeface.face.upem
    place = f"{_n(start[0] + glyph.x)} {_n(start[1] - glyph.y)}"
    return f"q {_n(scale)} 0 0 {_n(-scale)} {place} cm {path} f Q"


class _File:
    """Objects of a PDF file, numbered from 1."""

    def __init__(self) -> None:
        self._objects: list[bytes] = []

    def reserve(self) -> int:
        """Take a number for an object that is put later."""
        self._objects.append(b"")
        return len(self._objects)

    def put(self, number: int, content: bytes) -> None:
        """Put an object."""
        self._objects[number - 1] = content

    def add(self, content: bytes) -> int:
        """Add an object, and return its number."""
        self._objects.append(content)
        return len(self._objects)

    def add_stream(self, entries: str, data: bytes) -> int:
        """Add data with entries of its dictionary."""
        packed = zlib.compress(data)
        head = f"<<{entries}/Filter/FlateDecode/Length {len(packed)}>>stream\n".encode()
        return self.add(head + packed + b"\nendstream")

    def to_bytes(self, catalogue: int, info: int) -> bytes:
        """Return the whole file."""
        parts, offsets = [b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"], []
        at = len(parts[0])
        for number, content in enumerate(self._objects, 1):
            offsets.append(at)
            parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, content))
            at += len(parts[-1])
        count = len(self._objects) + 1
        table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
        end = (
            f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<</Size {count}/Root "
            f"{catalogue} 0 R/Info {info} 0 R>>\nstartxref\n{at}\n%%EOF\n"
        )
        return b"".join([*parts, end.encode()])


def _add_image(file: _File, panel: Panel) -> int:
    rows, cols = panel.bare.shape[:2]
    entries = f"/Type/XObject/Subtype/Image/Width {cols}/Height {rows}"
    entries += "/ColorSpace/DeviceRGB/BitsPerComponent 8"
    return file.add_stream(entries, panel.bare.tobytes())


def _add_font(file: _File, font: _Font) -> int:
    """Embed the glyphs of a font that are used, under the numbers that they have in it."""
    face, numbers = font.typeface.face, sorted(font.letters)
    data = part_of(font.typeface, glyphs=numbers)
    program = file.add_stream(f"/Length1 {len(data)}", data)
    # Six letters before the name tell a part of a typeface.
    name = f"/ALPSGE+{font.typeface.name.rpartition('.')[0]}"
    measured = hb.Font(face)
    thousandths = 1000 / face.upem
    extents = measured.get_font_extents("ltr")
    up, down = (round(each * thousandths) for each in (extents.ascender, extents.descender))
    descriptor = file.add(
        f"<</Type/FontDescriptor/FontName{name}/Flags 4/FontBBox[0 {down} 1000 {up}]/ItalicAngle 0"
        f"/Ascent {up}/Descent {down}/CapHeight {up}/StemV 80/FontFile2 {program} 0 R>>".encode()
    )
    widths = " ".join(
        f"{number}[{_n(measured.get_glyph_h_advance(number) * thousandths)}]" for number in numbers
    )
    descendant = file.add(
        f"<</Type/Font/Subtype/CIDFontType2/BaseFont{name}/CIDSystemInfo<</Registry(Adobe)"
        f"/Ordering(Identity)/Supplement 0>>/CIDToGIDMap/Identity/W[{widths}]"
        f"/FontDescriptor {descriptor} 0 R>>".encode()
    )
    unicode = file.add_stream("", _unicode_map(font.letters).encode("ascii"))
    return file.add(
        f"<</Type/Font/Subtype/Type0/BaseFont{name}/Encoding/Identity-H"
        f"/DescendantFonts[{descendant} 0 R]/ToUnicode {unicode} 0 R>>".encode()
    )


def _unicode_map(letters: dict[int, str]) -> str:
    """Return the CMap from glyphs to letters, by which text is searched and copied."""
    lines = [
        f"<{number:04x}> <{text.encode('utf-16-be', 'replace').hex()}>"
        for number, text in sorted(letters.items())
        if text
    ]
    parts = "\n".join(
        f"{len(part)} beginbfchar\n" + "\n".join(part) + "\nendbfchar" for part in _hundreds(lines)
    )
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CIDSystemInfo "
        "<</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def\n/CMapName /Letters def\n"
        "/CMapType 2 def\n1 begincodespacerange\n<0000> <ffff>\nendcodespacerange\n"
        f"{parts}\nendcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
    )


def _hundreds(lines: list[str]) -> Iterator[list[str]]:
    """Cut lines into lists of a hundred, the most that a CMap may hold at a time."""
    yield from (lines[start : start + 100] for start in range(0, len(lines), 100))


def _utf16(text: str) -> str:
    return f"<feff{text.encode('utf-16-be', 'replace').hex()}>"


def _rgb(color: Color | Iterable[int]) -> str:
    return " ".join(_n(value / 255) for value in color)


def _n(value: float) -> str:
    return f"{value:.5f}".rstrip("0").rstrip(".") or "0"
