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
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import torch
from mask_parts import Counting, matrix_rate, show_parts, synchronise
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from alps_geo.sam import MaskSettings, device_pixels, generate_masks, load_model
from alps_geo.sam.decoder import Decoder
from alps_geo.sam.model import choose_device, quick_dtypes
from alps_geo.sam.pixels import Enlarger
from alps_geo.sam.settings import PRECISIONS
from alps_geo.sam.weights import MODELS, read_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from alps_geo.sam import TileMasks

    Masks = NDArray[np.bool_]

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = "segment_anything"
BUILT_IN = "mobile_sam"
STAGES = ("encoder", "decoder", "post")
PEAK_MEMORY, WORK_MEMORY = "peak_memory", "work_memory"
SEEDS = 0, 1, 2
"""Of the clustering: the first for each precision, the others as a yardstick."""


def main() -> None:
    options = parse()
    image = read(options.scene, options.tile_size)
    with tempfile.TemporaryDirectory() as folder:
        reports = [
            run(on_model(options, name, Path(folder)), image, folder) for name in options.model
        ]
    reports = [report for report in reports if report]
    if options.out and reports:
        options.out.write_text(json.dumps(reports if len(reports) > 1 else reports[0], indent=1))


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.device = choose_device(options.device)
    quick = quick_dtypes(options.device)
    options.dtypes = options.dtypes or [dtype for dtype in ("float32", "bf16") if dtype in quick]
    options.images = options.images or (8 if options.device == "cuda" else 1)
    if options.random_encoder and options.model == [BUILT_IN]:
        parser.error("--random-encoder is for vit_b, vit_l and vit_h; mobile_sam has its weights")
    if options.checkpoint and (len(options.model) > 1 or options.random_encoder):
        parser.error("--checkpoint goes with one --model, and without --random-encoder")
    return options


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


# --- the contestants ---------------------------------------------------------------------------


class Stopwatch:
    """Adds up the time spent in some functions, over all threads.

    On a GPU, the time from when it begins with a call's work until it is done, without making it
    wait for anybody who looks at a clock.
    """

    def __init__(self, device: str) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._events: list[tuple[str, Any, Any]] = []
        self._device = device
        self._lock = threading.Lock()

    @contextmanager
    def on(self, owner: Any, *names: str, stage: str) -> Iterator[None]:
        """Time calls of `owner`'s functions while inside."""
        before = {name: getattr(owner, name) for name in names}
        for name, function in before.items():
            setattr(owner, name, self._timed(function, stage))
        try:
            yield
        finally:
            for name, function in before.items():
                setattr(owner, name, function)

    def _timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                with self._lock:
                    self._seconds[stage] += time.perf_counter() - start

        def timed_on_gpu(*args: Any, **kwargs: Any) -> Any:
            event: Any = torch.cuda.Event
            start, end = event(enable_timing=True), event(enable_timing=True)
            start.record()
            try:
                return function(*args, **kwargs)
            finally:
                end.record()
                self._events.append((stage, start, end))

        return timed_on_gpu if self._device == "cuda" else timed

    def now(self) -> float:
        """Give the time in seconds, once the device has done all it was given."""
        synchronise(self._device)
        return time.perf_counter()

    def seconds(self) -> dict[str, float]:
        """Add up, once the device has done all it was given."""
        synchronise(self._device)
        sums = self._seconds.copy()
        for stage, start, end in self._events:
            sums[stage] += start.elapsed_time(end) / 1000
        return sums


def contestant(
    name: str, options: argparse.Namespace, images: list[NDArray[np.uint8]]
) -> Callable[[], tuple[list[Masks], dict[str, float]]]:
    """Load a contestant; calling the result runs it.

    It gives the masks of each image, and the seconds that each stage takes for an image.
    """
    if name == REFERENCE:
        # Imported here, so that our own memory isn't measured with its libraries.
        from segment_anything import SamAutomaticMaskGenerator

        from alps_geo.sam.reference import load_reference

        network = load_reference(options.model, options.checkpoint)
        generator = SamAutomaticMaskGenerator(network.to(options.device), **thresholds(options))
        return lambda: run_reference(generator, images, options.device)
    model = load_model(options.model, options.checkpoint, options.device, dtype=name)
    return lambda: run_ours(model, images, MaskSettings(**thresholds(options)))


def thresholds(options: argparse.Namespace) -> dict[str, Any]:
    names = "points_per_side", "pred_iou_thresh", "stability_score_thresh"
    return {name: getattr(options, name) for name in names}


def run_reference(
    generator: Any, images: list[NDArray[np.uint8]], device: str
) -> tuple[list[Masks], dict[str, float]]:
    watch = Stopwatch(device)
    network = generator.predictor.model
    start = watch.now()
    with (
        watch.on(network.image_encoder, "forward", stage="encoder"),
        watch.on(network.mask_decoder, "forward", stage="decoder"),
    ):
        found = [generator.generate(image) for image in images]
    total = watch.now() - start
    masks = [
        np.array([record["segmentation"] for record in records], dtype=np.bool_).reshape(
            -1, *image.shape[:2]
        )
        for records, image in zip(found, images, strict=True)
    ]
    spent = watch.seconds()
    spent["post"] = total - spent["encoder"] - spent["decoder"]
    return masks, each({**spent, "total": total}, len(images))


def run_ours(
    model: Any, images: list[NDArray[np.uint8]], settings: MaskSettings
) -> tuple[list[Masks], dict[str, float]]:
    watch = Stopwatch(model.device)
    start = watch.now()
    with (
        watch.on(model.encoder, "forward", stage="encoder"),
        watch.on(Decoder, "prompt", "predicted_iou", "logits", stage="decoder"),
        watch.on(Enlarger, "stability", "packed", stage="post"),
        watch.on(device_pixels, "measured", "packed", stage="post"),
    ):
        found = generate_all(model, images, settings)
    total = watch.now() - start
    # Threads overlap: what is not the encoder is shared out as the threads spent it.
    spent = watch.seconds()
    threads = spent["decoder"] + spent["post"]
    rest = total - spent["encoder"]
    seconds = {
        "encoder": spent["encoder"],
        "decoder": rest * spent["decoder"] / threads,
        "post": rest * spent["post"] / threads,
        "total": total,
    }
    return [masks.to_dense() for masks in found], each(seconds, len(images))


def generate_all(
    model: Any, images: list[NDArray[np.uint8]], settings: MaskSettings
) -> list[TileMasks]:
    """Generate masks as `alps-geo label` does: images are encoded together where that pays."""
    found = []
    for first in range(0, len(images), model.images_at_once):
        group = images[first : first + model.images_at_once]
        for image, embedding in zip(group, model.encode_many(group), strict=True):
            found.append(generate_masks(model, image, settings, embedding=embedding))
    return found


def each(seconds: dict[str, float], count: int) -> dict[str, float]:
    return {stage: value / count for stage, value in seconds.items()}


# --- the comparison ----------------------------------------------------------------------------


def compare(options: argparse.Namespace, image: NDArray[np.uint8]) -> dict[str, Any]:
    images = turned(image, options.images)
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
    del runs
    work = counted_work(options, images)
    results: dict[str, Any] = {}
    for name in names:
        figures = {
            stage: statistics.median(seconds[stage] for seconds in times[name])
            for stage in (*STAGES, "total")
        }
        results[name] = {
            **figures,
            "masks": sum(map(len, masks[name])),
            **agreement(masks[REFERENCE], masks[name]),
            **memory_of(options.model, name),
            "floor": work / matrix_rate("float32" if name == REFERENCE else name, options.device),
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


def agreement(reference: list[Masks], masks: list[Masks]) -> dict[str, float]:
    """Match masks one to one; shares of the larger number of masks matched at two IoUs."""
    pairs = list(zip(reference, masks, strict=True))
    count = sum(max(len(first), len(second)) for first, second in pairs)
    if not count:
        return {"matched_99": 1.0, "matched_90": 1.0}
    matched = np.concatenate([matched_iou(first, second) for first, second in pairs])
    return {
        f"matched_{percent}": float((matched >= percent / 100).sum() / count)
        for percent in (99, 90)
    }


def matched_iou(masks: Masks, others: Masks) -> NDArray[np.float32]:
    pixels = int(np.prod(masks.shape[1:]))
    first, second = (some.reshape(len(some), pixels).astype(np.float32) for some in (masks, others))
    shared = first @ second.T
    iou = shared / np.maximum(first.sum(1)[:, None] + second.sum(1) - shared, 1)
    matched: NDArray[np.float32] = iou[linear_sum_assignment(-iou)]
    return matched


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
        loaded = resident()
        run()
        peak = resident(peak=True)
    return {PEAK_MEMORY: peak, WORK_MEMORY: peak - loaded}


def resident(peak: bool = False) -> int:
    """Give the process's resident memory, or its peak; `getrusage` starts with the parent's."""
    status = Path("/proc/self/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmHWM" if peak else "VmRSS"].split()[0]) * 1024


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
    headers = (
        *STAGES,
        "total",
        "images/s",
        "of floor",
        "faster",
        "masks",
        "IoU>=0.99",
        "IoU>=0.9",
        "peak MiB",
        "less",
        "of it work",
        "less",
    )
    table.add_column("", no_wrap=True)
    for header in headers:
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


# --- labels of a scene -------------------------------------------------------------------------


def compare_labels(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Label the scene in each precision, and in float32 with other seeds of the clustering.

    Returns
    -------
    dict of str to float
        For each of them, the share of pixels that have the label they have in float32.
    """
    first, *others = SEEDS
    expected = label(options, folder, "float32", first)
    shares = {
        f"float32, seed {seed}": same_labels(expected, label(options, folder, "float32", seed))
        for seed in others
    }
    for dtype in options.dtypes:
        if dtype != "float32":
            shares[dtype] = same_labels(expected, label(options, folder, dtype, first))
    return shares


def label(options: argparse.Namespace, folder: Path, dtype: str, seed: int) -> NDArray[np.uint16]:
    """Label the scene with the settings of `alps-geo label`; another seed finds its tiles done."""
    from alps_geo.pipeline import label_scenes
    from alps_geo.settings import LabelSettings

    checkpoint = None if options.checkpoint is None else str(options.checkpoint)
    settings = LabelSettings(
        model=options.model,
        checkpoint=checkpoint,
        device=options.device,
        precision=dtype,
        seed=seed,
    )
    print(f"labels: {dtype}, seed {seed}", file=sys.stderr)
    label_scenes([str(options.scene)], folder / dtype, settings, overwrite=True)
    (path,) = (folder / dtype).glob("*/labels.tif")
    with rasterio.open(path) as file:
        labels: NDArray[np.uint16] = file.read(1)
    return labels


def same_labels(first: NDArray[np.uint16], second: NDArray[np.uint16]) -> float:
    """Match clusters one to one; share of equal labels among pixels that have one in either."""
    count = int(max(first.max(), second.max())) + 1
    pairs = np.bincount(first.ravel().astype(np.int64) * count + second.ravel(), minlength=count**2)
    shared = pairs.reshape(count, count)
    matched = shared[1:, 1:][linear_sum_assignment(-shared[1:, 1:])]
    return float(matched.sum() / (first.size - shared[0, 0]))


def show_labels(shares: dict[str, float]) -> None:
    table = Table(title="labels of the scene against float32")
    table.add_column("")
    table.add_column("same pixels", justify="right")
    for name, share in shares.items():
        table.add_row(name, f"{share:.1%}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
