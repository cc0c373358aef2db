"""Measurements as plain values, and as files."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from alps_geo.evaluate.objects import THRESHOLDS
from alps_geo.evaluate.picture import draw_quality
from alps_geo.files import replacing, run_errors

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.evaluate.agreement import Agreement
    from alps_geo.evaluate.contingency import Scores
    from alps_geo.evaluate.objects import ObjectQuality, ObjectScores
    from alps_geo.evaluate.quality import Quality
    from alps_geo.evaluate.seams import SeamExcess


def quality_record(quality: Quality) -> dict[str, object]:
    """Return everything that was measured but the map; scores that do not exist are None."""
    table = quality.table
    return {
        "labels": quality.labels,
        "truth": quality.truth,
        "segments": quality.segments,
        "images": quality.images,
        "truth_without_labels": list(quality.truth_without_labels),
        "pixels": table.pixels,
        "coverage": quality.coverage,
        "clusters": int((table.ids != 0).sum()),
        "majority": _scores(quality.majority),
        "one_to_one": _scores(quality.one_to_one),
        "oracle": None if quality.oracle is None else _scores(quality.oracle),
        "homogeneity": quality.v_measure.homogeneity,
        "completeness": quality.v_measure.completeness,
        "v_measure": quality.v_measure.v_measure,
        "adjusted_rand": quality.adjusted_rand,
        "boundary": [
            {"tolerance_px": scores.tolerance, "f1": _known(scores.mean_f1)}
            for scores in quality.boundary
        ],
        "classes": [_class_record(quality, index) for index in range(len(table.classes))],
        "confusion": quality.majority.confusion.tolist(),
        "class_of_cluster": _given(quality, quality.majority),
        "class_of_cluster_one_to_one": _given(quality, quality.one_to_one),
    }


def write_quality(quality: Quality, folder: Path) -> tuple[Path, Path]:
    """Write ``quality.json`` and ``quality.png`` into a folder, which is made if need be.

    Raises
    ------
    RunError
        If they cannot be written.
    """
    record, picture = folder / "quality.json", folder / "quality.png"
    text = json.dumps(quality_record(quality), indent=2, ensure_ascii=False) + "\n"
    with run_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with replacing(record) as path, run_errors(record):
        path.write_text(text, encoding="utf-8")
    with replacing(picture) as path, run_errors(picture):
        draw_quality(quality).save(path)
    return record, picture


def seams_record(seams: SeamExcess) -> dict[str, object]:
    """Return a seam excess; an infinite one is None."""
    return {**asdict(seams), "tiles": list(seams.tiles), "excess": _known(seams.excess)}


def objects_record(quality: ObjectQuality) -> dict[str, object]:
    """Return everything that was measured; scores that do not exist are None."""
    area = quality.pixel_area
    return {
        "segments": quality.segments,
        "truth": quality.truth,
        "min_area_px": quality.min_area,
        "pixels": quality.pixels,
        "pixel_area_m2": None if area is None else _known(area),
        "too_small": quality.too_small,
        "without_pixels": quality.without_pixels,
        **_object_scores(quality.scores),
        "sizes": [
            {
                "least_px": size.least,
                "most_px": size.most,
                "least_m2": _ground(size.least, area),
                "most_m2": _ground(size.most, area),
                **_object_scores(size.scores),
            }
            for size in quality.sizes
        ],
        "classes": [
            {"class": number, "name": quality.names.get(number), **_object_scores(scores)}
            for number, scores in quality.classes.items()
        ],
    }


def agreement_record(agreement: Agreement) -> dict[str, object]:
    """Return an agreement with its share of equal labels."""
    return {**asdict(agreement), "share": agreement.share}


def _known(number: float) -> float | None:
    """Return a number, or None for one that JSON has no word for."""
    return float(number) if math.isfinite(number) else None


def _ground(pixels: int | None, area: float | None) -> float | None:
    """Return the ground area of so many pixels in m², if there is one."""
    return None if pixels is None or area is None else _known(pixels * area)


def _object_scores(scores: ObjectScores) -> dict[str, object]:
    return {
        "objects": scores.objects,
        "matched": [
            {"iou_above": threshold, "share": _known(share)}
            for threshold, share in zip(THRESHOLDS, scores.matched, strict=True)
        ],
        "mean_best_iou": _known(scores.mean_iou),
        "over_segmentation": _known(scores.over_segmentation),
        "under_segmentation": _known(scores.under_segmentation),
    }


def _scores(scores: Scores) -> dict[str, float]:
    return {"accuracy": scores.accuracy, "mean_iou": scores.mean_iou, "mean_f1": scores.mean_f1}


def _class_record(quality: Quality, index: int) -> dict[str, object]:
    kinds = {
        "majority": quality.majority,
        "one_to_one": quality.one_to_one,
        "oracle": quality.oracle,
    }
    return {
        "class": int(quality.table.classes[index]),
        "name": quality.class_names[index],
        "pixels": int(quality.table.class_pixels[index]),
        **{
            kind: {"iou": float(scores.iou[index]), "f1": float(scores.f1[index])}
            for kind, scores in kinds.items()
            if scores is not None
        },
        "boundary": [
            {
                "tolerance_px": scores.tolerance,
                "precision": _known(scores.precision[index]),
                "recall": _known(scores.recall[index]),
                "f1": _known(scores.f1[index]),
            }
            for scores in quality.boundary
        ],
    }


def _given(quality: Quality, scores: Scores) -> dict[str, int]:
    """Return the class of each cluster that was given one."""
    return {
        str(cluster): int(quality.table.classes[index])
        for cluster, index in zip(quality.table.ids.tolist(), scores.given.tolist(), strict=True)
        if index >= 0
    }
