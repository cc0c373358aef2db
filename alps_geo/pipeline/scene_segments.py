"""Segments of a scene whose tiles are stored: stitched, described and kept."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from alps_geo.clusters.scaling import project_alone
from alps_geo.features.columns import ColumnSchema
from alps_geo.scene import read_tile
from alps_geo.segments.core_sums import Source
from alps_geo.segments.describe import NeighbourRules, describe_segments
from alps_geo.segments.painting import StoredPainting
from alps_geo.segments.pooling import segment_rows
from alps_geo.segments.stitch import stitch

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.features.mapping import Mapper
    from alps_geo.masks.generator import MaskGenerator
    from alps_geo.segments.stitch import Stitched
    from alps_geo.segments.table import SegmentTable
    from alps_geo.settings import LabelSettings
    from alps_geo.tiles.jobs import Job
    from alps_geo.tiles.stored import StoredTiles


def segment_scene(
    job: Job,
    stored: StoredTiles,
    generator: MaskGenerator,
    settings: LabelSettings,
    mapper: Mapper,
    folder: Path,
) -> tuple[Stitched, SegmentTable]:
    """Stitch the tiles of a scene, and describe its segments.

    Parameters
    ----------
    job : Job
        The scene.
    stored : StoredTiles
        Its tiles.
    generator : MaskGenerator
        The generator that has made them.
    settings : LabelSettings
        Settings of the run.
    mapper : Mapper
        Maps the work over blocks of tiles, and over ranges of rows of the table.
    folder : pathlib.Path
        Folder of the segments.

    Returns
    -------
    segments : Stitched
        The segments before any are merged.
    table : SegmentTable
        The segments of the scene.

    Raises
    ------
    RunError
        If the folder cannot be written or read.
    """
    segments = stitch(
        job.grid,
        stored.outlines(job),
        StoredPainting(folder),
        mapper,
        min_area=settings.min_area,
        superpixel_size=settings.fill_size,
    )
    scene, read = job.scene, partial(read_tile, job.scene)
    source = Source(stored.embeddings(job), read, job.scale, job.grid, generator.cell_size)
    channels = {"sam": generator.channels}
    schema = ColumnSchema(scene.band_names, scene.unit, settings.feature_names, channels)
    rules = NeighbourRules(settings.merge_limit, settings.neighbour_share, settings.superpixel_size)
    with closing(segment_rows(job.grid, segments, source, schema, mapper)) as rows:
        table = describe_segments(segments, rows, schema, rules, folder, project_alone, mapper)
    return segments, table
