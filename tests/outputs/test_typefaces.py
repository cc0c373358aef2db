"""Letters that the package's typefaces lack are looked up on the system, or missed once, aloud."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image, ImageDraw

from alps_geo.clusters.legend import Legend
from alps_geo.outputs import letters
from alps_geo.outputs.letters import UNWRITABLE, lettering, writable
from alps_geo.outputs.preview import write_preview
from alps_geo.outputs.preview_sheet import MapPicture
from alps_geo.outputs.typefaces import system_folders, typeface_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

TREE, WAVE, CACTUS = "\U0001f332", "\U0001f30a", "\U0001f335"


def write_typeface(path: Path, letter: str, *, drawn: bool = True) -> None:
    """Write a typeface whose only letter is a block, or nothing at all."""
    pen = TTGlyphPen(None)
    if drawn:
        pen.moveTo((100, 0))
        for point in ((100, 800), (900, 800), (900, 0)):
            pen.lineTo(point)
        pen.closePath()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "block"])
    builder.setupCharacterMap({ord(letter): "block"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "block": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "block": (1000, 100)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Blocks", "styleName": "Regular"})
    builder.setupPost()
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)


@pytest.fixture
def fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty system: a folder for typefaces, and no other."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "nowhere"))
    monkeypatch.setattr(letters, "_told", set())
    letters._shaped.cache_clear()
    yield tmp_path / "share" / "fonts"
    letters._shaped.cache_clear()


def drawn(text: str) -> NDArray[np.uint8]:
    image = Image.new("RGB", (200, 60), (255, 255, 255))
    lettering(40).draw(ImageDraw.Draw(image), (10, 30), text, (0, 0, 0), "lm")
    return np.asarray(image)[..., 0]


def preview(folder: Path, names: dict[int, str], *forms: str) -> None:
    labels = np.ones((40, 40), int)
    picture = MapPicture(np.zeros((40, 40, 3), np.uint8), labels, labels > 0)
    palette = {number: (200, 30, number) for number in names}
    paths = [folder / f"preview.{form}" for form in forms or ("png",)]
    write_preview(paths, picture, Legend(palette, names))


def test_a_letter_is_drawn_in_a_typeface_of_the_system(fonts: Path) -> None:
    write_typeface(fonts / "any" / "Blocks.ttf", TREE)
    assert typeface_of(TREE) is not None
    assert writable(f"{TREE} tree") == f"{TREE} tree"
    picture = drawn(TREE)
    # The block: 32 pixels wide and high, and full of ink.
    assert (picture < 40).sum() == pytest.approx(32 * 32, rel=0.1)


def test_letters_of_our_own_typefaces_are_not_looked_up(fonts: Path) -> None:
    write_typeface(fonts / "Blocks.ttf", "w")
    found = typeface_of("w")
    assert found is not None
    assert found.is_shipped


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no typeface"),
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("absent.ttf"),
    ],
    ids=["other bytes", "cut short", "folder", "dangling link"],
)
def test_a_damaged_typeface_is_passed_over(fonts: Path, spoil: Callable[[Path], object]) -> None:
    write_typeface(fonts / "z" / "Blocks.ttf", WAVE)
    damaged = fonts / "a" / "Broken.ttf"
    write_typeface(damaged, WAVE)
    kept = damaged.read_bytes()
    damaged.unlink()
    if not damaged.exists() and spoil.__code__.co_names[:1] == ("write_bytes",):
        damaged.write_bytes(kept)
    spoil(damaged)
    found = typeface_of(WAVE)
    assert found is not None
    assert found.name == "Blocks.ttf"


def test_a_typeface_without_an_outline_of_a_letter_has_not_got_it(fonts: Path) -> None:
    """Coloured pictures of letters have none, and would leave a gap in the name."""
    write_typeface(fonts / "Empty.ttf", CACTUS, drawn=False)
    assert typeface_of(CACTUS) is None
    assert writable(f"{CACTUS} x") == "\ufffd x"
    assert writable(CACTUS) == UNWRITABLE


def test_one_warning_tells_of_all_missing_letters(
    fonts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = {1: f"{TREE} forest", 2: "water", 3: f"{WAVE}{CACTUS}"}
    with caplog.at_level(logging.WARNING, "alps_geo"):
        preview(tmp_path, names, "png", "pdf", "svg")
        preview(tmp_path, names)
    assert len(caplog.messages) == 1
    for part in ("U+1F332", "U+1F30A", "U+1F335", "install a typeface"):
        assert part in caplog.messages[0]


def test_no_warning_tells_of_letters_that_are_there(
    fonts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    preview(tmp_path, {1: "forêt 森林 غابة जल", 2: "ป่าไม้ дорога"})
    assert caplog.messages == []


def test_vector_formats_draw_letters_of_the_system_as_areas(fonts: Path, tmp_path: Path) -> None:
    """Its typefaces may not be handed on, and are not there on other machines."""
    write_typeface(fonts / "Blocks.ttf", TREE)
    preview(tmp_path, {1: f"{TREE} forest"}, "svg", "pdf")
    svg = (tmp_path / "preview.svg").read_text(encoding="utf-8")
    assert f'aria-label="{TREE} forest"' in svg
    assert "M100 0L100 800L900 800L900 0" in svg
    assert b"Blocks" not in (tmp_path / "preview.pdf").read_bytes()


@pytest.mark.parametrize(
    ("platform", "expected"), [("win32", "Windows"), ("darwin", "Library"), ("linux", "share")]
)
def test_each_system_has_its_folders(
    platform: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    assert any(expected in folder.parts for folder in system_folders())
