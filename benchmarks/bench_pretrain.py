"""Pre-training on pseudo-labels: its worth for networks that see few real labels, or many.

    python benchmarks/bench_pretrain.py                             # the NAIP scene in tests/data
    python benchmarks/bench_pretrain.py --pair scene.tif truth.tif 0,255 --jobs 2
    python benchmarks/bench_pretrain.py --recipe "60=clusters=60" "long=steps=1200" --shares 0.05

Each scene is cut along its longer side: the first part trains, the last 35 % test, and 32 px
between them are left out. Clusters, chips, statistics and labels come from the first part alone. It
is labelled by each recipe and cut into chips, on whose clusters a network is pre-trained; then
networks are fine-tuned on a share of the true labels, from random weights and from those of each
recipe. The share is drawn by the seed as squares of 16 px, as many in every square of 256 px, and
those of a smaller share are among those of a larger one. The test part is predicted as a whole, and
the mean IoU is that of all classes of its truth.

`--recipe NAME=SETTINGS` takes settings as key=value pairs separated by spaces: those of `alps-geo
label`, or else of pre-training, `steps` of it, and `confidence`, below which segments are left
unlabelled. `--pretrain` and `--finetune` are for all. All networks of a comparison take the same
number of steps of fine-tuning. Figures are means over seeds, with the standard deviation; seeds
decide labels, head and order of chips. `--plot FILE` draws them. With `--keep DIR` a call that was
stopped goes on where it stopped, and others use the labels and networks that are there.
"""

from __future__ import annotations

import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import torch
from pretraining_data import Parts, cut_scene, few_labels, pseudo_labelled
from pretraining_figures import plot_figures, print_figures, summary_of
from reporting import make_parser, write_report
from rich.progress import track
from torch.nn.functional import pad
from typed_settings import typed_values

from alps_geo.evaluate import TruthFile
from alps_geo.fields import settings_of
from alps_geo.settings import LabelSettings
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
RECIPES = ("default=", "alps=preset=alps clusters=10")
RANDOM = "random weights"
EPOCH = 100
FINETUNE = "encoder_rate=1 learning_rate=0.002"
NETWORK: dict[str, Any] = {
    "arch": "linknet",
    "encoder": "tu-mobilenetv3_small_050",
    "crop": 96,
    "weights": "random",
}


@dataclass(frozen=True)
class Recipe:
    """A way to pre-train: settings of labelling, as typed, and of training.

    >>> Recipe.read("60=clusters=60 loss=dice").training
    {'loss': 'dice'}
    """

    name: str
    labelling: str
    training: dict[str, Any]
    steps: int | None
    confidence: float

    @classmethod
    def read(cls, text: str) -> Recipe:
        """Read ``NAME=SETTINGS``."""
        name, _, words = text.partition("=")
        given = dict(word.partition("=")[::2] for word in words.split())
        own = {key: given.pop(key) for key in ("steps", "confidence") if key in given}
        trains = settings_of(PretrainSettings).keys() - settings_of(LabelSettings).keys()
        labelling, training = (
            " ".join(f"{key}={value}" for key, value in given.items() if (key in trains) is wanted)
            for wanted in (False, True)
        )
        return cls(
            name,
            labelling,
            typed_values(PretrainSettings, training),
            int(own["steps"]) if "steps" in own else None,
            float(own.get("confidence", 0)),
        )


@dataclass(frozen=True)
class Job:
    """One fine-tuning: chips, the model that it begins with and its folder, labels, and seed."""

    parts: Parts
    chips: Path
    beginning: str
    parent: Path
    share: float
    seed: int

    @property
    def file(self) -> Path:
        """File of its figures."""
        name = f"{self.share:g}-{self.seed}-{self.beginning.replace(' ', '-')}.json"
        return self.parts.folder / "tuned" / name


def main() -> None:
    options = _options()
    folder = tempfile.TemporaryDirectory() if options.keep is None else nullcontext(options.keep)
    with folder as out:
        every = [cut_scene(pair, Path(out)) for pair in options.pair or [DEFAULT_PAIR]]
        jobs = [job for parts in every for job in _pretrained(parts, options)]
        jobs.sort(key=lambda job: options.shares.index(job.share))
        rows = list(_finetuned(jobs, options))
    report = summary_of(rows)
    print_figures(report)
    seconds = mean(float(row["processor_seconds"]) for row in rows)
    print(f"{len(rows)} fine-tunings took {seconds:.1f} s of processor time each")
    if options.plot:
        plot_figures(report, options.plot)
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
    parser.add_argument("--recipe", nargs="+", metavar="NAME=SETTINGS", default=list(RECIPES))
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.05, 0.2, 1.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, nargs=2, default=[1000, 200], help="of both trainings")
    parser.add_argument("--pretrain", default="", help="further settings of pre-training")
    parser.add_argument("--finetune", default=FINETUNE, help="and of fine-tuning")
    parser.add_argument(
        "--network", default="", help="arch=NAME encoder=NAME crop=N, in place of a small one"
    )
    parser.add_argument("--jobs", type=int, default=1, help="trainings at the same time")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep all files in this folder")
    parser.add_argument("--plot", type=Path, help="draw the figures (PNG or SVG)")
    options = parser.parse_args()
    options.recipe = [Recipe.read(each) for each in options.recipe]
    return options


def _pretrained(parts: Parts, options: argparse.Namespace) -> Iterator[Job]:
    """Pre-train a network by each recipe, and yield the fine-tunings that begin with it."""
    beginnings = {}
    for recipe in options.recipe:
        chips = pseudo_labelled(parts, recipe.labelling, recipe.confidence)
        steps = recipe.steps or options.steps[0]
        beginnings[recipe.name] = parts.folder / "models" / recipe.name
        _pretrain(chips, beginnings[recipe.name], options, _schedule(steps) | recipe.training)
    beginnings[RANDOM] = parts.folder / "models" / "random"
    # A step at no rate to speak of leaves random weights as they are.
    none = {"epochs": 1, "epoch_steps": 1, "learning_rate": 1e-8}
    chips = pseudo_labelled(parts, options.recipe[0].labelling)
    _pretrain(chips, beginnings[RANDOM], options, none)
    for share in options.shares:
        for seed in options.seeds:
            few_labels(parts, share, seed)
            for name, parent in beginnings.items():
                yield Job(parts, chips, name, parent, share, seed)


def _schedule(steps: int) -> dict[str, Any]:
    """Give the epochs of so many steps, all of which are taken."""
    size = min(EPOCH, steps)
    return {"epochs": round(steps / size), "epoch_steps": size, "patience": 0, "keep": "last"}


def _pretrain(chips: Path, out: Path, options: argparse.Namespace, more: dict[str, Any]) -> None:
    values = {
        **NETWORK,
        **typed_values(PretrainSettings, options.network),
        **typed_values(PretrainSettings, options.pretrain),
        **more,
    }
    pretrain(chips, out, PretrainSettings(**values), OutFlags(resume=True))


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
    """Fine-tune one network, and measure it on the part that tests; or read its figures."""
    parts = job.parts
    given = _schedule(steps) | {"seed": job.seed, "crop": crop}
    settings = FinetuneSettings(**given | typed_values(FinetuneSettings, more))
    origin = {"parent": read_model(job.parent).weights_sha256, "settings": settings.to_dict()}
    if job.file.exists() and (known := json.loads(job.file.read_text()))["origin"] == origin:
        return dict(known["figures"])
    begun = time.process_time()
    labels = TruthFile(str(parts.labels(job.share, job.seed)), ignore=list(parts.ignored))
    with tempfile.TemporaryDirectory() as out:
        request = FinetuneRequest(job.chips, job.parent, labels)
        finetune(request, Path(out) / "model", settings)
        iou = _tested(Path(out) / "model", parts)
    figures: dict[str, str | float | int] = {
        "scene": parts.name,
        "from": job.beginning,
        "share": job.share,
        "seed": job.seed,
        "mean_iou": iou,
        "processor_seconds": round(time.process_time() - begun, 2),
    }
    job.file.parent.mkdir(exist_ok=True)
    write_report({"origin": origin, "figures": figures}, job.file)
    return figures


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


if __name__ == "__main__":
    main()
