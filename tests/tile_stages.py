"""Stages over the tiles of a real scene, with a mask generator that needs no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers import DATA
from quarter_tiles import QuarterTiles

from alps_geo.grid import TileGrid
from alps_geo.masks.generator import Models
from alps_geo.runs.tile_store import TileStore
from alps_geo.scene import open_scene
from alps_geo.settings import LabelSettings
from alps_geo.tiles.jobs import Job
from alps_geo.tiles.stage import TileStage

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.masks.generator import MaskGenerator

_QUARTERS = QuarterTiles()


def stage_in(folder: Path, generator: MaskGenerator = _QUARTERS) -> TileStage:
    """Plan the nine tiles of a scene, to be stored in a folder."""
    scene = open_scene(str(DATA / "neon_osbs_10cm.tif"))
    grid = TileGrid(scene.height, scene.width, 160, 0)
    settings = LabelSettings(tile_size=160, overlap=0, fill="none")
    models = Models(generator)
    return TileStage([Job("neon", scene, grid, TileStore(folder, "key"))], settings, models)
