"""`alps-geo fit` and `alps-geo apply`: one cluster model, many scenes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from helpers import DATA, alps_geo

from alps_geo.masks import sam1
from alps_geo.runs.run import read_model

pytestmark = pytest.mark.usefixtures("images_encoded_once")

LANDSAT = DATA / "landsat5_int16_1band.tif"
NEON = DATA / "neon_osbs_10cm.tif"
QUICK = ("--tile-size", "512", "--points", "grid:4")


def labels(folder: Path, scene: Path = LANDSAT) -> np.ndarray:
    with rasterio.open(folder / scene.stem / "labels.tif") as raster:
        found: np.ndarray = raster.read(1)
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fit") / "model.npz"
    outcome = alps_geo("fit", LANDSAT, "--out", path, "--clusters", "5", *QUICK)
    assert outcome.exit_code == 0, outcome.stderr
    assert "model.npz: 5 clusters, fitted to" in outcome.stdout
    return path


@pytest.fixture(scope="module")
def applied(model: Path) -> Path:
    out = model.parent / "applied"
    outcome = alps_geo("apply", LANDSAT, "--clusters-from", model, "--out", out)
    assert outcome.exit_code == 0, outcome.stderr
    return out


def test_fit_and_apply_give_what_label_gives(model: Path, applied: Path) -> None:
    out = model.parent / "labelled"
    assert alps_geo("label", LANDSAT, "--out", out, "--clusters", "5", *QUICK).exit_code == 0
    np.testing.assert_array_equal(labels(applied), labels(out))
    assert (applied / "clusters.npz").read_bytes() == model.read_bytes()
    assert (out / "clusters.npz").read_bytes() == model.read_bytes()


def test_apply_makes_segments_as_fit_did_unless_told_otherwise(applied: Path) -> None:
    settings = json.loads((applied / "run.json").read_text())["settings"]
    assert (settings["tile_size"], settings["points"]) == (512, "grid:4")
    assert (settings["clusters"], settings["features"]) == (5, "sam+spectral+texture")


def test_an_option_that_differs_from_the_fit_is_used_and_said(model: Path) -> None:
    out = model.parent / "coarser"
    arguments = ("--clusters-from", model, "--out", out, "--points", "grid:2")
    outcome = alps_geo("apply", LANDSAT, *arguments)
    assert outcome.exit_code == 0
    assert "were fitted with --points grid:4, not grid:2" in outcome.stderr
    # The run's own record works as its config too.
    again = alps_geo("apply", "--config", out / "run.json", "--out", out, "--quiet")
    assert again.exit_code == 0, again.stderr


def test_a_fit_goes_on_where_it_was(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles are kept next to the model, so other clusters take no pass through SAM."""
    monkeypatch.setattr(sam1, "load_model", lambda *_: pytest.fail("SAM is loaded"))
    outcome = alps_geo(
        "fit", LANDSAT, "--out", model.with_name("three.npz"), "--work", f"{model}.run",
        "--clusters", "3", *QUICK, "--json",
    )  # fmt: skip
    record = json.loads(outcome.stdout)
    assert record["clusters"] == 3
    assert alps_geo("status", f"{model}.run").exit_code == 0


def test_a_model_takes_the_place_of_a_model_alone(model: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "labels.npz"
    theirs.write_text("theirs")
    run = ("fit", LANDSAT, "--work", f"{model}.run", "--clusters", "3", *QUICK)
    refused = alps_geo(*run, "--out", theirs)
    assert refused.exit_code == 1
    assert f"{theirs} is there already, and is no cluster model" in refused.stderr
    assert theirs.read_text() == "theirs"
    folder = alps_geo(*run, "--out", tmp_path)
    assert folder.exit_code == 1
    assert "is a folder, expected a file for the cluster model" in folder.stderr
    assert alps_geo(*run, "--out", theirs, "--overwrite").exit_code == 0
    assert alps_geo(*run, "--out", theirs).exit_code == 0


def test_the_model_of_a_finished_run_is_not_replaced(model: Path, applied: Path) -> None:
    before = {path: path.read_bytes() for path in (applied / "clusters.npz", applied / "run.json")}
    for more in ((), ("--overwrite",)):
        refused = alps_geo(
            "fit", LANDSAT, "--work", f"{model}.run", "--clusters", "3", *QUICK,
            "--out", applied / "clusters.npz", *more,
        )  # fmt: skip
        assert refused.exit_code == 1
        assert "holds the clusters of the run in" in refused.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_clusters_of_something_else_are_not_changed(
    model: Path, applied: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(applied, out)
    other = tmp_path / "other.npz"
    fit = ("fit", LANDSAT, "--work", f"{model}.run", "--clusters", "3", *QUICK, "--out", other)
    assert alps_geo(*fit).exit_code == 0
    shutil.copy(other, out / "clusters.npz")
    refused = alps_geo("clusters", "name", out, "2=water")
    assert refused.exit_code == 1
    assert "is not the model of this run" in refused.stderr
    shutil.copy(applied / "clusters.npz", out)
    assert alps_geo("clusters", "name", out, "2=water").exit_code == 0


def test_a_scene_of_other_bands_is_refused_and_nothing_is_written(
    model: Path, tmp_path: Path
) -> None:
    outcome = alps_geo("apply", NEON, "--clusters-from", model, "--out", tmp_path / "out", *QUICK)
    assert outcome.exit_code == 1
    assert "the clusters know scenes of int16: band_1" in outcome.stderr
    assert not list((tmp_path / "out").glob("*/labels.tif"))


def test_features_of_another_sam_are_refused(model: Path, tmp_path: Path) -> None:
    from alps_geo.clusters.model import ClusterModel

    data = dict(np.load(model))
    fitted = json.loads(str(data["fitted_with"]))
    data["fitted_with"] = np.array(json.dumps({**fitted, "sam_sha256": "0" * 64}))
    other = tmp_path / "other.npz"
    np.savez(other, **data)
    assert ClusterModel.from_bytes(other.read_bytes(), "other.npz")
    outcome = alps_geo("apply", LANDSAT, "--clusters-from", other, "--out", tmp_path / "out")
    assert outcome.exit_code == 1
    assert "with other weights; expected the same" in outcome.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("apply", LANDSAT, "--out", "x"), 2, "give a cluster model"),
        (("apply", LANDSAT, "--out", "x", "--clusters-from", "absent.npz"), 1, "cannot be read"),
        (("apply", LANDSAT, "--out", "x", "--clusters-from", LANDSAT), 1, "not a cluster model"),
        (("apply", "--clusters-from", "m.npz"), 1, "m.npz: the cluster model cannot be read"),
        (("fit", LANDSAT), 2, "give a file for the cluster model"),
        (("fit", "--out", "m.npz"), 2, "give at least one raster"),
        (("fit", LANDSAT, "--out", "m.npz", "--passes", "0"), 2, "passes is 0"),
    ],
)
def test_wrong_usage_says_what_to_do(
    arguments: tuple[object, ...], code: int, message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    outcome = alps_geo(*arguments)
    assert outcome.exit_code == code
    assert message in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_fine_preset_shows_parts_of_tiles_and_typed_options_win(tmp_path: Path) -> None:
    out = tmp_path / "out"
    few = ("--points", "grid:2", "--clusters", "2")
    outcome = alps_geo("label", NEON, "--out", out, "--preset", "fine", *few)
    assert outcome.exit_code == 0, outcome.stderr
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert (settings["tile_size"], settings["points"]) == ([1024, 512], "grid:2")


def test_the_preset_is_the_published_recipe_and_typed_options_win(tmp_path: Path) -> None:
    """Without its bugs: a cluster is never 0, which is what no mask covers."""
    out = tmp_path / "out"
    arguments = ("--preset", "alps", "--clusters", "2", "--points", "grid:8")
    outcome = alps_geo("label", NEON, "--out", out, *arguments, "--stability-score-thresh", "0.8")
    assert outcome.exit_code == 0, outcome.stderr
    record = json.loads((out / "run.json").read_text())
    settings = record["settings"]
    assert (settings["features"], settings["fill"], settings["max_mask_area"]) == (
        "sam",
        "none",
        0.3,
    )
    assert (settings["passes"], settings["batch_size"], settings["compare"]) == (1, 512, "raw")
    model = read_model(out / "clusters.npz")
    # Means of the encoder's own features, which are about a tenth wide: not standardised ones.
    assert model.tree.centers.shape == (2, 256)
    assert (model.projection.mean == 0).all()
    assert (model.projection.scale == 1).all()
    assert (settings["clusters"], settings["stability_score_thresh"]) == (2, 0.8)
    assert 0 < record["labelled_share"] < 1
    assert set(np.unique(labels(out, NEON))) == {0, 1, 2}
