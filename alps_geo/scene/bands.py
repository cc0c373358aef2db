"""Choice of the red, green and blue bands, and names of all bands."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rasterio.enums import ColorInterp

from alps_geo.errors import SceneError
from alps_geo.fields import BandNumbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RGB = ("red", "green", "blue")

# Sentinel-2 numbers its bands with two digits (B04), as the harmonised Landsat-Sentinel product
# does for these bands; Landsat Collection 2 writes SR_B4, which is red only on Landsat 8 and 9.
_SENTINEL2 = {
    "b01": "coastal",
    "b02": "blue",
    "b03": "green",
    "b04": "red",
    "b08": "nir",
}
_LANDSAT8 = {1: "coastal", 2: "blue", 3: "green", 4: "red", 5: "nir", 6: "swir1", 7: "swir2"}
_LANDSAT5 = {1: "blue", 2: "green", 3: "red", 4: "nir", 5: "swir1", 7: "swir2"}

_INFRARED = re.compile(r"(?<![a-z0-9])nir(?![a-z0-9])|near[ _-]?infra[ _-]?red")
_OTHER_RED = re.compile(r"red[ _-]?edge|infra[ _-]?red")


@dataclass(frozen=True)
class BandChoice:
    """The bands of a scene.

    Attributes
    ----------
    data : tuple of int
        Bands that hold data, counted from 1, in file order.
    names : tuple of str
        Their names: unique, lower-case letters, digits and underscores, a letter first.
    rgb : tuple of int
        The three bands that SAM sees, counted from 1.
    notes : tuple of str
        Assumptions, one sentence each.
    """

    data: tuple[int, ...]
    names: tuple[str, ...]
    rgb: tuple[int, int, int]
    notes: tuple[str, ...]


def choose_bands(
    path: str,
    tags: Sequence[ColorInterp],
    descriptions: Sequence[str | None],
    alpha: Sequence[int],
    override: tuple[int, ...] | None,
    alpha_setting: str = "auto",
) -> BandChoice:
    """Choose the bands that SAM sees and name all data bands.

    Red, green and blue are found by colour interpretation, else by description, else they are
    the first three data bands; with fewer than three the first is repeated.

    Parameters
    ----------
    path : str
        The scene, for messages.
    tags, descriptions : sequence
        Colour interpretation and description of every band in the file.
    alpha : sequence of int
        Bands that are true alpha, or left out for another reason, counted from 1.
    override : tuple of int, optional
        One band, shown as grey, or three.
    alpha_setting : str
        The user's setting for bands that are tagged as alpha, for the notes.

    Raises
    ------
    SceneError
        If there is no data band, or `override` names bands that the scene lacks.
    """
    data = tuple(band for band in range(1, len(tags) + 1) if band not in alpha)
    if not data:
        raise SceneError(f"{path} holds only alpha, expected at least one band of data")
    tagged = {band: tags[band - 1].name for band in data if tags[band - 1].name in _TAGGED}
    described = _described([descriptions[band - 1] for band in data], data)
    notes: tuple[str, ...] = ()
    if override is not None:
        rgb = _overridden(path, len(tags), override)
    else:
        rgb, notes = _chosen(data, tagged, described)
    roles = {**tagged, **described}  # many writers tag the first three bands unasked
    loose = [band for band in data if tags[band - 1] is ColorInterp.alpha]
    if len(loose) == 1 and _is_orthophoto(roles, descriptions[loose[0] - 1]):
        roles[loose[0]] = "nir"
    notes = (*_loose_notes(set(loose) - set(override or ()), roles, alpha_setting), *notes)
    names = _unique(
        [roles.get(band) or _slug(descriptions[band - 1]) or f"band_{band}" for band in data]
    )
    return BandChoice(data, names, rgb, notes)


def _is_orthophoto(roles: Mapping[int, str], description: str | None) -> bool:
    """Return True if a band wrongly tagged as alpha is the usual fourth one: near infrared."""
    return _has_rgb(roles) and "nir" not in roles.values() and not description


def _loose_notes(loose: set[int], roles: Mapping[int, str], setting: str) -> Iterator[str]:
    for band in sorted(loose):
        meaning = " (near infrared, presumably)" if roles.get(band) == "nir" else ""
        if setting == "no":
            yield f"band {band} is tagged as alpha and taken as data{meaning}, as --alpha no says"
        else:
            yield (
                f"band {band} is tagged as alpha but holds other values than 0 and full: "
                f"it is taken as data{meaning}; else --alpha yes"
            )


_TAGGED = {*RGB, "nir", "coastal", "rededge", "pan"}


def _overridden(path: str, count: int, override: tuple[int, ...]) -> tuple[int, int, int]:
    given, numbers = ",".join(map(str, override)), BandNumbers()
    if not numbers.allow(override):
        raise SceneError(f"{path}: bands {given} given, expected {numbers.describe()}")
    if max(override) > count:
        raise SceneError(
            f"{path}: bands {given} given, but it has {count} band{'s' * (count > 1)}: "
            f"choose from 1 to {count}"
        )
    return override * 3 if len(override) == 1 else override  # type: ignore[return-value]


def _chosen(
    data: tuple[int, ...], tagged: Mapping[int, str], described: Mapping[int, str]
) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    by_tag, by_description = _rgb(tagged), _rgb(described)
    if by_tag is not None:
        if all(described.get(band, colour) == colour for band, colour in tagged.items()):
            return by_tag, ()
        other = ",".join(map(str, by_description or ()))
        return by_tag, (
            "band descriptions contradict the colour tags, by which SAM sees bands "
            f"{by_tag[0]}, {by_tag[1]} and {by_tag[2]} ({f'else --bands {other}'.rstrip()})",
        )
    if by_description is not None:
        return by_description, ()
    if len(data) < 3:
        some = "one data band" if len(data) == 1 else "two data bands"
        note = f"the scene has {some}: SAM sees band {data[0]} as red, green and blue alike"
        return (data[0],) * 3, (note,)
    return (data[0], data[1], data[2]), (
        f"bands {data[0]}, {data[1]} and {data[2]} are taken as red, green and blue: "
        "no band says what it is (else --bands)",
    )


def _rgb(roles: Mapping[int, str]) -> tuple[int, int, int] | None:
    first = {role: band for band, role in reversed(list(roles.items()))}
    if not _has_rgb(roles):
        return None
    return first["red"], first["green"], first["blue"]


def _has_rgb(roles: Mapping[int, str]) -> bool:
    return set(RGB) <= set(roles.values())


def _described(descriptions: Sequence[str | None], data: Sequence[int]) -> dict[int, str]:
    texts = [(text or "").strip().lower() for text in descriptions]
    landsat = _landsat_numbers(texts)
    roles = {}
    for band, text in zip(data, texts, strict=True):
        role = _SENTINEL2.get(text) or landsat.get(text) or _role(text)
        if role is not None:
            roles[band] = role
    return roles


def _landsat_numbers(texts: Sequence[str]) -> dict[str, str]:
    """Return roles of names such as SR_B4, where the set of bands tells which Landsat it is."""
    numbers = {int(text[4:]) for text in texts if re.fullmatch(r"sr_b[1-7]", text)}
    if 6 in numbers or (1 not in numbers and {2, 3, 4} <= numbers and 7 not in numbers):
        table = _LANDSAT8
    elif {1, 7} <= numbers:
        table = _LANDSAT5
    else:
        return {}
    return {f"sr_b{number}": table[number] for number in numbers}


def _role(text: str) -> str | None:
    if _INFRARED.search(text):
        return "nir"
    if _OTHER_RED.search(text):
        return None
    words = set(re.split(r"[^a-z]+", text))
    found = [colour for colour in RGB if colour in words or text == colour[0]]
    return found[0] if len(found) == 1 else None


def _slug(text: str | None) -> str:
    plain = unicodedata.normalize("NFKD", text or "").encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")[:40].strip("_")
    return f"band_{slug}" if slug[:1].isdigit() else slug


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    taken: list[str] = []
    for name in names:
        fresh, count = name, 1
        while fresh in taken:
            count += 1
            fresh = f"{name}_{count}"
        taken.append(fresh)
    return tuple(taken)
