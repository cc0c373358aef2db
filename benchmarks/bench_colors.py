"""Colours of clusters: how they follow the image, and how well every eye tells them apart.

    python benchmarks/bench_colors.py                     # the scenes of the tests
    python benchmarks/bench_colors.py scenes/*.tif --points-per-side 32

Each scene is labelled with 24 clusters, with few points, for colours depend little on masks.
Printed for natural and for distinct colours of the same map are: the rank correlation, over all
pairs of clusters, of the difference of their colours (CIEDE2000) with the distance of their bands,
each band in units of its spread over the scene; and the smallest difference of two colours for
normal sight, protanopia and deuteranopia (colorspacious, which has Machado et al. 2009).
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from color_differences import KINDS, differences
from reporting import make_parser, write_report
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from alps_geo.clusters.colors import default_colors
from alps_geo.clusters.natural_colors import natural_colors
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.run import read_finished
from alps_geo.segments.table import read_segments
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

SCENES = Path(__file__).parent.parent / "tests" / "data"
NAMES = ("naip_md_1m", "neon_osbs_10cm", "sentinel2_uint16_4band", "landsat8_collar_uint16")
CLUSTERS = 24
MANY = 256
"""Clusters that the time of choosing colours is measured with too."""


@dataclass(frozen=True)
class Measured:
    """Colours of one scene by one scheme.

    Attributes
    ----------
    scene, scheme : str
    correlation : float
        Rank correlation of differences of colours with distances of bands.
    least : dict of str to float
        Smallest difference of two colours in CIEDE2000, for each kind of sight.
    """

    scene: str
    scheme: str
    correlation: float
    least: dict[str, float]


def main() -> None:
    parser = make_parser(__doc__ or "")
    parser.add_argument("scenes", nargs="*", type=Path, metavar="SCENE")
    parser.add_argument("--points-per-side", type=int, default=4, metavar="N")
    options = parser.parse_args()
    measured = [each for path in _scenes(options) for each in measure(path, options)]
    show(measured)
    seconds = {count: choosing_seconds(count) for count in (CLUSTERS, MANY)}
    for count, spent in seconds.items():
        print(f"natural colours of {count} clusters are chosen in {spent:.2f} s")
    report = {"colors": [asdict(each) for each in measured], "seconds": seconds}
    write_report(report, options.json)


def _scenes(options: argparse.Namespace) -> list[Path]:
    return options.scenes or [SCENES / f"{name}.tif" for name in NAMES]


def measure(path: Path, options: argparse.Namespace) -> list[Measured]:
    """Label a scene, and measure natural and distinct colours of its clusters."""
    settings = LabelSettings(points=f"grid:{options.points_per_side}", clusters=CLUSTERS)
    with tempfile.TemporaryDirectory() as folder:
        label_scenes([str(path)], Path(folder), settings)
        bands, natural = _clusters(Path(folder))
    one, other = np.triu_indices(len(bands), 1)
    distance = np.linalg.norm(bands[one] - bands[other], axis=1)
    return [
        Measured(
            path.stem,
            scheme,
            float(spearmanr(differences(colors, "normal sight"), distance).statistic),
            {sight: float(differences(colors, sight).min()) for sight in KINDS},
        )
        for scheme, colors in (("natural", natural), ("distinct", default_colors(CLUSTERS)))
    ]


def _clusters(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the mean bands of each cluster of a run, in units of their spread, and the colours."""
    run = read_finished(RunFolder(folder))
    (table,), ids = run.tables.values(), run.model.legend.ids
    segments, attributes = read_segments(table.folder)
    cluster, weight = run.model.apply(table).by_id(table.rows).cluster, segments.area
    means = attributes.band_means
    centre = np.average(means, axis=0, weights=weight)
    spread = np.sqrt(np.average((means - centre) ** 2, axis=0, weights=weight))
    found = [
        np.average(means[cluster == each], axis=0, weights=weight[cluster == each]) for each in ids
    ]
    return np.array(found) / spread, run.model.legend.colors


def choosing_seconds(count: int) -> float:
    """Measure the time of choosing natural colours for clusters of any look."""
    looks = np.random.default_rng(0).uniform(0, 255, (count, 3))
    natural_colors(looks[:2])  # the candidates are made once
    start = perf_counter()
    natural_colors(looks)
    return perf_counter() - start


def show(measured: list[Measured]) -> None:
    """Print a table."""
    table = Table(title=f"colours of {CLUSTERS} clusters")
    for title in ("scene", "colours", "rank correlation", *KINDS):
        table.add_column(title, justify="left" if title in ("scene", "colours") else "right")
    for each in measured:
        least = (f"{value:.1f}" for value in each.least.values())
        table.add_row(each.scene, each.scheme, f"{each.correlation:.2f}", *least)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
