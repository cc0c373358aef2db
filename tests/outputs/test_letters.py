"""Names in any script can be read on the pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from alps_geo.outputs.letters import (
    UNWRITABLE,
    Lettering,
    _runs,
    lettering,
    pillow_lettering,
    writable,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

# ruff: noqa: RUF001

# Pairs of words that differ: were they boxes, they would look alike.
SCRIPTS = {
    "Chinese": ("森林", "水体"),
    "Japanese": ("アスファルト", "コンクリート"),
    "Korean": ("건물", "지붕"),
    "Arabic": ("غابة", "بحار"),
    "Persian": ("دریاچه‌ها", "خیابان‌ها"),
    "Hebrew": ("יער", "דרך"),
    "Hindi": ("जल", "वन"),
    "Bengali": ("নদী", "বনভ"),
    "Tamil": ("காடு", "நீர்"),
    "Telugu": ("అడవి", "నీరు"),
    "Kannada": ("ಕಾಡು", "ನೀರು"),
    "Malayalam": ("കാട്", "ജലം"),
    "Gujarati": ("જંગલ", "પાણી"),
    "Punjabi": ("ਜੰਗਲ", "ਪਾਣੀ"),
    "Odia": ("ଜଙ୍ଗଲ", "ଜଳ"),
    "Sinhala": ("වනය", "ජලය"),
    "Thai": ("ป่าไม้", "น้ำ"),
    "Lao": ("ປ່າ", "ນ້ຳ"),
    "Khmer": ("ព្រៃ", "ទឹក"),
    "Burmese": ("သစ်တော", "ရေ"),
    "Amharic": ("ደን", "ውሃ"),
    "decomposed": ("a\u0308", "o\u0308"),
}


def drawn(text: str, letters: Lettering | None = None, anchor: str = "lm") -> NDArray[np.uint8]:
    image = Image.new("RGB", (600, 60), (255, 255, 255))
    (letters or lettering(30)).draw(ImageDraw.Draw(image), (300, 30), text, (0, 0, 0), anchor)
    return np.asarray(image)[..., 0]


def inked(picture: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Columns with ink; of the transpose rows."""
    return np.flatnonzero((picture < 128).any(axis=0))


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("letters", [lettering(30), pillow_lettering(30)], ids=["legend", "matrix"])
def test_words_of_any_script_can_be_told_apart(script: str, letters: Lettering) -> None:
    one, two = SCRIPTS[script]
    pictures = [drawn(text, letters) for text in (one, two, UNWRITABLE)]
    assert len({picture.tobytes() for picture in pictures}) == 3
    for text, picture in zip((one, two), pictures, strict=False):
        columns = inked(picture)
        assert columns[0] >= 298
        assert columns[-1] <= 300 + letters.width(text) + 2
        assert not any(run == "\ufffd" for _, run, _ in _runs(writable(text)))


def test_letters_are_joined_and_run_to_the_left() -> None:
    width = lettering(30).width
    assert width("غابة") < 0.8 * sum(map(width, "غابة"))
    # The first letter, a narrow one, is the rightmost.
    word, last = inked(drawn("ום")), inked(drawn("ם"))
    assert word[-1] - word[0] > last[-1] - last[0]
    one, other = drawn("ום")[:, 300:320], drawn("ם")[:, 300:320]
    assert np.abs(one.astype(int) - other)[:, : last[-1] - 300].max() < 60


def test_numbers_in_a_name_that_runs_to_the_left_do_not() -> None:
    runs = [(run.strip(), leftwards) for _, run, leftwards in _runs("غابة 12")]
    assert runs == [("12", False), ("غابة", True)]
    runs = [(run, leftwards) for _, run, leftwards in _runs("road/غابة (old)")]
    assert runs == [("road/", False), ("غابة", True), (" (old)", False)]


def test_vowels_are_ordered_and_consonants_become_one() -> None:
    width = lettering(30).width
    assert width("क्ष") < 0.8 * (width("क") + width("ष"))
    # The vowel sign of ki is written before its consonant, that of kii after it.
    consonant = drawn("क")
    first = inked(consonant)[-1] - 300
    before, after = drawn("कि")[:, 300 : 300 + first], drawn("की")[:, 300 : 300 + first]
    plain = consonant[:, 300 : 300 + first]
    assert np.abs(after.astype(int) - plain).mean() < np.abs(before.astype(int) - plain).mean()


def test_what_no_typeface_has_is_said_and_the_rest_is_drawn() -> None:
    assert writable("\u1828\u1822") == UNWRITABLE
    width = lettering(30).width
    # The name of a file need not be Unicode.
    for missing in ("\U0001f332", "\udcff"):
        assert abs(width(f"forest {missing}") - width("forest \ufffd")) <= 3


@pytest.mark.parametrize("anchor", ["la", "lm", "rm", "mm"])
@pytest.mark.parametrize("text", ["water", "Wiese ä", "Лес"])
def test_plain_text_is_as_pillow_draws_it(text: str, anchor: str) -> None:
    letters = lettering(30)
    assert isinstance(letters.font, ImageFont.FreeTypeFont)
    image = Image.new("RGB", (600, 60), (255, 255, 255))
    ImageDraw.Draw(image).text((300, 30), text, (0, 0, 0), letters.font, anchor=anchor)
    assert np.array_equal(drawn(text, anchor=anchor), np.asarray(image)[..., 0])


@pytest.mark.parametrize("text", ["森林", "غابة"])
def test_anchors_hold_for_any_script(text: str) -> None:
    width = lettering(30).width(text)
    left, right = inked(drawn(text)), inked(drawn(text, anchor="rm"))
    assert right[0] == left[0] - width
    above, middle = drawn(text, anchor="la"), drawn(text)
    assert (
        np.flatnonzero((above < 128).any(axis=1))[0] > np.flatnonzero((middle < 128).any(axis=1))[0]
    )
