"""Seams: how visible tile borders are, and what changes when the tile grid moves.

    python benchmarks/bench_seams.py                          # the NAIP scene in tests/data
    python benchmarks/bench_seams.py scene.tif other.tif --tile-size 512 --out build/seams

Each scene is labelled with all settings but the tile size at their defaults. Printed are the seam
excess of labels and segments with its standard error (see `alps-geo evaluate seams`), then the same
for the scene without its first rows and columns, half a tile, so that tile borders lie where tiles
were whole before. That is labelled by the same cluster model; `same` is the share of pixels that
keep their label.

Tiles are kept in the folder that --out names, so that a second run goes on or takes seconds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import rasterio
from rasterio.enums import MaskFlags
from rasterio.windows import Window
from rich.console import Console
from rich.table import Table

from alps_geo.evaluate import SeamExcess, evaluate_agreement, evaluate_seams
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
    shift = settings.tile_size // 2
    scene = open_scene(path)
    out = options.out / scene.name
    whole, moved = out / "whole", out / "moved"
    label_scenes([path], whole, settings, overwrite=True)
    cropped = _crop(path, out / f"{scene.name}.tif", shift)
    again = replace(settings, clusters_from=str(whole / "clusters.npz"))
    label_scenes([str(cropped)], moved, again, overwrite=True)
    row: dict[str, Any] = {"scene": scene.name, "shift": shift}
    for name, run in (("whole", whole), ("moved", moved)):
        for kind in ("labels", "segments"):
            row[f"{name}_{kind}"] = _seams(run / scene.name / f"{kind}.tif", settings)
    before = _crop(str(whole / scene.name / "labels.tif"), out / "labels.tif", shift)
    after = moved / scene.name / "labels.tif"
    row["same"] = evaluate_agreement(str(before), str(after)).share
    return row


def _seams(raster: Path, settings: LabelSettings) -> dict[str, float | None]:
    found: SeamExcess = evaluate_seams(str(raster), settings.tile_size, settings.tile_overlap)
    return {"excess": found.excess, "standard_error": found.standard_error}


def _crop(path: str, out: Path, shift: int) -> Path:
    """Write a raster without its first rows and columns, tags of its bands and mask included.

    A file that is younger than its source stays: with a new time it would be another scene.
    """
    with rasterio.open(path) as source:
        window = Window(shift, shift, source.width - shift, source.height - shift)
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
        if out.exists() and out.stat().st_mtime >= Path(path).stat().st_mtime:
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


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(title="seam excess (standard error)")
    for title in ("scene", "labels", "segments", "moved: labels", "segments", "same"):
        table.add_column(title, justify="left" if title == "scene" else "right")
    kinds = ("whole_labels", "whole_segments", "moved_labels", "moved_segments")
    for row in rows:
        excesses = [_excess_text(row[kind]) for kind in kinds]
        table.add_row(row["scene"], *excesses, f"{row['same']:.1%}")
    Console().print(table)


def _excess_text(found: dict[str, float | None]) -> str:
    error = found["standard_error"]
    return f"{found['excess']:+.3f}" + ("" if error is None else f" ({error:.3f})")


if __name__ == "__main__":
    main()
