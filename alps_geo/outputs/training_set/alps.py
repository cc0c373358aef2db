"""The format of ALPS itself: images, and instance masks of classes from 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.outputs.training_set.files import write_image, write_json, write_png
from alps_geo.outputs.training_set.format import TrainingFormat

if TYPE_CHECKING:
    from alps_geo.outputs.training_set.chips import LabelledChip
    from alps_geo.outputs.training_set.format import SetFolder
    from alps_geo.outputs.training_set.source import ChipSource

# Classes of a mask of bytes, in which 0 is unlabelled.
_MOST_BYTES = 255


class Alps(TrainingFormat):
    """``img_dir/<split>`` and ``instance_mask/<split>``, as ALPS lays them out."""

    name = "alps"
    about = (
        "`img_dir/<split>/<chip>` are the chips, "
        "`instance_mask/<split>/<chip>_instance_color.png` their masks: 0 is unlabelled, values "
        "count from 1, classes in the card from 0. `classes.json` holds the names by value."
    )
    reading = """\
from pathlib import Path
from PIL import Image

for mask in sorted(Path("SET/instance_mask/train").glob("*_instance_color.png")):
    name = mask.name.removesuffix("_instance_color.png")
    (image,) = Path("SET/img_dir/train").glob(f"{name}.*")
    pixels, classes = Image.open(image), Image.open(mask)
"""
    has_ignored = False

    def check(self, source: ChipSource) -> None:
        """Take any source."""

    def begin(self, folder: SetFolder) -> AlpsWriter:
        """Return a writer."""
        return AlpsWriter(folder)


@dataclass(frozen=True)
class AlpsWriter:
    """Writer of chips and instance masks into a folder."""

    folder: SetFolder

    def write(self, chip: LabelledChip) -> None:
        """Write a chip and its mask."""
        path = self.folder.path
        write_image(path / "img_dir" / chip.split / f"{chip.name}{self.folder.suffix}", chip)
        dtype = np.uint8 if len(self.folder.classes) <= _MOST_BYTES else np.uint16
        mask = path / "instance_mask" / chip.split / f"{chip.name}_instance_color.png"
        write_png(mask, (chip.numbers + 1).astype(dtype))

    def finish(self) -> None:
        """Write the names of the classes."""
        names = {str(value): name for value, name in enumerate(self.folder.classes.names, 1)}
        write_json(self.folder.path / "classes.json", {"0": "unlabelled", **names})
