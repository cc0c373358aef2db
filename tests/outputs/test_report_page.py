"""The page of a run: pictures in a budget of bytes, all values escaped, histograms."""

from __future__ import annotations

import base64
import re
from html import unescape
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from alps_geo.outputs.gallery_page import Crop
from alps_geo.outputs.map_layers import IdMap, SceneArrays, SceneLayers, draw_layers
from alps_geo.outputs.report_page import (
    ReportClass,
    ReportCluster,
    ReportPage,
    ReportRun,
    ReportScene,
    ReportSizes,
    ReportTable,
    render_report,
)
from alps_geo.outputs.size_histogram import SizeAxis

NAME = """<b>"it's" & all</b>"""
PALETTE = {1: (200, 30, 40), 2: (10, 90, 250)}


def noise(side: int) -> SceneArrays:
    """The scene that compresses worst: nothing is like its neighbours."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
    ids = rng.integers(0, 3, (side, side))
    valid = np.ones((side, side), np.bool_)
    return SceneArrays(image, valid, (IdMap("clusters", ids, PALETTE),), ids + 7)


def decoded(uri: str | None) -> Image.Image:
    assert uri is not None
    kind, _, data = uri.partition(",")
    assert kind == "data:image/webp;base64"
    picture = Image.open(BytesIO(base64.b64decode(data)))
    return picture.convert("RGBA")


def page(layers: SceneLayers | None, **changes: object) -> ReportPage:
    picture = Image.new("RGB", (9, 7), (200, 30, 40))
    crops = (Crop("<scene>", 5, 0.25, picture, 80),)
    values = {
        "title": "a <run>",
        "noun": "scene",
        "segments": 12345,
        "labelled_share": 0.5,
        "area_unit": "m2",
        "scenes": (ReportScene("<scene>", "/a b/<scene>.tif", (), (NAME,), ("<gone>",), layers),),
        "clusters": (ReportCluster(3, NAME, "#c81e28", 12345, 2.5e5, 0.125, (1, 0, 4), crops),),
        "classes": (ReportClass("</script>", "#0a5afa", 7, 8, 1.5e5, 0.25),),
        "sizes": ReportSizes(SizeAxis((1.0, 10.0, 100.0), "m²"), (1, 4), (2.0, 20.0, 50.0)),
        "measurements": (ReportTable("Quality", ("<note>",), ("", "F1"), (("<row>", "0.5"),)),),
        "run": ReportRun((("open", 1.25),), (("seed", "<0>"),), (), ("<tile>",), ("merge <1>",)),
    }
    return ReportPage(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("budget", [1_000_000, 100_000, 12_000])
def test_pictures_are_as_large_as_a_budget_allows(budget: int) -> None:
    layers = draw_layers(noise(900), budget)
    assert layers is not None
    assert 0.5 * budget < layers.size <= budget
    sizes = {decoded(layers.maps[0].uri).size, decoded(layers.image).size}
    assert sizes == {(layers.width, layers.height)}


def test_a_small_scene_keeps_its_pixels() -> None:
    arrays = noise(60)
    layers = draw_layers(arrays, 10**7)
    assert layers is not None
    colors = np.zeros((3, 4), np.uint8)
    for cluster, color in PALETTE.items():
        colors[cluster] = (*color, 255)
    pixels = np.asarray(decoded(layers.maps[0].uri))
    shown = arrays.maps[0].ids != 0
    np.testing.assert_array_equal(pixels[shown], colors[arrays.maps[0].ids][shown])
    assert not pixels[~shown, 3].any()


def test_outlines_lie_between_segments_and_pixels_without_data_are_clear() -> None:
    ids = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2, 2, 2]], 10, axis=0)
    valid = np.ones((10, 10), np.bool_)
    valid[:, 9] = False
    image = np.full((10, 10, 3), 90, np.uint8)
    layers = draw_layers(SceneArrays(image, valid, (), ids), 10**6)
    assert layers is not None
    assert layers.between == "segments"
    assert (np.asarray(decoded(layers.outlines))[..., 3] != 0).any(axis=0).tolist() == [
        column == 3 for column in range(10)
    ]
    assert not np.asarray(decoded(layers.image))[:, 9, 3].any()
    assert (np.asarray(decoded(layers.image))[:, :9, 3] == 255).all()


def test_outlines_are_those_of_the_map_where_segments_are_too_small() -> None:
    segments = np.arange(400).reshape(20, 20)
    ids = np.repeat([[1], [2]], 10, axis=0).repeat(20, axis=1)
    arrays = SceneArrays(None, None, (IdMap("clusters", ids, PALETTE),), segments)
    layers = draw_layers(arrays, 10**6)
    assert layers is not None
    assert layers.image is None
    assert layers.between == "clusters"
    assert (np.asarray(decoded(layers.outlines))[..., 3] != 0).sum() == 20
    assert "outlines are those of clusters" in render_report(page(layers))
    assert draw_layers(SceneArrays(None, None, (), None), 10**6) is None


def test_all_pictures_are_inside_and_values_are_escaped_once() -> None:
    text = render_report(page(draw_layers(noise(50), 10**6)))
    sources = re.findall(r"""(?:src|href)=["']?([^"'>]*)""", text)
    assert len(sources) == 11
    assert all(source.startswith(("data:image/", "#")) for source in sources)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "default-src 'none'; img-src data:" in text
    for raw in (NAME, "<scene>", "<gone>", "<row>", "<note>", "<0>", "<tile>", "<1>"):
        assert raw not in text
    for part in (NAME, "a <run>", "<gone>", "/a b/<scene>.tif", "alps-geo clusters merge <1>"):
        assert part in unescape(text)
    assert text.count("</script>") == 1


def test_the_same_content_gives_the_same_bytes() -> None:
    one, two = (render_report(page(draw_layers(noise(50), 10**6))) for _ in range(2))
    assert one == two


def test_a_page_says_what_is_missing() -> None:
    run = ReportRun((), (), (), (), ())
    scene = ReportScene("a", "a.tif", (), (), (), None)
    text = render_report(page(None, scenes=(scene,), classes=(), measurements=(), run=run))
    assert "Nothing failed." in text
    for absent in ('id="classes"', 'id="measured"', 'class="stage"', 'id="swipe"', "Notes</h3>"):
        assert absent not in text


def test_sizes_are_counted_over_an_axis_that_holds_them_all() -> None:
    areas = np.array([3.0, 30.0, 31.0, 1000.0])
    axis = SizeAxis.of(areas, "px")
    counts = axis.count(areas)
    assert sum(counts) == 4
    assert max(counts) == 2
    assert [label for _, label in axis.decades] == ["10", "100", "1,000"]
    assert all(0 <= position <= 1 for position, _ in axis.decades)
    assert sum(SizeAxis.of(np.empty(0), "px").count(np.empty(0))) == 0
