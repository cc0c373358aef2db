"""Objects, clusters, borders and time of runs with different settings, on scenes with ground truth.

    python benchmarks/bench_objects.py
    python benchmarks/bench_objects.py --set "" --set "points=grid:16" --set "tile_size=512"
    python benchmarks/bench_objects.py --pair scene.tif truth.tif 1,5 0,255 --seeds 0 1 2 3 4

Each `--set` is one run over every scene: settings of `alps-geo label` with underscores, as
key=value pairs separated by spaces; none for the defaults. A pair names a scene, a raster of its
classes, those whose connected regions are objects (of at least 16 pixels), and those that are no
truth.

Printed are the share of true objects of each class that one segment matches at an IoU above 0.5,
and of all at 0.75; mean IoU of classes and boundary F1 (3 px) with 24 clusters, means over the
seeds of k-means; and the seconds of the stage of tiles, once SAM is loaded, and its processor time,
which tells more on a busy machine. `--keep DIR` keeps the runs: tiles that are there take no time,
and the rest is measured again.
"""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.windows import Window
from reporting import make_parser, write_report
from rich.console import Console
from rich.table import Table
from typed_settings import typed_values

from alps_geo.evaluate import TruthFile, evaluate_objects, evaluate_quality
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.runs.flags import RunFlags
from alps_geo.settings import LabelSettings
from alps_geo.settings.keywords import settings_from

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from alps_geo.events import Event

DATA = Path(__file__).parent.parent / "tests" / "data"
DEFAULT_PAIR = (
    str(DATA / "naip_md_1m.tif"),
    str(DATA / "naip_md_1m_landcover.tif"),
    "1,6",
    "15",
)
CLUSTERS = 24
SEEDS = (0, 1, 2)
BOUNDARY_TOLERANCE = 3
_WARM_UP = 128


@dataclass(frozen=True)
class Pair:
    """A scene with its truth: the classes that are objects, and those that are no truth."""

    scene: str
    truth: str
    objects: tuple[str, ...]
    ignore: tuple[str, ...]

    @classmethod
    def of(cls, scene: str, truth: str, objects: str, ignore: str) -> Pair:
        """Read a pair as it is typed; commas separate classes."""
        return cls(scene, truth, tuple(objects.split(",")), tuple(ignore.split(",")))


class TileClock:
    """Measures the processor time of this process from its making to the first stitching."""

    def __init__(self) -> None:
        self._begin = process_time()
        self.seconds = 0.0

    def listen(self, event: Event) -> None:
        """Note the end of the tiles."""
        if event.stage == "stitch" and not self.seconds:
            self.seconds = process_time() - self._begin


def main() -> None:
    options = _options()
    chosen = {text or "default": _settings(text) for text in options.set or [""]}
    folder = tempfile.TemporaryDirectory() if options.keep is None else nullcontext(options.keep)
    with folder as out:
        rows = []
        for number, typed in enumerate(options.pair or [DEFAULT_PAIR]):
            pair = Pair.of(*typed)
            for name, settings in chosen.items():
                _warm_up(pair, settings)
                key = sha256(f"{pair}{settings}".encode()).hexdigest()[:12]
                row = _measure(pair, settings, Path(out) / f"{number}-{key}", options.seeds)
                rows.append({"scene": Path(pair.scene).stem, "settings": name, **row})
    _print(rows)
    write_report(rows, options.json)


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE ...",
        help="settings of one run; may be given again (default: one run with the defaults)",
    )
    parser.add_argument(
        "--pair",
        nargs=4,
        action="append",
        metavar=("SCENE", "TRUTH", "CLASSES", "IGNORED"),
        help="a scene with its truth; may be given again (default: the NAIP scene in tests)",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of k-means")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the runs in this folder")
    return parser.parse_args()


def _settings(text: str) -> LabelSettings:
    """Read settings as they are typed."""
    return settings_from({"clusters": CLUSTERS, **typed_values(LabelSettings, text)}, {})


def _warm_up(pair: Pair, settings: LabelSettings) -> None:
    """Label a corner of the scene, so that libraries and weights are loaded."""
    with tempfile.TemporaryDirectory() as folder, rasterio.open(pair.scene) as scene:
        profile, corner = scene.profile, Path(folder) / "corner.tif"
        profile.update(height=_WARM_UP, width=_WARM_UP)
        with rasterio.open(corner, "w", **profile) as dataset:
            dataset.write(scene.read(window=Window(0, 0, _WARM_UP, _WARM_UP)))
            dataset.colorinterp = scene.colorinterp
        label_scenes([str(corner)], Path(folder) / "out", replace(settings, clusters=1))


def _measure(
    pair: Pair, settings: LabelSettings, out: Path, seeds: Sequence[int]
) -> dict[str, Any]:
    """Label a scene once for each seed; tiles are those of the first run."""
    records, qualities, clock = [], [], TileClock()
    truth = TruthFile(pair.truth, ignore=pair.ignore)
    for seed in seeds:
        flags = RunFlags(overwrite=True, strict=True)
        record = label_scenes(
            [pair.scene], out, replace(settings, seed=seed), flags, listen=clock.listen
        )
        records.append(record)
        results = out / record.scenes[0].name
        qualities.append(
            evaluate_quality(str(results / "labels.tif"), truth, tolerances=(BOUNDARY_TOLERANCE,))
        )
    objects = evaluate_objects(str(results / "segments.tif"), truth, classes=pair.objects)
    mean_iou = [each.majority.mean_iou for each in qualities]
    oracle = qualities[0].oracle
    return {
        "segments": records[0].segments,
        "objects": {number: scores.objects for number, scores in objects.classes.items()},
        "matched": {number: scores.matched[0] for number, scores in objects.classes.items()},
        "matched_75": objects.scores.matched[1],
        "mean_best_iou": objects.scores.mean_iou,
        "over_segmentation": objects.scores.over_segmentation,
        "under_segmentation": objects.scores.under_segmentation,
        "mean_iou": float(np.mean(mean_iou)),
        "mean_iou_range": max(mean_iou) - min(mean_iou),
        "oracle_mean_iou": None if oracle is None else oracle.mean_iou,
        "boundary_f1": float(np.mean([each.boundary[0].mean_f1 for each in qualities])),
        "tile_seconds": records[0].seconds["tiles"],
        "tile_cpu_seconds": clock.seconds,
    }


def _print(rows: Sequence[dict[str, Any]]) -> None:
    """Print a table of all scenes, a section for each."""
    table = Table()
    titles = ["matched by class", "IoU > 0.75", "best IoU", "over", "under", "segments", "mIoU"]
    titles += ["range", "oracle", f"BF {BOUNDARY_TOLERANCE}px", "tiles s", "CPU s"]
    table.add_column("settings")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for scene in dict.fromkeys(row["scene"] for row in rows):
        table.add_row(scene, style="bold")
        for row in (row for row in rows if row["scene"] == scene):
            matched = (
                f"{number}: {share:.1%} of {row['objects'][number]}"
                for number, share in row["matched"].items()
            )
            numbers = ("mean_best_iou", "over_segmentation", "under_segmentation")
            later = ("mean_iou", "mean_iou_range", "oracle_mean_iou", "boundary_f1")
            table.add_row(
                row["settings"],
                "\n".join(matched),
                f"{row['matched_75']:.1%}",
                *(f"{row[key]:.3f}" for key in numbers),
                f"{row['segments']:,}",
                *(f"{row[key]:.3f}" for key in later),
                *(f"{row[key]:.1f}" for key in ("tile_seconds", "tile_cpu_seconds")),
            )
        table.add_section()
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
