"""Seams: how visible tile borders are, and what changes when the tile grid moves.

    python benchmarks/bench_seams.py                          # the NAIP scene in tests/data
    python benchmarks/bench_seams.py scene.tif other.tif --tile-size 512 --out build/seams

Each scene is labelled with all settings but the tile size at their defaults. Printed are the seam
excess of labels and segments with its standard error (see `alps-geo evaluate seams`), then the same
for the scene without a margin of half the distance between two tiles, so that tiles lie halfway
between those before. That is labelled by the same cluster model; `same` is the share of pixels that
keep their label.

Two columns compare the two runs where they differ in tiles, which leaves out what the scene itself
has there. `where none is`: how much oftener ids change along each line where tiles meet than along
the same line of the other run, in which none meet. `in overlaps`: how many more borders there are
where tiles overlap than on the same pixels of the other run, which one tile alone sees. Their
errors are a jackknife over the lines, and over the tiles.

Figures are means over several seeds of k-means, errors too; segments are the same for all.

Tiles are kept in the folder that --out names, so that a second run goes on or takes seconds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.enums import MaskFlags
from rasterio.windows import Window
from rich.console import Console
from rich.table import Table

from alps_geo.evaluate import SeamExcess, evaluate_agreement, evaluate_seams
from alps_geo.grid import TileGrid
from alps_geo.pipeline import label_scenes
from alps_geo.scene import open_scene
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATA = Path(__file__).parent.parent / "tests" / "data"


def main() -> None:
    options = _options()
    rows = []
    for scene in options.scenes:
        rows.append(_measure(scene, options))
        print(f"{scene}: done", flush=True)
    _print(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "scenes", nargs="*", default=[str(DATA / "naip_md_1m.tif")], metavar="SCENE"
    )
    parser.add_argument("--tile-size", type=int, default=512, help="in pixels (default: 512)")
    parser.add_argument(
        "--overlap", type=int, help="in pixels (default: an eighth of the tile size)"
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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON too")
    return parser.parse_args()


def _measure(path: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a scene: means over the seeds."""
    settings = LabelSettings(
        tile_size=options.tile_size, overlap=options.overlap, precision=options.precision
    )
    found = [
        _measure_once(path, replace(settings, seed=seed), options.out)
        for seed in range(options.seeds)
    ]
    means: dict[str, Any] = {"scene": open_scene(path).name, "seeds": options.seeds}
    for name in found[0]:
        pairs = np.array([row[name] for row in found], dtype=float)
        means[name] = pairs.mean(axis=0).tolist()
    means["whole_labels_by_seed"] = [row["whole_labels"][0] for row in found]
    return means


def _measure_once(path: str, settings: LabelSettings, folder: Path) -> dict[str, Any]:
    """Label a scene, and once more with the grid moved by half the distance between two tiles.

    All that is measured is an excess with its standard error, but for the share of same labels.
    """
    scene = open_scene(path)
    grid = TileGrid(*scene.shape, settings.tile_size, settings.tile_overlap)
    margin = _margin(grid)
    out = folder / scene.name
    whole, moved = out / "whole", out / "moved"
    label_scenes([path], whole, settings, overwrite=True)
    cropped = _crop(path, out / f"{scene.name}.tif", margin)
    again = replace(settings, clusters_from=str(whole / "clusters.npz"))
    label_scenes([str(cropped)], moved, again, overwrite=True)
    row: dict[str, Any] = {}
    for kind in ("labels", "segments"):
        results = [run / scene.name / f"{kind}.tif" for run in (whole, moved)]
        row[f"whole_{kind}"], row[f"moved_{kind}"] = (_seams(path, settings) for path in results)
        before = _crop(str(results[0]), out / f"{kind}.tif", margin)
        pair = _read(before), _read(results[1])
        row[f"lines_{kind}"] = _along_lines(*pair, margin, settings)
        row[f"overlaps_{kind}"] = _in_overlaps(*pair, grid, margin)
        if kind == "labels":
            row["same"] = evaluate_agreement(str(before), str(results[1])).share
    return row


def _read(path: Path) -> NDArray[np.integer]:
    with rasterio.open(path) as raster:
        ids: NDArray[np.integer] = raster.read(1)
    return ids


def _margin(grid: TileGrid) -> tuple[int, int]:
    """Half the distance between two tiles, in rows and columns; 0 where there is only one."""
    rows, cols = grid.shape
    after = grid[min(1, rows - 1), min(1, cols - 1)].window
    return int(after.row_off) // 2, int(after.col_off) // 2


def _along_lines(
    whole: NDArray[np.integer],
    moved: NDArray[np.integer],
    margin: tuple[int, int],
    settings: LabelSettings,
) -> tuple[float, float]:
    """Compare lines where tiles meet in one of two rasters with the same lines of the other.

    `whole` lies without the margin, so that both cover the same pixels.
    """
    counts: list[tuple[int, int]] = []
    for ids, skipped_once in (((whole, moved), margin[0]), ((whole.T, moved.T), margin[1])):
        for meeting, skipped in ((0, skipped_once), (1, 0)):
            length = len(ids[0]) + 2 * skipped
            grid = TileGrid(length, 1, settings.tile_size, settings.tile_overlap)
            for line in (int(tile.core.row_off) - skipped for tile in grid):
                if 0 < line < len(ids[0]):
                    differing = [np.count_nonzero(part[line] != part[line - 1]) for part in ids]
                    counts.append((int(differing[meeting]), int(differing[1 - meeting])))
    return _ratio_excess(np.array(counts))


def _in_overlaps(
    whole: NDArray[np.integer],
    moved: NDArray[np.integer],
    grid: TileGrid,
    margin: tuple[int, int],
) -> tuple[float, float]:
    """Compare how many borders there are on pixels that several tiles see in one run only."""
    inside = tuple(
        slice(skipped, skipped + size) for skipped, size in zip(margin, moved.shape, strict=True)
    )
    height, width = moved.shape
    first = _tiles_over(grid)[inside] == 1
    second = _tiles_over(TileGrid(height, width, grid.tile_size, grid.overlap)) == 1
    one, other = _borders(whole), _borders(moved)
    several = np.where(first, 0, one) * second + np.where(second, 0, other) * first
    alone = np.where(second, 0, one) * first + np.where(first, 0, other) * second
    counts = []
    for tile in grid:
        rows, cols = (
            slice(max(0, core.start - skipped), max(0, core.stop - skipped))
            for core, skipped in zip(tile.core.toslices(), margin, strict=True)
        )
        counts.append([part[rows, cols].sum() for part in (several, alone)])
    return _ratio_excess(np.array(counts))


def _tiles_over(grid: TileGrid) -> NDArray[np.int64]:
    """Count the tiles that see each pixel."""
    count = np.zeros((grid.height, grid.width), dtype=np.int64)
    for tile in grid:
        count[tile.window.toslices()] += 1
    return count


def _borders(ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Count for each pixel from how many of those below and on the right it differs."""
    count = np.zeros(ids.shape, dtype=np.int64)
    count[:-1] += ids[:-1] != ids[1:]
    count[:, :-1] += ids[:, :-1] != ids[:, 1:]
    return count


def _ratio_excess(counts: NDArray[np.integer]) -> tuple[float, float]:
    """Excess of the first of two columns over the second, and a jackknife over the rows."""
    here, there = counts.T
    without = (here.sum() - here) / (there.sum() - there)
    rows = len(counts)
    error = np.sqrt((rows - 1) / rows * ((without - without.mean()) ** 2).sum())
    return float(here.sum() / there.sum() - 1), float(error)


def _seams(raster: Path, settings: LabelSettings) -> tuple[float, float | None]:
    found: SeamExcess = evaluate_seams(str(raster), settings.tile_size, settings.tile_overlap)
    return found.excess, found.standard_error


def _crop(path: str, out: Path, margin: tuple[int, int]) -> Path:
    """Write a raster without its margin, tags of its bands and mask included.

    A file of that shape, younger than its source, stays: with a new time it would be another scene.
    """
    with rasterio.open(path) as source:
        rows, cols = margin
        window = Window(cols, rows, source.width - 2 * cols, source.height - 2 * rows)
        profile = {
            "driver": "GTiff",
            "dtype": source.dtypes[0],
            "count": source.count,
            "height": window.height,
            "width": window.width,
            "crs": source.crs,
            "nodata": source.nodata,
            "transform": source.window_transform(window),
        }
        if _is_fresh(out, path, (window.height, window.width)):
            return out
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(out, "w", **profile) as target,
        ):
            target.write(source.read(window=window))
            target.colorinterp = source.colorinterp
            target.descriptions = source.descriptions
            if MaskFlags.per_dataset in source.mask_flag_enums[0]:
                target.write_mask(source.dataset_mask(window=window))
    return out


def _is_fresh(out: Path, path: str, shape: tuple[int, int]) -> bool:
    if not out.exists() or out.stat().st_mtime < Path(path).stat().st_mtime:
        return False
    with rasterio.open(out) as written:
        return bool(written.shape == shape)


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(title=f"seam excess (standard error), means over {rows[0]['seeds']} seeds")
    for title in ("scene", "of", "as it is", "moved", "where none is", "in overlaps", "same"):
        table.add_column(title, justify="left" if title in ("scene", "of") else "right")
    for row in rows:
        for kind in ("labels", "segments"):
            measured = [row[f"{what}_{kind}"] for what in ("whole", "moved", "lines", "overlaps")]
            same = f"{row['same']:.1%}" if kind == "labels" else ""
            table.add_row(row["scene"], kind, *map(_excess_text, measured), same)
    Console().print(table)
    for row in rows:
        by_seed = ", ".join(f"{excess:+.3f}" for excess in row["whole_labels_by_seed"])
        Console().print(f"{row['scene']}: labels as they are, seed by seed: {by_seed}")


def _excess_text(measured: tuple[float, float]) -> str:
    excess, error = measured
    return f"{excess:+.3f}" + (f" ({error:.3f})" if np.isfinite(error) else "")


if __name__ == "__main__":
    main()
