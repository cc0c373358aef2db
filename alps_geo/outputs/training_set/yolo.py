"""The format of Ultralytics YOLO for segmentation: chips, and polygons as text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from alps_geo.outputs.training_set.bridges import bridged
from alps_geo.outputs.training_set.files import append_rows, write_image, write_text
from alps_geo.outputs.training_set.format import TrainingFormat

if TYPE_CHECKING:
    from alps_geo.outputs.training_set.chips import LabelledChip
    from alps_geo.outputs.training_set.format import SetFolder
    from alps_geo.outputs.training_set.source import ChipSource

OBJECTS = ("split", "chip", "line", "object_id", "source", "segment_id", "class")
"""Columns of ``objects.csv``."""

# Digits that tell corners of pixels apart in the largest chip.
_DIGITS = 7

_PICTURE_BANDS = 3


class Yolo(TrainingFormat):
    """``images/<split>``, ``labels/<split>`` and ``data.yaml``."""

    name = "yolo-seg"
    about = (
        "`images/<split>/<chip>` are the chips, `labels/<split>/<chip>.txt` their objects, one "
        "line each: the number of the class, and the polygon in shares of width and height. An "
        "object that is in several pieces has a line for each; a hole is joined to the border by "
        "a bridge of no width, so that filling leaves it empty. Ultralytics' filling of polygons "
        "gives exactly the pixels of the objects. `objects.csv` says which segment each line is "
        "of: `object_id` is the same in all chips that hold a part of one object."
    )
    reading = """\
from ultralytics import YOLO

YOLO("yolo11n-seg.pt").train(data="SET/data.yaml", epochs=10)
"""
    has_ignored = False

    def check(self, source: ChipSource) -> None:
        """Take any source."""

    def begin(self, folder: SetFolder) -> YoloWriter:
        """Return a writer."""
        append_rows(folder.path / "objects.csv", [OBJECTS])
        return YoloWriter(folder)


@dataclass(frozen=True)
class YoloWriter:
    """Writer of chips, polygons and the list of objects into a folder."""

    folder: SetFolder

    def write(self, chip: LabelledChip) -> None:
        """Write a chip and its polygons."""
        path = self.folder.path
        write_image(path / "images" / chip.split / f"{chip.name}{self.folder.suffix}", chip)
        found = chip.polygons
        parts, owner = shapely.get_parts(found.geometry, return_index=True)
        _, numbers = chip.objects
        size = np.array(chip.shape[::-1])
        lines = [
            _line(int(numbers[of]), bridged(part) / size)
            for part, of in zip(parts, owner.tolist(), strict=True)
        ]
        write_text(path / "labels" / chip.split / f"{chip.name}.txt", "".join(lines))
        rows = [
            (
                *(chip.split, chip.name, line),
                *(chip.object_id(segment), chip.source, segment, int(numbers[of])),
            )
            for line, of in enumerate(owner.tolist(), 1)
            for segment in [int(found.segment_id[of])]
        ]
        append_rows(path / "objects.csv", rows)

    def finish(self) -> None:
        """Write ``data.yaml``, in which paths are relative to itself."""
        lines = [f"{split}: images/{split}\n" for split in self.folder.splits]
        if self.folder.bands != _PICTURE_BANDS:
            lines.append(f"channels: {self.folder.bands}\n")
        lines.append("names:\n")
        # JSON's text is YAML's.
        lines += [
            f"  {number}: {json.dumps(name, ensure_ascii=False)}\n"
            for number, name in enumerate(self.folder.classes.names)
        ]
        write_text(self.folder.path / "data.yaml", "".join(lines))


def _line(number: int, points: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> str:
    coordinates = " ".join(f"{value:.{_DIGITS}g}" for value in points.ravel().tolist())
    return f"{number} {coordinates}\n"
