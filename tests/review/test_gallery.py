"""The gallery of a real run of two scenes."""

import base64
import json
import re
import shlex
import shutil
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import shapely
from clustered_runs import (
    SCENES,
    clusters,
    contents,
    differing,
    finished_run,
    polygons,
    record,
)
from helpers import DATA, alps_geo
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from shapely.affinity import affine_transform

from alps_geo.review.crops import crop_window
from alps_geo.runs.run import read_model
from alps_geo.scene import open_scene


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


class Page(HTMLParser):
    """Content of the page: per cluster its name and its crops; and the command."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: dict[int, str] = {}
        self.crops: dict[int, list[tuple[str, int]]] = {}
        self.sources: list[str] = []
        self.command = ""
        self._in_command = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._in_command = found.get("id") == "command"
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if "data-cluster" in found:
            self.names[int(found["data-cluster"] or 0)] = found["value"] or ""
        if crop := re.fullmatch(
            r"(.*), segment (\d+), confidence \d\.\d\d", found.get("alt") or ""
        ):
            self.crops.setdefault(max(self.names), []).append((crop[1], int(crop[2])))

    def handle_data(self, data: str) -> None:
        if self._in_command:
            self.command += data
            self._in_command = False


def test_the_gallery_shows_segments_of_every_cluster_from_all_scenes(
    run: Path, finished: Path
) -> None:
    outcome = alps_geo("clusters", "gallery", run)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.strip() == str(run / "gallery.html")
    assert differing(run, finished) == {"gallery.html"}
    page = Page((run / "gallery.html").read_text(encoding="utf-8"))
    known = {name: polygons(run, name)[["cluster", "confidence", "area_m2"]] for name in SCENES}
    assert list(page.names) == list(record(run)) == list(page.crops)
    for cluster, crops in page.crops.items():
        assert len(set(crops)) == len(crops) == 10
        assert all(known[name].loc[segment, "cluster"] == cluster for name, segment in crops)
        sizes = {name: (shapes["cluster"] == cluster).sum() for name, shapes in known.items()}
        if min(sizes.values()) >= 10:
            assert {name for name, _ in crops} == set(SCENES)
        sure = [known[name].loc[segment, "confidence"] for name, segment in crops]
        assert np.median(sure[:6]) > np.median(sure[6:])
    images = [source for source in page.sources if source.startswith("data:image/jpeg;base64,")]
    assert len(images) == len(page.sources) == 6 * 11
    for image in images:
        with Image.open(BytesIO(base64.b64decode(image.partition(",")[2]))) as picture:
            assert max(picture.size) in (132, 220)
    assert (run / "gallery.html").stat().st_size < 1e6


def test_the_command_on_the_page_gives_the_names_that_stand_there(run: Path) -> None:
    names = {1: 'it\'s <b>wet</b> & "deep"', 4: "Wäldchen"}
    clusters("name", run, *(f"{cluster}={name}" for cluster, name in names.items()))
    clusters("gallery", run, "--quiet")
    page = Page((run / "gallery.html").read_text(encoding="utf-8"))
    assert {cluster: name for cluster, name in page.names.items() if name} == names
    for cluster in names:
        clusters("name", run, f"{cluster}=", "--quiet")
    program, *arguments = shlex.split(page.command)
    assert program == "alps-geo"
    assert alps_geo(*arguments).exit_code == 0
    assert read_model(run / "clusters.npz").legend.names == names
    clusters("recolor", run, "2=teal")
    assert alps_geo(*arguments).exit_code == 0
    # They were thought out for clusters that are no more, though all their numbers are there.
    clusters("split", run, 4, "--into", 2)
    before = contents(run)
    outcome = alps_geo(*arguments)
    assert outcome.exit_code == 1
    assert "merged, split or fitted again since the gallery was made" in outcome.stderr
    assert contents(run) == before


def test_segments_are_outlined_where_they_are(run: Path) -> None:
    clusters("gallery", run, "--quiet")
    text = (run / "gallery.html").read_text(encoding="utf-8")
    name = "neon_osbs_10cm"
    scene = open_scene(str(DATA / f"{name}.tif"))
    shapes = polygons(run, name).geometry
    found = re.findall(rf'base64,([^"]+)" alt="{name}, segment (\d+),', text)
    assert found
    for data, segment in found:
        pixels = affine_transform(shapes[int(segment)], (~scene.transform).to_shapely())
        window = crop_window(pixels, scene.shape)
        with Image.open(BytesIO(base64.b64decode(data))) as picture:
            crop = np.asarray(picture.convert("L")).astype(float)
        scale = crop.shape[1] / window.width
        border = shapely.segmentize(pixels.boundary, 0.5)
        points = (shapely.get_coordinates(border) - [window.col_off, window.row_off]) * scale
        at = np.rint(points).astype(int)
        at = at[((at > 2) & (at < np.array(crop.shape[::-1]) - 3)).all(axis=1)]
        # White, but for the blur of JPEG and the black next to it.
        assert np.median(crop[at[:, 1], at[:, 0]]) > 180


@given(
    shape=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    corner=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    size=st.tuples(st.integers(1, 900), st.integers(1, 900)),
)
def test_a_crop_is_a_window_of_the_scene_around_the_segment(
    shape: tuple[int, int], corner: tuple[float, float], size: tuple[int, int]
) -> None:
    height, width = (min(side, length) for side, length in zip(size, shape, strict=True))
    row = int(corner[0] * (shape[0] - height))
    col = int(corner[1] * (shape[1] - width))
    segment = shapely.box(col, row, col + width, row + height)
    window = crop_window(segment, shape)
    (top, bottom), (left, right) = window.toranges()
    assert 0 <= top < bottom <= shape[0]
    assert 0 <= left < right <= shape[1]
    assert max(window.height, window.width) <= 512
    seen = shapely.box(left, top, right, bottom)
    if max(height, width) <= 512:
        assert shapely.covers(seen, segment)
    assert shapely.area(shapely.intersection(seen, segment)) > 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "gone/scene.tif",
            "put the scene back and give the command again from the folder in which",
        ),
        (str(DATA / "naip_md_1m.tif"), "has changed since it was labelled (1024 x 1024 pixels"),
    ],
)
def test_a_scene_that_is_gone_or_another_is_an_error(run: Path, path: str, message: str) -> None:
    known = json.loads((run / "run.json").read_text(encoding="utf-8"))
    known["scenes"][1]["path"] = path
    (run / "run.json").write_text(json.dumps(known), encoding="utf-8")
    outcome = alps_geo("clusters", "gallery", run)
    assert outcome.exit_code == 1
    assert message in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not (run / "gallery.html").exists()
    clusters("name", run, "2=water", "--quiet")
