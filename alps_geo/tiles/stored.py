"""Fragments of tiles as the tile stage has stored them."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING

from alps_geo.events import Tally
from alps_geo.segments.fragments import failed_fragments
from alps_geo.segments.kept_tiles import KeptTiles
from alps_geo.tiles.stage import read_filled

if TYPE_CHECKING:
    from collections.abc import Callable

    from alps_geo.features.embeddings import Embeddings
    from alps_geo.grid import Tile
    from alps_geo.segments.fragments import Fragments, Outlines
    from alps_geo.tiles.jobs import Job
    from alps_geo.tiles.stage import TileStage, TileWorker


class StoredTiles:
    """Loaders of stored outlines and embeddings.

    A tile that failed has none. A tile with a file that has been damaged since is computed and
    stored again, so that further passes find it.

    Parameters
    ----------
    stage : TileStage
        The stage that has stored them.
    tally : Tally
        Told when models are loaded again.
    """

    def __init__(self, stage: TileStage, tally: Tally) -> None:
        self._stage = stage
        self._tally = tally

    def __reduce__(self) -> tuple[Callable[[TileStage], StoredTiles], tuple[TileStage]]:
        """Go to another process without the tally, to which nobody listens there."""
        return _unheard, (self._stage,)

    def outlines(self, job: Job) -> KeptTiles[Outlines]:
        """Loader of a scene's outlines that keeps those of a block of tiles."""
        fetch = job.store.load_outlines if job.store.files.is_remote else None
        return KeptTiles(partial(self._load_outlines, job), fetch=fetch)

    def embeddings(self, job: Job) -> KeptTiles[Embeddings]:
        """Loader of a scene's embeddings that keeps those of a block of tiles."""
        fetch = job.store.load_embeddings if job.store.files.is_remote else None
        return KeptTiles(partial(self._load_embeddings, job), fetch=fetch)

    def _load_outlines(self, job: Job, tile: Tile) -> Outlines:
        # Outlines of a tile without fragments are stored, and empty.
        stored = job.store.load_outlines(tile)
        return self._redo(job, tile) if stored is None else stored

    def _load_embeddings(self, job: Job, tile: Tile) -> Embeddings:
        stored = job.store.load_embeddings(tile)
        return self._redo(job, tile).embeddings if stored is None else stored

    @cached_property
    def _worker(self) -> TileWorker:
        return self._stage.load_with_note(self._tally)

    def _redo(self, job: Job, tile: Tile) -> Fragments:
        if job.store.has_failed(tile):
            return failed_fragments(tile, len(job.scene.band_names))
        fragments = self._worker.fragments(job, tile, read_filled(job.scene, tile.window))
        job.store.save(tile, fragments)
        return fragments


def _unheard(stage: TileStage) -> StoredTiles:
    return StoredTiles(stage, Tally(0, lambda _: None))
