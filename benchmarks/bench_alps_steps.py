"""The steps of ALPS after SAM, against a straightforward implementation mask by mask.

    python benchmarks/bench_alps_steps.py                       # NAIP chips of 256 and 512 px
    python benchmarks/bench_alps_steps.py --cache chips.cache   # masks are kept there
    python benchmarks/bench_alps_steps.py --pair scene.tif truth.tif

Chips are cut from scenes; SAM finds their masks and embeddings once, with the thresholds of
``--preset alps``. Then three contestants make cluster maps of them, all in this process:

- *as published*: each mask a PNG, enlarged to 1024 px; the embedding enlarged to 256 x 256 for each
  mask; means divided by the cells that are not 0, one file each; pixels painted in a loop.
- *exactly*: the embedding enlarged to the image for each mask, and averaged over the mask's pixels;
  masks painted by indexing; nothing but the labels is written.
- *alps-geo*: the steps of a run, from fragments to labels, with all files that it keeps.

Printed are their processor seconds, the distances between the features of the same masks, and the
share of the masks whose clusters agree. Masks that smaller ones hide wholly have no segment; they
are left out of the comparison.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from chip_masks import load_chips
from make_chips import DEFAULT_PAIR, Cut, make_chips
from PIL import Image
from plain_alps import (
    BATCH,
    Laps,
    fit_predict,
    kept_masks,
    mean_as_published,
    mean_exactly,
    paint_at_once,
    paint_by_pixel,
    read_mask,
    store_mask,
    whole_mask,
)
from reporting import make_parser, write_report
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, confusion_matrix

from alps_geo.clusters.fit import Recipe, fit_clusters
from alps_geo.features.columns import ColumnSchema
from alps_geo.features.embeddings import Embeddings
from alps_geo.features.images import band_scale
from alps_geo.grid import TileGrid
from alps_geo.runs.tile_store import TileStore
from alps_geo.sam.frame import CHANNELS, Frame
from alps_geo.segments.core_sums import Source
from alps_geo.segments.fragments import FragmentRules, cut_fragments
from alps_geo.segments.kept_tiles import KeptTiles
from alps_geo.segments.painting import StoredPainting, painted_blocks
from alps_geo.segments.pooling import segment_rows
from alps_geo.segments.stitch import stitch
from alps_geo.segments.superpixels import TileBands
from alps_geo.segments.table import SegmentTable, open_table, write_tables
from alps_geo.settings import LabelSettings
from alps_geo.settings.presets import PRESETS
from alps_geo.windows import origin

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from chip_masks import Chip
    from numpy.typing import NDArray

    from alps_geo.grid import Tile

    Rows = NDArray[np.floating]
    Clusters = NDArray[np.int64]

Value = TypeVar("Value")

SETTINGS = LabelSettings(**PRESETS["alps"], points="grid:16")
GATE = SETTINGS.mask_area_gate
CLUSTERS, SEED = 46, 0


def main() -> None:
    options = _options()
    report = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            cache = options.cache or Path(folder) / "masks"
            chips = _chips(options, size, Path(folder) / "chips", cache)
            report.append({"size": size, **_compare(chips, Path(folder))})
    _print(report)
    write_report(report, options.json)


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], metavar="PX")
    parser.add_argument(
        "--pair",
        nargs=2,
        action="append",
        metavar=("SCENE", "TRUTH"),
        help="a scene and its truth; may be given again (default: the NAIP scene in tests)",
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep SAM's masks here")
    return parser.parse_args()


def _chips(options: argparse.Namespace, size: int, folder: Path, cache: Path) -> list[Chip]:
    for scene, truth in options.pair or [DEFAULT_PAIR]:
        make_chips(scene, truth, folder, Cut(size=size, block=1))
    paths = sorted(folder.glob("img_dir/*/*.png"), key=lambda path: path.name)
    return load_chips(paths, SETTINGS, cache)


@dataclass(frozen=True)
class Result:
    """Features and clusters of all chips, as one contestant has made them.

    Attributes
    ----------
    rows : ndarray of float, shape (n, C)
        Features of the masks, or of the segments.
    clusters : ndarray of int64, shape (n,)
        Their clusters.
    laps : Laps
        Seconds of each step.
    """

    rows: Rows
    clusters: Clusters
    laps: Laps


def run_published(chips: Sequence[Chip], folder: Path, clusters: int) -> Result:
    """Take the steps as the published program does."""
    laps, paths = Laps(), list[list[Path]]()
    rows: list[Rows] = []
    for index, chip in enumerate(chips):
        masks = folder / f"{index}_all_mask"
        masks.mkdir(parents=True)
        with laps.step("masks"):
            kept = kept_masks(chip.masks, GATE)
            paths.append([store_mask(masks, i, whole_mask(chip.masks, i)) for i in kept])
        with laps.step("features"):
            for path in paths[-1]:
                rows.append(mean_as_published(chip.embedding, read_mask(path)))
                np.save(path.with_suffix(".npy"), rows[-1])
    with laps.step("k-means"):
        stacked = np.stack(rows)
        found = fit_predict(stacked, clusters, SEED, _batches(len(rows)))
    with laps.step("labels"):
        left = iter(found.tolist())
        for chip, own in zip(chips, paths, strict=True):
            canvas = np.zeros(chip.masks.shape, np.uint8)
            for path in own:
                paint_by_pixel(canvas, read_mask(path), next(left) + 1)
            Image.fromarray(canvas).save(folder / f"{chip.scene.name}.png")
    return Result(stacked, found, laps)


def run_exactly(chips: Sequence[Chip], folder: Path, clusters: int) -> Result:
    """Take the steps mask by mask in memory, over the masks' own pixels."""
    laps = Laps()
    rows: list[Rows] = []
    with laps.step("features"):
        for chip in chips:
            masks = (whole_mask(chip.masks, i) for i in kept_masks(chip.masks, GATE))
            rows.extend(mean_exactly(chip.embedding, mask) for mask in masks)
    with laps.step("k-means"):
        stacked = np.stack(rows)
        found = fit_predict(stacked, clusters, SEED, _batches(len(rows)))
    with laps.step("labels"):
        left = iter(found.tolist())
        for chip in chips:
            canvas = np.zeros(chip.masks.shape, np.uint8)
            for i in kept_masks(chip.masks, GATE):
                paint_at_once(canvas, whole_mask(chip.masks, i), next(left) + 1)
            Image.fromarray(canvas).save(folder / f"{chip.scene.name}.exact.png")
    return Result(stacked, found, laps)


def _batches(count: int) -> list[int]:
    return [min(BATCH, count - start) for start in range(0, count, BATCH)]


def run_ours(chips: Sequence[Chip], folder: Path, clusters: int) -> Result:
    """Take the steps as a run with ``--preset alps`` does."""
    laps, tables = Laps(), list[SegmentTable]()
    for chip in chips:
        _find_segments(chip, folder / chip.scene.name, laps)
        with laps.step("features"):
            tables.append(open_table(folder / chip.scene.name))
    with laps.step("k-means"):
        recipe = Recipe(SETTINGS.batch_size, SETTINGS.passes, SETTINGS.is_raw, in_order=True)
        areas = [table.area for table in tables]
        model = fit_clusters(tables, areas, clusters, SEED, recipe=recipe).model
    with laps.step("labels"):
        found = [model.apply(table).cluster for table in tables]
        for chip, table, given in zip(chips, tables, found, strict=True):
            cluster_of = np.zeros(len(table) + 1, np.uint8)
            cluster_of[table.rows] = given
            canvas = cluster_of[_segment_ids(chip, folder / chip.scene.name)]
            Image.fromarray(canvas).save(folder / f"{chip.scene.name}.ours.png")
    rows = np.concatenate([table.read(0, len(table)).values for table in tables])
    return Result(rows, np.concatenate(found), laps)


def _find_segments(chip: Chip, folder: Path, laps: Laps) -> None:
    """Cut, stitch and describe the segments of one chip, as `alps_geo.pipeline` does."""
    grid, (tile,) = _grid(chip), [*_grid(chip)]
    scale = band_scale(chip.pixels)
    rules = FragmentRules(GATE, False, lambda shape: Frame(*shape).cell_size)
    store = TileStore(folder.with_suffix(".key"), "key")
    with laps.step("masks"):
        cells = replace(Embeddings.empty(), sam=chip.embedding.astype(np.float16))
        bands = TileBands(chip.pixels, scale, origin(tile.window), SETTINGS.superpixel_size)
        fragments = cut_fragments(grid, tile, bands, chip.masks, cells, rules)
        store.save(tile, fragments)
        segments = stitch(
            grid, KeptTiles(partial(_kept, store.load_outlines)), StoredPainting(folder)
        )
    with laps.step("features"):
        source = Source(
            KeptTiles(partial(_kept, store.load_embeddings)),
            lambda _: chip.pixels,
            scale,
            grid,
            lambda shape: Frame(*shape).cell_size,
        )
        names = chip.scene.band_names
        schema = ColumnSchema(names, chip.scene.unit, ("sam",), {"sam": CHANNELS})
        described = segment_rows(grid, segments, source, schema)
        write_tables(folder, segments, segments.rows, described, schema)


def _kept(load: Callable[[Tile], Value | None], tile: Tile) -> Value:
    """Load a part of a tile that has just been stored."""
    found = load(tile)
    if found is None:
        raise RuntimeError(f"tile {tile} is gone")
    return found


def _grid(chip: Chip) -> TileGrid:
    return TileGrid(*chip.masks.shape, SETTINGS.tile_sizes[0], SETTINGS.tile_overlap)


def _segment_ids(chip: Chip, folder: Path) -> NDArray[np.uint32]:
    """Read the segments of a chip's pixels."""
    ((_, ids),) = painted_blocks(StoredPainting(folder), _grid(chip))
    return ids


def _compare(chips: Sequence[Chip], folder: Path) -> dict[str, Any]:
    """Let all contestants work, and compare what they have made of the same masks."""
    masks = sum(len(kept_masks(chip.masks, GATE)) for chip in chips)
    clusters = min(CLUSTERS, masks // 2)
    results = {
        name: run(chips, _made(folder / name), clusters)
        for name, run in (("as published", run_published), ("exactly", run_exactly))
    }
    ours = run_ours(chips, _made(folder / "ours"), clusters)
    seen = _masks_of_segments(chips, folder / "ours")
    exact = results["exactly"].rows[seen]
    features = {
        "as published": results["as published"].rows[seen],
        "alps-geo": ours.rows,
    }
    return {
        "chips": len(chips),
        "masks": masks,
        "segments": len(seen),
        "clusters": clusters,
        "seconds": {
            name: {**each.laps.seconds, "all": each.laps.total}
            for name, each in {**results, "alps-geo": ours}.items()
        },
        "distance": {name: _distance(rows, exact) for name, rows in features.items()},
        "agreement": _agreements(exact, features, ours.clusters, clusters),
    }


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _masks_of_segments(chips: Sequence[Chip], folder: Path) -> NDArray[np.int64]:
    """Find the mask of each segment, by its position among the masks of all chips."""
    found, before = [], 0
    for chip in chips:
        kept = np.array(kept_masks(chip.masks, GATE), dtype=np.int64)
        owner = chip.masks.painted(kept)
        ids = _segment_ids(chip, folder / chip.scene.name)
        _, first = np.unique(ids[ids > 0], return_index=True)
        found.append(np.searchsorted(kept, owner[ids > 0][first] - 1) + before)
        before += len(kept)
    return np.concatenate(found)


def _distance(rows: Rows, exact: Rows) -> dict[str, float]:
    """Distances to the exact features, as shares of the spread of these."""
    spread = np.linalg.norm(exact - exact.mean(axis=0), axis=1).mean()
    distances = np.linalg.norm(rows - exact, axis=1) / spread
    return {"median": float(np.median(distances)), "most": float(distances.max())}


def _agreements(
    exact: Rows, features: dict[str, Rows], ours: Clusters, clusters: int
) -> dict[str, dict[str, float]]:
    """Compare clusters of the same masks with those of the exact features in the same batches."""
    batches = _batches(len(exact))
    truth = fit_predict(exact, clusters, SEED, batches)
    turned = fit_predict(exact[::-1], clusters, SEED, batches)[::-1]
    found = {
        **{
            f"{name}, by scikit-learn": fit_predict(rows, clusters, SEED, batches)
            for name, rows in features.items()
        },
        "alps-geo, its own": ours,
        "exactly, another seed": fit_predict(exact, clusters, SEED + 1, batches),
        "exactly, masks in reverse": turned,
    }
    return {name: _agreement(truth, each) for name, each in found.items()}


def _agreement(one: Clusters, other: Clusters) -> dict[str, float]:
    table = confusion_matrix(one, other)
    same = table[linear_sum_assignment(table, maximize=True)].sum()
    return {"rand": float(adjusted_rand_score(one, other)), "same": float(same / len(one))}


def _print(report: Sequence[dict[str, Any]]) -> None:
    console = Console()
    for each in report:
        counts = ", ".join(f"{each[key]} {key}" for key in ("chips", "masks", "segments"))
        table = Table(title=f"{each['size']} px: {counts}, {each['clusters']} clusters")
        steps = ("masks", "features", "k-means", "labels", "all")
        for title in ("seconds", *steps, "faster"):
            table.add_column(title, justify="right" if title != "seconds" else "left")
        ours = each["seconds"]["alps-geo"]["all"]
        for name, seconds in each["seconds"].items():
            values = (f"{seconds[step]:.2f}" if step in seconds else "" for step in steps)
            table.add_row(name, *values, f"{seconds['all'] / ours:.1f}x")
        console.print(table)
        table = Table("features", "distance", "at most", title="of the spread of exact features")
        for name, one in each["distance"].items():
            table.add_row(name, f"{one['median']:.1%}", f"{one['most']:.1%}")
        console.print(table)
        table = Table("clusters", "adjusted Rand", "same", title="against exact features")
        for name, one in each["agreement"].items():
            table.add_row(name, f"{one['rand']:.3f}", f"{one['same']:.1%}")
        console.print(table)


if __name__ == "__main__":
    main()
