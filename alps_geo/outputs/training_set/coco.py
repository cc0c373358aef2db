"""The format of COCO: chips, and for each split a file of instances with run lengths."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING

from alps_geo.files import run_errors
from alps_geo.outputs.training_set.files import append_text, write_image
from alps_geo.outputs.training_set.format import TrainingFormat
from alps_geo.outputs.training_set.rle import run_lengths
from alps_geo.windows import origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import TextIO

    from alps_geo.outputs.training_set.chips import LabelledChip
    from alps_geo.outputs.training_set.format import SetFolder
    from alps_geo.outputs.training_set.source import ChipSource


class Coco(TrainingFormat):
    """``images/<split>`` and ``annotations/instances_<split>.json``."""

    name = "coco"
    about = (
        "`images/<split>/<chip>` are the chips, `annotations/instances_<split>.json` their "
        "objects: one annotation for each segment in each chip, with its pixels as compressed run "
        "lengths. Categories count from 1, classes in the card from 0. `object_id` is the same in "
        "all chips that hold a part of one object; `segment_id` is its id in `segments.tif` of "
        "`source`."
    )
    reading = """\
from pycocotools.coco import COCO

train = COCO("SET/annotations/instances_train.json")
for image in train.dataset["images"]:
    objects = train.loadAnns(train.getAnnIds(image["id"]))
    masks = [train.annToMask(each) for each in objects]
"""
    has_ignored = False

    def check(self, source: ChipSource) -> None:
        """Take any source."""

    def begin(self, folder: SetFolder) -> CocoWriter:
        """Return a writer."""
        return CocoWriter(folder)


class CocoWriter:
    """Writer of chips and instances; these are buffered as JSON lines until `finish`.

    Parameters
    ----------
    folder : SetFolder
        Folder of the set.
    """

    def __init__(self, folder: SetFolder) -> None:
        self._folder = folder
        self._images: Counter[str] = Counter()
        self._annotations: Counter[str] = Counter()

    def write(self, chip: LabelledChip) -> None:
        """Write a chip, and its instances as lines."""
        split, file = chip.split, f"{chip.name}{self._folder.suffix}"
        write_image(self._folder.path / "images" / split / file, chip)
        self._images[split] += 1
        row, col = origin(chip.chip.window)
        image = {
            "id": self._images[split],
            "file_name": file,
            "width": chip.shape[1],
            "height": chip.shape[0],
            "source": chip.source,
            "row": row,
            "col": col,
        }
        append_text(self._lines(split, "images"), _line(image))
        objects = "".join(map(_line, self._instances(chip)))
        append_text(self._lines(split, "annotations"), objects)

    def _instances(self, chip: LabelledChip) -> Iterable[dict[str, object]]:
        found = run_lengths(chip.ids)
        _, numbers = chip.objects
        for i, number in enumerate(numbers.tolist()):
            self._annotations[chip.split] += 1
            segment = int(found.ids[i])
            yield {
                "id": self._annotations[chip.split],
                "image_id": self._images[chip.split],
                "category_id": number + 1,
                "segmentation": {"size": list(chip.shape), "counts": found.counts[i]},
                "area": int(found.area[i]),
                "bbox": found.boxes[i].tolist(),
                "iscrowd": 0,
                "segment_id": segment,
                "source": chip.source,
                "object_id": chip.object_id(segment),
            }

    def finish(self) -> None:
        """Put the lines of each split together to one file."""
        classes = self._folder.classes
        categories = [
            {"id": number, "name": name, "supercategory": "", "color": color}
            for number, (name, color) in enumerate(
                zip(classes.names, classes.palette, strict=True), 1
            )
        ]
        for split in self._images:
            path = self._folder.path / "annotations" / f"instances_{split}.json"
            path.parent.mkdir(exist_ok=True)
            with run_errors(path), path.open("w", encoding="utf-8", newline="\n") as file:
                file.write('{"categories": ' + json.dumps(categories, ensure_ascii=False))
                for part in ("images", "annotations"):
                    file.write(f',\n"{part}": [\n')
                    _copy_lines(self._lines(split, part), file)
                    file.write("]")
                file.write("}\n")
        shutil.rmtree(self._folder.path / _PARTS)

    def _lines(self, split: str, part: str) -> Path:
        return self._folder.path / _PARTS / f"{split}.{part}"


_PARTS = ".lines"


def _line(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _copy_lines(path: Path, file: TextIO) -> None:
    """Copy lines as the elements of a JSON list."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            file.write(("," if number else "") + line)
