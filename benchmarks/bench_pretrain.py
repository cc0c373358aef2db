"""Pre-training on pseudo-labels: its worth for networks that see few real labels, or many.

    python benchmarks/bench_pretrain.py                             # the NAIP scene in tests/data
    python benchmarks/bench_pretrain.py --pair scene.tif truth.tif 0,255 --jobs 2
    python benchmarks/bench_pretrain.py --recipe "default 60=clusters=60" --shares 0.05

Each scene is cut along its longer side: the first part trains, the last 35 % test, and 32 px
between them are left out. Clusters, chips, statistics and labels come from the first part alone. It
is labelled by each recipe and cut into chips, on whose clusters a network is pre-trained; then
networks are fine-tuned on a share of the true labels, from random weights and from those of each
recipe. The share is drawn by the seed as squares of 16 px, as many in every square of 256 px, and
those of a smaller share are among those of a larger one. The test part is predicted as a whole, and
the mean IoU is that of all classes of its truth.

`--recipe NAME=SETTINGS` takes settings of `alps-geo label` as key=value pairs separated by spaces,
and `--pretrain` and `--finetune` those of training. All networks of a comparison take the same
number of steps of fine-tuning. Figures are means over seeds, with the standard deviation; seeds
decide labels, weights and order of chips. `--plot FILE` draws them.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, pstdev
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import torch
from rasterio.windows import Window
from reporting import make_parser, write_report
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.nn.functional import pad
from typed_settings import typed_values

from alps_geo.evaluate import TruthFile
from alps_geo.outputs.training_set.settings import ExportSettings
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.review.export import export_run
from alps_geo.runs.flags import RunFlags
from alps_geo.settings import LabelSettings
from alps_geo.settings.keywords import settings_from
from alps_geo.training.chips import read_pixels
from alps_geo.training.finetune import FinetuneRequest, finetune
from alps_geo.training.model_folder import read_model
from alps_geo.training.networks import load_network, stride_of
from alps_geo.training.out_folder import OutFlags
from alps_geo.training.pretrain import pretrain
from alps_geo.training.settings import FinetuneSettings, PretrainSettings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
DEFAULT_PAIR = (str(DATA / "naip_md_1m.tif"), str(DATA / "naip_md_1m_landcover.tif"), "15")
RECIPES = ("default=", "alps=preset=alps")
RANDOM = "random weights"
TEST_SHARE, GAP = 0.35, 32
CHIP, SQUARE = 256, 16
NETWORK: dict[str, Any] = {"encoder": "tu-mobilenetv3_small_050", "crop": 128, "weights": "random"}


@dataclass(frozen=True)
class Parts:
    """The parts of a scene and its truth, as files, and the values that are no class."""

    name: str
    folder: Path
    ignored: tuple[str, ...]

    def file(self, part: str) -> Path:
        """Name the file of a part: train, train_truth, test or test_truth."""
        return self.folder / f"{part}.tif"


@dataclass(frozen=True)
class Job:
    """One fine-tuning: the folder of the model that it begins with, share of labels, and seed."""

    parts: Parts
    beginning: str
    parent: Path
    share: float
    seed: int


def main() -> None:
    options = _options()
    folder = tempfile.TemporaryDirectory() if options.keep is None else nullcontext(options.keep)
    with folder as out:
        every = [_cut(pair, Path(out)) for pair in options.pair or [DEFAULT_PAIR]]
        jobs = [job for parts in every for job in _pretrained(parts, options)]
        rows = list(_finetuned(jobs, options))
    report = _summary(rows)
    _print(report)
    if options.plot:
        _plot(report, options.plot)
    write_report(rows, options.json)


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--pair",
        nargs=3,
        action="append",
        metavar=("SCENE", "TRUTH", "IGNORED"),
        help="a scene with its truth; may be given again (default: the NAIP scene in tests)",
    )
    parser.add_argument("--recipe", action="append", metavar="NAME=SETTINGS")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.05, 0.2, 1.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, nargs=2, default=[600, 200], help="of both trainings")
    parser.add_argument("--pretrain", default="", help="further settings of pre-training")
    parser.add_argument("--finetune", default="encoder_rate=1", help="and of fine-tuning")
    parser.add_argument(
        "--network", default="", help="encoder=NAME crop=N, in place of a small one"
    )
    parser.add_argument("--jobs", type=int, default=1, help="trainings at the same time")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep all files in this folder")
    parser.add_argument("--plot", type=Path, help="draw the figures (PNG or SVG)")
    options = parser.parse_args()
    options.recipe = options.recipe or list(RECIPES)
    return options


def _cut(pair: Sequence[str], out: Path) -> Parts:
    """Cut a scene and its truth into a part that trains and one that tests."""
    scene, truth, ignored = pair
    parts = Parts(Path(scene).stem, out / Path(scene).stem, tuple(ignored.split(",")))
    parts.folder.mkdir(parents=True, exist_ok=True)
    for path, end in ((scene, ""), (truth, "_truth")):
        with rasterio.open(path) as source:
            rows, cols = source.shape
            first = round((1 - TEST_SHARE) * max(rows, cols))
            windows = {"train": (0, first), "test": (first + GAP, max(rows, cols))}
            for part, (start, stop) in windows.items():
                size = stop - start
                window = (
                    Window(0, start, cols, size) if rows > cols else Window(start, 0, size, rows)
                )
                profile = source.profile | {
                    "width": window.width,
                    "height": window.height,
                    "transform": source.window_transform(window),
                    "driver": "GTiff",
                    "tiled": False,
                }
                for key in ("blockxsize", "blockysize"):
                    profile.pop(key, None)
                with rasterio.open(parts.file(part + end), "w", **profile) as target:
                    target.write(source.read(window=window))
    return parts


def _pretrained(parts: Parts, options: argparse.Namespace) -> Iterator[Job]:
    """Pre-train a network by each recipe, and yield the fine-tunings that begin with it."""
    beginnings = {}
    for recipe in options.recipe:
        name, _, text = recipe.partition("=")
        beginnings[name] = _by_recipe(parts, name, text, options)
    chips = parts.folder / options.recipe[0].partition("=")[0] / "chips"
    beginnings[RANDOM] = parts.folder / "random"
    # An epoch at no rate to speak of leaves random weights as they are.
    _pretrain(chips, beginnings[RANDOM], options, {"epochs": 1, "learning_rate": 1e-8})
    for share in options.shares:
        for seed in options.seeds:
            _few_labels(parts, share, seed)
            for name, parent in beginnings.items():
                yield Job(parts, name, parent, share, seed)


def _by_recipe(parts: Parts, name: str, text: str, options: argparse.Namespace) -> Path:
    """Label the part that trains, export its chips, and pre-train a network on them."""
    folder = parts.folder / name
    if not (folder / "chips").exists():
        values = {"clusters": 24, **typed_values(LabelSettings, text)}
        label_scenes(
            [str(parts.file("train"))],
            folder / "run",
            settings_from(values, {}),
            RunFlags(overwrite=True),
        )
        chips = ExportSettings(
            chip_size=CHIP, overlap=CHIP // 2, split=(0.8, 0.2, 0.0), min_labelled=0
        )
        export_run(folder / "run", "mmseg", folder / "chips", chips)
    _pretrain(folder / "chips", folder / "model", options, {})
    return folder / "model"


def _pretrain(chips: Path, out: Path, options: argparse.Namespace, more: dict[str, Any]) -> None:
    values = {
        "epochs": _epochs(chips, options.steps[0]),
        "patience": 0,
        **NETWORK,
        **typed_values(PretrainSettings, options.network),
        **typed_values(PretrainSettings, options.pretrain),
        **more,
    }
    pretrain(chips, out, PretrainSettings(**values), OutFlags(overwrite=True))


def _epochs(chips: Path, steps: int) -> int:
    """Count the epochs of so many steps of eight chips."""
    count = len(list((chips / "img_dir" / "train").iterdir()))
    return max(1, round(steps / -(-count // 8)))


def _few_labels(parts: Parts, share: float, seed: int) -> None:
    """Write a truth of some squares alone: a share of each square of the size of a chip."""
    draw = np.random.default_rng(seed)
    with rasterio.open(parts.file("train_truth")) as source:
        truth, profile = source.read(1), source.profile | {"nodata": int(parts.ignored[0])}
    per_chip = CHIP // SQUARE
    rows, cols = (-(-side // CHIP) for side in truth.shape)
    order = draw.random((rows, cols, per_chip**2)).argsort(axis=2).argsort(axis=2)
    kept = order < max(1, round(share * per_chip**2))
    squares = kept.reshape(rows, cols, per_chip, per_chip).swapaxes(1, 2)
    pixels = squares.reshape(rows * per_chip, cols * per_chip)
    pixels = pixels.repeat(SQUARE, axis=0).repeat(SQUARE, axis=1)
    truth[~pixels[: truth.shape[0], : truth.shape[1]]] = profile["nodata"]
    with rasterio.open(_labels(parts, share, seed), "w", **profile) as target:
        target.write(truth, 1)


def _labels(parts: Parts, share: float, seed: int) -> Path:
    return parts.folder / f"labels-{share:g}-{seed}.tif"


def _finetuned(
    jobs: Sequence[Job], options: argparse.Namespace
) -> Iterator[dict[str, str | float | int]]:
    """Carry out all fine-tunings, several at once, and yield their figures."""
    network = NETWORK | typed_values(PretrainSettings, options.network)
    work = partial(_finetune, steps=options.steps[1], crop=network["crop"], more=options.finetune)
    threads = max(1, torch.get_num_threads() // options.jobs)
    with ProcessPoolExecutor(
        options.jobs, get_context("spawn"), torch.set_num_threads, (threads,)
    ) as pool:
        running = [pool.submit(work, job) for job in jobs]
        for done in track(as_completed(running), "fine-tuning", len(running)):
            yield done.result()


def _finetune(job: Job, steps: int, crop: int, more: str) -> dict[str, str | float | int]:
    """Fine-tune one network, and measure it on the part that tests."""
    parts = job.parts
    chips = next(parts.folder.glob("*/chips"))
    settings = FinetuneSettings(
        **{
            "epochs": _epochs(chips, steps),
            "patience": 0,
            "seed": job.seed,
            "crop": crop,
            **typed_values(FinetuneSettings, more),
        }
    )
    labels = TruthFile(str(_labels(parts, job.share, job.seed)), ignore=list(parts.ignored))
    with tempfile.TemporaryDirectory() as out:
        request = FinetuneRequest(chips, job.parent, labels)
        finetune(request, Path(out) / "model", settings)
        iou = _tested(Path(out) / "model", parts)
    return {
        "scene": parts.name,
        "from": job.beginning,
        "share": job.share,
        "seed": job.seed,
        "mean_iou": iou,
    }


def _tested(folder: Path, parts: Parts) -> float:
    """Predict the part that tests, and return the mean IoU of the classes of its truth."""
    model = read_model(folder)
    network = load_network(folder, model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    image = torch.from_numpy(read_pixels(str(parts.file("test"))).normalised(model.bands))
    rows, cols = image.shape[1:]
    stride = stride_of(network)
    margins = (0, -cols % stride, 0, -rows % stride)
    with torch.inference_mode():
        padded = pad(image[None], margins, mode="reflect").to(device)
        logits = network.to(device)(padded)[0, :, :rows, :cols]
    values = np.array([each.value for each in model.classes])
    predicted = values[logits.argmax(dim=0).cpu().numpy()]
    with rasterio.open(parts.file("test_truth")) as source:
        truth = source.read(1)
    known = ~np.isin(truth, [int(each) for each in parts.ignored])
    return mean(
        _iou(predicted[known] == value, truth[known] == value)
        for value in np.unique(truth[known]).tolist()
    )


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def _summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give mean and standard deviation over the seeds."""
    groups: dict[tuple[str, str, float], list[float]] = {}
    for row in sorted(rows, key=lambda row: (row["scene"], row["share"], row["from"])):
        groups.setdefault((row["scene"], row["from"], row["share"]), []).append(row["mean_iou"])
    return [
        {"scene": scene, "from": name, "share": share, "mean": mean(ious), "std": pstdev(ious)}
        for (scene, name, share), ious in groups.items()
    ]


def _print(report: Sequence[dict[str, Any]]) -> None:
    shares = sorted({row["share"] for row in report})
    table = Table("scene", "begins with", *(f"{share:.0%} of the labels" for share in shares))
    for scene, name in dict.fromkeys((row["scene"], row["from"]) for row in report):
        found = {
            row["share"]: f"{row['mean']:.3f} ± {row['std']:.3f}"
            for row in report
            if (row["scene"], row["from"]) == (scene, name)
        }
        table.add_row(scene, name, *(found.get(share, "") for share in shares))
    Console(width=140).print(table)


def _plot(report: Sequence[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    scenes = list(dict.fromkeys(row["scene"] for row in report))
    figure = Figure((4.5 * len(scenes), 3.6), layout="constrained")
    for axes, scene in zip(np.atleast_1d(figure.subplots(1, len(scenes))), scenes, strict=True):
        here = [row for row in report if row["scene"] == scene]
        for name in dict.fromkeys(row["from"] for row in here):
            rows = [row for row in here if row["from"] == name]
            axes.errorbar(
                [100 * row["share"] for row in rows],
                [row["mean"] for row in rows],
                [row["std"] for row in rows],
                label=name,
                marker="o",
                capsize=3,
            )
        axes.set(xscale="log", xlabel="labels, %", ylabel="mean IoU of the test part", title=scene)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
