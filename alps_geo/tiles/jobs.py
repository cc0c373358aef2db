"""Scenes of a run with their tiles, and the key under which tiles are stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from alps_geo.features.images import band_scale
from alps_geo.runs.identity import fingerprint, scene_identity
from alps_geo.runs.tile_store import ARRAYS
from alps_geo.scene import read_overview

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.features.images import BandScale
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.masks.generator import Weights
    from alps_geo.runs.tile_store import TileStore
    from alps_geo.scene import Scene
    from alps_geo.settings import LabelSettings

    Task = tuple[int, int, int]
    """Index of the scene in the run, and (row, col) of the tile in its grid."""

TILE_STAGE_VERSION = 12
"""Raised whenever tiles have other fragments or files, so that stored ones are redone."""

SCALE_SIDE = 1024
"""Longest side, in pixels, of the overview that level and spread of the bands are measured on."""


@dataclass(frozen=True)
class Job:
    """One scene of a run.

    Attributes
    ----------
    name : str
        The scene's folder in the run folder.
    scene : Scene
        The scene.
    grid : TileGrid
        Its tiles.
    store : TileStore
        Stored fragments of its tiles.
    """

    name: str
    scene: Scene
    grid: TileGrid
    store: TileStore

    @cached_property
    def scale(self) -> BandScale:
        """Level and spread of the scene's bands."""
        return band_scale(read_overview(self.scene, SCALE_SIDE))


def find_tile(jobs: Sequence[Job], task: Task) -> tuple[Job, Tile]:
    """Look up the scene and the tile of a task."""
    index, row, col = task
    return jobs[index], jobs[index].grid[row, col]


def tile_key(scene: Scene, grid: TileGrid, settings: LabelSettings, weights: Weights) -> str:
    """Fingerprint of all that decides the fragments of a scene's tiles but their position."""
    return fingerprint(
        {
            "version": TILE_STAGE_VERSION,
            "arrays": ARRAYS,
            "scene": scene_identity(scene),
            "grid": asdict(grid),
            "model": weights.sam,
            "backbone_weights": weights.backbone,
            **settings.tile_values(),
        }
    )
