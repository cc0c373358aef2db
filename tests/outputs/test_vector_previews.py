"""Previews as SVG and PDF: text that can be searched, sharp lines, and the pixels of the panels."""

from __future__ import annotations

import base64
import re
import zlib
from io import BytesIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import uharfbuzz as hb
from affine import Affine
from PIL import Image

from alps_geo.clusters.legend import Legend
from alps_geo.outputs.preview import write_preview
from alps_geo.outputs.preview_panels import BORDER, border_lines, borders_panel
from alps_geo.outputs.preview_sheet import MapPicture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


NAMES = {1: "water & <ice>", 2: "森林", 3: "غابة", 4: "जल", 5: "a\u0308cker", 6: "stray\udcff"}
PALETTE = {number: (number * 30, 200, 255 - number * 20) for number in NAMES}
SVG = "{http://www.w3.org/2000/svg}"
ROWS, COLS = 480, 400


@pytest.fixture(scope="module")
def scene() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, (ROWS, COLS, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(scene: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("previews")
    labels = np.arange(ROWS * COLS).reshape(ROWS, COLS) // 40_000 + 1
    transform = Affine.translation(500_000, 5e6) @ Affine.rotation(30) @ Affine.scale(10, -10)
    picture = MapPicture(
        scene, labels, np.ones((ROWS, COLS), bool), labels, crs="EPSG:32632", transform=transform
    )
    paths = [folder / f"preview.{form}" for form in ("png", "pdf", "svg")]
    write_preview(paths, picture, Legend(PALETTE, NAMES), title="Szene Ü")
    return folder


def png(folder: Path) -> NDArray[np.uint8]:
    with Image.open(folder / "preview.png") as picture:
        return np.asarray(picture.convert("RGB"))


def expected_texts() -> set[str]:
    shares = {"20.8%", "16.7%", "none"}
    names = {name.replace("\udcff", "\ufffd") for name in NAMES.values()}
    words = {"Szene Ü", "scene", "labels", "segments", "cluster", "share", "N", "1 km"}
    return names | words | {"EPSG:32632   WGS 84 / UTM zone 32N"} | {"1", "6"} | shares


def test_svg_has_the_texts_as_text(folder: Path) -> None:
    root = ET.parse(folder / "preview.svg").getroot()
    assert root.get("width") == "250mm"
    texts = {element.text for element in root.iter(f"{SVG}text")}
    assert expected_texts() <= texts
    size = float(next(root.iter(f"{SVG}text")).get("font-size", "0"))
    pixels = float(root.get("viewBox", "").split()[2])
    assert size / pixels * 250 > 4, "the title, in millimetres"


def test_svg_brings_the_typefaces_of_its_texts(folder: Path) -> None:
    """Chinese is no row of boxes where no typeface of it is installed."""
    root = ET.parse(folder / "preview.svg").getroot()
    style = root.findtext(f"{SVG}style") or ""
    rules = re.findall(r"font-family:('[^']+');src:url\(data:font/ttf;base64,([^)]+)\)", style)
    families = root.get("font-family", "")
    assert [name for name, _ in rules] == families.split(", ")[: len(rules)]
    faces = [hb.Face(hb.Blob(base64.b64decode(data))) for _, data in rules]
    known = set().union(*(face.unicodes for face in faces))
    assert {ord(letter) for letter in "".join(expected_texts())} <= known
    assert sum(len(data) for _, data in rules) < 400_000, "parts of typefaces, not all of them"


def test_svg_has_the_panels_pixel_by_pixel_and_lines_of_its_own(
    folder: Path, scene: NDArray[np.uint8]
) -> None:
    root = ET.parse(folder / "preview.svg").getroot()
    images = list(root.iter(f"{SVG}image"))
    assert len(images) == 3
    data = base64.b64decode(images[0].get("href", "").partition(",")[2])
    with Image.open(BytesIO(data)) as panel:
        assert np.array_equal(np.asarray(panel), scene)
    x, y = int(images[0].get("x", "")), int(images[0].get("y", ""))
    assert np.array_equal(png(folder)[y : y + ROWS, x : x + COLS], scene)
    fills = {element.get("fill") for element in root.iter(f"{SVG}rect")}
    assert {"#{:02x}{:02x}{:02x}".format(*color) for color in PALETTE.values()} <= fills
    assert len(list(root.iter(f"{SVG}polygon"))) == 1, "the arrow"


def test_borders_of_segments_are_lines_over_the_bare_scene(
    folder: Path, scene: NDArray[np.uint8]
) -> None:
    root = ET.parse(folder / "preview.svg").getroot()
    data = base64.b64decode(list(root.iter(f"{SVG}image"))[2].get("href", "").partition(",")[2])
    with Image.open(BytesIO(data)) as panel:
        assert np.array_equal(np.asarray(panel), scene)
    (path,) = (each for each in root.iter(f"{SVG}path") if each.get("stroke") == "#ffdd00")
    assert path.get("d") == "M0 100h400M0 200h400M0 300h400M0 400h400"
    objects = pdf_objects(folder / "preview.pdf")
    (content,) = (each for each in objects.values() if b"0 100 m 400 100 l" in each)
    assert b"0 400 m 400 400 l S" in content


def test_lines_lie_where_borders_are_painted() -> None:
    random = np.random.default_rng(0)
    ids = random.integers(1, 4, (30, 25)).repeat(2, axis=0).repeat(2, axis=1)
    valid = np.ones(ids.shape, bool)
    valid[:10, :8] = False
    ids[~valid] = 0
    scene = np.zeros((*ids.shape, 3), np.uint8)
    painted = (borders_panel(scene, ids, valid) == BORDER).all(axis=-1)
    lines = border_lines(scene, ids, valid)
    drawn = np.zeros(ids.shape, bool)
    for x1, y1, x2, y2 in lines.ends.tolist():
        drawn[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)] = True
    assert lines.width == 1
    assert np.array_equal(drawn & valid, painted)
    assert not drawn[:10, :8].any()


def pdf_objects(path: Path) -> dict[int, bytes]:
    """Read the objects of a PDF by its table, streams unpacked."""
    data = path.read_bytes()
    start = int(re.findall(rb"startxref\n(\d+)\n%%EOF", data)[-1])
    assert data[start : start + 4] == b"xref"
    offsets = [int(each) for each in re.findall(rb"(\d{10}) 00000 n ", data[start:])]
    objects = {}
    for number, offset in enumerate(offsets, 1):
        assert data[offset:].startswith(b"%d 0 obj\n" % number)
        content = data[offset : data.index(b"endobj", offset)]
        if b"stream\n" in content:
            length = re.search(rb"/Length (\d+)>>", content)
            assert length is not None
            begin = offset + content.index(b"stream\n") + 7
            head = content[: content.index(b"stream\n")]
            content = head + zlib.decompress(data[begin : begin + int(length[1])])
        objects[number] = content
    return objects


def test_pdf_is_25_cm_wide_and_has_the_panels(folder: Path, scene: NDArray[np.uint8]) -> None:
    objects = pdf_objects(folder / "preview.pdf")
    page = next(each for each in objects.values() if b"/Type/Page/" in each)
    box = [float(x) for x in re.findall(rb"MediaBox\[([^\]]+)\]", page)[0].split()]
    picture = png(folder)
    assert box[2] == pytest.approx(25 / 2.54 * 72, abs=0.01)
    assert box[3] / box[2] == pytest.approx(picture.shape[0] / picture.shape[1], abs=1e-4)
    panels = [each for each in objects.values() if b"/Subtype/Image" in each]
    assert len(panels) == 3
    assert panels[0].endswith(scene.tobytes())


def test_pdf_has_the_texts_in_embedded_typefaces(folder: Path) -> None:
    """Its glyphs lead back to the letters, by the map that readers search and copy by."""
    objects = pdf_objects(folder / "preview.pdf")
    content = next(each for each in objects.values() if b"ActualText" in each).decode("ascii")
    spoken = [
        bytes.fromhex(each).decode("utf-16-be")
        for each in re.findall(r"<feff([0-9a-f]*)>", content)
    ]
    assert expected_texts() - {"stray\ufffd"} <= set(spoken)
    maps = {}
    for number, font in enumerate(each for each in objects.values() if b"/Type0" in each):
        assert b"/Identity-H" in font
        unicode = objects[int(re.findall(rb"/ToUnicode (\d+)", font)[0])].decode("ascii", "replace")
        maps[number] = {
            glyph: bytes.fromhex(letters).decode("utf-16-be")
            for glyph, letters in re.findall(r"<([0-9a-f]{4})> <([0-9a-f]+)>\n", unicode)
        }
    lines = [
        "".join(maps[int(font)].get(glyph, "") for font, glyph in drawn)
        for part in content.split("BT")[1:]
        for drawn in [re.findall(r"/F(\d+) .*? <([0-9a-f]{4})> Tj", part)]
    ]
    # Letters of Arabic are drawn from left to right, and of Hindi as one reads them.
    assert {"water & <ice>", "森林", "غابة"[::-1], "जल", "scene", "1 km"} <= set(lines)
    programs = [each for each in objects.values() if b"/Length1" in each]
    assert len(programs) == len(maps)
    assert all(len(each) < 600_000 for each in programs), "parts of typefaces, not all of them"


def test_the_same_arrays_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    labels = np.ones((50, 50), int)
    picture = MapPicture(np.zeros((50, 50, 3), np.uint8), labels, labels > 0, labels)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        paths = [tmp_path / name / f"preview.{form}" for form in ("pdf", "svg")]
        write_preview(paths, picture, Legend(PALETTE, NAMES))
    for form in ("pdf", "svg"):
        first, second = (tmp_path / name / f"preview.{form}" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
