"""Time mask generation against segment_anything's own generator: same weights, same settings.

    python benchmarks/bench_masks.py                        # mobile_sam on the CPU
    python benchmarks/bench_masks.py --device cuda --model mobile_sam vit_h --random-encoder
    python benchmarks/bench_masks.py --device cuda --model vit_h --checkpoint sam_vit_h_4b8939.pth
    python benchmarks/bench_masks.py --parts                # arithmetic and bytes of each part
    python benchmarks/bench_masks.py --labels               # what the precision does to a map

The contestants run in turn in one process, several times each; figures are medians, for an image.
Peak memory is taken in a process of its own for each, whole and beyond what libraries and model
take (Linux, or a GPU). Agreement is by matching masks one to one by IoU. The floor is the time that
our arithmetic, counted product by product, takes at the rate of a large matrix product measured on
the same device. Then the scene is labelled in each precision, and the clusters of two maps are
matched one to one by the pixels they share; as a yardstick, what another seed of the clustering
does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import torch
from mask_agreement import agreement, compare_labels, show_labels
from mask_contestants import REFERENCE, Masks, contestant, generate_all, thresholds
from mask_parts import Counting, matrix_rate, show_parts
from reporting import make_parser, resident_bytes, write_report
from rich.console import Console
from rich.table import Table

from alps_geo.sam.model import choose_device, load_model, quick_dtypes
from alps_geo.sam.settings import PRECISIONS, MaskSettings
from alps_geo.sam.weights import MODELS, read_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
BUILT_IN = "mobile_sam"
STAGES = ("encoder", "decoder", "post")
PEAK_MEMORY, WORK_MEMORY = "peak_memory", "work_memory"
TIMES = (*STAGES, "total", "images/s", "of floor", "faster")
HEADERS = (*TIMES, "masks", "IoU>=0.99", "IoU>=0.9", "peak MiB", "less", "of it work", "less")


def main() -> None:
    options = parse()
    image = read(options.scene, options.tile_size)
    with tempfile.TemporaryDirectory() as folder:
        reports = [
            run(on_model(options, name, Path(folder)), image, folder) for name in options.model
        ]
    reports = [report for report in reports if report]
    if reports:
        write_report(reports if len(reports) > 1 else reports[0], options.json)


def on_model(options: argparse.Namespace, name: str, folder: Path) -> argparse.Namespace:
    """Give the options for one of the models."""
    changes: dict[str, Any] = {"model": name}
    changes["random_encoder"] = options.random_encoder and name != BUILT_IN
    if changes["random_encoder"]:
        changes["checkpoint"] = write_random_encoder(name, folder)
    return argparse.Namespace(**vars(options) | changes)


def run(
    options: argparse.Namespace, image: NDArray[np.uint8], folder: str
) -> dict[str, Any] | None:
    """Do for one model what was asked for."""
    if options.only:
        print(json.dumps(measure_memory(options, image)))
    elif options.parts:
        show_parts(options.model, options.checkpoint, options.device, options.dtypes, image)
    elif options.labels:
        show_labels(compare_labels(options, Path(folder)))
    else:
        report = compare(options, image)
        show(report)
        # Without an encoder that has learned something there is no map to speak of.
        if not options.random_encoder:
            report["labels"] = compare_labels(options, Path(folder) / options.model)
            show_labels(report["labels"])
        return report
    return None


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--scene", type=Path, default=ROOT / "tests/data/naip_md_1m.tif")
    parser.add_argument("--tile-size", type=int, default=1024)
    parser.add_argument("--model", choices=list(MODELS), nargs="+", default=[BUILT_IN])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument(
        "--random-encoder",
        action="store_true",
        help="random weights in the image encoders of vit_b, vit_l and vit_h, those of mobile_sam "
        "elsewhere",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--dtypes",
        nargs="+",
        choices=PRECISIONS,
        help="float32, and bf16 unless the processor only emulates it",
    )
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--pred-iou-thresh", type=float, default=0.88)
    parser.add_argument("--stability-score-thresh", type=float, default=0.95)
    parser.add_argument(
        "--images",
        type=int,
        choices=range(1, 9),
        help="how many in a row: the tile turned and mirrored; 8 on a GPU, else 1",
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parts", action="store_true", help="count and time each part instead")
    parser.add_argument("--labels", action="store_true", help="compare labels of a scene instead")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    _complete(options, parser)
    return options


def _complete(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Fill in defaults that depend on the machine, and refuse options that do not go together."""
    options.device = choose_device(options.device)
    quick = quick_dtypes(options.device)
    options.dtypes = options.dtypes or [dtype for dtype in ("float32", "bf16") if dtype in quick]
    options.images = options.images or (8 if options.device == "cuda" else 1)
    if options.random_encoder and options.model == [BUILT_IN]:
        parser.error("--random-encoder is for vit_b, vit_l and vit_h; mobile_sam has its weights")
    if options.checkpoint and (len(options.model) > 1 or options.random_encoder):
        parser.error("--checkpoint goes with one --model, and without --random-encoder")


def read(scene: Path, size: int) -> NDArray[np.uint8]:
    with rasterio.open(scene) as file:
        bands: NDArray[np.uint8] = file.read([1, 2, 3])
    if bands.dtype != np.uint8:
        sys.exit(f"{scene}: bands are {bands.dtype}, expected uint8")
    return np.ascontiguousarray(bands[:, :size, :size].transpose(1, 2, 0))


def turned(image: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """Turn and mirror a tile, for several that are not the same."""
    sides = image, image[:, ::-1]
    every = [np.ascontiguousarray(np.rot90(side, turn)) for side in sides for turn in range(4)]
    return every[:count]


def write_random_encoder(name: str, folder: Path) -> Path:
    from segment_anything import sam_model_registry

    torch.manual_seed(0)
    state = sam_model_registry[name]().state_dict()
    shipped, _ = read_weights("mobile_sam", None)
    state |= {k: v.float() for k, v in shipped.items() if not k.startswith("image_encoder.")}
    torch.save(state, folder / f"random_{name}.pth")
    return folder / f"random_{name}.pth"


def compare(options: argparse.Namespace, image: NDArray[np.uint8]) -> dict[str, Any]:
    images = turned(image, options.images)
    masks, times = timed(options, images)
    work = counted_work(options, images)
    results: dict[str, Any] = {}
    for name in masks:
        dtype = "float32" if name == REFERENCE else name
        results[name] = {
            **times[name],
            "masks": sum(map(len, masks[name])),
            **agreement(masks[REFERENCE], masks[name]),
            **memory_of(options.model, name),
            "floor": work / matrix_rate(dtype, options.device),
        }
    for figures in results.values():
        figures["images_per_second"] = 1 / figures["total"]
        figures["speedup"] = results[REFERENCE]["total"] / figures["total"]
        figures["share_of_floor"] = figures["floor"] / figures["total"]
        for kind in (PEAK_MEMORY, WORK_MEMORY):
            figures[f"{kind}_ratio"] = results[REFERENCE][kind] / figures[kind]
    return {
        "machine": machine(options),
        "image": list(image.shape),
        "images": options.images,
        "flop": work,
        "results": results,
    }


def timed(
    options: argparse.Namespace, images: list[NDArray[np.uint8]]
) -> tuple[dict[str, list[Masks]], dict[str, dict[str, float]]]:
    """Run all contestants in turn: masks of each, and its median seconds stage by stage."""
    names = [REFERENCE, *options.dtypes]
    runs = {name: contestant(name, options, images) for name in names}
    times: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    masks = {}
    if options.device == "cuda":
        # A GPU's first runs choose kernels and get memory.
        for name in names:
            runs[name]()
    for repeat in range(options.repeats):
        for name in names:
            masks[name], seconds = runs[name]()
            times[name].append(seconds)
            print(
                f"{repeat + 1}/{options.repeats} {options.model}, {name}: {seconds['total']:.3g} s",
                file=sys.stderr,
            )
    medians = {
        name: {
            stage: statistics.median(seconds[stage] for seconds in times[name])
            for stage in (*STAGES, "total")
        }
        for name in names
    }
    return masks, medians


def counted_work(options: argparse.Namespace, images: list[NDArray[np.uint8]]) -> float:
    """Count the floating-point operations of our matrix products for an image, in float32."""
    model = load_model(options.model, options.checkpoint, options.device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # what other threads do is not seen
    try:
        with Counting() as counting:
            generate_all(model, images, MaskSettings(**thresholds(options)))
    finally:
        torch.set_num_threads(threads)
    return float(counting.counts["flop"] / len(images))


def memory_of(model: str, name: str) -> dict[str, int]:
    """Run one contestant once in a process of its own and ask for its memory in bytes."""
    command = [sys.executable, *sys.argv, "--model", model, "--only", name]
    if model == BUILT_IN:
        command = [word for word in command if word != "--random-encoder"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    memory: dict[str, int] = json.loads(answer.stdout.splitlines()[-1])
    return memory


def measure_memory(options: argparse.Namespace, image: NDArray[np.uint8]) -> dict[str, int]:
    """Give the peak of one run, whole and beyond what the loaded libraries and model take.

    On a GPU, of its memory; else resident memory.
    """
    if options.only == REFERENCE:
        # Its peak comes with the first batches; the masks of later points would only add to it.
        options.points_per_side = min(options.points_per_side, 16)
    run = contestant(options.only, options, turned(image, options.images))
    if options.device == "cuda":
        loaded = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        peak = torch.cuda.max_memory_allocated()
    else:
        loaded = resident_bytes()
        run()
        peak = resident_bytes(peak=True)
    return {PEAK_MEMORY: peak, WORK_MEMORY: peak - loaded}


def machine(options: argparse.Namespace) -> dict[str, Any]:
    name = platform.processor() or platform.machine()
    if options.device == "cuda":
        name = torch.cuda.get_device_name()
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[2],
        "torch": torch.__version__,
        "model": options.model,
        "points": options.points_per_side**2,
        "repeats": options.repeats,
    }


def show(report: dict[str, Any]) -> None:
    about = report["machine"]
    table = Table(
        title=f"{about['model']}, {about['points']} points, {report['image'][0]} px, "
        f"{about['device']}, {about['threads']} threads: seconds an image, "
        f"{report['images']} in a row, medians of {about['repeats']}"
    )
    table.add_column("", no_wrap=True)
    for header in HEADERS:
        table.add_column(header, justify="right")
    for name, figures in report["results"].items():
        table.add_row(
            name,
            *(f"{figures[stage]:.3g}" for stage in (*STAGES, "total")),
            f"{figures['images_per_second']:.3g}",
            f"{figures['share_of_floor']:.0%}",
            f"{figures['speedup']:.1f}x",
            str(figures["masks"]),
            f"{figures['matched_99']:.1%}",
            f"{figures['matched_90']:.1%}",
            *(
                text
                for kind in (PEAK_MEMORY, WORK_MEMORY)
                for text in (f"{figures[kind] / 2**20:.0f}", f"{figures[f'{kind}_ratio']:.1f}x")
            ),
        )
    console = Console(width=160)
    console.print(table)
    work = report["flop"] / 1e9
    floors = (
        f"{figures['floor']:.3g} s in {name}"
        for name, figures in report["results"].items()
        if name != REFERENCE
    )
    console.print(
        f"floor: {work:.0f} GFLOP for an image at the matrix rate take {', '.join(floors)}"
    )


if __name__ == "__main__":
    main()
