"""Time mask generation against segment_anything's own generator: same weights, same settings.

    python benchmarks/bench_masks.py                        # mobile_sam on the CPU
    python benchmarks/bench_masks.py --device cuda --model vit_h --checkpoint sam_vit_h_4b8939.pth
    python benchmarks/bench_masks.py --device cuda --model vit_h --random-encoder
    python benchmarks/bench_masks.py --parts                # arithmetic and bytes of each part
    python benchmarks/bench_masks.py --labels               # what the precision does to a map

The contestants run in turn in one process, several times each; figures are medians. Peak memory is
taken in a process of its own for each, whole and beyond what libraries and model take (Linux, or a
GPU). Agreement is by matching masks one to one by IoU. Then the scene is labelled in each
precision, and the clusters of two maps are matched one to one by the pixels they share; as a
yardstick, what another seed of the clustering does.
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
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import torch
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment
from torch.utils._python_dispatch import TorchDispatchMode

from alps_geo.sam import Frame, MaskSettings, generate_masks, load_model
from alps_geo.sam.decoder import Decoder
from alps_geo.sam.model import choose_device
from alps_geo.sam.pixels import Enlarger
from alps_geo.sam.weights import MODELS, read_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Masks = NDArray[np.bool_]

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = "segment_anything"
STAGES = ("encoder", "decoder", "post")
PEAK_MEMORY, WORK_MEMORY = "peak_memory", "work_memory"
SEEDS = 0, 1, 2
"""Of the clustering: the first for each precision, the others as a yardstick."""


def main() -> None:
    options = parse()
    image = read(options.scene, options.tile_size)
    with tempfile.TemporaryDirectory() as folder:
        if options.random_encoder:
            options.checkpoint = write_random_encoder(options.model, Path(folder))
        if options.only:
            print(json.dumps(measure_memory(options, image)))
        elif options.parts:
            show_parts(options, image)
        elif options.labels:
            show_labels(compare_labels(options, Path(folder)))
        else:
            report = compare(options, image)
            show(report)
            # Without an encoder that has learned something there is no map to speak of.
            if not options.random_encoder:
                report["labels"] = compare_labels(options, Path(folder))
                show_labels(report["labels"])
            if options.out:
                options.out.write_text(json.dumps(report, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", type=Path, default=ROOT / "tests/data/naip_md_1m.tif")
    parser.add_argument("--tile-size", type=int, default=1024)
    parser.add_argument("--model", choices=list(MODELS), default="mobile_sam")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument(
        "--random-encoder",
        action="store_true",
        help="random weights in the image encoder, those of mobile_sam elsewhere",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bf16"])
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--pred-iou-thresh", type=float, default=0.88)
    parser.add_argument("--stability-score-thresh", type=float, default=0.95)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parts", action="store_true", help="count and time each part instead")
    parser.add_argument("--labels", action="store_true", help="compare labels of a scene instead")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.device = choose_device(options.device)
    if options.random_encoder and options.model == "mobile_sam":
        parser.error("--random-encoder is for vit_b, vit_l and vit_h; mobile_sam has its weights")
    return options


def read(scene: Path, size: int) -> NDArray[np.uint8]:
    with rasterio.open(scene) as file:
        bands: NDArray[np.uint8] = file.read([1, 2, 3])
    if bands.dtype != np.uint8:
        sys.exit(f"{scene}: bands are {bands.dtype}, expected uint8")
    return np.ascontiguousarray(bands[:, :size, :size].transpose(1, 2, 0))


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
    """Adds up the time spent in some functions, over all threads."""

    def __init__(self, device: str) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
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
            start = self.now()
            try:
                return function(*args, **kwargs)
            finally:
                with self._lock:
                    self.seconds[stage] += self.now() - start

        return timed

    def now(self) -> float:
        """Give the time in seconds, once the device has done all it was given."""
        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def contestant(
    name: str, options: argparse.Namespace, image: NDArray[np.uint8]
) -> Callable[[], tuple[Masks, dict[str, float]]]:
    """Load a contestant; calling the result runs it: its masks, and the seconds of each stage."""
    thresholds = {
        "points_per_side": options.points_per_side,
        "pred_iou_thresh": options.pred_iou_thresh,
        "stability_score_thresh": options.stability_score_thresh,
    }
    if name == REFERENCE:
        # Imported here, so that our own memory isn't measured with its libraries.
        from segment_anything import SamAutomaticMaskGenerator

        from alps_geo.sam.reference import load_reference

        network = load_reference(options.model, options.checkpoint)
        generator = SamAutomaticMaskGenerator(network.to(options.device), **thresholds)
        return lambda: run_reference(generator, image, options.device)
    model = load_model(options.model, options.checkpoint, options.device, dtype=name)
    return lambda: run_ours(model, image, MaskSettings(**thresholds))


def run_reference(
    generator: Any, image: NDArray[np.uint8], device: str
) -> tuple[Masks, dict[str, float]]:
    watch = Stopwatch(device)
    network = generator.predictor.model
    start = watch.now()
    with (
        watch.on(network.image_encoder, "forward", stage="encoder"),
        watch.on(network.mask_decoder, "forward", stage="decoder"),
    ):
        records = generator.generate(image)
    total = watch.now() - start
    masks = np.array([record["segmentation"] for record in records], dtype=np.bool_)
    seconds = dict(watch.seconds)
    seconds["post"] = total - sum(seconds.values())
    return masks.reshape(-1, *image.shape[:2]), {**seconds, "total": total}


def run_ours(
    model: Any, image: NDArray[np.uint8], settings: MaskSettings
) -> tuple[Masks, dict[str, float]]:
    watch = Stopwatch(model.device)
    start = watch.now()
    with (
        watch.on(model.encoder, "forward", stage="encoder"),
        watch.on(Decoder, "prompt", "predicted_iou", "logits", stage="decoder"),
        watch.on(Enlarger, "stability", "packed", stage="post"),
    ):
        masks = generate_masks(model, image, settings)
    total = watch.now() - start
    # Threads overlap: what is not the encoder is shared out as the threads spent it.
    threads = watch.seconds["decoder"] + watch.seconds["post"]
    rest = total - watch.seconds["encoder"]
    return masks.to_dense(), {
        "encoder": watch.seconds["encoder"],
        "decoder": rest * watch.seconds["decoder"] / threads,
        "post": rest * watch.seconds["post"] / threads,
        "total": total,
    }


# --- the comparison ----------------------------------------------------------------------------


def compare(options: argparse.Namespace, image: NDArray[np.uint8]) -> dict[str, Any]:
    names = [REFERENCE, *options.dtypes]
    runs = {name: contestant(name, options, image) for name in names}
    times: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    masks = {}
    for repeat in range(options.repeats):
        for name in names:
            masks[name], seconds = runs[name]()
            times[name].append(seconds)
            print(
                f"{repeat + 1}/{options.repeats} {name}: {seconds['total']:.2f} s", file=sys.stderr
            )
    del runs
    results = {}
    for name in names:
        figures = {
            stage: statistics.median(seconds[stage] for seconds in times[name])
            for stage in (*STAGES, "total")
        }
        results[name] = {
            **figures,
            "masks": len(masks[name]),
            **agreement(masks[REFERENCE], masks[name]),
            **memory_of(name),
        }
    for figures in results.values():
        figures["images_per_second"] = 1 / figures["total"]
        figures["speedup"] = results[REFERENCE]["total"] / figures["total"]
        for kind in (PEAK_MEMORY, WORK_MEMORY):
            figures[f"{kind}_ratio"] = results[REFERENCE][kind] / figures[kind]
    return {"machine": machine(options), "image": list(image.shape), "results": results}


def agreement(reference: Masks, masks: Masks) -> dict[str, float]:
    """Match masks one to one; shares of the larger number of masks matched at two IoUs."""
    count = max(len(reference), len(masks))
    if not count:
        return {"matched_99": 1.0, "matched_90": 1.0}
    first = reference.reshape(len(reference), -1).astype(np.float32)
    second = masks.reshape(len(masks), -1).astype(np.float32)
    shared = first @ second.T
    iou = shared / np.maximum(first.sum(1)[:, None] + second.sum(1) - shared, 1)
    matched = iou[linear_sum_assignment(-iou)]
    return {
        f"matched_{percent}": float((matched >= percent / 100).sum() / count)
        for percent in (99, 90)
    }


def memory_of(name: str) -> dict[str, int]:
    """Run one contestant once in a process of its own and ask for its memory in bytes."""
    command = [sys.executable, *sys.argv, "--only", name]
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
    run = contestant(options.only, options, image)
    if options.device == "cuda":
        loaded = torch.cuda.memory_allocated()
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
        f"{about['device']}, {about['threads']} threads: seconds, medians of {about['repeats']}"
    )
    headers = (
        *STAGES,
        "total",
        "images/s",
        "faster",
        "masks",
        "IoU>=0.99",
        "IoU>=0.9",
        "peak MiB",
        "less",
        "of it work",
        "less",
    )
    table.add_column("")
    for header in headers:
        table.add_column(header, justify="right")
    for name, figures in report["results"].items():
        table.add_row(
            name,
            *(f"{figures[stage]:.2f}" for stage in (*STAGES, "total")),
            f"{figures['images_per_second']:.3g}",
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
    Console(width=140).print(table)


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


# --- arithmetic and bytes of each part ---------------------------------------------------------

_PRODUCTS = {"mm": 0, "bmm": 0, "mv": 0, "addmm": 1, "baddbmm": 1, "baddbmm_": 1, "addmv_": 1}
"""Matrix products by name, and which argument is their first factor."""


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the arithmetic of matrix products, and the bytes that operators read and write."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and isinstance(result, torch.Tensor):
            touched = [*(a for a in args if isinstance(a, torch.Tensor)), result]
            self.counts["bytes"] += sum(t.numel() * t.element_size() for t in touched)
        if name in _PRODUCTS:
            self.counts["flop"] += 2 * result.numel() * args[_PRODUCTS[name]].shape[-1]
        elif name == "convolution":
            weight = args[1]
            self.counts["flop"] += 2 * result.numel() * weight[0].numel()
        return result


def show_parts(options: argparse.Namespace, image: NDArray[np.uint8]) -> None:
    """Count and time each part of the decoder, for one point, on one thread."""
    torch.set_num_threads(1)
    count = 4
    table = Table(title=f"for each point, batches of {count}, one thread")
    for header in ("", "part", "MFLOP", "MB touched", "ms", "GFLOP/s", "of matrix rate"):
        table.add_column(header, justify="left" if header in ("", "part") else "right")
    from alps_geo.sam.reference import load_reference

    network = load_reference(options.model, options.checkpoint)
    for dtype in options.dtypes:
        model = load_model(options.model, options.checkpoint, options.device, dtype)
        rate = matrix_rate(model.torch_dtype)
        for part, call in parts(model, image, count):
            add_part(table, dtype, part, call, rate, count)
        if dtype == "float32":
            call = reference_decoder(network, model.encode(image), count)
            add_part(table, REFERENCE, "decoder", call, rate, count)
    Console(width=110).print(table)


def parts(
    model: Any, image: NDArray[np.uint8], count: int
) -> Iterator[tuple[str, Callable[[], Any]]]:
    decoder = model.decoder
    with torch.no_grad():
        keys = decoder.prepare(model.encode(image).clone())
        points = torch.rand(count, 2, generator=torch.Generator().manual_seed(0)) * 1000
        prompts = decoder.prompt(keys, points)
        one_each = torch.tensor([[True, False, False]] * count)
        logits = decoder.logits(keys, prompts, one_each)
        yield "transformer", lambda: decoder.prompt(keys, points)
        yield "predicted IoU", lambda: decoder.predicted_iou(keys, prompts)
        yield "pixels of one mask", lambda: decoder.logits(keys, prompts, one_each)
        enlarger = Enlarger(Frame(image.shape[0], image.shape[1]))
        yield "stability of one mask", lambda: enlarger.stability(logits, 1.0)


def reference_decoder(network: Any, embedding: torch.Tensor, count: int) -> Callable[[], Any]:
    points = torch.rand(count, 1, 2) * 1000
    labels = torch.ones(count, 1, dtype=torch.int)
    embedding = embedding.clone()

    def decode() -> Any:
        sparse, dense = network.prompt_encoder(points=(points, labels), boxes=None, masks=None)
        position = network.prompt_encoder.get_dense_pe()
        return network.mask_decoder(embedding, position, sparse, dense, multimask_output=True)

    return decode


def add_part(
    table: Table, name: str, part: str, call: Callable[[], Any], rate: float, count: int
) -> None:
    with torch.no_grad():
        with Counting() as counting:
            call()
        seconds = median_seconds(call) / count
    flop = counting.counts["flop"] / count
    table.add_row(
        name,
        part,
        f"{flop / 1e6:.0f}",
        f"{counting.counts['bytes'] / count / 1e6:.0f}",
        f"{seconds * 1e3:.2f}",
        f"{flop / seconds / 1e9:.0f}",
        f"{flop / seconds / rate:.0%}",
    )


def matrix_rate(dtype: torch.dtype) -> float:
    """Measure floating-point operations a second of a large matrix product."""
    side = 2048
    a, b = torch.rand(side, side).to(dtype), torch.rand(side, side).to(dtype)
    return 2 * side**3 / median_seconds(lambda: a @ b)


def median_seconds(call: Callable[[], Any], repeats: int = 9) -> float:
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
