"""Time and memory of all that surrounds SAM, on scenes of growing size.

    python benchmarks/bench_scale.py                          # four sizes, the exponent, the share
    python benchmarks/bench_scale.py --sides 30000            # one very large scene
    python benchmarks/bench_scale.py --sides 2048 --real-masks

Scenes are mosaics of the NAIP scene in tests/data, repeated. Masks come from a stand-in for SAM
that takes next to no time: regions of like brightness, as many as SAM finds, and an embedding made
of the colours. All else is the program itself, superpixels, stitching, clusters and results
included. Each size runs in a process of its own, whose peak memory is read from the kernel.

Printed are the seconds of each stage, the exponent with which all of them together grow with the
area (a fit over the sizes), and their processor time for each tile beside what SAM's own work on
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
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
from rasterio.windows import Window
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from alps_geo import sam
from alps_geo.pipeline import label_scenes
from alps_geo.sam.frame import CHANNELS, Frame
from alps_geo.sam.masks import TileMasks
from alps_geo.scene import open_scene, read_tile
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCENE = Path(__file__).parent.parent / "tests" / "data" / "naip_md_1m.tif"
STAGES = ("open", "tiles", "stitch", "cluster", "write")
MASKS = 60
"""Masks that the stand-in gives for each tile, at most; SAM finds 57 on the NAIP scene."""


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
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sides",
        type=int,
        nargs="+",
        default=[2048, 4096, 6144, 8192],
        metavar="PIXELS",
        help="sides of the scenes (default: %(default)s)",
    )
    parser.add_argument("--real-masks", action="store_true", help="let SAM itself find the masks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(side: int, options: argparse.Namespace) -> dict[str, Any]:
    """Label a scene of this side in this process."""
    with tempfile.TemporaryDirectory() as folder:
        scene = _mosaic(Path(folder) / "scene.vrt", side)
        out = Path(folder) / "out"
        begin, cpu = perf_counter(), _cpu_seconds()
        if options.real_masks:
            record = label_scenes([str(scene)], out)
        else:
            with (
                patch(
                    "alps_geo.tiles.work.sam.load_model",
                    lambda *_: SimpleNamespace(images_at_once=1),
                ),
                patch("alps_geo.tiles.work.sam.generate_masks", _stand_in),
                patch(
                    "alps_geo.tiles.work.sam.place_directions", lambda _: np.empty((0, CHANNELS))
                ),
            ):
                record = label_scenes([str(scene)], out)
        seconds, cpu = perf_counter() - begin, _cpu_seconds() - cpu
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    settings = LabelSettings()
    step = settings.tile_size - settings.tile_overlap
    return {
        "side": side,
        "tiles": max(1, -(-(side - settings.tile_overlap) // step)) ** 2,
        "segments": record.segments,
        "stages": record.seconds,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mib": _peak_mib(),
        "disk_mib": size / 2**20,
    }


def _mosaic(path: Path, side: int) -> Path:
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


def _stand_in(
    _model: object,
    image: NDArray[np.uint8],
    _settings: object,
    valid: NDArray[np.bool_] | None,
    _embedding: object,
) -> TileMasks:
    """Find regions of like brightness, the same wherever a tile's window begins."""
    grey = ndimage.uniform_filter(image.mean(axis=2), 9)
    levels = (grey // 24).astype(np.int64) + 1
    if valid is not None:
        levels[~valid] = 0
    regions = np.zeros(levels.shape, dtype=np.int32)
    count = 0
    for level in np.unique(levels[levels > 0]):
        found, more = ndimage.label(levels == level)
        regions[found > 0] = found[found > 0] + count
        count += more
    area = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    chosen = np.argsort(-area, kind="stable")[:MASKS] + 1
    boxes = ndimage.find_objects(regions)
    bits = [np.packbits(regions[boxes[i - 1]] == i) for i in chosen]
    scores = np.full(len(chosen), 0.95, dtype=np.float32)
    rows, cols = Frame(*grey.shape).grid_shape
    zoom = (rows / grey.shape[0], cols / grey.shape[1], 1)
    cells = ndimage.zoom(image.astype(np.float32) / 255, zoom, order=1)
    mixing = np.random.default_rng(0).normal(size=(CHANNELS, 3)).astype(np.float32)
    return TileMasks(
        shape=grey.shape,
        bbox=np.array(
            [[r.start, c.start, r.stop, c.stop] for r, c in (boxes[i - 1] for i in chosen)],
            dtype=np.int32,
        ).reshape(-1, 4),
        predicted_iou=scores,
        stability_score=scores,
        area=area[chosen - 1].astype(np.int64),
        bits=np.concatenate([np.zeros(0, dtype=np.uint8), *bits]),
        offsets=np.cumsum([0, *map(len, bits)], dtype=np.int64),
        embedding=np.ascontiguousarray(np.einsum("kc,hwc->khw", mixing, cells)),
    )


def _sam_seconds() -> float:
    """Processor time of SAM's own work on one tile."""
    scene = open_scene(str(SCENE))
    pixels = read_tile(scene, Window(0, 0, scene.width, scene.height))
    model = sam.load_model(device="cpu")
    begin = process_time()
    sam.generate_masks(model, pixels.image, LabelSettings().mask_settings, valid=pixels.valid)
    return process_time() - begin


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_mib() -> float:
    """Peak resident memory; `getrusage` would begin with the parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


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
