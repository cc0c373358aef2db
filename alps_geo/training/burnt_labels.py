"""Labels of a file burnt onto chips: polygons or a raster of classes, wherever they lie."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from rasterio.windows import Window

from alps_geo.classes.vector_file import listed
from alps_geo.errors import SceneError, one_line
from alps_geo.evaluate.rasters import IdRaster
from alps_geo.evaluate.truth import open_truth
from alps_geo.events import Event
from alps_geo.files import replacing, run_errors
from alps_geo.outputs.training_set.record import CHIPS, RECORD
from alps_geo.runs.stored_json import DamagedError, check_shape, read_json
from alps_geo.scene.placed import opened_scene
from alps_geo.training.chip_folder import make_classes
from alps_geo.training.model import MOST_CLASSES
from alps_geo.windows import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from alps_geo.evaluate import TruthFile
    from alps_geo.evaluate.truth_file import Truth
    from alps_geo.training.chip_folder import ChipFile, ChipFolder

LABELS = "labels"
"""Folder of burnt labels in that of a training."""

_NONE = int(np.iinfo(np.int32).min)
"""Value of pixels without a label in burnt masks, in which classes keep their values."""

_SOURCES = {"sources": [{"name": str, "path": str}]}


@dataclass(frozen=True)
class _Place:
    """A chip in the raster that it was cut from.

    Attributes
    ----------
    chip : ChipFile
        The chip.
    source : str
        The raster.
    window : Window or None
        Its pixels there; None for all.
    """

    chip: ChipFile
    source: str
    window: Window | None


@dataclass(frozen=True)
class _Seen:
    """Classes of a file, as far as grids of sources show them.

    Attributes
    ----------
    names : mapping of int to str
        Names, as far as the file has them.
    counts : mapping of int to int
        Polygons or pixels of each.
    unit : str
        Unit of the counts.
    """

    names: Mapping[int, str]
    counts: Mapping[int, int]
    unit: str


def burn_labels(
    folder: ChipFolder, file: TruthFile, out: Path, listen: Callable[[Event], None]
) -> ChipFolder:
    """Write masks of the labels in a file for all chips, and return the chips with these masks.

    Parameters
    ----------
    folder : ChipFolder
        The chips; their own masks are not read.
    file : TruthFile
        Polygons, or a raster of classes, on any grid and in any CRS.
    out : pathlib.Path
        Folder of the masks.
    listen : callable
        Given an `Event` for each chip.

    Raises
    ------
    SceneError
        If the file cannot be read, a chip's place is not known, or no chip has a label.
    SettingsError
        If column, layer or ignored classes do not go with the file.
    RunError
        If a mask cannot be written.
    """
    found: set[int] = set()
    seen, chips = _Seen({}, {}, ""), []
    for index, (chip, values, known) in enumerate(_burnt(folder, file)):
        mask = out / chip.split / f"{chip.name}.tif"
        with replacing(mask) as part, run_errors(mask):
            Image.fromarray(values).save(part, format="TIFF", compression="tiff_adobe_deflate")
        chips.append(replace(chip, mask=str(mask)))
        found |= {int(value) for value in np.unique(values)} - {_NONE}
        seen = known
        listen(Event("labels", chip.split, len(folder.chips), index + 1))
    if not found:
        raise SceneError(
            f"{file.path} labels no pixel of the {len(chips)} chips of {folder.root}; expected "
            "labels where the chips are: check both in a GIS"
        )
    if len(found) > MOST_CLASSES:
        raise SceneError(
            f"{file.path} has {len(found)} classes, expected {MOST_CLASSES} at most: ignore some"
        )
    given = {**seen.names, **(file.names or {})}
    if note := _note(file, found, seen, given):
        listen(Event("labels", note=note))
    classes = make_classes({value: given.get(value, str(value)) for value in found})
    origin = str(Path(file.path).resolve())
    return replace(
        folder,
        chips=tuple(chips),
        classes=classes,
        ignored=frozenset({_NONE}),
        labels=origin,
    )


def _burnt(
    folder: ChipFolder, file: TruthFile
) -> Iterator[tuple[ChipFile, NDArray[np.int32], _Seen]]:
    """Yield chips with the class of each pixel and the classes so far, source by source."""
    counts: Counter[int] = Counter()
    by_source: dict[str, list[_Place]] = {}
    for place in _places(folder):
        by_source.setdefault(place.source, []).append(place)
    for source, places in by_source.items():
        with opened_scene(source) as dataset:
            grid = IdRaster(source, dataset)
            with open_truth(file, grid) as truth:
                # No label lies between images that are chips as a whole; of polygons once suffices.
                if not counts or places[0].window is not None:
                    found = {k: n for k, n in truth.counts().items() if k not in truth.ignored}
                    counts |= Counter(found)
                seen = _Seen(truth.names, counts, truth.unit)
                for place in places:
                    window = place.window or whole(grid.height, grid.width)
                    yield place.chip, _read(truth, window), seen


def _note(file: TruthFile, found: set[int], seen: _Seen, names: Mapping[int, str]) -> str:
    """Name the classes that lie outside all chips, with their counts; nothing if there are none."""
    lost = [
        f"{names.get(each, str(each))} ({count} {seen.unit})"
        for each, count in sorted(seen.counts.items())
        if each not in found
    ]
    if not lost:
        return ""
    return (
        f"{file.path}: labels of {len(lost)} of {len(seen.counts)} classes lie outside all chips, "
        f"so that the model does not learn them: {listed(lost)}"
    )


def _read(truth: Truth, window: Window) -> NDArray[np.int32]:
    """Read the classes of a window, `_NONE` where there is none."""
    values, has_class = truth.read(window)
    is_used = has_class & ~np.isin(values, list(truth.ignored))
    return np.where(is_used, values, _NONE).astype(np.int32)


def _places(folder: ChipFolder) -> list[_Place]:
    """Find the rasters that chips were cut from; an image that was not is its own."""
    if not (folder.root / CHIPS).exists():
        return [_Place(chip, chip.image, None) for chip in folder.chips]
    try:
        record = read_json(folder.root / RECORD, lambda found: check_shape(found, _SOURCES))
        rows = _rows(folder.root / CHIPS)
    except (DamagedError, OSError, ValueError, KeyError) as error:
        raise SceneError(
            f"{folder.root} is damaged ({one_line(error)}); export it again"
        ) from error
    paths = {each["name"]: each["path"] for each in (record or {"sources": []})["sources"]}
    absent = [chip.title for chip in folder.chips if chip.title not in rows]
    if absent:
        raise SceneError(
            f"{folder.root / CHIPS} lacks {len(absent)} chips, the first is {absent[0]}; labels "
            "can be burnt onto chips of alps-geo export alone, and onto images with a CRS"
        )
    return [
        _Place(chip, paths.get(rows[chip.title][0], ""), rows[chip.title][1])
        for chip in folder.chips
    ]


def _rows(path: Path) -> dict[str, tuple[str, Window]]:
    """Read source and window of each chip by split and name."""
    with path.open(encoding="utf-8", newline="") as file:
        return {
            f"{row['split']}/{row['chip']}": (
                row["source"],
                Window(*(int(row[name]) for name in ("col", "row", "width", "height"))),
            )
            for row in csv.DictReader(file)
        }
