"""The page of the gallery: all values escaped, all pictures inside."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import pytest
from jinja2 import UndefinedError
from PIL import Image

from alps_geo.outputs.gallery_page import ClusterCrops, Crop, write_gallery_page
from alps_geo.outputs.pages import render

if TYPE_CHECKING:
    from pathlib import Path

NAME = """<b>"it's" & all</b>"""


def page(path: Path) -> str:
    picture = Image.new("RGB", (9, 7), (200, 30, 40))
    crops = (Crop("<scene>", 5, 0.25, picture, 80),)
    cluster = ClusterCrops(3, NAME, "#c81e28", 0.125, 12345, picture, crops, ())
    write_gallery_page(path / "gallery.html", "a run", "1a2b", ["<scene>"], [cluster])
    return (path / "gallery.html").read_text(encoding="utf-8")


def test_values_are_escaped_once(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert NAME not in text
    assert "<scene>" not in text
    (value,) = re.findall(r'data-cluster="3" value="([^"]*)"', text)
    assert unescape(value) == NAME
    (title,) = re.findall("<title>(.*)</title>", text)
    assert unescape(title) == "1 clusters of <scene>"
    (command,) = re.findall('<code id="command"[^>]*>(.*)</code>', text)
    assert unescape(command).startswith("alps-geo clusters name 'a run' --seen 1a2b '3=<b>")


@pytest.mark.parametrize(("count", "expected"), [(3, "s1, s2, s3"), (4, "4 scenes")])
def test_a_title_names_few_scenes_and_counts_many(
    count: int, expected: str, tmp_path: Path
) -> None:
    scenes = [f"s{number}" for number in range(1, count + 1)]
    write_gallery_page(tmp_path / "gallery.html", "run", "1a2b", scenes, [])
    text = (tmp_path / "gallery.html").read_text(encoding="utf-8")
    assert f"<title>0 clusters of {expected}</title>" in text


def test_figures_are_shown_and_what_is_missing_is_said(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "<p>12.5% of the pixels, 12,345 segments</p>" in text
    assert len(re.findall('src="data:image/jpeg;base64,[A-Za-z0-9+/=]+"', text)) == 2
    assert 'alt="&lt;scene&gt;, segment 5, confidence 0.25"' in text
    assert '<div class="crops"><p>none</p></div>' in text


def test_inputs_and_the_command_have_names_of_their_own(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert 'aria-label="Name of cluster 3"' in text
    assert "Cluster 3</h2>" in text
    assert 'role="status"' in text


def test_a_variable_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render("gallery.html", command="", filled="", clusters=[])
