"""Colours of the clusters of real runs, when they are labelled and changed again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from clustered_runs import categories
from edited_runs import done, refused
from helpers import DATA, alps_geo
from scipy.stats import spearmanr

from alps_geo.clusters.colors import default_colors
from alps_geo.clusters.sight import PLAIN, pair_differences
from alps_geo.runs.run import read_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SCENE = "sentinel2_uint16_4band"
QUICK = (DATA / f"{SCENE}.tif", "--points", "grid:2", "--quiet")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("labelled") / "out"
    done(alps_geo("label", *QUICK, "--out", out))
    return out


@pytest.fixture
def run(labelled: Path, tmp_path: Path) -> Path:
    from shutil import copytree

    return copytree(labelled, tmp_path / "run")


def palette(run: Path) -> NDArray[np.uint8]:
    return read_model(run / "clusters.npz").legend.colors


def correlation(run: Path) -> float:
    """Rank correlation of the differences of colours with distances of the clusters' bands."""
    with rasterio.open(DATA / f"{SCENE}.tif") as scene:
        bands = scene.read().astype(float)
    with rasterio.open(run / SCENE / "labels.tif") as raster:
        labels = raster.read(1)
    scaled = bands / bands.std(axis=(1, 2), keepdims=True)
    ids = range(1, int(labels.max()) + 1)
    means = np.array([scaled[:, labels == cluster].mean(axis=1) for cluster in ids])
    pairs = np.triu_indices(len(means), 1)
    apart = np.linalg.norm(means[:, None] - means[None], axis=-1)[pairs]
    return float(spearmanr(pair_differences(palette(run))[0][pairs], apart).statistic)


def least(run: Path) -> float:
    colors = palette(run)
    pairs = np.triu_indices(len(colors), 1)
    return float(pair_differences(colors)[:, *pairs].min())


def test_labels_are_coloured_like_the_image(labelled: Path) -> None:
    assert len(palette(labelled)) == 24
    assert correlation(labelled) > 0.5
    assert least(labelled) >= PLAIN
    with rasterio.open(labelled / SCENE / "labels.tif") as raster:
        shown = raster.colormap(1)
    assert [shown[i][:3] for i in range(1, 25)] == list(map(tuple, palette(labelled).tolist()))


def test_distinct_colours_are_those_of_before(labelled: Path, run: Path) -> None:
    done(alps_geo("label", *QUICK, "--out", run, "--colors", "distinct", "--overwrite"))
    np.testing.assert_array_equal(palette(run), default_colors(24))
    ids = [rasterio.open(each / SCENE / "labels.tif").read(1) for each in (run, labelled)]
    np.testing.assert_array_equal(*ids)


def test_a_run_is_recoloured_by_schemes_without_its_scene(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["scenes"][0]["path"] = "/gone.tif"
    (run / "run.json").write_text(json.dumps(record))
    outcome = alps_geo("clusters", "recolor", run, "--colors", "distinct")
    assert outcome.exit_code == 0
    assert outcome.stderr.count("note: the colours of clusters") == 3
    np.testing.assert_array_equal(palette(run), default_colors(24))
    outcome = alps_geo("clusters", "recolor", run, "--colors", "natural", "2=#ff0080")
    done(outcome)
    assert palette(run)[1].tolist() == [255, 0, 128]
    done(alps_geo("clusters", "recolor", run, "--colors", "natural", "--quiet"))
    assert correlation(run) > 0.5
    assert least(run) >= PLAIN
    changes: list[Any] = json.loads((run / "run.json").read_text())["changes"]
    assert changes[1] == "recolor --colors natural '2=#ff0080'"


def test_usual_names_get_usual_colours(run: Path) -> None:
    refused(alps_geo("clusters", "recolor", run, "--by-name"), "no cluster has a name")
    before = palette(run)
    done(
        alps_geo("clusters", "name", run, "3=open water", "7=Xylophones", "9=open water", "--quiet")
    )
    outcome = alps_geo("clusters", "recolor", run, "--by-name", "7=#123456")
    assert outcome.exit_code == 0
    after = palette(run)
    assert after[2].tolist() == after[8].tolist() == [30, 90, 160]
    assert after[6].tolist() == [18, 52, 86]
    others = [i for i in range(24) if i not in (2, 6, 8)]
    np.testing.assert_array_equal(after[others], before[others])
    assert categories(run, SCENE)[3] == "open water"
    assert "clusters 3 and 9" not in outcome.stderr
    assert "no usual colour" not in outcome.stderr, "a colour was given"
    outcome = alps_geo("clusters", "recolor", run, "--by-name")
    assert "note: no usual colour is known for Xylophones: give colours" in outcome.stderr
    done(alps_geo("clusters", "recolor", run, "7=#123456", "--quiet"))
    outcome = alps_geo("clusters", "recolor", run, "--by-name", "--colors", "natural")
    assert outcome.exit_code == 0
    assert "are alike" not in outcome.stderr
    assert palette(run)[2].tolist() == palette(run)[8].tolist() == [30, 90, 160]
    done(alps_geo("clusters", "name", run, "3=", "9=", "--quiet"))
    refused(alps_geo("clusters", "recolor", run, "--by-name"), "the names are Xylophones")


def test_two_colours_alike_are_told(run: Path) -> None:
    outcome = alps_geo("clusters", "recolor", run, "3=#c82828", "4=#c92828")
    assert outcome.exit_code == 0
    assert "note: the colours of clusters 3 and 4 are alike: they differ by 0." in outcome.stderr
    assert alps_geo("clusters", "recolor", run).exit_code == 2


def test_images_are_coloured_like_themselves(image_run: Path) -> None:
    before = palette(image_run)
    done(alps_geo("clusters", "recolor", image_run, "--colors", "distinct", "--quiet"))
    assert not np.array_equal(palette(image_run), before)
    done(alps_geo("clusters", "recolor", image_run, "--colors", "natural", "--quiet"))
    np.testing.assert_array_equal(palette(image_run), before)
