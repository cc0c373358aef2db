"""Measurements that lie in a run folder, for people: quality, and estimates of accuracy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from alps_geo.outputs.area_units import area_unit
from alps_geo.outputs.names import CLASSES, LABELS
from alps_geo.outputs.report_page import ReportTable
from alps_geo.runs.stored_json import DamagedError, check_shape, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from alps_geo.runs.run import FinishedRun

QUALITY, ACCURACY = "quality.json", "accuracy.json"
"""Names of the files of ``alps-geo evaluate quality`` and ``alps-geo assess report``."""

_SCORES = {"accuracy": float, "mean_iou": float, "mean_f1": float}

_QUALITY = {
    "truth": str,
    "pixels": int,
    "coverage": float,
    "majority": _SCORES,
    "one_to_one": _SCORES,
    "oracle": (None, _SCORES),
    "v_measure": float,
    "adjusted_rand": float,
    "classes": [{"name": str, "pixels": int, "majority": {"iou": float, "f1": float}}],
}
"""Shape of the part of ``quality.json`` that is shown; see `alps_geo.runs.stored_json`."""

_ESTIMATE = (None, {"value": float, "margin": float})

_ACCURACY = {
    "reference": str,
    "confidence": float,
    "points": int,
    "unchecked": int,
    "area_unit": ("m2", "px"),
    "area": float,
    "overall": _ESTIMATE,
    "classes": [
        {
            "class": str,
            "points_in_map": int,
            "points_on_ground": int,
            "users_accuracy": _ESTIMATE,
            "producers_accuracy": _ESTIMATE,
            "mapped_area": float,
            "area": _ESTIMATE,
        }
    ],
    "notes": [str],
}
"""Shape of the part of ``accuracy.json`` that is shown."""


def measurements(run: FinishedRun) -> tuple[ReportTable, ...]:
    """Read the measurements in a run folder and the folders of its scenes, those of labels first.

    A file that cannot be read is named in a note.
    """
    folder, of_images = run.folder.path, run.record.folder is not None
    names = [] if of_images else [each.name for each in run.record.scenes]
    tables = [_table(folder / QUALITY, "Quality", _QUALITY, _quality_table)]
    for name in names:
        path = folder / name / QUALITY
        table = _table(path, f"Quality of {name}", _QUALITY, _quality_table)
        tables.append(_dated(table, path, [folder / name / LABELS]))
    path = folder / ACCURACY
    table = _table(path, "Accuracy and areas", _ACCURACY, _accuracy_table)
    file = LABELS if run.record.classes is None else CLASSES
    tables.append(_dated(table, path, [folder / name / file for name in names]))
    return tuple(table for table in tables if table is not None)


def _dated(table: ReportTable | None, path: Path, maps: Sequence[Path]) -> ReportTable | None:
    """Add a note to a table if a map was written after it was measured."""
    if table is None:
        return None
    measured = path.stat().st_mtime
    later = [each for each in maps if each.exists() and each.stat().st_mtime > measured]
    if not later:
        return table
    file = later[0].relative_to(path.parents[1] if path.name == QUALITY else path.parent)
    note = f"{file} has been written again since this was measured."
    return replace(table, notes=(*table.notes, note))


def _table(
    path: Path,
    title: str,
    shape: Mapping[str, Any],
    make: Callable[[str, Mapping[str, Any]], ReportTable],
) -> ReportTable | None:
    """Read a file and make its table; None without it."""
    try:
        found = read_json(path, lambda content: check_shape(content, shape))
    except DamagedError as error:
        return ReportTable(title, (str(error),), (), ())
    return None if found is None else make(title, found)


def _quality_table(title: str, found: Mapping[str, Any]) -> ReportTable:
    kinds = [
        ("majority class of each cluster", found["majority"]),
        ("clusters and classes one to one", found["one_to_one"]),
        ("oracle: majority class of each segment", found["oracle"]),
    ]
    scores = [
        (name, "", *(f"{each[key]:.3f}" for key in ("accuracy", "mean_iou", "mean_f1")))
        for name, each in kinds
        if each is not None
    ]
    total = max(found["pixels"], 1)
    classes = [
        (
            f"class {each['name']}",
            f"{each['pixels'] / total:.1%}",
            "",
            f"{each['majority']['iou']:.3f}",
            f"{each['majority']['f1']:.3f}",
        )
        for each in found["classes"]
    ]
    about = (
        f"Against {found['truth']}: coverage {found['coverage']:.1%} of {found['pixels']:,} pixels "
        f"with truth, V-measure {found['v_measure']:.3f}, adjusted Rand "
        f"{found['adjusted_rand']:.3f}."
    )
    header = ("", "share of pixels", "accuracy", "IoU", "F1")
    return ReportTable(title, (about,), header, (*scores, *classes))


def _accuracy_table(title: str, found: Mapping[str, Any]) -> ReportTable:
    unit = area_unit(found["area"], found["area_unit"])
    rows = tuple(
        (
            each["class"],
            f"{each['points_in_map']:,}",
            f"{each['points_on_ground']:,}",
            _estimate(each["users_accuracy"]),
            _estimate(each["producers_accuracy"]),
            unit.shown(each["mapped_area"]),
            _estimate(each["area"], unit.shown),
        )
        for each in found["classes"]
    )
    about = (
        f"Overall accuracy {_estimate(found['overall'])}, of {found['points']:,} points checked "
        f"against {found['reference']}; ± is half of the {found['confidence']:.0%} interval."
    )
    header = ("class", "points in map", "points on ground", "user's accuracy")
    areas = ("producer's accuracy", f"area in the map, {unit.name}", f"estimated area, {unit.name}")
    return ReportTable(title, (about, *found["notes"]), (*header, *areas), rows)


def _estimate(
    found: Mapping[str, float] | None, shown: Callable[[float], str] = "{:.3f}".format
) -> str:
    return "-" if found is None else f"{shown(found['value'])} ± {shown(found['margin'])}"
