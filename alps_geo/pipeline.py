"""The stages of a run, in order: scenes, tiles, segments, clusters, results."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio

from alps_geo import sam
from alps_geo.clusters import fit_clusters
from alps_geo.columns import segment_columns
from alps_geo.descriptors import band_scale
from alps_geo.errors import SceneError
from alps_geo.files import write_bytes
from alps_geo.fragments import cut_fragments, no_fragments
from alps_geo.grid import TileGrid
from alps_geo.outputs.results import write_results
from alps_geo.record import (
    folder_names,
    run_identity,
    run_record,
    scene_identity,
    to_json,
)
from alps_geo.sam.weights import checkpoint_sha256
from alps_geo.scene import open_scene, read_overview, read_tile
from alps_geo.settings import DEFAULT_CLUSTERS, LabelSettings
from alps_geo.stitch import stitch
from alps_geo.store import RunFolder, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters import ClusterModel
    from alps_geo.columns import Columns
    from alps_geo.descriptors import BandScale
    from alps_geo.fragments import Fragments
    from alps_geo.grid import Tile
    from alps_geo.scene import Scene

TILE_STAGE_VERSION = 2
"""Raised whenever the same inputs give a tile other fragments, so that stored ones are redone."""

SCALE_SIDE = 1024
"""Longest side, in pixels, of the look at a scene that tells level and spread of its bands."""

GDAL_CACHE_MB = 256
"""GDAL would fill 5 % of the memory with blocks that no tile asks for again."""


@dataclass(frozen=True)
class Event:
    """What a run tells its listener.

    Attributes
    ----------
    stage : str
        What is being done.
    scene : str
        Name of the scene it is done to; empty for all of them.
    tiles, computed, skipped : int
        Tiles of the whole run; how many have been through SAM; and how many need not, because
        they hold no data or were done before.
    note : str
        Something that was assumed and that the user should know; else empty.
    """

    stage: str
    scene: str = ""
    tiles: int = 0
    computed: int = 0
    skipped: int = 0
    note: str = ""


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

    @cached_property
    def scale(self) -> BandScale:
        """Level and spread of the scene's bands."""
        return band_scale(read_overview(self.scene, SCALE_SIDE))


def label_scenes(
    paths: Sequence[str],
    out: Path,
    settings: LabelSettings | None = None,
    *,
    overwrite: bool = False,
    listen: Callable[[Event], None] = lambda _: None,
) -> dict[str, Any]:
    """Label scenes with one cluster model for all, and write the results into a run folder.

    Parameters
    ----------
    paths : sequence of str
        At least one raster.
    out : pathlib.Path
        The run folder. A run of the same scenes and settings that was stopped there goes on; one
        that has finished is left as it is.
    settings : LabelSettings, optional
        The defaults if not given.
    overwrite : bool
        Whether results of another run may be replaced.
    listen : callable
        Called with an `Event` whenever something has moved.

    Returns
    -------
    dict
        The record of the run, as written to ``run.json``.

    Raises
    ------
    AlpsGeoError
        If a scene, the model or the run folder cannot be used.
    """
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MB):
        return _run(paths, out, settings or LabelSettings(), overwrite, listen)


def _run(
    paths: Sequence[str],
    out: Path,
    settings: LabelSettings,
    overwrite: bool,
    listen: Callable[[Event], None],
) -> dict[str, Any]:
    clock = _Clock()
    jobs = _open_jobs(paths, settings)
    tally = _Tally(sum(len(job.grid) for job in jobs), listen)
    for job in jobs:
        for note in job.scene.notes:
            tally.tell("open", job.name, note)
    folder = RunFolder(Path(out))
    sha256 = checkpoint_sha256(settings.model, settings.checkpoint)
    identity = run_identity([job.scene for job in jobs], settings, sha256)
    if record := folder.finished_record(identity):
        return record
    folder.begin(identity, overwrite=overwrite)
    clock.lap("open")

    stage = _TileStage(folder, settings, sha256, tally)
    for job in jobs:
        for tile in job.grid:
            stage.ensure(job, tile)
    clock.lap("tiles")

    segments = []
    for job in jobs:
        tally.tell("stitch", job.name)
        segments.append(
            stitch(
                job.grid,
                partial(stage.load, job),
                min_area=settings.min_area,
                keep_specks=settings.fill != "none",
            )
        )
    clock.lap("stitch")

    tally.tell("cluster")
    columns = [
        segment_columns(found.sums, job.scene.band_names, job.scene.dtype, settings.feature_names)
        for job, found in zip(jobs, segments, strict=True)
    ]
    model = _fit(columns, [found.sums.area for found in segments], settings, tally)
    clusters = [model.apply(table) for table in columns]
    write_bytes(folder.model_path, model.to_bytes())
    clock.lap("cluster")

    results = []
    for job, found, cluster in zip(jobs, segments, clusters, strict=True):
        tally.tell("write", job.name)
        target = folder.scene_folder(job.name)
        load = partial(stage.load, job)
        results.append(
            write_results(target, job.scene, job.grid, load, found, cluster, model.palette)
        )
    clock.lap("write")

    record = run_record(
        {job.name: job.scene for job in jobs},
        settings,
        sha256,
        model,
        {job.name: result for job, result in zip(jobs, results, strict=True)},
        clock.laps,
    )
    write_bytes(folder.record_path, to_json(record))
    return record


class _Clock:
    """Seconds that each stage took."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.laps[stage] = round(now - self._last, 3)
        self._last = now


class _Tally:
    """Counts the tiles of the run for its listener."""

    def __init__(self, tiles: int, listen: Callable[[Event], None]) -> None:
        self._now = Event("open", tiles=tiles)
        self._listen = listen

    def tell(self, stage: str, scene: str = "", note: str = "") -> None:
        self._listen(replace(self._now, stage=stage, scene=scene, note=note))

    def count(self, scene: str, *, computed: bool) -> None:
        now = self._now
        self._now = replace(
            now, computed=now.computed + computed, skipped=now.skipped + (not computed)
        )
        self.tell("tiles", scene)


class _TileStage:
    """Turns tiles into fragments, each tile once."""

    def __init__(
        self, folder: RunFolder, settings: LabelSettings, sha256: str, tally: _Tally
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

    def load(self, job: Job, tile: Tile) -> Fragments:
        """Read a tile's fragments; should the file have been damaged since, compute them again."""
        stored = self._folder.load_tile(job.name, tile, self._key(job, tile))
        return stored if stored is not None else self._compute(job, tile)[0]

    def _compute(self, job: Job, tile: Tile) -> tuple[Fragments, bool]:
        """Return a tile's fragments, and whether that took a pass through SAM."""
        pixels = read_tile(job.scene, tile.window)
        if not pixels.valid.any():
            return no_fragments(pixels), False
        masks = sam.generate_masks(
            self._model, pixels.image, self._settings.mask_settings, valid=pixels.valid
        )
        fragments = cut_fragments(
            tile,
            pixels,
            masks,
            job.scale,
            max_mask_area=self._settings.max_mask_area,
            fill=self._settings.fill == "superpixels",
        )
        return fragments, True

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
                "fill": settings.fill,
            }
        )


def _open_jobs(paths: Sequence[str], settings: LabelSettings) -> list[Job]:
    if not paths:
        raise SceneError("no scene was given; name at least one raster")
    scenes = [
        open_scene(path, bands=settings.bands, nodata=settings.nodata, stretch=settings.stretch)
        for path in paths
    ]
    names = folder_names([scene.name for scene in scenes])
    return [
        Job(
            name,
            scene,
            TileGrid(scene.height, scene.width, settings.tile_size, settings.tile_overlap),
        )
        for name, scene in zip(names, scenes, strict=True)
    ]


def _fit(
    columns: Sequence[Columns],
    areas: Sequence[NDArray[np.integer]],
    settings: LabelSettings,
    tally: _Tally,
) -> ClusterModel:
    """Fit the cluster model over the segments of all scenes."""
    area = np.concatenate(areas)
    clusters = settings.clusters
    if clusters is None:
        clusters = max(1, min(DEFAULT_CLUSTERS, len(area)))
        if clusters < DEFAULT_CLUSTERS:
            note = f"there are only {len(area)} segments, and so {clusters} clusters"
            tally.tell("cluster", note=note)
    return fit_clusters(columns, area, clusters, settings.seed)
