"""The stages of a run, in order: scenes, tiles, segments, clusters, results."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import rasterio

from alps_geo.clusters import fit_clusters
from alps_geo.errors import SceneError
from alps_geo.events import Event, Tally
from alps_geo.files import write_bytes
from alps_geo.grid import TileGrid
from alps_geo.outputs.results import write_results
from alps_geo.record import folder_names, result_files, run_identity, run_record, to_json
from alps_geo.sam.weights import checkpoint_sha256
from alps_geo.scene import open_scene, read_tile
from alps_geo.settings import DEFAULT_CLUSTERS, LabelSettings
from alps_geo.stitch import paint, stitch, sum_segments
from alps_geo.store import Plan, PlannedScene, RunFolder, fingerprint
from alps_geo.tables import open_table, read_segments, write_tables
from alps_geo.tiles import GDAL_CACHE_MB, Job, StoredTiles, label_tiles, tile_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alps_geo.clusters import ClusterModel
    from alps_geo.scene import Scene
    from alps_geo.tables import SegmentTable


def label_scenes(
    paths: Sequence[str],
    out: Path,
    settings: LabelSettings | None = None,
    *,
    overwrite: bool = False,
    force: bool = False,
    strict: bool = False,
    listen: Callable[[Event], None] = lambda _: None,
) -> dict[str, Any]:
    """Label scenes with one cluster model for all, and write the results into a run folder.

    Parameters
    ----------
    paths : sequence of str
        At least one raster.
    out : pathlib.Path
        The run folder. A run of the same scenes and settings that was stopped there goes on, and
        tries tiles that failed again; one that has finished is left as it is.
    settings : LabelSettings, optional
        The defaults if not given.
    overwrite : bool
        Whether results of another run may be replaced. Tiles that still fit are kept.
    force : bool
        Whether all is to be done again, tiles that are done included.
    strict : bool
        Whether to stop at the first tile that fails. Else its pixels remain unlabelled, and
        ``failed`` in the record names it.
    listen : callable
        Called with an `Event` whenever something has moved.

    Returns
    -------
    dict
        The record of the run, as written to ``run.json``.

    Raises
    ------
    AlpsGeoError
        If a scene, the model or the run folder cannot be used, if no tile can be labelled, or, if
        `strict`, if one cannot.
    """
    settings = settings or LabelSettings()
    clock, folder = _Clock(), RunFolder(Path(out))
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MB):
        scenes = _open_scenes(paths, settings)
        sha256 = checkpoint_sha256(settings.model, settings.checkpoint)
        jobs = _plan_jobs(scenes, settings, folder, sha256)
        tally = Tally(sum(len(job.grid) for job in jobs), listen)
        for job in jobs:
            for note in job.scene.notes:
                tally.tell("open", job.name, note)
        plan = _plan(jobs, settings, sha256)
        if not force and (record := folder.finished_record(plan.run)):
            return record
        with folder.claimed(plan, overwrite=overwrite, force=force):
            clock.lap("open")
            record = _label(jobs, folder, settings, sha256, tally, clock, strict=strict)
            folder.sweep(plan)
            return record


def _label(
    jobs: Sequence[Job],
    folder: RunFolder,
    settings: LabelSettings,
    sha256: str,
    tally: Tally,
    clock: _Clock,
    *,
    strict: bool,
) -> dict[str, Any]:
    failed = label_tiles(jobs, settings, tally, strict=strict)
    stored = StoredTiles(jobs, settings, tally)
    clock.lap("tiles")

    for job in jobs:
        tally.tell("stitch", job.name)
        _find_segments(job, stored, folder.segments_folder(job.name), settings)
    clock.lap("stitch")

    tally.tell("cluster")
    tables = [open_table(folder.segments_folder(job.name)) for job in jobs]
    model = _fit(tables, settings, tally)
    write_bytes(folder.model_path, model.to_bytes())
    clock.lap("cluster")

    results = []
    for job, table in zip(jobs, tables, strict=True):
        tally.tell("write", job.name)
        segments, scores = read_segments(folder.segments_folder(job.name))
        assigned = model.apply(table).by_id(table.rows)
        blocks = paint(job.grid, segments.ids, stored.outlines(job))
        target, kept = folder.scene_folder(job.name), folder.segments_folder(job.name)
        results.append(
            write_results(target, kept, job.scene, blocks, segments, scores, assigned, model)
        )
    clock.lap("write")

    record = run_record(
        {job.name: job.scene for job in jobs},
        settings,
        sha256,
        model,
        {job.name: result for job, result in zip(jobs, results, strict=True)},
        failed,
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


def _open_scenes(paths: Sequence[str], settings: LabelSettings) -> list[Scene]:
    if not paths:
        raise SceneError("no scene was given; name at least one raster")
    return [
        open_scene(path, bands=settings.bands, nodata=settings.nodata, stretch=settings.stretch)
        for path in paths
    ]


def _plan_jobs(
    scenes: Sequence[Scene], settings: LabelSettings, folder: RunFolder, sha256: str
) -> list[Job]:
    jobs = []
    for name, scene in zip(folder_names([scene.name for scene in scenes]), scenes, strict=True):
        grid = TileGrid(scene.height, scene.width, settings.tile_size, settings.tile_overlap)
        store = folder.tile_store(scene.name, tile_key(scene, grid, settings, sha256))
        jobs.append(Job(name, scene, grid, store))
    return jobs


def _plan(jobs: Sequence[Job], settings: LabelSettings, sha256: str) -> Plan:
    return Plan(
        run=fingerprint(run_identity([job.scene for job in jobs], settings, sha256)),
        scenes=tuple(
            PlannedScene(job.name, job.scene.path, job.store.folder.name, len(job.grid))
            for job in jobs
        ),
        files=tuple(result_files([job.name for job in jobs])),
    )


def _find_segments(job: Job, stored: StoredTiles, folder: Path, settings: LabelSettings) -> None:
    """Stitch the tiles of a scene, and keep its segments and their columns."""
    segments = stitch(
        job.grid,
        stored.outlines(job),
        partial(read_tile, job.scene),
        min_area=settings.min_area,
        keep_specks=settings.fill != "none",
    )
    sums = sum_segments(job.grid, segments.ids, partial(stored.fragments, job))
    names, dtype = job.scene.band_names, job.scene.dtype
    write_tables(folder, segments, sums, names, dtype, settings.feature_names)


def _fit(tables: Sequence[SegmentTable], settings: LabelSettings, tally: Tally) -> ClusterModel:
    """Fit the cluster model over the segments of all scenes."""
    total = sum(len(table) for table in tables)
    clusters = settings.clusters
    if clusters is None:
        clusters = max(1, min(DEFAULT_CLUSTERS, total))
        if clusters < DEFAULT_CLUSTERS:
            note = f"there are only {total} segments, and so {clusters} clusters"
            tally.tell("cluster", note=note)
    return fit_clusters(tables, [table.area for table in tables], clusters, settings.seed)
