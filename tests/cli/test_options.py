"""Options that are made from settings, and commands whose types mypy sees."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from helpers import DATA, alps_geo

from alps_geo.settings import LabelSettings
from alps_geo_cli.config import load_defaults
from alps_geo_cli.options import Chosen

SCENE = DATA / "neon_osbs_10cm.tif"
QUICK = ("--points", "grid:2", "--clusters", "2")

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo_cli.label import label
    from alps_geo_cli.run import run_scenes

    # Strict mypy also reports an ignored error that there is none of.
    run_scenes(1, 2, nonsense="x")  # type: ignore[call-arg, arg-type]
    label(1, nonsense="x")  # type: ignore[call-arg, arg-type]

pytestmark = pytest.mark.usefixtures("images_encoded_once")


def options_of(command: str) -> set[str]:
    """Return the settings that a command's help lists."""
    text = alps_geo(command, "--help").stdout
    return {name for name in LabelSettings().to_dict() if f"--{name.replace('_', '-')} " in text}


def test_commands_have_the_settings_that_decide_their_results() -> None:
    everything = set(LabelSettings().to_dict())
    fitting = {"clusters", "seed", "batch_size", "passes", "small_clusters", "features", "colors"}
    assert options_of("label") == everything - {"clusters_from"}
    written = {"simplify", "formats", "preview_format"}
    assert options_of("fit") == everything - {"clusters_from"} - written
    assert options_of("apply") == everything - fitting


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--bands", "1,x,3", "bands is '1,x,3', not whole numbers, expected one"),
        ("--bands", "1,2", "bands is 1,2, expected one or three band numbers from 1"),
        ("--stretch", "low,high", "stretch is 'low,high', expected two percentiles"),
        ("--stretch", "5", "stretch is 5, expected two percentiles"),
        ("--stretch", "1,2,3", "stretch is 1,2,3, expected two percentiles"),
        ("--tile-size", "big", "tile_size is 'big', not whole numbers, expected 64 to 16 384, or"),
        ("--tile-size", "512,1024", "or up to 3 such sizes, each smaller than the one before"),
        ("--overlap", "900", "overlap is 900, expected 0 to 512"),
        ("--features", "sam+x", "features is 'x', expected one of sam, spectral"),
    ],
)
def test_wrong_values_have_one_wording(
    tmp_path: Path, option: str, value: str, message: str
) -> None:
    outcome = alps_geo("label", SCENE, "--out", tmp_path / "out", option, value)
    assert outcome.exit_code == 2
    assert message in " ".join(outcome.stderr.replace("│", " ").split())


@pytest.mark.parametrize("source", ["option", "toml", "run.json"])
def test_the_earlier_word_for_weighted_is_taken_with_a_note(tmp_path: Path, source: str) -> None:
    arguments: tuple[object, ...] = ("--compare", "weighed")
    if source == "toml":
        arguments = ("--config", tmp_path / "config.toml")
        (tmp_path / "config.toml").write_text('compare = "weighed"\n')
    if source == "run.json":
        arguments = ("--config", tmp_path / "run.json")
        record = {"settings": {"compare": "weighed"}, "scenes": [{"path": str(SCENE)}]}
        (tmp_path / "run.json").write_text(json.dumps(record))
    out = tmp_path / "out"
    # A cluster count out of range stops the run before it begins to work.
    outcome = alps_geo("label", SCENE, "--out", out, *arguments, "--clusters", "0")
    assert "note: compare weighed is called weighted now" in outcome.stderr
    assert "clusters is 0" in outcome.stderr
    quiet = alps_geo("label", SCENE, "--out", out, *arguments, "--clusters", "0", "--quiet")
    assert "note" not in quiet.stderr


@pytest.mark.parametrize("source", ["option", "toml", "run.json"])
def test_points_per_side_is_a_grid_with_a_note(tmp_path: Path, source: str) -> None:
    arguments: tuple[object, ...] = ("--points-per-side", 7)
    if source == "toml":
        arguments = ("--config", tmp_path / "config.toml")
        (tmp_path / "config.toml").write_text("points-per-side = 7\n")
    if source == "run.json":
        arguments = ("--config", tmp_path / "run.json")
        record = {"settings": {"points_per_side": 7}, "scenes": [{"path": str(SCENE)}]}
        (tmp_path / "run.json").write_text(json.dumps(record))
    typed = ("label", SCENE, "--out", tmp_path / "out", *arguments, "--clusters", 0)
    outcome = alps_geo(*typed)
    assert "note: points_per_side 7 is called points grid:7 now" in outcome.stderr
    assert "clusters is 0" in outcome.stderr
    if source != "option":
        # What is typed wins over a file.
        assert "note" not in alps_geo(*typed, "--points", "regions:9").stderr


def test_points_have_one_name_at_a_time(tmp_path: Path) -> None:
    names = ("--points", "grid:2", "--points-per-side", 2)
    outcome = alps_geo("label", SCENE, "--out", tmp_path / "out", *names)
    assert outcome.exit_code == 2
    assert "--points-per-side is another name of --points: give one" in outcome.stderr
    config = tmp_path / "config.toml"
    config.write_text('points-per-side = 2\npoints = "none"\n')
    outcome = alps_geo("label", SCENE, "--out", tmp_path / "out", "--config", config)
    assert outcome.exit_code == 2
    assert f"{config}: points and points_per_side are one setting" in outcome.stderr


def test_todays_word_has_no_note() -> None:
    notes: list[str] = []
    assert Chosen({"compare": "weighted"}).settings(notes.append) == LabelSettings()
    assert Chosen({"compare": "weighed"}).settings(notes.append) == LabelSettings()
    assert len(notes) == 1


def test_a_run_in_words_of_before_is_the_same_run(tmp_path: Path) -> None:
    """Tiles are kept, and run.json has the words of today."""
    out = tmp_path / "out"
    before = ("--points-per-side", "2", "--clusters", "2", "--compare", "weighed")
    assert alps_geo("label", SCENE, "--out", out, *before).exit_code == 0
    tiles = {path: path.stat().st_mtime_ns for path in (out / ".tiles").rglob("*.npz")}
    again = alps_geo("label", SCENE, "--out", out, *QUICK)
    assert again.exit_code == 0
    assert "note" not in again.stderr
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert (settings["compare"], settings["points"]) == ("weighted", "grid:2")
    assert "points_per_side" not in settings
    assert tiles
    assert {path: path.stat().st_mtime_ns for path in tiles} == tiles


def test_every_setting_is_a_key_of_a_config(tmp_path: Path) -> None:
    known = set(LabelSettings().to_dict())
    config = tmp_path / "config.toml"
    config.write_text("tile-size = 512\nbands = [4, 3, 2]\n")
    assert load_defaults(config, known) == {"tile_size": 512, "bands": "4,3,2"}
    config.write_text("tile_size = [1024, 512]\n")
    assert load_defaults(config, known) == {"tile_size": "1024,512"}
