"""Seams: how visible tile borders are, and what changes when the tile grid moves.

    python benchmarks/bench_seams.py                          # the NAIP scene in tests/data
    python benchmarks/bench_seams.py scene.tif other.tif --tile-size 512 --out build/seams

Each scene is labelled with all settings but the tile size at their defaults. Printed are the seam
excess of labels and segments with its standard error (see `alps-geo evaluate seams`), then the same
for the scene without a margin of half the distance between two tiles, so that tiles lie halfway
between those before. That is labelled by the same cluster model; `same` is the share of pixels that
keep their label. `where none is` compares each line of tile borders with the same line of the other
run, in which no tiles meet there: how much oftener ids change, which leaves out what the scene
itself has along that line. Its error is a jackknife over the lines.

Tiles are kept in the folder that --out names, so that a second run goes on or takes seconds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    """Label a scene, and once more with the grid moved by half the distance between two tiles."""
    settings = LabelSettings(
        tile_size=options.tile_size, overlap=options.overlap, precision=options.precision
    )
    scene = open_scene(path)
    margin = _margin(TileGrid(*scene.shape, settings.tile_size, settings.tile_overlap))
    out = options.out / scene.name
    whole, moved = out / "whole", out / "moved"
    label_scenes([path], whole, settings, overwrite=True)
    cropped = _crop(path, out / f"{scene.name}.tif", margin)
    again = replace(settings, clusters_from=str(whole / "clusters.npz"))
    label_scenes([str(cropped)], moved, again, overwrite=True)
    row: dict[str, Any] = {"scene": scene.name, "margin": margin}
    for name, run in (("whole", whole), ("moved", moved)):
        for kind in ("labels", "segments"):
            row[f"{name}_{kind}"] = _seams(run / scene.name / f"{kind}.tif", settings)
    for kind in ("labels", "segments"):
        before = _crop(str(whole / scene.name / f"{kind}.tif"), out / f"{kind}.tif", margin)
        after = moved / scene.name / f"{kind}.tif"
        row[f"lines_{kind}"] = _against_each_other(before, after, margin, settings)
        if kind == "labels":
            row["same"] = evaluate_agreement(str(before), str(after)).share
    return row


def _margin(grid: TileGrid) -> tuple[int, int]:
    """Half the distance between two tiles, in rows and columns; 0 where there is only one."""
    rows, cols = grid.shape
    after = grid[min(1, rows - 1), min(1, cols - 1)].window
    return int(after.row_off) // 2, int(after.col_off) // 2


def _against_each_other(
    whole: Path, moved: Path, margin: tuple[int, int], settings: LabelSettings
) -> dict[str, float | None]:
    """Compare lines where tiles meet in one of two rasters with the same lines of the other.

    `whole` lies without the margin, so that both cover the same pixels.
    """
    counts: list[tuple[int, int]] = []
    with rasterio.open(whole) as first, rasterio.open(moved) as second:
        pair = first.read(1), second.read(1)
    for ids, skipped_once in ((pair, margin[0]), ((pair[0].T, pair[1].T), margin[1])):
        for meeting, skipped in ((0, skipped_once), (1, 0)):
            length = len(ids[0]) + 2 * skipped
            grid = TileGrid(length, 1, settings.tile_size, settings.tile_overlap)
            for line in (int(tile.core.row_off) - skipped for tile in grid):
                if 0 < line < len(ids[0]):
                    differing = [np.count_nonzero(part[line] != part[line - 1]) for part in ids]
                    counts.append((int(differing[meeting]), int(differing[1 - meeting])))
    here, there = np.array(counts).T
    without = (here.sum() - here) / (there.sum() - there)
    lines = len(counts)
    error = np.sqrt((lines - 1) / lines * ((without - without.mean()) ** 2).sum())
    return {"excess": float(here.sum() / there.sum() - 1), "standard_error": float(error)}


def _seams(raster: Path, settings: LabelSettings) -> dict[str, float | None]:
    found: SeamExcess = evaluate_seams(str(raster), settings.tile_size, settings.tile_overlap)
    return {"excess": found.excess, "standard_error": found.standard_error}


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
    table = Table(title="seam excess (standard error)")
    for title in ("scene", "of", "as it is", "moved", "where none is", "same"):
        table.add_column(title, justify="left" if title in ("scene", "of") else "right")
    for row in rows:
        for kind in ("labels", "segments"):
            excesses = [_excess_text(row[f"{what}_{kind}"]) for what in ("whole", "moved", "lines")]
            same = f"{row['same']:.1%}" if kind == "labels" else ""
            table.add_row(row["scene"], kind, *excesses, same)
    Console().print(table)


def _excess_text(found: dict[str, float | None]) -> str:
    error = found["standard_error"]
    return f"{found['excess']:+.3f}" + ("" if error is None else f" ({error:.3f})")


if __name__ == "__main__":
    main()
