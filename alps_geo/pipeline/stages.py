"""Parts of a run that are the same over scenes and over the images of a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from alps_geo.clusters.fit import FittedClusters, Recipe, fit_clusters
from alps_geo.clusters.natural_colors import PLAINLY_APART, natural_colors
from alps_geo.features.mapping import HERE
from alps_geo.masks.generator import Models
from alps_geo.masks.registry import make_backbone, make_generator
from alps_geo.review.looks import segment_looks
from alps_geo.runs.address import RunAddress, at_address, open_folder
from alps_geo.runs.checks import check_segments
from alps_geo.runs.folder import RunFolder
from alps_geo.settings import DEFAULT_CLUSTERS
from alps_geo.tiles.executors import reachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from alps_geo.events import Tally
    from alps_geo.features.mapping import Mapper
    from alps_geo.files.storage import Storage
    from alps_geo.masks.generator import MaskGenerator, Weights
    from alps_geo.review.looks import Display
    from alps_geo.runs.failures import FailedImage, FailedTile
    from alps_geo.segments.table import SegmentTable
    from alps_geo.settings import LabelSettings
    from alps_geo.tiles.contract import Settings
    from alps_geo.tiles.executors import Executor


def own_folder(out: Path | RunAddress, settings: Settings) -> RunFolder:
    """Return the run folder of a path or an address, for a run that has it for itself.

    Raises
    ------
    RunError
        As `alps_geo.runs.address.open_folder`.
    """
    return open_folder(out if isinstance(out, RunAddress) else reachable(out, settings))


def shared_folder(out: Path | RunAddress, settings: Settings) -> RunFolder:
    """Return the run folder of a path or an address, for work on its tiles next to others.

    Raises
    ------
    RunError
        As `alps_geo.runs.address.at_address`.
    """
    return at_address(out) if isinstance(out, RunAddress) else RunFolder(reachable(out, settings))


def mapper_here(executor: Executor, settings: Settings, stores: Iterable[Storage]) -> Mapper:
    """Return the executor for work on the folder of this machine, or this process.

    A run in a store has a folder of this machine, which workers elsewhere do not see.
    """
    is_hidden = settings.dask is not None and any(store.is_remote for store in stores)
    return HERE if is_hidden else executor


class Clock:
    """Seconds that each stage took."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = perf_counter()
        self.laps[stage] = round(now - self._last, 3)
        self._last = now


def make_models(settings: LabelSettings, generator: MaskGenerator | None) -> Models:
    """Make the models of the settings; a generator that is handed in takes the place of theirs.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    if settings.dask is not None:
        settings = _with_absolute_paths(settings)
    generator = generator or make_generator(settings.generator_options)
    if settings.backbone is None:
        return Models(generator)
    checkpoint, device = settings.timm_checkpoint, settings.device
    return Models(generator, make_backbone(settings.backbone, checkpoint, device))


def _with_absolute_paths(settings: LabelSettings) -> LabelSettings:
    """Return settings with absolute paths of weights, for workers that were started elsewhere."""
    paths = settings.checkpoint, settings.timm_checkpoint
    checkpoint, timm = (None if path is None else str(reachable(path, settings)) for path in paths)
    return replace(settings, checkpoint=checkpoint, timm_checkpoint=timm)


def recipe_of(settings: LabelSettings) -> Recipe:
    """Return the recipe of k-means that settings ask for."""
    return Recipe(
        batch_size=settings.batch_size,
        passes=settings.passes,
        raw=settings.is_raw,
        in_order=settings.is_published,
        small=settings.small_clusters,
    )


def fit_model(
    tables: Sequence[SegmentTable],
    settings: LabelSettings,
    weights: Weights,
    tally: Tally,
    failed: Sequence[FailedTile | FailedImage],
    displays: Sequence[Display],
    mapper: Mapper,
) -> FittedClusters:
    """Fit the cluster model of a run over segments, and colour its clusters.

    Parameters
    ----------
    tables : sequence of SegmentTable
        The segments, a table for each scene.
    settings : LabelSettings
        Number of clusters, seed and recipe; kept in the model with the weights.
    weights : Weights
        Digests of the weights.
    tally : Tally
        Told what is done.
    failed : sequence of FailedTile or FailedImage
        Tiles or images that failed, for the message if there is no segment.
    displays : sequence of callable
        For each table, the colours in the image of values of the bands.
    mapper : Mapper
        Maps the work on ranges of rows.

    Raises
    ------
    RunError
        If there is no segment, or fewer than clusters.
    """
    tally.tell("cluster")
    total = sum(len(table) for table in tables)
    check_segments(total, failed)
    clusters = settings.clusters
    if clusters is None:
        clusters = max(1, min(DEFAULT_CLUSTERS, total))
        if clusters < DEFAULT_CLUSTERS:
            note = f"fewer segments than {DEFAULT_CLUSTERS}, so one cluster for each: {clusters}"
            tally.tell("cluster", note=note)
    made_with = settings.deciding("tiles", "segments", files=True) | {"model": weights.model}
    fitted = fit_clusters(
        tables,
        [table.area for table in tables],
        clusters,
        settings.seed,
        recipe=recipe_of(settings),
        fitted_with=json.dumps({"settings": made_with, **weights.to_dict()}),
        mapper=mapper,
    )
    if settings.colors == "distinct":
        return fitted
    legend = fitted.model.legend
    looks = segment_looks(legend.ids, tables, fitted.assigned, displays)
    legend = legend.with_colors(natural_colors(looks))
    if clusters > PLAINLY_APART:
        note = (
            f"{clusters} clusters, more than the {PLAINLY_APART} whose colours can all be told "
            "apart: some are alike"
        )
        tally.tell("cluster", note=note)
    return replace(fitted, model=replace(fitted.model, legend=legend))
