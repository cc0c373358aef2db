"""Predictions whose tiles are shared out, to the bytes of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helpers import alps_geo
from random_models import cut, write_random_model
from rasterio.windows import Window
from share_runs import assert_same

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def predict(folder: Path, out: str, *options: object) -> Any:
    small = ("--tile-size", 96, "--overlap", 32, "--device", "cpu")
    scene, model = folder / "crop.tif", folder / "model"
    return alps_geo(
        "train", "predict", scene, "--model", model, "--out", folder / out, *small, *options
    )


def test_shares_of_a_prediction_make_the_same_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_random_model(tmp_path / "model")
    cut(tmp_path / "crop.tif", "neon_osbs_10cm.tif", Window(100, 60, 200, 160))
    for name in ("SLURM_ARRAY_TASK_ID", "AWS_BATCH_JOB_ARRAY_INDEX", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)
    assert predict(tmp_path, "alone").exit_code == 0
    for number in (2, 1):
        outcome = predict(tmp_path, "shared", "--only", "tiles", "--shard", f"{number}/2")
        assert outcome.exit_code == 0, outcome.stderr
    assert "are done; the same command without --only tiles and --shard" in outcome.stdout
    assert not (tmp_path / "shared" / "run.json").exists()
    assert predict(tmp_path, "shared").exit_code == 0
    assert_same(tmp_path / "shared", tmp_path / "alone")


def test_segments_are_not_shared_out(tmp_path: Path) -> None:
    outcome = alps_geo(
        *("train", "predict", "--segments", tmp_path, "--model", tmp_path, "--out", tmp_path),
        *("--only", "tiles"),
    )
    assert outcome.exit_code == 2
    assert "not for --segments" in " ".join(outcome.stderr.split())
