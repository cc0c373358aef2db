"""Accuracy and areas of the map of a finished run, estimated from points that were checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from alps_geo.classes.accuracy import CheckedPoints, Strata, estimate_accuracy
from alps_geo.classes.sampling import count_pixels
from alps_geo.errors import SceneError
from alps_geo.evaluate.rasters import open_ids
from alps_geo.evaluate.truth import open_truth
from alps_geo.review.accuracy_files import AccuracyReport
from alps_geo.review.map_classes import map_of
from alps_geo.review.sample_points import LAYER, REFERENCE, by_block, read_reference
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.run import read_finished

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.evaluate.truth_file import TruthFile
    from alps_geo.review.map_classes import RunMap
    from alps_geo.review.sample_points import Reference

_MOST_LISTED = 12


def report_accuracy(
    path: Path, reference: TruthFile, sample: Path, *, new_classes: bool = False
) -> AccuracyReport:
    """Estimate accuracy and areas of the classes of a finished run.

    The class of each point in the map is that of today, whatever it was when the sample was drawn;
    strata stay those that it was drawn from. So a sample of clusters, or of classes of before, does
    for any later classes of the same run.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    reference : TruthFile
        Points with a class each, in the column ``reference`` unless another is named; or a raster
        or polygons of ground truth, which is read at the points of `sample`. Points that do not
        tell their strata are taken for a random sample inside each class.
    sample : pathlib.Path
        Sample of `alps_geo.review.assess_sample.draw_sample`, read for ground truth alone.
    new_classes : bool
        True to allow classes on the ground that the map does not have.

    Raises
    ------
    RunError
        If there is no finished run with classes.
    SceneError
        If points or truth cannot be read, do not lie on the map, or do not do for an estimate.
    SettingsError
        If column, layer or classes to ignore do not go with the file.
    """
    run = read_finished(RunFolder(path))
    found = map_of(run, "class")
    points = _points(found, reference, sample)
    chosen = points.checked
    if not len(chosen):
        raise SceneError(
            f"{points.path}: no point has a class in the column {reference.field or REFERENCE}; "
            "fill it in, as in QGIS, and give the command again"
        )
    classes = _classes(found, points, chosen, new_classes=new_classes)
    mapped = _mapped(found, points, chosen)
    counts = count_pixels(found.blocks, len(found.scenes), len(found.names))
    areas, pixels = found.pixel_areas(), counts.sum(axis=0)
    notes = _notes(points, int(pixels.sum()))
    strata, stratum = _strata(found, points, chosen, mapped, areas @ counts, pixels)
    numbers = {name: number for number, name in enumerate(classes)}
    checked = CheckedPoints(
        stratum,
        mapped,
        np.array([numbers[points.classes[i]] for i in chosen]),
        areas[points.scene[chosen]],
    )
    mapped_area = np.zeros(len(classes))
    mapped_area[: len(found.names)] = areas @ counts
    return AccuracyReport(
        accuracy=estimate_accuracy(checked, strata, classes),
        mapped_area=mapped_area,
        unit=found.unit,
        reference=reference.path,
        points=len(chosen),
        unchecked=len(points.classes) - len(chosen),
        strata=strata,
        strata_points=np.bincount(stratum, minlength=len(strata.names)),
        notes=notes,
    )


def _points(found: RunMap, reference: TruthFile, sample: Path) -> Reference:
    """Read points with their classes, or the points of a sample and the truth there."""
    if (layer := _point_layer(reference.path, reference.layer)) is not None:
        return read_reference(reference.path, layer, reference.field or REFERENCE, found)
    if not sample.exists():
        raise SceneError(
            f"{reference.path} holds no points, and there is no sample {sample} at whose points "
            "it could be read; draw one with alps-geo assess sample, or name it with --sample"
        )
    points = read_reference(str(sample), LAYER, REFERENCE, found)
    return points.with_classes(reference.path, _truth_at(found, points, reference))


def _point_layer(path: str, layer: str | None) -> str | None:
    """Return the layer of points of a file; None if it is a raster, or holds other geometries."""
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        chosen = layer or (LAYER if LAYER in layers else layers[0] if len(layers) == 1 else None)
        if chosen is None:
            return None
        kind = str(pyogrio.read_info(path, layer=chosen)["geometry_type"])
    except (DataSourceError, DataLayerError):
        return None
    return chosen if kind.startswith("Point") else None


def _truth_at(found: RunMap, points: Reference, file: TruthFile) -> tuple[str, ...]:
    """Return the class of a ground truth at each point, empty where it has none."""
    classes = [""] * len(points.classes)
    for number, path in enumerate(found.rasters):
        with open_ids(str(path)) as labels, open_truth(file, labels) as truth:
            names = {**truth.names, **(file.names or {})}
            for window, (index, row, col) in by_block(labels, points.of_scene(number)):
                values, valid = truth.read(window)
                known = valid & ~np.isin(values, list(truth.ignored))
                for i, at in zip(index.tolist(), zip(row, col, strict=True), strict=True):
                    if known[at]:
                        classes[i] = names.get(int(values[at]), str(values[at]))
    return tuple(classes)


def _classes(
    found: RunMap, points: Reference, chosen: NDArray[np.int64], *, new_classes: bool
) -> tuple[str, ...]:
    """Return the classes of the map, and those that points alone have.

    Raises
    ------
    SceneError
        If there are such classes, and they are not allowed.
    """
    new = sorted({points.classes[i] for i in chosen} - set(found.names))
    if new and not new_classes:
        first = next(i for i in chosen if points.classes[i] in new)
        raise SceneError(
            f"{points.path}: the class {points.classes[first]!r} of point {points.labels[first]} "
            f"is none of the map, which has {_listed(found.names)}; correct it, or allow classes "
            "that the map lacks with --new-classes"
        )
    return (*found.names, *new)


def _mapped(found: RunMap, points: Reference, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class of chosen points in the map, as an index.

    Raises
    ------
    SceneError
        If the map has none at a point.
    """
    mapped = np.full(len(points.classes), -1)
    for number, path in enumerate(found.rasters):
        with open_ids(str(path)) as raster:
            for window, (index, row, col) in by_block(raster, points.of_scene(number)):
                mapped[index] = found.numbers(raster.read(window))[row, col]
    lacking = chosen[mapped[chosen] < 0]
    if len(lacking):
        others = f" (and of {len(lacking) - 1} more points)" if len(lacking) > 1 else ""
        raise SceneError(
            f"{points.path}: the pixel of point {points.labels[lacking[0]]}{others} has no class "
            "in the map; expected points on classes: name the clusters there, or empty the "
            "reference of these points"
        )
    return mapped[chosen]


def _strata(
    found: RunMap,
    points: Reference,
    chosen: NDArray[np.int64],
    mapped: NDArray[np.int64],
    area: NDArray[np.float64],
    pixels: NDArray[np.int64],
) -> tuple[Strata, NDArray[np.int64]]:
    """Return the strata of a sample, or the classes of the map, and the stratum of each point."""
    if points.strata is not None and points.stratum is not None:
        return points.strata, points.stratum[chosen]
    present = np.flatnonzero(pixels)
    names = tuple(found.names[number] for number in present)
    return Strata(names, pixels[present], area[present]), np.searchsorted(present, mapped)


def _notes(points: Reference, pixels: int) -> tuple[str, ...]:
    """Note things that a reader of the estimates has to know."""
    notes = []
    if points.strata is None:
        notes.append(
            "the points do not tell how they were drawn, and are taken for a random sample inside "
            "each class of the map"
        )
    elif (drawn_from := int(points.strata.pixels.sum())) != pixels:
        notes.append(
            f"the sample was drawn from {drawn_from:,} pixels and {pixels:,} have a class now; "
            "the estimates are of the former"
        )
    return tuple(notes)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_LISTED]) + (", …" if len(names) > _MOST_LISTED else "")
