"""Accuracy of classes learnt from few samples, drawn at random or suggested, and their time.

    python benchmarks/bench_classes.py --run out/ --truth landcover.tif --ignore 15
    python benchmarks/bench_classes.py --segments 30000

The first measures a finished run of one scene (`alps-geo label scene.tif --out out/`) against
ground truth. Samples are so many segments of each class at random, of those of which at least 80 %
are one class; or as many in all as `alps-geo classify --suggest` asks for, by default ten at a
time, beginning with two of each class at random. A person who is asked gives the class of most of
a segment, and leaves it empty where no class has half of it; it is no sample then, and is not asked
for again. Figures are overall accuracy and mean IoU of all pixels, means over draws, with the
standard deviation, and the number of segments that the person has looked at.

The second times the command on a mosaic of the NAIP scene in tests/data with about so many
segments, whose masks come from a stand-in for SAM.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
from bench_scale import mosaic
from reporting import make_parser, write_report
from rich.console import Console
from rich.table import Table
from stand_in import BrightRegions

from alps_geo.classes.classifier import Method
from alps_geo.classes.graph import SegmentGraph
from alps_geo.classes.model import table_rows
from alps_geo.classes.next_samples import Candidates, choose_next, uncertainty_of
from alps_geo.evaluate import TruthFile, evaluate_quality
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.review.classify import segment_borders
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.run import read_finished
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from alps_geo.evaluate.contingency import Scores

SIZES = (5, 10, 20, 50)
PURE = 0.8
"""Least share of the class in a segment that is drawn at random."""
MOSTLY = 0.5
"""Least share of the class in a suggested segment that a person names."""
FIRST = 2
PER_PIXEL = 0.0036
"""Segments per pixel, a little fewer than the stand-in finds."""

PROGRAM = "from alps_geo_cli.main import run; run()"


@dataclass(frozen=True)
class Scene:
    """Segments of a run with ground truth; rows are segments by id, from 1.

    Attributes
    ----------
    rows, area, graph
        Projected columns, pixels and neighbours.
    pixels : ndarray of int64, shape (n, k)
        Pixels of each class.
    missing : ndarray of int64, shape (k,)
        Pixels of each class without a segment.
    """

    rows: NDArray[np.float64]
    area: NDArray[np.int64]
    graph: SegmentGraph
    pixels: NDArray[np.int64]
    missing: NDArray[np.int64]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.pixels.shape[1])

    @property
    def truth(self) -> NDArray[np.int64]:
        """Class of most pixels of each segment."""
        return np.asarray(self.pixels.argmax(axis=1))

    def holding(self, share: float) -> NDArray[np.bool_]:
        """Return True for segments of which one class has at least this share."""
        known = self.pixels.sum(axis=1)
        return np.asarray((self.pixels.max(axis=1) >= share * self.area) & (known > 0))

    def score(self, given: NDArray[np.int64]) -> tuple[float, float]:
        """Overall accuracy and mean IoU of a map of classes."""
        table = np.zeros((self.classes, self.classes))
        np.add.at(table, given, self.pixels)
        right = np.diag(table)
        truth = table.sum(axis=0) + self.missing
        iou = right / (truth + table.sum(axis=1) - right)
        return float(right.sum() / truth.sum()), float(iou.mean())


def main() -> None:
    options = _options()
    report: dict[str, Any] = {}
    if options.run is not None:
        report["curve"] = _curve(options)
    if options.segments:
        report["seconds"] = _seconds(options.segments)
    write_report(report, options.json)


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--run", type=Path, metavar="DIR", help="a finished run of one scene")
    parser.add_argument("--truth", metavar="FILE", help="its ground truth")
    parser.add_argument("--ignore", default="", help="classes that are no truth, with commas")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="samples of each class")
    parser.add_argument("--draws", type=int, default=5, help="default: %(default)s")
    parser.add_argument(
        "--at-once", type=int, default=10, help="segments suggested at a time (%(default)s)"
    )
    parser.add_argument("--segments", type=int, default=0, help="time this many segments")
    return parser.parse_args()


def _curve(options: argparse.Namespace) -> list[dict[str, Any]]:
    scene, clusters = _read(options.run, options.truth, options.ignore)
    print(f"clusters: OA {clusters.accuracy:.3f}, mIoU {clusters.mean_iou:.3f}")
    rows = []
    for size in options.sizes:
        drawn = [
            _measure(scene, _draw(scene, size, np.random.default_rng(seed)), seed)
            for seed in range(options.draws)
        ]
        rows.append({"samples": "random", "size": size, **_summary(drawn)})
    asked = [
        _suggested(scene, options.sizes, options.at_once, seed) for seed in range(options.draws)
    ]
    for number, size in enumerate(options.sizes):
        drawn = [found[number] for found in asked]
        rows.append({"samples": "suggested", "size": size, **_summary(drawn)})
    table = Table(title=str(options.run))
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)
    return rows


def _read(run: Path, truth: str, ignore: str) -> tuple[Scene, Scores]:
    finished = read_finished(RunFolder(run))
    ((name, segments),) = finished.tables.items()
    ignored = ignore.split(",") if ignore else []
    folder, file = run / name, TruthFile(truth, ignore=ignored)
    table = evaluate_quality(str(folder / "segments.tif"), file).table
    clusters = evaluate_quality(str(folder / "labels.tif"), file).majority
    pixels = np.zeros((len(segments) + 1, len(table.classes)), np.int64)
    np.add.at(pixels, (table.ids[table.rows], table.cols), table.counts)
    rows = table_rows(finished.model.projection, segments, segments.rows)
    area = segments.area[np.argsort(segments.rows)]
    graph = SegmentGraph.of(rows, segment_borders(finished, name))
    return Scene(rows, area, graph, pixels[1:], pixels[0]), clusters


def _draw(scene: Scene, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw so many pure segments of each class."""
    parts = []
    for number in range(scene.classes):
        known = np.flatnonzero(scene.holding(PURE) & (scene.truth == number))
        parts.append(rng.choice(known, min(size, len(known)), replace=False))
    return np.concatenate(parts)


def _classify(scene: Scene, samples: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    method = Method(seed=seed)
    fitted = method.fitted(scene.rows[samples], scene.truth[samples])
    return scene.graph.averaged(fitted.probability(scene.rows, scene.classes))


def _measure(
    scene: Scene, samples: NDArray[np.int64], seed: int, asked: int = 0
) -> tuple[float, float, float]:
    """Return overall accuracy, mean IoU, and the number of segments that were looked at."""
    given = _classify(scene, samples, seed).argmax(axis=1)
    given[samples] = scene.truth[samples]
    return *scene.score(given), float(asked or len(samples))


def _suggested(
    scene: Scene, sizes: tuple[int, ...], at_once: int, seed: int
) -> list[tuple[float, float, float]]:
    """Ask for segments until there are as many samples as of each size at random."""
    samples = _draw(scene, FIRST, np.random.default_rng(seed))
    asked, found, named = samples, [], scene.holding(MOSTLY)
    for size in sizes:
        while (left := size * scene.classes - len(samples)) > 0:
            probability = _classify(scene, samples, seed)
            guess = probability.argmax(axis=1)
            guess[samples] = scene.truth[samples]
            known = scene.pixels.sum(axis=1) > 0
            candidates = Candidates(
                scene.rows, scene.area * known, uncertainty_of(probability), guess
            )
            new = choose_next(candidates, asked, at_once)
            asked = np.append(asked, new)
            samples = np.append(samples, new[named[new]][:left])
        found.append(_measure(scene, samples, seed, len(asked)))
    return found


def _summary(found: list[tuple[float, float, float]]) -> dict[str, float]:
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
    return {
        "OA": float(mean[0]),
        "+-": float(spread[0]),
        "mIoU": float(mean[1]),
        "+- ": float(spread[1]),
        "asked": float(mean[2]),
    }


def _seconds(segments: int) -> dict[str, float]:
    """Time `alps-geo classify` on a run with so many segments."""
    with tempfile.TemporaryDirectory() as folder:
        scene, out = Path(folder) / "scene.vrt", Path(folder) / "out"
        mosaic(scene, round((segments / PER_PIXEL) ** 0.5))
        # Superpixels stay apart: of a third of the pixels there are as many segments.
        apart = LabelSettings(merge=False)
        record = label_scenes([str(scene)], out, apart, generator=BrightRegions())
        samples = Path(folder) / "samples.gpkg"
        _write_points(out / scene.stem, samples)
        begin, used = perf_counter(), _processor_seconds()
        command = [sys.executable, "-c", PROGRAM, "classify", str(out)]
        subprocess.run([*command, "--samples", str(samples), "--quiet"], check=True)
        seconds, used = perf_counter() - begin, _processor_seconds() - used
    print(f"{record.segments:,} segments: {seconds:.1f} s, {used:.1f} s of processor time")
    return {"segments": record.segments, "seconds": seconds, "processor_seconds": used}


def _processor_seconds() -> float:
    """Return the processor time of the programs that this one has started."""
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _write_points(folder: Path, path: Path) -> None:
    """Write twenty points of each of six clusters, as classes."""
    found = gpd.read_file(folder / "segments.gpkg", layer="segments")
    rows = [found[found["cluster"] == number].head(20) for number in range(1, 7)]
    points = [point for part in rows for point in part.geometry.representative_point()]
    names = [f"class {number}" for number, part in enumerate(rows) for _ in range(len(part))]
    gpd.GeoDataFrame({"class": names}, geometry=points, crs=found.crs).to_file(path)


if __name__ == "__main__":
    main()
