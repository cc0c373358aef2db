"""The report of a real run of two scenes, and of a folder of images."""

from __future__ import annotations

import base64
import json
import re
import shutil
from html import unescape
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from clustered_runs import SCENES, clusters, contents, differing, finished_run, record
from helpers import alps_geo, disk_of
from image_folders import make_root
from PIL import Image

import alps_geo as library
from alps_geo.review import report as report_module

if TYPE_CHECKING:
    from pathlib import Path

NEON = "neon_osbs_10cm"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return shutil.copytree(finished, tmp_path / "run")


def report(run: Path) -> str:
    outcome = alps_geo("report", run)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.strip() == str(run / "report.html")
    return (run / "report.html").read_text(encoding="utf-8")


def changed(run: Path, **values: object) -> dict[str, Any]:
    """Change keys of the record of a run."""
    found: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps({**found, **values}), encoding="utf-8")
    return found


def picture(text: str, alt: str) -> Image.Image:
    """Decode the picture of the page with a text in its place."""
    (tag,) = re.findall(rf'<img [^>]*alt="{alt}"[^>]*>', text)
    data = re.search(r"base64,([^\"]+)", tag)
    assert data
    return Image.open(BytesIO(base64.b64decode(data[1]))).convert("RGBA")


def test_figures_are_those_of_the_record(run: Path, finished: Path) -> None:
    text = report(run)
    assert differing(run, finished) == {"report.html"}
    known = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert f"{known['segments']:,} segments in 6 clusters" in text
    rows = re.findall(
        r"<b>(\d+)</b> ([^<]*)</th><td>([\d,]+)</td><td>([\d,.]+)</td><td>([\d.]+)%", text
    )
    size = 1e6 if max(each["area"] for each in known["clusters"]) >= 1e7 else 1e4
    assert [(int(i), int(n.replace(",", ""))) for i, _, n, _, _ in rows] == [
        (each["cluster"], each["segments"]) for each in known["clusters"]
    ]
    for each, (_, _, _, area, share) in zip(known["clusters"], rows, strict=True):
        assert float(area.replace(",", "")) == pytest.approx(each["area"] / size, abs=0.006)
        assert float(share) == pytest.approx(100 * each["share"], abs=0.06)
    for stage, seconds in known["seconds"].items():
        assert f'<th scope="row">{stage}</th><td>{seconds:,.1f}</td>' in text
    for scene in known["scenes"]:
        assert all(unescape(note) in unescape(text) for note in scene["notes"])
    assert "<dt>points</dt><dd>grid:4</dd>" in text
    crops = re.findall(r'alt="([^",]+), segment (\d+)"', text)
    assert len(crops) == len(set(crops)) == 24
    assert {name for name, _ in crops} == set(SCENES)


def test_maps_show_the_clusters_of_the_labels(run: Path) -> None:
    text = report(run)
    with rasterio.open(run / NEON / "labels.tif") as raster:
        labels = raster.read(1)
    colors = np.zeros((7, 3), np.uint8)
    for cluster, each in record(run).items():
        colors[cluster] = tuple(bytes.fromhex(each["color"][1:]))
    found = np.asarray(picture(text, f"Map of clusters of {NEON}"))
    np.testing.assert_array_equal(found[..., :3][labels > 0], colors[labels][labels > 0])
    assert picture(text, f"Imagery of {NEON}").size == found.shape[1::-1]


def test_the_same_run_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    pages = tmp_path / "one.html", tmp_path / "two.html"
    for page in pages:
        assert alps_geo("report", run, "--out", page, "--quiet").stdout == ""
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert library.open_run(run).report() == run / "report.html"
    assert (run / "report.html").read_bytes() == pages[0].read_bytes()


def test_a_page_stays_inside_its_bytes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = report(run)
    most = len(whole) - 150_000
    monkeypatch.setattr(report_module, "MOST_BYTES", most)
    text = report(run)
    assert most - 100_000 < len(text) <= most + 5000  # texts on the scenes
    alt = f"Map of clusters of {NEON}"
    assert 48 < picture(text, alt).width < picture(whole, alt).width
    monkeypatch.setattr(report_module, "MOST_BYTES", 0)
    assert picture(report(run), alt).width == 48


def test_scenes_that_have_moved_are_named_and_their_labels_shown(run: Path) -> None:
    known = changed(run)
    known["scenes"][1]["path"] = "gone/scene.tif"
    changed(run, scenes=known["scenes"])
    outcome = alps_geo("report", run)
    assert outcome.exit_code == 0
    assert f"note: {NEON}: gone/scene.tif is not there" in outcome.stderr
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "gone/scene.tif is not there" in text
    assert "until then its labels over a small picture, and no crops, are shown" in text
    assert picture(text, f"Map of clusters of {NEON}")
    assert picture(text, f"Imagery of {NEON}")
    assert {name for name, _ in re.findall(r'alt="([^",]+), segment (\d+)"', text)} == {SCENES[0]}
    for scene in known["scenes"]:
        scene["path"] = "gone/scene.tif"
    changed(run, scenes=known["scenes"])
    (run / ".tiles" / f"{NEON}.segments" / "picture.png").unlink()
    (run / SCENES[0] / "labels.tif").unlink()
    text = report(run)
    assert "until then its labels alone, and no crops, are shown" in text
    assert f'alt="Imagery of {NEON}"' not in text
    assert re.search(r'class="problem">[^<]*labels.tif cannot be read', text)
    assert "area of a segment in px" in text


def test_names_failures_changes_and_measurements_are_shown(run: Path) -> None:
    clusters("name", run, "1=<b>wet</b>", "2=森林")
    tile = {"scene": NEON, "row": 0, "col": 0, "row_off": 0, "col_off": 0}
    tile |= {"height": 9, "width": 9, "reason": "no <memory>"}
    changed(run, failed=[tile] * 203)
    labels = run / NEON / "labels.tif"
    shutil.copyfile(labels, run / "truth.tif")
    assert alps_geo("evaluate", "quality", labels, "--truth", run / "truth.tif").exit_code == 0
    (run / "accuracy.json").write_text('{"reference": 3}')
    text = report(run)
    assert "<b>wet</b>" not in text
    assert "<b>1</b> &lt;b&gt;wet&lt;/b&gt;</th>" in text
    assert "rows 0 to 9, columns 0 to 9: no &lt;memory&gt;" in text
    assert "and 3 more, which run.json lists" in text
    assert "alps-geo clusters name" in text
    assert f"Quality of {NEON}</h3>" in text
    quality = json.loads((run / NEON / "quality.json").read_text(encoding="utf-8"))
    assert f"V-measure {quality['v_measure']:.3f}" in text
    again = f"{NEON}/labels.tif has been written again since this was measured."
    assert again not in text
    clusters("merge", run, 1, 2)
    assert again in report(run)
    assert "accuracy.json is damaged or of another version" in text


def test_classes_and_estimates_of_accuracy_are_shown(run: Path) -> None:
    clusters("name", run, *(f"{i}={'wet' if i < 3 else 'dry'}" for i in range(1, 7)))
    assert report(run)
    assert alps_geo("classify", run, "--from-names", "--quiet").exit_code == 0
    assert not (run / "report.html").exists()
    assert alps_geo("assess", "sample", run, "--size", 40, "--quiet").exit_code == 0
    reference = ("--reference", run / NEON / "classes.tif", "--new-classes")
    outcome = alps_geo("assess", "report", run, *reference, "--quiet")
    assert outcome.exit_code == 0, outcome.stderr
    text = report(run)
    found = json.loads((run / "accuracy.json").read_text(encoding="utf-8"))
    assert f"of {found['points']:,} points checked against" in text
    for each in json.loads((run / "run.json").read_text(encoding="utf-8"))["classes"]:
        assert f"{each['name']}</th><td>{each['samples']}</td><td>{each['segments']}</td>" in text
    assert picture(text, f"Map of classes of {NEON}")


def test_a_folder_of_images_is_shown_by_its_overview(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=2, val=1)
    quick = ("--points", "grid:2", "--clusters", 3, "--quiet")
    assert alps_geo("dataset", "label", root, *quick).exit_code == 0
    text = report(root)
    assert "in\n2 splits" in text
    for split in ("train", "val"):
        with Image.open(root / "overview" / f"{split}.png") as overview:
            assert picture(text, f"Imagery of {split}").size == overview.size
    assert 'id="swipe"' not in text


@pytest.mark.parametrize("state", ["unfinished", "nowhere", "file"])
def test_a_folder_without_a_finished_run_is_one_clear_line(
    run: Path, tmp_path: Path, state: str
) -> None:
    (run / "run.json").unlink()
    (tmp_path / "file").write_text("x")
    folder = run if state == "unfinished" else tmp_path / state
    before = contents(run)
    outcome = alps_geo("report", folder)
    assert outcome.exit_code == 1
    assert "holds no finished run of alps-geo" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert contents(run) == before


def test_a_page_that_cannot_be_written_leaves_the_old_one(run: Path) -> None:
    (run / "report.html").write_text("of before")
    before = contents(run)
    with disk_of(20_000):
        outcome = alps_geo("report", run)
    assert outcome.exit_code == 1
    assert f"{run / 'report.html'}: cannot be written" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert contents(run) == before
