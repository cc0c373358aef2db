"""The format of MMSegmentation: chips, and masks of class numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.outputs.training_set.files import write_image, write_json, write_png
from alps_geo.outputs.training_set.format import TrainingFormat

if TYPE_CHECKING:
    from alps_geo.outputs.training_set.chips import LabelledChip
    from alps_geo.outputs.training_set.format import SetFolder
    from alps_geo.outputs.training_set.source import ChipSource


class MMSeg(TrainingFormat):
    """``img_dir/<split>`` and ``ann_dir/<split>``, as BaseSegDataset reads them."""

    name = "mmseg"
    about = (
        "`img_dir/<split>/<chip>` are the chips, `ann_dir/<split>/<chip>.png` their masks, with "
        "the number of the class of each pixel. `metainfo.json` holds names, colours and suffixes."
    )
    reading = """\
import json
from mmseg.datasets import BaseSegDataset

info = json.load(open("SET/metainfo.json"))
train = BaseSegDataset(
    data_root="SET",
    data_prefix=dict(img_path="img_dir/train", seg_map_path="ann_dir/train"),
    metainfo={key: info[key] for key in ("classes", "palette")},
    img_suffix=info["img_suffix"],
    seg_map_suffix=info["seg_map_suffix"],
    ignore_index=info["ignore_index"],
    reduce_zero_label=info["reduce_zero_label"],
)
"""
    has_ignored = True

    def check(self, source: ChipSource) -> None:
        """Take any source."""

    def begin(self, folder: SetFolder) -> MMSegWriter:
        """Return a writer."""
        return MMSegWriter(folder)


@dataclass(frozen=True)
class MMSegWriter:
    """Writer of chips and masks into a folder."""

    folder: SetFolder

    def write(self, chip: LabelledChip) -> None:
        """Write a chip and its mask."""
        path, classes = self.folder.path, self.folder.classes
        write_image(path / "img_dir" / chip.split / f"{chip.name}{self.folder.suffix}", chip)
        mask = classes.mask(chip.numbers)
        write_png(path / "ann_dir" / chip.split / f"{chip.name}.png", mask)

    def finish(self) -> None:
        """Write names, colours and suffixes."""
        classes = self.folder.classes
        info = {
            "classes": classes.names,
            "palette": classes.palette,
            "ignore_index": classes.ignored,
            "reduce_zero_label": False,
            "img_suffix": self.folder.suffix,
            "seg_map_suffix": ".png",
        }
        write_json(self.folder.path / "metainfo.json", info)
