"""Agreement of two sets of masks, and of two maps of labels."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from numpy.typing import NDArray

    Masks = NDArray[np.bool_]

SEEDS = 0, 1, 2
"""Of the clustering: the first for each precision, the others as a yardstick."""


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
    from alps_geo.pipeline.scenes import label_scenes
    from alps_geo.runs.flags import RunFlags
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
    label_scenes([str(options.scene)], folder / dtype, settings, RunFlags(overwrite=True))
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
