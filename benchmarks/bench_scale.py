"""Time and memory of all that surrounds SAM, on scenes of growing size.

    python benchmarks/bench_scale.py                          # four sizes, the exponent, the share
    python benchmarks/bench_scale.py --sides 30000            # one very large scene
    python benchmarks/bench_scale.py --sides 2048 --real-masks

Scenes are mosaics of the NAIP scene in tests/data, repeated. Masks come from a stand-in for SAM
that takes next to no time: regions of like brightness, as many as SAM finds, and an embedding made
of the colours. All else is the program itself, superpixels, stitching, clusters and results
included. Each size runs in a process of its own, whose peak memory is read from the kernel.

Printed are the seconds of each stage, the exponent with which all of them together grow with the
area (a fit over the sizes), and their processor time for each tile next to what SAM's own work on
one tile takes, measured at the end of the same run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
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

SCENE = Path(__file__).parent.parent / "tests" / "data" / "naip_md_1m.tif"
STAGES = ("open", "tiles", "stitch", "cluster", "write")


def main() -> None:
    options = _options()
    if options.one is not None:
        print(json.dumps(_measure(options.one, options)))
        return
    rows = []
    for side in options.sides:
        command = [sys.executable, *sys.argv, "--one", str(side)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(answer.stdout.splitlines()[-1]))
        print(f"{side} x {side}: {rows[-1]['seconds']:.0f} s", file=sys.stderr)
    report: dict[str, Any] = {"sizes": rows}
    if len(rows) > 1:
        area = np.log([row["side"] ** 2 for row in rows])
        report["exponent"] = float(np.polyfit(area, np.log([r["cpu_seconds"] for r in rows]), 1)[0])
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
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(side: int, options: argparse.Namespace) -> dict[str, Any]:
    """Label a scene of this side in this process."""
    with tempfile.TemporaryDirectory() as folder:
        scene = mosaic(Path(folder) / "scene.vrt", side)
        out = Path(folder) / "out"
        begin, cpu = perf_counter(), _cpu_seconds()
        generator = None if options.real_masks else BrightRegions()
        record = label_scenes([str(scene)], out, generator=generator)
        seconds, cpu = perf_counter() - begin, _cpu_seconds() - cpu
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    settings = LabelSettings()
    step = settings.tile_sizes[0] - settings.tile_overlap
    return {
        "side": side,
        "tiles": max(1, -(-(side - settings.tile_overlap) // step)) ** 2,
        "segments": record.segments,
        "stages": record.seconds,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mib": resident_bytes(peak=True) / 2**20,
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


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _print(report: dict[str, Any]) -> None:
    table = Table()
    titles = ("side", "tiles", "segments", *(f"{stage} s" for stage in STAGES), "CPU s")
    for title in (*titles, "peak MiB", "disk MiB"):
        table.add_column(title, justify="right")
    for row in report["sizes"]:
        table.add_row(
            *(f"{row[key]:,}" for key in ("side", "tiles", "segments")),
            *(f"{row['stages'][stage]:.1f}" for stage in STAGES),
            *(f"{row[key]:,.0f}" for key in ("cpu_seconds", "peak_mib", "disk_mib")),
        )
    # Wide enough for the table where there is no terminal, too.
    console = Console() if sys.stdout.isatty() else Console(width=110)
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
