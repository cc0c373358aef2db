"""Typefaces: those that ship with the package, then those of the system."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import uharfbuzz as hb

if TYPE_CHECKING:
    from collections.abc import Iterator

LATIN = "DejaVuSans.ttf"
_SCRIPTS = (
    *("Devanagari", "Bengali", "Tamil", "Telugu", "Kannada", "Malayalam", "Gujarati", "Gurmukhi"),
    *("Oriya", "Sinhala", "Thai", "Lao", "Khmer", "Myanmar", "Ethiopic"),
)
_SHIPPED = (
    LATIN,
    *(f"NotoSans{script}-Regular.ttf" for script in _SCRIPTS),
    # The last has Chinese, Japanese and Korean.
    "DroidSansFallback.ttf",
)

_ENDINGS = (".ttf", ".otf", ".ttc", ".otc")
_STYLES = ("bold", "italic", "oblique", "mono", "condensed", "narrow", "light", "thin", "black")
_MOST_FILES, _MOST_BYTES = 5000, 1 << 27
_OUTLINES = {"glyf", "CFF ", "CFF2"}


@dataclass(frozen=True, eq=False)
class Typeface:
    """A typeface: shapes of letters.

    Attributes
    ----------
    name : str
        Name of its file.
    face : uharfbuzz.Face
        Its tables.
    letters : frozenset of int
        Code points of its letters.
    is_shipped : bool
        True for a typeface of this package, which may be part of any file.
    """

    name: str
    face: hb.Face
    letters: frozenset[int]
    is_shipped: bool

    def has(self, letter: str) -> bool:
        """Return True if the typeface has a letter."""
        return ord(letter) in self.letters


@cache
def shipped_typefaces() -> tuple[Typeface, ...]:
    """Return the typefaces of this package; the first that has a letter draws it."""
    return tuple(
        Typeface(name, face, frozenset(face.unicodes), is_shipped=True)
        for name in _SHIPPED
        for face in [hb.Face(hb.Blob(typeface_data(name)))]
    )


def typeface_data(name: str) -> bytes:
    """Read the file of a typeface of this package."""
    return (files("alps_geo.outputs.data") / name).read_bytes()


def typeface_of(letter: str) -> Typeface | None:
    """Find the typeface that draws a letter; None if neither ours nor the system's has it."""
    shipped = next((each for each in shipped_typefaces() if each.has(letter)), None)
    return shipped or _of_system(letter, system_folders())


def system_folders() -> tuple[Path, ...]:
    """List the folders in which systems keep typefaces, those of the user first."""
    home = Path.home()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", str(home / "AppData/Local"))
        system = os.environ.get("SYSTEMROOT", "C:/Windows")
        return Path(local, "Microsoft/Windows/Fonts"), Path(system, "Fonts")
    if sys.platform == "darwin":
        return home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")
    shared = os.environ.get("XDG_DATA_HOME") or str(home / ".local/share")
    others = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return Path(shared, "fonts"), home / ".fonts", *(Path(x, "fonts") for x in others.split(":"))


@cache
def _of_system(letter: str, folders: tuple[Path, ...]) -> Typeface | None:
    found = (face for path in _font_files(folders) for face in _faces(path))
    return next((face for face in found if face.has(letter) and _has_ink(face, letter)), None)


@cache
def _font_files(folders: tuple[Path, ...]) -> tuple[Path, ...]:
    """List files of typefaces, plain styles before bold and slanted ones."""
    found = [path for folder in folders for path in _walk(folder)][:_MOST_FILES]
    return tuple(sorted(found, key=lambda path: any(x in path.stem.lower() for x in _STYLES)))


def _walk(folder: Path) -> Iterator[Path]:
    for parent, subfolders, names in os.walk(folder):
        subfolders.sort()
        yield from (Path(parent, name) for name in sorted(names) if name.lower().endswith(_ENDINGS))


@cache
def _faces(path: Path) -> tuple[Typeface, ...]:
    """Open a file of typefaces; one that is damaged or not for us to read has none."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return ()
        blob = hb.Blob.from_file_path(str(path))
        faces = [hb.Face(blob, index) for index in range(hb.Face(blob).count)]
    except (OSError, hb.HarfBuzzError):
        return ()
    # Coloured pictures of letters are no outlines.
    drawn = [face for face in faces if _OUTLINES & set(face.table_tags)]
    return tuple(Typeface(path.name, x, frozenset(x.unicodes), is_shipped=False) for x in drawn)


def _has_ink(typeface: Typeface, letter: str) -> bool:
    font, raster = hb.Font(typeface.face), hb.RasterDraw()
    font.scale = (16, 16)
    raster.draw_glyph(font, font.get_nominal_glyph(ord(letter)))
    image = raster.render()
    return image is not None and any(bytes(image.buffer))
