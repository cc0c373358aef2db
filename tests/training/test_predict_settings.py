"""Settings of predictions: each that decides results is part of what a run is known by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from random_models import cut, write_random_model
from rasterio.windows import Window

from alps_geo.errors import SettingsError
from alps_geo.fields import settings_of
from alps_geo.runs.folder import RunFolder
from alps_geo.training.predict import open_prediction
from alps_geo.training.predict_settings import PredictSettings

if TYPE_CHECKING:
    from pathlib import Path

CHANGED: dict[str, Any] = {
    "device": "cpu",
    "workers": 2,
    "dask": "local:2",
    "wait": 5.0,
    "precision": "bf16",
    "flips": True,
    "bands": (3, 2, 1),
    "nodata": 80.0,
    "alpha": "yes",
    "stretch": (5.0, 95.0),
    "tile_size": 40,
    "overlap": 16,
    "simplify": 2.0,
}
START = PredictSettings(tile_size=48, overlap=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("settings")
    write_random_model(made / "model", ("1", "2", "3"), values="8bit")
    cut(made / "crop.tif", "naip_md_1m.tif", Window(100, 60, 64, 56))
    return made


def known_by(folder: Path, settings: PredictSettings) -> tuple[str, str]:
    """Return the fingerprints of a run and of its tiles."""
    place = RunFolder(folder / "out")
    paths = [str(folder / "crop.tif")]
    found = open_prediction(paths, folder / "model", place, settings, lambda _: None)
    return found.plan().fingerprint, found.stage.jobs[0].store.key


@pytest.mark.parametrize("name", settings_of(PredictSettings))
def test_a_setting_that_decides_results_makes_another_run(folder: Path, name: str) -> None:
    run, tiles = known_by(folder, START)
    changed = known_by(folder, replace(START, **{name: CHANGED[name]}))
    decides = settings_of(PredictSettings)[name].decides
    assert (changed[0] != run) == (decides != "nothing")
    assert (changed[1] != tiles) == (decides not in ("nothing", "outputs"))


def test_tiles_are_as_large_as_the_chips_of_the_training_at_least() -> None:
    assert PredictSettings().sizes(64) == (512, 128)
    assert PredictSettings().sizes(768) == (768, 192)
    assert PredictSettings(overlap=0).sizes(64) == (512, 0)
    with pytest.raises(SettingsError, match="overlap is 300, expected 0 to 256"):
        PredictSettings(overlap=300).sizes(64)
