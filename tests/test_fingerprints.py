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
    "dask": "local:2",
    "wait": 5.0,
    "precision": "bf16",
    "clusters": 7,
    "seed": 1,
    "batch_size": 512,
    "passes": 1,
    "small_clusters": 10,
    "bands": (3, 2, 1),
    "nodata": 0.0,
    "alpha": "no",
    "stretch": (1.0, 99.0),
    "tile_size": 512,
    "overlap": 64,
    "points": "grid:16",
    "pred_iou_thresh": 0.9,
    "stability_score_thresh": 0.9,
    "max_mask_area": 0.3,
    "fill": "none",
    "superpixel_size": 8,
    "min_area": 1,
    "merge": False,
    "merge_strength": 0.5,
    "neighbours": 0.0,
    "features": "sam",
    "timm_checkpoint": "backbone.pt",
    "compare": "raw",
    "colors": "distinct",
    "simplify": 2.0,
    "formats": ("gpkg", "geojson"),
    "preview_format": ("png", "pdf"),
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
    grid = TileGrid(1200, 1300, settings.tile_sizes[0], settings.tile_overlap)
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


def test_tiles_without_superpixels_do_not_depend_on_their_size() -> None:
    bare = replace(DEFAULT, fill="none")
    before, after = (fingerprints(replace(bare, superpixel_size=size)) for size in (16, 8))
    assert before["tiles"] == after["tiles"]


def test_all_points_have_tiles_of_their_own() -> None:
    chosen = ("grid:20", "grid:21", "regions:20", "regions:400", "none")
    keys = {fingerprints(replace(DEFAULT, points=points))["tiles"] for points in chosen}
    assert len(keys) == len(chosen)


def test_one_size_of_tiles_is_the_same_run_as_a_tuple_of_it() -> None:
    assert changes(replace(DEFAULT, tile_size=(1024,))) == set()


def test_views_need_the_tiles_again() -> None:
    assert changes(replace(DEFAULT, tile_size=(1024, 512))) == {"tiles", "model", "run"}


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
        ("16620d14a42bc07c", "1e7b99360802b878"),
        ("fb55146e73f7fd33", "420830e9ab916c64"),
    ]
    assert json.dumps(DEFAULT.deciding("tiles", "segments", files=True)) == (
        '{"merge": true, "merge_strength": 0.1, "neighbours": 0.3, "timm_checkpoint": null, '
        '"compare": "weighed", "model": "mobile_sam", "checkpoint": null, '
        '"precision": "float32", "tile_size": 1024, "overlap": null, "points_per_side": 32, '
        '"pred_iou_thresh": 0.7, "stability_score_thresh": 0.8, "max_mask_area": null, '
        '"fill": "superpixels", "superpixel_size": 16, "min_area": 16}'
    )
