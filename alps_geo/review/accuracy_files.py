"""Estimates of accuracy and areas as files: JSON and CSV for programs, Markdown for people."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from alps_geo import __version__
from alps_geo.classes.accuracy import CONFIDENCE, Accuracy, Estimate, Strata
from alps_geo.files import write_bytes
from alps_geo.outputs.area_units import area_unit
from alps_geo.outputs.pages import render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from alps_geo.outputs.area_units import AreaUnit

NAMES = ("accuracy.json", "accuracy.csv", "accuracy.md")
"""Names of the files."""


@dataclass(frozen=True)
class AccuracyReport:
    """Estimates of accuracy and areas, and the sample that they are from.

    Attributes
    ----------
    accuracy : Accuracy
        The estimates.
    mapped_area : ndarray of float64, shape (k,)
        Area of each class in the map.
    unit : str
        Unit of areas, ``m2`` or ``px``.
    reference : str
        The file that tells the classes on the ground.
    points : int
        Points that were checked.
    unchecked : int
        Points without a class on the ground, which do not count.
    strata : Strata
        Strata of the sample.
    strata_points : ndarray of int64, shape (s,)
        Checked points of each.
    notes : tuple of str
        Notes for users.
    """

    accuracy: Accuracy
    mapped_area: NDArray[np.float64]
    unit: str
    reference: str
    points: int
    unchecked: int
    strata: Strata
    strata_points: NDArray[np.int64]
    notes: tuple[str, ...]

    @property
    def shown_unit(self) -> AreaUnit:
        """Unit of areas for people."""
        return area_unit(self.accuracy.total, self.unit)


def shown_share(estimate: Estimate) -> str:
    """Write a share with its interval, a dash where a sample says nothing of it."""
    if math.isnan(estimate.value):
        return "-"
    return f"{estimate.value:.3f} ± {estimate.margin:.3f}"


def accuracy_record(report: AccuracyReport) -> dict[str, object]:
    """Return all that was estimated as plain values; estimates that do not exist are None."""
    found = report.accuracy
    return {
        "reference": report.reference,
        "confidence": CONFIDENCE,
        "points": report.points,
        "unchecked": report.unchecked,
        "area_unit": report.unit,
        "area": found.total,
        "overall": _record(found.overall, 1),
        "classes": [
            {
                "class": name,
                "points_in_map": int(found.counts[i].sum()),
                "points_on_ground": int(found.counts[:, i].sum()),
                "users_accuracy": _record(found.users[i], 1),
                "producers_accuracy": _record(found.producers[i], 1),
                "mapped_area": float(report.mapped_area[i]),
                "area": _record(found.areas[i], found.total),
            }
            for i, name in enumerate(found.classes)
        ],
        "error_matrix": found.counts.tolist(),
        "area_proportions": found.proportions.tolist(),
        "strata": [
            {"stratum": name, "pixels": int(pixels), "area": float(area), "points": int(points)}
            for name, pixels, area, points in zip(
                report.strata.names,
                report.strata.pixels,
                report.strata.area,
                report.strata_points,
                strict=True,
            )
        ],
        "notes": list(report.notes),
    }


def write_accuracy(report: AccuracyReport, folder: Path) -> tuple[Path, ...]:
    """Write ``accuracy.json``, ``accuracy.csv`` and ``accuracy.md`` into a folder.

    Raises
    ------
    RunError
        If one cannot be written; each is whole, old or new.
    """
    text = json.dumps(accuracy_record(report), indent=2, ensure_ascii=False) + "\n"
    table = StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["measure", "map_class", "reference_class", "value", "low", "high"])
    writer.writerows(_rows(report))
    page = render(
        "accuracy.md",
        report=report,
        accuracy=report.accuracy,
        share=shown_share,
        confidence=f"{CONFIDENCE:.0%}",
        version=__version__,
        strata=list(
            zip(report.strata.names, report.strata.pixels, report.strata_points, strict=True)
        ),
    )
    paths = tuple(folder / name for name in NAMES)
    for path, content in zip(paths, (text, table.getvalue(), page), strict=True):
        write_bytes(path, content.encode())
    return paths


def _rows(report: AccuracyReport) -> Iterator[list[object]]:
    """Give the lines of the CSV: one value each, with its interval where it has one."""
    found, names = report.accuracy, report.accuracy.classes
    yield ["overall accuracy", "", "", *_cells(found.overall, 1)]
    for i, name in enumerate(names):
        yield ["user's accuracy", name, "", *_cells(found.users[i], 1)]
        yield ["producer's accuracy", "", name, *_cells(found.producers[i], 1)]
        yield [f"area ({report.unit})", "", name, *_cells(found.areas[i], found.total)]
        yield [f"mapped area ({report.unit})", name, "", report.mapped_area[i], "", ""]
    for i, name in enumerate(names):
        for j, other in enumerate(names):
            yield ["points", name, other, found.counts[i, j], "", ""]
            yield ["area proportion", name, other, found.proportions[i, j], "", ""]


def _cells(estimate: Estimate, highest: float) -> list[object]:
    if math.isnan(estimate.value):
        return ["", "", ""]
    return [estimate.value, *estimate.interval(highest)]


def _record(estimate: Estimate, highest: float) -> dict[str, float] | None:
    if math.isnan(estimate.value):
        return None
    low, high = estimate.interval(highest)
    return {
        "value": estimate.value,
        "standard_error": estimate.error,
        "margin": estimate.margin,
        "low": low,
        "high": high,
    }
