"""The library as a notebook or a script uses it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import rasterio
from helpers import DATA
from helpers import alps_geo as command
from quarter_tiles import QuarterTiles
from rasterio.windows import Window

import alps_geo
from alps_geo import Run
from alps_geo.errors import RunError, SettingsError
from alps_geo.events import Event
from alps_geo.ipython import in_notebook, notebook_bar

mpl.use("agg")

pytestmark = pytest.mark.usefixtures("images_encoded_once")

SCENE = DATA / "landsat5_int16_1band.tif"
QUICK: dict[str, Any] = {"points": "grid:2", "clusters": 3}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return alps_geo.label(SCENE, tmp_path_factory.mktemp("api") / "run", **QUICK)


def test_a_label_gives_the_run_that_the_folder_holds(run: Run) -> None:
    assert run.scenes == ("landsat5_int16_1band",)
    again = alps_geo.open_run(run.folder)
    assert again.record == run.record
    assert repr(run).endswith(f"1 scene, {run.record.segments} segments, 3 clusters)")


def test_segments_are_rows_with_their_attributes(run: Run) -> None:
    segments = run.segments()
    assert len(segments) == run.record.segments
    assert {"segment_id", "cluster", "area_m2", "confidence"} <= {*segments.columns}
    with rasterio.open(SCENE) as scene:
        assert segments.crs == scene.crs


def test_segments_of_a_part_are_those_that_touch_it(run: Run) -> None:
    segments = run.segments()
    west, south, east, north = segments.total_bounds
    box = (west, south, (west + east) / 2, (south + north) / 2)
    part = run.segments(bbox=box)
    expected = segments.cx[box[0] : box[2], box[1] : box[3]]
    assert 0 < len(part) < len(segments)
    assert set(part["segment_id"]) == set(expected["segment_id"])


@pytest.mark.parametrize("clusters", [2, [1, 3], np.array([1])])
def test_segments_of_clusters_are_theirs_alone(run: Run, clusters: object) -> None:
    segments = run.segments()
    wanted = segments[segments["cluster"].isin(np.atleast_1d(clusters))]  # type: ignore[call-overload]
    found = run.segments(cluster=clusters)  # type: ignore[arg-type]
    assert [*found["segment_id"]] == [*wanted["segment_id"]]


def test_labels_lie_on_the_grid_of_the_scene(run: Run) -> None:
    labels = run.labels()
    with rasterio.open(SCENE) as scene:
        assert labels.values.shape == scene.shape
        assert labels.transform == scene.transform
        assert labels.crs == scene.crs
    assert set(np.unique(labels.values.compressed())) == {1, 2, 3}


def test_labels_of_a_window_are_that_part(run: Run) -> None:
    whole, part = run.labels(), run.labels(window=Window(10, 20, 30, 40))
    assert part.values.shape == (40, 30)
    assert np.array_equal(part.values.filled(0), whole.values[20:60, 10:40].filled(0))
    assert part.transform @ (0, 0) == whole.transform @ (10, 20)


def test_labels_of_a_window_outside_are_refused(run: Run) -> None:
    with pytest.raises(RunError, match="lies outside the raster, expected a part of its"):
        run.labels(window=Window(10**6, 0, 5, 5))


def test_clusters_are_a_table_by_id(run: Run) -> None:
    clusters = run.clusters
    assert [*clusters.index] == [1, 2, 3]
    assert clusters["share"].sum() == pytest.approx(run.record.labelled_share)
    sizes = run.segments().groupby("cluster").size()
    assert [*clusters["segments"]] == [*sizes]
    assert "area_m2" in clusters


def test_a_plot_has_the_clusters_colours_and_names(run: Run) -> None:
    axes = run.plot()
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["1", "2", "3"]
    drawn = [mpl.colors.to_hex(patch.get_facecolor()) for patch in legend.get_patches()]
    assert drawn == [*run.clusters["color"]]
    with rasterio.open(SCENE) as scene:
        west, south, east, north = scene.bounds
    assert axes.get_xlim() == pytest.approx((west, east))
    assert axes.get_ylim() == pytest.approx((south, north))
    image = axes.get_images()[0]
    pixel = (image.get_transform() - axes.transData).transform((10.5, 20.5))
    assert tuple(pixel) == pytest.approx(run.labels().transform @ (10.5, 20.5))


def test_a_notebook_shows_preview_and_clusters(run: Run) -> None:
    page = run._repr_html_()
    assert page.count("data:image/png;base64,") == 1
    assert run.clusters["color"][1] in page


def test_a_scene_that_is_not_there_is_named(run: Run) -> None:
    with pytest.raises(RunError, match="no scene 'elsewhere'; expected one of landsat5_int16_1ba"):
        run.segments("elsewhere")


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no finished run"):
        alps_geo.open_run(tmp_path)


def test_a_wrong_setting_is_named_with_a_near_one() -> None:
    with pytest.raises(TypeError, match="no setting 'cluster' here; did you mean clusters"):
        alps_geo.label(SCENE, cluster=3)
    with pytest.raises(SettingsError, match="clusters is 0"):
        alps_geo.label(SCENE, clusters=0)
    with pytest.raises(TypeError, match="preset is 'slap', expected one of alps, draft, fine"):
        alps_geo.label(SCENE, preset="slap")


def test_a_fitted_model_is_applied(run: Run, tmp_path: Path) -> None:
    model = alps_geo.fit(str(SCENE), tmp_path / "model.npz", **QUICK)
    # Segments are made as those of the model: points are its own.
    applied = alps_geo.apply([SCENE], model, tmp_path / "applied", strict=True)
    assert applied.record.origin.settings["points"] == "grid:2"
    assert applied.record.origin.settings["clusters_from"] == str(model)
    assert np.array_equal(applied.labels().values.filled(0), run.labels().values.filled(0))


def test_a_call_takes_no_setting_that_another_decides(run: Run, tmp_path: Path) -> None:
    model = run.folder / "clusters.npz"
    with pytest.raises(
        TypeError, match="clusters cannot be set here: the cluster model decides it"
    ):
        alps_geo.apply(SCENE, model, tmp_path / "out", clusters=7)
    with pytest.raises(
        TypeError, match="clusters_from cannot be set here: the clusters are fitted"
    ):
        alps_geo.fit(SCENE, tmp_path / "model.npz", clusters_from=str(model))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"clusters": "12"}, "clusters is '12', expected a whole number"),
        ({"clusters": 3.5}, "clusters is 3.5, expected a whole number"),
        ({"tile_size": True}, "tile_size is True, expected a whole number"),
        (
            {"tile_size": (512.0, 256.0)},
            r"tile_size is \(512.0, 256.0\), expected a whole number or a tuple of whole numbers",
        ),
        ({"nodata": "a"}, "nodata is 'a', expected a number"),
        ({"stretch": 5}, "stretch is 5, expected a tuple of numbers"),
        ({"bands": "3,2,1"}, "bands is '3,2,1', expected a tuple of whole numbers"),
        ({"features": ["sam"]}, r"features is \('sam',\), expected text"),
        ({"model": 1}, "model is 1, expected text"),
    ],
)
def test_values_of_another_type_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        alps_geo.label(SCENE, **wrong)


def test_a_run_is_as_it_is_on_disk(run: Run, tmp_path: Path) -> None:
    opened = alps_geo.open_run(shutil.copytree(run.folder, tmp_path / "run"))
    assert [*opened.clusters["name"]] == ["", "", ""]
    outcome = command("clusters", "split", opened.folder, "1", "--into", "2", "--quiet")
    assert outcome.exit_code == 0
    assert [*opened.clusters.index] == [1, 2, 3, 4]
    assert set(opened.segments()["cluster"]) == {1, 2, 3, 4}
    legend = opened.plot().get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 4


def test_clusters_are_named_and_merged(run: Run, tmp_path: Path) -> None:
    opened = alps_geo.open_run(shutil.copytree(run.folder, tmp_path / "run"))
    named = opened.name_clusters({2: "water", 3: "wood"})
    assert [*named["name"]] == ["", "water", "wood"]
    merged = opened.merge_clusters(2, 3, name="wet wood")
    assert [*merged.index] == [1, 2]
    assert merged["segments"][2] == named["segments"][[2, 3]].sum()
    assert {*opened.segments(cluster=2)["cluster_name"]} == {"wet wood"}
    before, after = run.labels().values, opened.labels().values
    assert np.array_equal(after.filled(0), np.minimum(before.filled(0), 2))
    with pytest.raises(RunError, match="cluster"):
        opened.name_clusters({3: "gone"})


def test_a_scene_without_a_crs_has_none_anywhere(tmp_path: Path) -> None:
    with rasterio.open(SCENE) as file:
        pixels = file.read(window=Window(0, 0, 100, 100))
    scene, profile = tmp_path / "scene.tif", {"height": 100, "width": 100, "count": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(scene, "w", driver="GTiff", dtype=pixels.dtype, **profile) as file:
            file.write(pixels)
    opened = alps_geo.label(scene, tmp_path / "run", points_per_side=1)
    labels, segments = opened.labels(), opened.segments()
    assert labels.crs is None
    assert segments.crs is None
    # Both lie in pixels, with rows downwards.
    assert tuple(segments.total_bounds) == (0, -100, 100, 0)
    assert labels.transform @ (100, 100) == (100, -100)


def test_a_generator_that_is_handed_in_is_named_in_the_record(tmp_path: Path) -> None:
    opened = alps_geo.label(SCENE, tmp_path / "run", clusters=2, generator=QuarterTiles())
    assert opened.record.origin.settings["model"] == "quarters"
    again = command(
        "label", SCENE, "--out", tmp_path / "again", "--config", opened.folder / "run.json"
    )
    assert again.exit_code == 2
    assert "quarters" in again.stderr


def test_a_script_shows_no_bar(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
        "import alps_geo; from quarter_tiles import QuarterTiles\n"
        f"alps_geo.label({str(SCENE)!r}, clusters=2, generator=QuarterTiles())\n"
        "print('IPython' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
    # The notes of the run, and nothing that moves.
    assert done.stderr.startswith("landsat5_int16_1band: the scene has one data band")
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "landsat5_int16_1band.run" / "run.json").exists()


def test_a_bar_counts_tiles_and_shows_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, page: object) -> None:
            shown.append(page.data)  # type: ignore[attr-defined]

    monkeypatch.setattr("IPython.display.display", lambda *_, **__: Handle())
    assert not in_notebook()
    bar = notebook_bar()
    bar(Event("open", "a<b", note="band 4 & others"))
    bar(Event("tiles", "a<b", tiles=4, computed=1, skipped=1))
    assert '<progress value="1" max="3">' in shown[1]
    assert "1 of 3 tiles, tiles a&lt;b" in shown[1]
    assert "a&lt;b: band 4 &amp; others" in shown[1]


def test_the_package_loads_nothing_until_it_is_used() -> None:
    code = "import alps_geo, sys; print('numpy' in sys.modules, sorted(alps_geo.__all__))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False ")
    for name in ("label", "fit", "apply", "open_run", "Run", "Labels", "LabelSettings"):
        assert repr(name) in done.stdout
        assert getattr(alps_geo, name)
