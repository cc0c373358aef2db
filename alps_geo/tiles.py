"""The tile stage: from the pixels of each tile to its fragments, each tile once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING

from alps_geo import sam
from alps_geo.fragments import cut_fragments, no_fragments
from alps_geo.record import scene_identity
from alps_geo.scene import read_tile
from alps_geo.store import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from alps_geo.events import Tally
    from alps_geo.fragments import Fragments
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.scene import Scene
    from alps_geo.settings import LabelSettings
    from alps_geo.store import RunFolder

TILE_STAGE_VERSION = 2
"""Raised whenever the same inputs give a tile other fragments, so that stored ones are redone."""


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
    """

    name: str
    scene: Scene
    grid: TileGrid


class TileStage:
    """Turns tiles into fragments, each tile once."""

    def __init__(
        self, folder: RunFolder, settings: LabelSettings, sha256: str, tally: Tally
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._sha256 = sha256
        self._tally = tally

    def ensure(self, job: Job, tile: Tile) -> None:
        """Compute a tile's fragments unless they are stored already."""
        key = self._key(job, tile)
        computed = False
        if self._folder.load_tile(job.name, tile, key) is None:
            self._tally.tell("tiles", job.name)
            fragments, computed = self._compute(job, tile)
            self._folder.save_tile(job.name, tile, key, fragments)
        self._tally.count(job.name, computed=computed)

    def loader(self, job: Job) -> Callable[[Tile], Fragments]:
        """Give a function that loads tiles of a scene, and keeps about three rows of them."""
        return lru_cache(maxsize=2 * job.grid.shape[1] + 3)(partial(self._load, job))

    def _load(self, job: Job, tile: Tile) -> Fragments:
        """Read a tile's fragments; should the file have been damaged since, compute them again."""
        stored = self._folder.load_tile(job.name, tile, self._key(job, tile))
        return stored if stored is not None else self._compute(job, tile)[0]

    def _compute(self, job: Job, tile: Tile) -> tuple[Fragments, bool]:
        """Return a tile's fragments, and whether that took a pass through SAM."""
        pixels = read_tile(job.scene, tile.window)
        if not pixels.valid.any():
            return no_fragments(pixels.valid.shape), False
        masks = sam.generate_masks(
            self._model, pixels.image, self._settings.mask_settings, valid=pixels.valid
        )
        return cut_fragments(job.grid, tile, pixels, masks, self._settings.max_mask_area), True

    @cached_property
    def _model(self) -> sam.SamModel:
        settings = self._settings
        self._tally.tell(f"load {settings.model}")
        return sam.load_model(settings.model, settings.checkpoint, settings.device)

    def _key(self, job: Job, tile: Tile) -> str:
        """Identify everything that a tile's fragments depend on."""
        settings = self._settings
        return fingerprint(
            {
                "version": TILE_STAGE_VERSION,
                "scene": scene_identity(job.scene),
                "bands": settings.bands,
                "nodata": settings.nodata,
                "stretch": settings.stretch,
                "window": tile.window.flatten(),
                "core": tile.core.flatten(),
                "model": self._sha256,
                "masks": asdict(settings.mask_settings),
                "max_mask_area": settings.max_mask_area,
            }
        )
