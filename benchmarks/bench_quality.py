"""Label quality on scenes with ground truth: runs of alps-geo next to k-means on pixels.

    python benchmarks/bench_quality.py
    python benchmarks/bench_quality.py --pair scene.tif truth.tif --ignore 0,255 --run out/

Two baselines are run on every scene: k-means on all bands of each pixel, and on mean and spread of
all bands in 9 x 9 pixels around it; standardised columns, MiniBatchKMeans. With `--mean-shift`
another is k-means on the segments of the Orfeo Toolbox's mean shift, by mean and spread of all
bands, if the toolbox is installed (Debian's package otb-bin). Labels of a finished run (`alps-geo
label … --out DIR`, given as `--run DIR`) are measured by the same code on the same truth.

`--ablation DIR` labels every scene in DIR once for each of several sets of features and seeds, and
once without a fill. Tiles are kept, so that SAM runs three times in all: once more with the bands
around. Figures are means over seeds.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from other_segments import PROGRAM, is_installed, mean_shift_labels
from rasterio.windows import Window
from reporting import make_parser, write_report
from rich.console import Console
from rich.table import Table
from scipy.ndimage import uniform_filter
from sklearn.cluster import MiniBatchKMeans
from sklearn.preprocessing import StandardScaler

from alps_geo.evaluate import TruthFile, evaluate_quality
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.runs.flags import RunFlags
from alps_geo.scene import open_scene, read_tile
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alps_geo.scene import Scene, TilePixels

DATA = Path(__file__).parent.parent / "tests" / "data"
DEFAULT_PAIR = (str(DATA / "naip_md_1m.tif"), str(DATA / "naip_md_1m_landcover.tif"))
CLUSTERS = 24
NEIGHBOURHOOD = 9
SEEDS = (0, 1, 2)
ABLATION = (
    "sam",
    "spectral",
    "texture",
    "sam+spectral",
    "spectral+texture",
    "sam+spectral+texture",
    "sam+spectral+texture+spread",
    "sam+spectral+texture+context",
    "sam+spectral+texture+shape",
)
BOUNDARY_TOLERANCE = 3

# Overall accuracy, mean intersection over union, boundary F1; of the majority map.
COLUMNS = {
    "accuracy": "OA",
    "mean_iou": "mIoU",
    "coverage": "cover",
    "boundary_f1": f"BF {BOUNDARY_TOLERANCE}px",
    "oracle_accuracy": "oracle OA",
    "oracle_mean_iou": "oracle mIoU",
}


def main() -> None:
    options = _options()
    rows = []
    for scene_path, truth in options.pair or [DEFAULT_PAIR]:
        scene = open_scene(scene_path)
        with tempfile.TemporaryDirectory() as folder:
            labels = {
                name: _write_baseline(scene, columns, Path(folder) / f"{number}.tif", options.seed)
                for number, (name, columns) in enumerate(BASELINES.items())
            }
            if options.mean_shift:
                found = mean_shift_labels(scene, CLUSTERS, options.seed, Path(folder))
                path = Path(folder) / "mean_shift_labels.tif"
                labels["k-means on mean shift segments"] = _write_labels(scene, found, path)
            labels |= {str(run): run / scene.name / "labels.tif" for run in options.run}
            for name, path in labels.items():
                rows.append(_measure(scene.name, name, path, truth, options.ignore))
        if options.ablation:
            rows += _ablation(scene_path, truth, options)
    _print(rows)
    write_report(rows, options.json)


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--pair",
        nargs=2,
        action="append",
        metavar=("SCENE", "TRUTH"),
        help="a scene and its ground truth; may be given again (default: the NAIP scene in tests)",
    )
    parser.add_argument(
        "--ignore", default="15", help="classes that are no truth (default: %(default)s)"
    )
    parser.add_argument(
        "--run",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a finished run folder that holds all the scenes; may be given again",
    )
    parser.add_argument(
        "--ablation",
        type=Path,
        metavar="DIR",
        help="compare sets of features, labelling in this folder",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the baselines' k-means")
    parser.add_argument(
        "--mean-shift",
        action="store_true",
        help="compare k-means on segments of the Orfeo Toolbox",
    )
    options = parser.parse_args()
    if options.mean_shift and not is_installed():
        parser.error(f"{PROGRAM} is not installed: install otb-bin, or leave out --mean-shift")
    return options


def _pixel_columns(pixels: TilePixels) -> NDArray[np.float32]:
    return pixels.bands


def _texture_columns(pixels: TilePixels) -> NDArray[np.float32]:
    size = (0, NEIGHBOURHOOD, NEIGHBOURHOOD)
    bands = pixels.bands.astype(np.float64)
    mean = uniform_filter(bands, size)
    # Rounding may leave a variance just below 0.
    spread = np.sqrt(np.maximum(uniform_filter(bands**2, size) - mean**2, 0))
    return np.concatenate([mean, spread]).astype(np.float32)


BASELINES: dict[str, Callable[[TilePixels], NDArray[np.float32]]] = {
    "k-means on pixels": _pixel_columns,
    "k-means on 9x9 mean and std": _texture_columns,
}


def _write_baseline(
    scene: Scene, columns: Callable[[TilePixels], NDArray[np.float32]], path: Path, seed: int
) -> Path:
    """Label the valid pixels of a scene by k-means and write them as a raster."""
    pixels = read_tile(scene, Window(0, 0, scene.width, scene.height))
    rows = StandardScaler().fit_transform(columns(pixels)[:, pixels.valid].T)
    labels = np.zeros(scene.shape, np.uint8)
    labels[pixels.valid] = MiniBatchKMeans(CLUSTERS, random_state=seed).fit_predict(rows) + 1
    return _write_labels(scene, labels, path)


def _write_labels(scene: Scene, labels: NDArray[np.uint8], path: Path) -> Path:
    """Write clusters of the pixels of a scene as a raster."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=scene.height,
        width=scene.width,
        count=1,
        dtype=labels.dtype,
        nodata=0,
        crs=scene.crs,
        transform=scene.transform,
    ) as dataset:
        dataset.write(labels, 1)
    return path


def _measure(scene: str, name: str, labels: Path, truth: str, ignore: str) -> dict[str, Any]:
    quality = evaluate_quality(
        str(labels),
        TruthFile(truth, ignore=ignore.split(",")),
        tolerances=(BOUNDARY_TOLERANCE,),
    )
    oracle = quality.oracle
    return {
        "scene": scene,
        "labels": name,
        "clusters": int(np.count_nonzero(quality.table.ids)),
        "accuracy": quality.majority.accuracy,
        "mean_iou": quality.majority.mean_iou,
        "coverage": quality.coverage,
        "boundary_f1": quality.boundary[0].mean_f1,
        "oracle_accuracy": None if oracle is None else oracle.accuracy,
        "oracle_mean_iou": None if oracle is None else oracle.mean_iou,
    }


def _ablation(scene_path: str, truth: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure each way to label a scene, a mean over the seeds."""
    default = LabelSettings(clusters=CLUSTERS)
    ways = {f"--features {features}": replace(default, features=features) for features in ABLATION}
    ways["--fill none --features sam"] = replace(default, fill="none", features="sam")
    rows = []
    for name, settings in ways.items():
        # Each fill has tiles of its own.
        out = options.ablation / Path(scene_path).stem / settings.fill
        measured = []
        for seed in SEEDS:
            record = label_scenes(
                [scene_path], out, replace(settings, seed=seed), RunFlags(overwrite=True)
            )
            labels = out / record.scenes[0].name / "labels.tif"
            measured.append(
                _measure(open_scene(scene_path).name, name, labels, truth, options.ignore)
            )
        means = {key: np.mean([row[key] for row in measured], axis=0) for key in COLUMNS}
        marked = f"{name} (default)" if settings == default else name
        spread = float(np.std([row["mean_iou"] for row in measured]))
        rows.append({**measured[0], **means, "labels": marked, "mean_iou_std": spread})
    return rows


def _print(rows: Sequence[dict[str, Any]]) -> None:
    """Print a table of all scenes, a section for each."""
    table = Table()
    table.add_column("labels")
    for title in COLUMNS.values():
        table.add_column(title, justify="right", no_wrap=True)
    for scene in dict.fromkeys(row["scene"] for row in rows):
        table.add_row(scene, style="bold")
        for row in (row for row in rows if row["scene"] == scene):
            values = ("" if row[key] is None else f"{row[key]:.3f}" for key in COLUMNS)
            table.add_row(row["labels"], *values)
        table.add_section()
    Console().print(table)


if __name__ == "__main__":
    main()
