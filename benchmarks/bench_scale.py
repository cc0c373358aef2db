"""Time and memory of all that surrounds SAM, on scenes of growing size.

    python benchmarks/bench_scale.py                          # four sizes, the exponent, the share
    python benchmarks/bench_scale.py --sides 30000            # one very large scene
    python benchmarks/bench_scale.py --sides 8192 --workers 1 2    # in one process and in two
    python benchmarks/bench_scale.py --sides 2048 --real-masks

Scenes are mosaics of the NAIP scene in tests/data, repeated. Masks come from a stand-in for SAM
that takes next to no time: regions of like brightness, as many as SAM finds, and an embedding made
of the colours. All else is the program itself, superpixels, stitching, clusters and results
included. Each size runs in a process of its own, whose peak memory is read from the kernel; with
several workers, the memory of all processes together is looked at five times a second.

Printed are the seconds of each stage, the exponent with which all of them together grow with the
area (a fit over the sizes of the first number of workers), and their processor time for each tile
next to what SAM's own work on one tile takes, measured at the end of the same run. After the tiles,
no run is shorter than the processor time of its main process, nor than that of its workers divided
by their number.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import psutil  # type: ignore[import-untyped]
import rasterio
from rasterio.windows import Window
from reporting import make_parser, resident_bytes, write_report
from rich.console import Console
from rich.table import Table
from stand_in import BrightRegions

from alps_geo.masks.generator import TileImage
from alps_geo.masks.registry import make_generator
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.scene import open_scene, read_tile
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alps_geo.events import Event

SCENE = Path(__file__).parent.parent / "tests" / "data" / "naip_md_1m.tif"
STAGES = ("open", "tiles", "stitch", "cluster", "write")
FIGURES = (
    "cpu_seconds",
    "own_cpu_seconds_after_tiles",
    "workers_cpu_seconds_after_tiles",
    "peak_mib",
    "disk_mib",
)


def main() -> None:
    options = _options()
    if options.one is not None:
        print(json.dumps(_measure(options.one[0], options.one[1], options)))
        return
    rows = []
    for workers, side in product(options.workers, options.sides):
        command = [sys.executable, *sys.argv, "--one", str(side), str(workers)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(answer.stdout.splitlines()[-1]))
        print(f"{side} x {side}, {workers}: {rows[-1]['seconds']:.0f} s", file=sys.stderr)
    report: dict[str, Any] = {"sizes": rows}
    alike = [row for row in rows if row["workers"] == options.workers[0]]
    if len(alike) > 1:
        area = np.log([row["side"] ** 2 for row in alike])
        cpu = np.log([row["cpu_seconds"] for row in alike])
        report["exponent"] = float(np.polyfit(area, cpu, 1)[0])
    if not options.real_masks:
        report["sam_cpu_seconds_per_tile"] = _sam_seconds()
    _print(report)
    write_report(report, options.json)


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--sides",
        type=int,
        nargs="+",
        default=[2048, 4096, 6144, 8192],
        metavar="PIXELS",
        help="sides of the scenes (default: %(default)s)",
    )
    parser.add_argument("--real-masks", action="store_true", help="let SAM itself find the masks")
    parser.add_argument(
        "--workers",
        type=int,
        nargs="+",
        default=[1],
        metavar="N",
        help="numbers of processes, one run with each (default: 1)",
    )
    parser.add_argument("--one", type=int, nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(side: int, workers: int, options: argparse.Namespace) -> dict[str, Any]:
    """Label a scene of this side in this process and in `workers` others, if more than one."""
    settings, cpu = LabelSettings(workers=workers), _CpuSeconds()
    with tempfile.TemporaryDirectory() as folder, _peak_memory(alone=workers == 1) as peak:
        scene = mosaic(Path(folder) / "scene.vrt", side)
        out = Path(folder) / "out"
        begin = perf_counter()
        generator = None if options.real_masks else BrightRegions()
        record = label_scenes([str(scene)], out, settings, generator=generator, listen=cpu.listen)
        seconds = perf_counter() - begin
        # Workers count when they have ended.
        gc.collect()
        own, others = cpu.since_tiles()
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    step = settings.tile_sizes[0] - settings.tile_overlap
    return {
        "side": side,
        "workers": workers,
        "tiles": max(1, -(-(side - settings.tile_overlap) // step)) ** 2,
        "segments": record.segments,
        "stages": record.seconds,
        "seconds": seconds,
        "cpu_seconds": cpu.total(),
        "own_cpu_seconds_after_tiles": own,
        "workers_cpu_seconds_after_tiles": others,
        "peak_mib": max([resident_bytes(peak=True), *peak]) / 2**20,
        "disk_mib": size / 2**20,
    }


def mosaic(path: Path, side: int) -> Path:
    """Write a VRT of the NAIP scene, repeated over a square of this side."""
    with rasterio.open(SCENE) as scene:
        height, width, profile = scene.height, scene.width, scene.profile
        colours = [colour.name.title() for colour in scene.colorinterp]
        geotransform = ", ".join(map(str, scene.transform.to_gdal()))
    root = ET.Element("VRTDataset", rasterXSize=str(side), rasterYSize=str(side))
    ET.SubElement(root, "SRS").text = profile["crs"].to_wkt()
    ET.SubElement(root, "GeoTransform").text = geotransform
    for number, colour in enumerate(colours, start=1):
        band = ET.SubElement(root, "VRTRasterBand", dataType="Byte", band=str(number))
        ET.SubElement(band, "ColorInterp").text = colour
        for row in range(0, side, height):
            for col in range(0, side, width):
                rows, cols = min(height, side - row), min(width, side - col)
                source = ET.SubElement(band, "SimpleSource")
                ET.SubElement(source, "SourceFilename").text = str(SCENE)
                ET.SubElement(source, "SourceBand").text = str(number)
                for name, x, y in (("SrcRect", 0, 0), ("DstRect", col, row)):
                    place = {"xOff": x, "yOff": y, "xSize": cols, "ySize": rows}
                    ET.SubElement(source, name, {key: str(n) for key, n in place.items()})
    path.write_bytes(ET.tostring(root))
    return path


def _sam_seconds() -> float:
    """Processor time of SAM's own work on one tile."""
    scene = open_scene(str(SCENE))
    window = Window(0, 0, scene.width, scene.height)
    pixels = read_tile(scene, window)
    image = TileImage(pixels.image, pixels.valid, window, scene.path, scene.transform, scene.crs)
    model = make_generator(LabelSettings(device="cpu").generator_options).load()
    begin = process_time()
    (encoded,) = model.encode([image])
    model.masks(image, encoded, None)
    model.embedding(image, encoded)
    return process_time() - begin


class _CpuSeconds:
    """Processor time of this process and of those that it has started, which have ended."""

    def __init__(self) -> None:
        self._begin = self._tiles = _cpu_seconds()

    def listen(self, event: Event) -> None:
        """Note the time at which the tiles are done."""
        if event.stage == "tiles":
            self._tiles = _cpu_seconds()
        elif event.stage == "stitch" and not event.note:
            self._tiles = self._tiles[0], _cpu_seconds()[1]

    def since_tiles(self) -> tuple[float, float]:
        """Return the time since then of this process, and of the others."""
        own, others = _cpu_seconds()
        return own - self._tiles[0], others - self._tiles[1]

    def total(self) -> float:
        """Return the time of all of them since the beginning."""
        return sum(_cpu_seconds()) - sum(self._begin)


def _cpu_seconds() -> tuple[float, float]:
    own, others = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, others.ru_utime + others.ru_stime


@contextmanager
def _peak_memory(*, alone: bool) -> Iterator[list[int]]:
    """Look at the memory of this process and its workers, in bytes; not at all if it is alone."""
    peak, ended = [0], threading.Event()

    def watch() -> None:
        process = psutil.Process()
        while not ended.wait(0.2):
            total = 0
            for each in (process, *process.children(recursive=True)):
                with suppress(psutil.Error):
                    total += each.memory_info().rss
            peak[0] = max(peak[0], total)

    watcher = threading.Thread(target=watch, daemon=True)
    if not alone:
        watcher.start()
    yield peak
    ended.set()


def _print(report: dict[str, Any]) -> None:
    table = Table()
    titles = ("side", "workers", "tiles", "segments", *(f"{stage} s" for stage in STAGES), "CPU s")
    for title in (*titles, "main after tiles", "workers after tiles", "peak MiB", "disk MiB"):
        table.add_column(title, justify="right")
    for row in report["sizes"]:
        table.add_row(
            *(f"{row[key]:,}" for key in ("side", "workers", "tiles", "segments")),
            *(f"{row['stages'][stage]:.1f}" for stage in STAGES),
            *(f"{row[key]:,.0f}" for key in FIGURES),
        )
    # Wide enough for the table where there is no terminal, too.
    console = Console() if sys.stdout.isatty() else Console(width=140)
    console.print(table)
    if "exponent" in report:
        console.print(f"processor time grows with the area to the power {report['exponent']:.3f}")
    if seconds := report.get("sam_cpu_seconds_per_tile"):
        last = report["sizes"][-1]
        around = last["cpu_seconds"] / last["tiles"]
        console.print(
            f"{around:.2f} s of processor time for each tile around SAM, {seconds:.1f} s in SAM: "
            f"{around / seconds:.1%}"
        )


if __name__ == "__main__":
    main()
