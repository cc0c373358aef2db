"""The output of clusters as a table: their sizes, and the levels of the bands in each."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.clusters.colors import hex_color
from alps_geo.features.kinds import kind_parts
from alps_geo.files import write_bytes
from alps_geo.outputs.measures import measure
from alps_geo.outputs.names import CLUSTER_TABLE
from alps_geo.outputs.output import Output
from alps_geo.segments.table import open_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.clusters.legend import Legend
    from alps_geo.outputs.measures import SceneResults
    from alps_geo.outputs.output import LabelledRun, LabelledScene

    Band = tuple[str, str]

_DIGITS = 8
"""Significant digits of levels and areas: more are rounding errors of sums."""


class ClusterTable(Output):
    """``clusters.csv``: a row for each cluster, with its sizes and the levels of the bands."""

    run_files = (CLUSTER_TABLE,)
    is_map = True

    def write_run(self, run: LabelledRun) -> None:
        """Write the table of all scenes; where no segment has moved, nothing is counted again."""
        path = run.folder / CLUSTER_TABLE
        table = None if run.moves_segments else _relabelled(path, run.model.legend)
        write_bytes(path, (table or _table(run)).encode())


@dataclass(frozen=True)
class _Moments:
    """Sums over the pixels of each cluster: their number, levels of a band, and squares of these.

    Attributes
    ----------
    sums : ndarray of float64, shape (3, k)
        In the order of the ids.
    """

    sums: NDArray[np.float64]

    def __add__(self, other: _Moments) -> _Moments:
        return _Moments(self.sums + other.sums)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of each cluster, shape (k,); NaN without a pixel."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sums[1] / self.sums[0])

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviation of each cluster, shape (k,); NaN without a pixel."""
        with np.errstate(invalid="ignore"):
            variance = self.sums[2] / self.sums[0] - self.mean**2
        return np.asarray(np.sqrt(np.maximum(variance, 0)))


def _table(run: LabelledRun) -> str:
    """Return the table as CSV. Bands of one name in several units are columns of their own."""
    legend = run.model.legend
    results = [measure(scene.labelled) for scene in run.scenes]
    columns: dict[str, Sequence[object]] = {
        "cluster": legend.ids.tolist(),
        "name": [legend.names.get(number, "") for number in legend.palette],
        "color": [hex_color(color) for color in legend.palette.values()],
        "segments": np.sum([each.cluster_segments for each in results], axis=0).tolist(),
        "pixels": np.sum([each.cluster_pixels for each in results], axis=0).tolist(),
        "area_m2": _areas(results),
    }
    found: dict[Band, _Moments] = {}
    for scene in run.scenes:
        for band, moments in _moments(scene.labelled).items():
            found[band] = found[band] + moments if band in found else moments
    for statistic in ("mean", "std"):
        for band, moments in found.items():
            values = getattr(moments, statistic)
            columns[f"{statistic}_{_title(band, list(found))}"] = _texts(values)
    return _csv(list(columns), zip(*columns.values(), strict=True))


def _relabelled(path: Path, legend: Legend) -> str | None:
    """Return a table with other names and colours; None if the file is not that of the clusters."""
    try:
        rows = list(csv.DictReader(StringIO(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, csv.Error):
        return None
    if [row.get("cluster") for row in rows] != [str(number) for number in legend.palette]:
        return None
    looks = zip(rows, legend.palette.items(), strict=True)
    for row, (number, color) in looks:
        row |= {"name": legend.names.get(number, ""), "color": hex_color(color)}
    return _csv(list(rows[0]), [list(row.values()) for row in rows])


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _areas(results: Sequence[SceneResults]) -> list[str]:
    """Add up ground areas; empty where a scene has none."""
    areas = [each.cluster_area_m2 for each in results]
    known = [area for area in areas if area is not None]
    if len(known) < len(areas):
        return [""] * len(results[0].cluster_pixels)
    return _texts(np.sum(known, axis=0))


def _moments(labelled: LabelledScene) -> dict[Band, _Moments]:
    """Sum the bands of a scene over the pixels of each cluster."""
    unit, names = kind_parts(open_table(labelled.segments_folder).kind)
    ids, cluster = labelled.model.legend.ids, labelled.assigned.cluster
    area, length = labelled.segments.area.astype(np.float64), int(ids[-1]) + 1
    attributes = labelled.attributes
    found = {}
    for index, name in enumerate(names):
        mean, std = attributes.band_means[:, index], attributes.band_stds[:, index]
        weights = (area, area * mean, area * (mean**2 + std**2))
        sums = [np.bincount(cluster, weights=each, minlength=length)[ids] for each in weights]
        found[name, unit] = _Moments(np.array(sums))
    return found


def _title(band: Band, bands: Sequence[Band]) -> str:
    """Name a band, with its unit where another one has its name."""
    name, unit = band
    return name if [each for each, _ in bands].count(name) == 1 else f"{name}_{unit}"


def _texts(values: NDArray[np.float64]) -> list[str]:
    """Write numbers; an empty text for one that is not known."""
    return ["" if np.isnan(value) else f"{value:.{_DIGITS}g}" for value in values.tolist()]
