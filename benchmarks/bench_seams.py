"""Seams: how visible tile borders are, and what changes when the tile grid moves.

    python benchmarks/bench_seams.py                          # the NAIP scene in tests/data
    python benchmarks/bench_seams.py scene.tif other.tif --tile-size 512 --out build/seams

Each scene is labelled with all settings but the tile size at their defaults, on the usual tile grid
and on one that is moved by a share of the distance between two tiles. All else is the same: pixels,
stretch, level and spread of the bands, the lattice of superpixels. The cluster model is fitted on
the usual grid and applied to both.

Two tables are printed. The first is of borders: the seam excess of labels and segments with its
standard error (see `alps-geo evaluate seams`), and what the two runs say of each other where they
differ in tiles, which leaves out what the scene itself has there. `where none is`: how much more
often ids change along each line where tiles meet than along the same line of the other run, in
which none meet. `in overlaps`: how many more borders there are where tiles overlap than on the same
pixels of the other run, which one tile alone sees. Their errors are a jackknife over the lines, and
over the tiles.

The second is of labels that stay: when all is moved; when only the segments come from moved tiles
and their embedding from unmoved ones; and when the segments are those of the unmoved run and only
the embedding is moved. They are shares of the pixels that another tile decides in the moved run;
`everywhere` is that of all pixels when all is moved. Next come the segments that stay: the pixels
whose segments in the two runs have an IoU above one half. `noise alone` is the measure of luck: no
tile moves, but each value of the image is higher or lower by one or stays, at random, as if it had
been compressed once more. It is the share of the same pixels as that of `all moved`.

Figures are means over several seeds of k-means, errors too; segments are the same for all.

Tiles are kept in the folder that --out names, so that a second run goes on or takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from moved_borders import excess_along_lines, excess_in_overlaps
from rasterio.transform import from_origin
from reporting import make_parser, write_report
from rich.console import Console
from rich.table import Table

from alps_geo.clusters.fit import fit_clusters
from alps_geo.clusters.scaling import project_alone
from alps_geo.evaluate import evaluate_seams
from alps_geo.events import Tally
from alps_geo.features.columns import ColumnSchema
from alps_geo.grid import TileGrid
from alps_geo.masks.generator import Models
from alps_geo.masks.registry import make_generator
from alps_geo.pipeline.stages import recipe_of
from alps_geo.runs.tile_store import TileStore
from alps_geo.scene import open_scene, read_tile
from alps_geo.scene.describe import Alike
from alps_geo.segments.core_sums import Source
from alps_geo.segments.describe import NeighbourRules, describe_segments
from alps_geo.segments.painting import StoredPainting, painted_blocks
from alps_geo.segments.pairing import match_labels
from alps_geo.segments.pooling import segment_rows
from alps_geo.segments.stitch import stitch
from alps_geo.settings import DEFAULT_CLUSTERS, LabelSettings
from alps_geo.tiles.jobs import Job, tile_key
from alps_geo.tiles.serial import SerialExecutor
from alps_geo.tiles.stage import TileStage
from alps_geo.tiles.stored import StoredTiles
from alps_geo.tiles.work import label_tiles

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.scene import Scene
    from alps_geo.segments.table import SegmentTable

    Ids = NDArray[np.integer]

DATA = Path(__file__).parent.parent / "tests" / "data"
BORDERS = ("as it is", "where none is", "in overlaps")
MOVED = ("all moved", "segments moved", "embedding moved")
NOISE = "noise alone"
STAY = (*MOVED, "everywhere", "segments that stay", NOISE)


def main() -> None:
    options = _options()
    rows = []
    for path in options.scenes:
        rows.append(_measure(open_scene(path), options))
        print(f"{path}: done", flush=True)
    _print(rows)
    write_report(rows, options.json)


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "scenes", nargs="*", default=[str(DATA / "naip_md_1m.tif")], metavar="SCENE"
    )
    parser.add_argument("--tile-size", type=int, default=512, help="in pixels (default: 512)")
    parser.add_argument(
        "--overlap", type=int, help="in pixels (default: an eighth of the tile size)"
    )
    parser.add_argument("--points", default=LabelSettings().points, metavar="KIND:N")
    parser.add_argument(
        "--parts",
        type=int,
        default=2,
        metavar="N",
        help="the grid moves by one Nth of the distance between tiles (default: %(default)s)",
    )
    parser.add_argument("--seeds", type=int, default=3, help="of k-means (default: %(default)s)")
    parser.add_argument("--precision", default=LabelSettings().precision)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/seams"),
        metavar="DIR",
        help="where to label (default: %(default)s)",
    )
    return parser.parse_args()


@dataclass(frozen=True)
class _Run:
    """Stored tiles of a scene over one grid, and the segments made of them.

    Attributes
    ----------
    job : Job
        The scene and its grid.
    settings : LabelSettings
        Settings of the tiles.
    models : Models
        Models of the tiles.
    """

    job: Job
    settings: LabelSettings
    models: Models

    @classmethod
    def of(cls, scene: Scene, grid: TileGrid, settings: LabelSettings, folder: Path) -> _Run:
        """Work on those tiles of a grid that are not stored yet."""
        models = Models(make_generator(settings.generator_options))
        key = tile_key(scene, grid, settings, models.weights())
        job = Job(scene.name, scene, grid, TileStore(folder / f"{scene.name}.{key[:16]}", key))
        run = cls(job, settings, models)
        label_tiles(run.stage, Tally(len(grid), lambda _: None), SerialExecutor(), strict=True)
        return run

    @property
    def stage(self) -> TileStage:
        """The work on the tiles."""
        return TileStage([self.job], self.settings, self.models)

    @cached_property
    def stored(self) -> StoredTiles:
        """The tiles."""
        return StoredTiles(self.stage, Tally(0, lambda _: None))

    def described(self, embedded: _Run) -> _Described:
        """Describe the segments by the embeddings of this run's tiles or another's."""
        scene, grid = self.job.scene, self.job.grid
        folder = self.job.store.folder / f"by_{embedded.job.store.key[:16]}"
        segments = stitch(
            grid,
            self.stored.outlines(self.job),
            StoredPainting(folder),
            min_area=self.settings.min_area,
            superpixel_size=self.settings.fill_size,
        )
        source = Source(
            embedded.stored.embeddings(embedded.job),
            partial(read_tile, scene),
            self.job.scale,
            embedded.job.grid,
            embedded.models.generator.cell_size,
        )
        channels = {"sam": embedded.models.generator.channels}
        features = self.settings.feature_names
        schema = ColumnSchema(scene.band_names, scene.unit, features, channels)
        rules = NeighbourRules(
            self.settings.merge_limit, self.settings.neighbour_share, self.settings.superpixel_size
        )
        rows = segment_rows(grid, segments, source, schema)
        table = describe_segments(segments, rows, schema, rules, folder, project_alone)
        ids = np.zeros((grid.height, grid.width), np.uint32)
        for window, block in painted_blocks(segments.painting, grid):
            ids[window.toslices()] = block
        return _Described(grid, ids, table)


@dataclass(frozen=True)
class _Described:
    """The segments of a run.

    Attributes
    ----------
    grid : TileGrid
        The tiles that they come from.
    ids : ndarray of uint32, shape (H, W)
        Segment of each pixel.
    table : SegmentTable
        Their columns.
    """

    grid: TileGrid
    ids: Ids
    table: SegmentTable

    def labels(self, model: ClusterModel) -> Ids:
        """Cluster of each pixel."""
        clusters = model.apply(self.table).by_id(self.table.rows).cluster
        return np.append(0, clusters)[self.ids]


def _measure(scene: Scene, options: argparse.Namespace) -> dict[str, Any]:
    """Label a scene on two grids, with one model for each seed: means over the seeds."""
    settings = LabelSettings(
        tile_size=options.tile_size,
        overlap=options.overlap,
        precision=options.precision,
        points=options.points,
    )
    grid = TileGrid(scene.height, scene.width, settings.tile_sizes[0], settings.tile_overlap)
    rows, cols = (step // options.parts for step in grid.steps)
    whole = _Run.of(scene, grid, settings, options.out)
    moved = _Run.of(scene, replace(grid, offset=(rows, cols)), settings, options.out)
    noisy = _Run.of(_with_noise(scene, options.out), grid, settings, options.out)
    described = {
        "whole": whole.described(whole),
        NOISE: noisy.described(noisy),
        "all moved": moved.described(moved),
        "segments moved": moved.described(whole),
        "embedding moved": whole.described(moved),
    }
    before, after = described["whole"], described["all moved"]
    path = options.out / scene.name
    found = _borders_between(before.ids, after.ids, (before.grid, after.grid), "segments", path)
    found["segments that stay"] = [_matching(before, after)]
    by_seed = [_of_labels(described, seed, path) for seed in range(options.seeds)]
    for name in by_seed[0]:
        found[name] = np.mean([row[name] for row in by_seed], axis=0).tolist()
    return {
        "scene": scene.name,
        "moved by": [rows, cols],
        **found,
        "labels as it is, by seed": [row["labels as it is"][0] for row in by_seed],
    }


def _with_noise(scene: Scene, folder: Path) -> Scene:
    """Write a copy of a scene whose values are off by one at random, and open it alike.

    One of an earlier run is left as it is, for its tiles are known by its time.
    """
    path = folder / f"{scene.name}_noise.tif"
    if path.exists():
        return open_scene(str(path), alike=Alike(scene.stretch))
    with rasterio.open(scene.path) as source:
        profile = {**source.profile, "compress": "deflate", "photometric": None}
        values = source.read()
        noise = np.random.default_rng(0).integers(-1, 2, values.shape)
        limits = np.iinfo(values.dtype)
        changed = np.clip(values.astype(np.int64) + noise, limits.min, limits.max)
        # Values without data stay so, and no other becomes such a value.
        kept = np.isin(values, source.nodatavals) | np.isin(changed, source.nodatavals)
        with rasterio.open(path, "w", **profile) as target:
            target.write(np.where(kept, values, changed).astype(values.dtype))
            target.colorinterp = source.colorinterp
    return open_scene(str(path), alike=Alike(scene.stretch))


def _of_labels(described: dict[str, _Described], seed: int, path: Path) -> dict[str, list[float]]:
    """Fit a model to the first table, and compare its labels with those of the others."""
    whole, moved = described["whole"], described["all moved"]
    table = whole.table
    clusters, recipe = min(DEFAULT_CLUSTERS, len(table)), recipe_of(LabelSettings())
    model = fit_clusters([table], [table.area], clusters, seed, recipe=recipe).model
    labels = {name: each.labels(model) for name, each in described.items()}
    grids = (whole.grid, moved.grid)
    found = _borders_between(labels["whole"], labels["all moved"], grids, "labels", path)
    there = _deciders(*grids) & (whole.ids > 0)
    for name in (*MOVED, NOISE):
        found[name] = [float((labels[name] == labels["whole"])[there].mean())]
    same = labels["all moved"] == labels["whole"]
    found["everywhere"] = [float(same[whole.ids > 0].mean())]
    return found


def _deciders(grid: TileGrid, moved: TileGrid) -> NDArray[np.bool_]:
    """Mark the pixels that have another tile in one grid than in the other."""
    offsets = []
    for each in (grid, moved):
        start = np.zeros((2, grid.height, grid.width), np.int64)
        for tile in each:
            rows, cols = tile.core.toslices()
            start[:, rows, cols] = [[[tile.window.row_off]], [[tile.window.col_off]]]
        offsets.append(start)
    another: NDArray[np.bool_] = (offsets[0] != offsets[1]).any(axis=0)
    return another


def _matching(whole: _Described, moved: _Described) -> float:
    """Share of the pixels whose segments in the two runs have an IoU above one half."""
    pairs = match_labels(whole.ids, moved.ids)
    partner = np.zeros(len(whole.table) + 1, np.int64)
    partner[pairs[:, 0]] = pairs[:, 1]
    there = _deciders(whole.grid, moved.grid) & (whole.ids > 0)
    return float((partner[whole.ids] == moved.ids)[there].mean())


def _borders_between(
    one: Ids, other: Ids, grids: tuple[TileGrid, TileGrid], kind: str, path: Path
) -> dict[str, list[float]]:
    """Measure the borders of labels or segments; each figure with its standard error."""
    grid, moved = grids
    path = path.with_name(f"{path.name}.{kind}.tif")
    measured = (
        _seams(one, path, grid),
        excess_along_lines(one, other, grid, moved),
        excess_in_overlaps(one, other, grid, moved),
    )
    return {f"{kind} {name}": list(pair) for name, pair in zip(BORDERS, measured, strict=True)}


def _seams(ids: Ids, path: Path, grid: TileGrid) -> tuple[float, float]:
    """Seam excess as `alps-geo evaluate seams` gives it, of ids that are written to a file."""
    height, width = ids.shape
    # Any transform will do; rasterio warns of files without one.
    profile = {"height": height, "width": width, "transform": from_origin(0, height, 1, 1)}
    with rasterio.open(path, "w", driver="GTiff", count=1, dtype="uint32", **profile) as raster:
        raster.write(ids.astype(np.uint32), 1)
    found = evaluate_seams(str(path), grid.tile_size, grid.overlap)
    return found.excess, np.nan if found.standard_error is None else found.standard_error


def _print(rows: list[dict[str, Any]]) -> None:
    borders = _table("seam excess (standard error)", ("scene", "of", *BORDERS))
    stay = _table("what stays when the grid moves", ("scene", "moved by", *STAY))
    for row in rows:
        for kind in ("labels", "segments"):
            measured = (_excess_text(*row[f"{kind} {name}"]) for name in BORDERS)
            borders.add_row(row["scene"], kind, *measured)
        by = " x ".join(map(str, row["moved by"]))
        stay.add_row(row["scene"], by, *(f"{row[name][0]:.1%}" for name in STAY))
    Console().print(borders, stay)
    for row in rows:
        by_seed = ", ".join(f"{excess:+.3f}" for excess in row["labels as it is, by seed"])
        Console().print(f"{row['scene']}: labels as they are, seed by seed: {by_seed}")


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < 2 else "right")
    return table


def _excess_text(excess: float, error: float) -> str:
    return f"{excess:+.3f}" + (f" ({error:.3f})" if np.isfinite(error) else "")


if __name__ == "__main__":
    main()
