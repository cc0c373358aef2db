"""Run folders with small made-up plans, tiles and records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.features.embeddings import Embeddings
from alps_geo.grid import TileGrid
from alps_geo.runs.claim import claimed
from alps_geo.runs.folder import OUTLINES
from alps_geo.runs.origin import Origin, WeightsRecord
from alps_geo.runs.parts import ClusterRecord, SceneRecord
from alps_geo.runs.plan import Plan, PlannedScene
from alps_geo.runs.record import (
    FitRecord,
    RunRecord,
    write_record,
)
from alps_geo.runs.tile_store import TileStore
from alps_geo.segments.fragments import Fragments, Objects

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.runs.folder import RunFolder

FIRST, SECOND = TileGrid(8, 14, 8, 2)
FRAGMENTS = Fragments(
    np.arange(64, dtype=np.int32).reshape(8, 8) % 3,
    size=np.array([21, 21]),
    rank=np.array([1, 3], dtype=np.uint8),
    owner=np.array([-1, 1], dtype=np.int32),
    objects=Objects(
        of=np.array([1, 0], dtype=np.int32),
        superpixel=np.array([0, 7], dtype=np.int32),
        in_parts=np.array([False]),
        edges=np.array([[False, True, False, False]]),
        sums=np.arange(5.0)[None],
        scores=np.array([[0.5, 0.25]]),
        means=np.zeros((1, 0)),
    ),
    valid_pixels=42,
    embeddings=Embeddings(np.ones((256, 4, 4), np.float16), np.ones((5, 2, 2), np.float32)),
)
PLAN = Plan("one", (PlannedScene("scene", "scene.tif", "scene.key", 2),), ("scene/labels.tif",))
OTHER = Plan("two", (PlannedScene("other", "other.tif", "other.key", 2),), ("other/labels.tif",))
FIT = replace(PLAN, fingerprint="a fit", files=())

SCENE = SceneRecord(
    name="scene",
    path="s.tif",
    size_bytes=None,
    mtime=None,
    files_sha256="5e1f",
    height=8,
    width=14,
    crs=None,
    transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    bands=("1",),
    rgb=(1, 1, 1),
    notes=(),
    segments=3,
    stretch=(0.0, 255.0, 0.0, 255.0, 0.0, 255.0),
)
ORIGIN = Origin(
    versions={"alps-geo": "0.1.0"},
    settings={"bands": None, "nodata": None, "stretch": None},
    model=WeightsRecord("mobile_sam", "c0de"),
    backbone=None,
)
RECORD = RunRecord(
    ORIGIN,
    (replace(SCENE, valid_pixels=112, labelled_pixels=9),),
    segments=3,
    area_unit="px",
    labelled_share=1.0,
    clusters=(ClusterRecord(1, "", "#00ff7f", 3, 9.0, 1.0),),
    failed=(),
    seconds={"tiles": 0.5},
    files=("scene/labels.tif",),
)
FIT_RECORD = FitRecord(
    ORIGIN, (SCENE,), segments=3, clusters=3, fitted="model.npz", failed=(), seconds={}
)


def tile_store(folder: RunFolder, scene: str, key: str = "key") -> TileStore:
    return TileStore(folder.tiles_folder(scene, key), key)


def stored(folder: RunFolder) -> tuple[TileStore, Path]:
    """Store the first tile of the first scene; return its store and the file of its outlines."""
    store = tile_store(folder, "scene")
    store.save(FIRST, FRAGMENTS)
    (path,) = folder.path.glob(f".tiles/scene.key/*.{OUTLINES}")
    return store, path


def begin(folder: RunFolder, plan: Plan, *, overwrite: bool = False, force: bool = False) -> None:
    with claimed(folder, plan, overwrite=overwrite, force=force):
        pass


def finish(folder: RunFolder, plan: Plan, record: RunRecord | FitRecord = RECORD) -> None:
    begin(folder, plan)
    for name in plan.files:
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).write_text("result")
    write_record(folder.record_path, record)
