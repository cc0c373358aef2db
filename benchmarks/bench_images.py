"""Time, memory and files of a run over folders of growing numbers of images, around SAM.

    python benchmarks/bench_images.py                       # 500 and 2000 images of 512 px
    python benchmarks/bench_images.py --counts 1000 10000
    python benchmarks/bench_images.py --fill superpixels    # our own recipe
    python benchmarks/bench_images.py --real-masks          # SAM itself, on a GPU if it can

Images are chips of the NAIP scene in tests/data, of which each has several names. Masks come from a
stand-in for SAM that takes next to no time. All else is the program itself, masks as PNG included.
Each count runs in a process of its own, whose peak memory is read from the kernel.

Printed are processor milliseconds and files for each image, and peak memory: none may grow with the
number of images.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import rasterio
from PIL import Image
from rasterio.windows import Window
from reporting import make_parser, resident_bytes, write_report
from rich.console import Console
from rich.table import Table
from stand_in import BrightRegions

from alps_geo.pipeline.images import label_images
from alps_geo.settings import LabelSettings

SCENE = Path(__file__).parent.parent / "tests" / "data" / "naip_md_1m.tif"
DISTINCT = 64
"""Chips that differ; further images are other names of them."""


def main() -> None:
    options = _options()
    if options.one is not None:
        print(json.dumps(_measure(options.one, options)))
        return
    rows = []
    for count in options.counts:
        command = [sys.executable, *sys.argv, "--one", str(count)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(answer.stdout.splitlines()[-1]))
        print(f"{count} images: {rows[-1]['seconds']:.0f} s", file=sys.stderr)
    _print(rows)
    write_report({"counts": rows}, options.json)


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--counts",
        type=int,
        nargs="+",
        default=[500, 2000],
        metavar="IMAGES",
        help="numbers of images (default: %(default)s)",
    )
    parser.add_argument("--side", type=int, default=512, help="pixels (default: %(default)s)")
    parser.add_argument("--fill", default="none", help="none or superpixels")
    parser.add_argument("--real-masks", action="store_true", help="let SAM itself find the masks")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(count: int, options: argparse.Namespace) -> dict[str, Any]:
    """Label a folder of so many images in this process."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        _make_images(root / "img_dir" / "train", count, options.side)
        settings = LabelSettings(fill=options.fill)
        begin, cpu = perf_counter(), _cpu_seconds()
        generator = None if options.real_masks else BrightRegions()
        record = label_images(root, None, settings, generator=generator)
        seconds, cpu = perf_counter() - begin, _cpu_seconds() - cpu
        written = [path for path in root.rglob("*") if path.is_file()]
        written = [path for path in written if path.parent.parent.name != "img_dir"]
        size = sum(path.stat().st_size for path in written)
    return {
        "images": count,
        "segments": record.segments,
        "stages": record.seconds,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mib": resident_bytes(peak=True) / 2**20,
        "files": len(written),
        "disk_mib": size / 2**20,
    }


def _make_images(folder: Path, count: int, side: int) -> None:
    """Write chips, and give them further names."""
    folder.mkdir(parents=True)
    with rasterio.open(SCENE) as scene:
        places = np.random.default_rng(0).integers(0, scene.width - side + 1, (DISTINCT, 2))
        for index, (row, col) in enumerate(places[:count]):
            chip = scene.read([1, 2, 3], window=Window(col, row, side, side))
            Image.fromarray(np.moveaxis(chip, 0, -1)).save(folder / f"{index:06d}.png")
    for index in range(DISTINCT, count):
        os.link(folder / f"{index % DISTINCT:06d}.png", folder / f"{index:06d}.png")


def _cpu_seconds() -> float:
    """Processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table()
    for title in ("images", "segments", "ms of CPU each", "peak MiB", "files", "MiB on disk"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            str(row["images"]),
            str(row["segments"]),
            f"{1000 * row['cpu_seconds'] / row['images']:.0f}",
            f"{row['peak_mib']:.0f}",
            str(row["files"]),
            f"{row['disk_mib']:.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
