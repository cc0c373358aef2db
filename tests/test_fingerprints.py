"""Fingerprints that change with each setting, and those that do not."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from helpers import DATA

from alps_geo.fields import STAGES, settings_of
from alps_geo.grid import TileGrid
from alps_geo.masks.generator import Weights
from alps_geo.runs.identity import fingerprint, run_identity
from alps_geo.scene import Scene, open_scene
from alps_geo.settings import LabelSettings
from alps_geo.tiles.jobs import tile_key

DEFAULT = LabelSettings()
CHANGED: dict[str, Any] = {
    "clusters_from": "model.npz",
    "model": "vit_b",
    "checkpoint": "other.pt",
    "device": "cpu",
    "workers": 2,
    "precision": "bf16",
    "clusters": 7,
    "seed": 1,
    "batch_size": 512,
    "passes": 1,
    "bands": (3, 2, 1),
    "nodata": 0.0,
    "alpha": "no",
    "stretch": (1.0, 99.0),
    "tile_size": 512,
    "overlap": 64,
    "points_per_side": 16,
    "pred_iou_thresh": 0.9,
    "stability_score_thresh": 0.9,
    "max_mask_area": 0.3,
    "fill": "none",
    "min_area": 1,
    "features": "sam",
    "timm_checkpoint": "backbone.pt",
    "compare": "raw",
    "colors": "distinct",
    "simplify": 2.0,
}
EXPECTED = {
    "scene": {"tiles", "run"},
    "tiles": {"tiles", "model", "run"},
    "segments": {"model", "run"},
    "clusters": {"run"},
    "outputs": {"run"},
    "nothing": set[str](),
}
"""Fingerprints that change with a setting of each stage."""


@cache
def scene() -> Scene:
    return open_scene(str(DATA / "neon_osbs_10cm.tif"))


def fingerprints(settings: LabelSettings) -> dict[str, str]:
    """Return all fingerprints in which settings have a part, where files differ by their names."""
    weights = Weights(
        settings.model, f"{settings.model} {settings.checkpoint}", str(settings.timm_checkpoint)
    )
    grid = TileGrid(1200, 1300, settings.tile_size, settings.tile_overlap)
    identity = run_identity([scene()], settings, weights)
    return {
        "tiles": tile_key(scene(), grid, settings, weights),
        "model": fingerprint(settings.deciding("tiles", "segments", files=True)),
        "run": fingerprint([identity, settings.clusters_from]),
    }


def changes(settings: LabelSettings) -> set[str]:
    before, after = fingerprints(DEFAULT), fingerprints(settings)
    return {name for name in before if before[name] != after[name]}


def test_every_setting_says_what_it_decides() -> None:
    known = settings_of(LabelSettings)
    assert list(known) == list(DEFAULT.to_dict())
    assert CHANGED.keys() == known.keys()
    assert all(each.help and each.panel for each in known.values())
    assert {each.decides for each in known.values()} == EXPECTED.keys()


@pytest.mark.parametrize("name", CHANGED)
def test_a_setting_changes_the_fingerprints_of_its_stage(name: str) -> None:
    settings = replace(DEFAULT, **{name: CHANGED[name]})
    assert changes(settings) == EXPECTED[str(settings_of(LabelSettings)[name].decides)]


def test_another_backbone_needs_the_tiles_again() -> None:
    assert changes(replace(DEFAULT, features="sam+timm:resnet18")) == {"tiles", "run"}


def test_none_and_the_default_that_it_stands_for_share_their_tiles() -> None:
    assert "tiles" not in changes(replace(DEFAULT, overlap=128, max_mask_area=1.0))


def test_fingerprints_are_those_of_stored_tiles_models_and_runs() -> None:
    """Digests of settings, those of runs as stored before settings were fields that say all."""
    other = LabelSettings(
        compare="raw",
        features="timm:x+sam",
        fill="none",
        bands=(4, 3, 2),
        nodata=0.0,
        stretch=(1.0, 99.0),
        tile_size=512,
    )
    found = [
        (fingerprint(each.tile_values())[:16], fingerprint(each.deciding(*STAGES))[:16])
        for each in (DEFAULT, other)
    ]
    assert found == [
        ("16620d14a42bc07c", "be3df3370cc20e31"),
        ("fb55146e73f7fd33", "88e9d47bc32b20ea"),
    ]
    assert json.dumps(DEFAULT.deciding("tiles", "segments", files=True)) == (
        '{"model": "mobile_sam", "checkpoint": null, "precision": "float32", "tile_size": 1024, '
        '"overlap": null, "points_per_side": 32, "pred_iou_thresh": 0.7, '
        '"stability_score_thresh": 0.8, "max_mask_area": null, "fill": "superpixels", '
        '"min_area": 16, "timm_checkpoint": null, "compare": "weighed"}'
    )
