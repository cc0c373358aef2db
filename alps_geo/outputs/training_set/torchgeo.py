"""The format of TorchGeo: chips and masks as GeoTIFFs that lie on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.errors import SettingsError
from alps_geo.outputs.training_set.chips import ChipImage
from alps_geo.outputs.training_set.files import write_json, write_tiff
from alps_geo.outputs.training_set.format import TrainingFormat

if TYPE_CHECKING:
    from alps_geo.outputs.training_set.chips import LabelledChip
    from alps_geo.outputs.training_set.format import SetFolder
    from alps_geo.outputs.training_set.source import ChipSource


class TorchGeo(TrainingFormat):
    """``images/<split>`` and ``masks/<split>``, which two RasterDatasets pair by their place."""

    name = "torchgeo"
    about = (
        "`images/<split>/<chip>.tif` are the chips, `masks/<split>/<chip>.tif` their masks, with "
        "the number of the class of each pixel, on the same grid in the same CRS. Unlabelled is "
        "the nodata value of the masks. `classes.json` holds names and colours."
    )
    reading = """\
from torchgeo.datasets import RasterDataset


class Chips(RasterDataset):
    filename_glob = "*.tif"


class Masks(RasterDataset):
    filename_glob = "*.tif"
    is_image = False


train = Chips("SET/images/train") & Masks("SET/masks/train")
"""
    has_ignored = True

    def check(self, source: ChipSource) -> None:
        """Refuse a source that has no place on the map."""
        if source.crs is None or source.transform is None:
            raise SettingsError(
                f"{source.path} has no CRS, and TorchGeo pairs chips and masks by their place on "
                "the map; export to another format, such as mmseg"
            )

    def begin(self, folder: SetFolder) -> TorchGeoWriter:
        """Return a writer."""
        return TorchGeoWriter(folder)


@dataclass(frozen=True)
class TorchGeoWriter:
    """Writer of GeoTIFFs into a folder."""

    folder: SetFolder

    def write(self, chip: LabelledChip) -> None:
        """Write a chip and its mask."""
        path, classes = self.folder.path, self.folder.classes
        write_tiff(path / "images" / chip.split / f"{chip.name}.tif", chip.image, chip)
        values = classes.mask(chip.numbers)[None]
        mask = ChipImage(values, ("class",), False, classes.ignored)
        write_tiff(path / "masks" / chip.split / f"{chip.name}.tif", mask, chip)

    def finish(self) -> None:
        """Write names and colours."""
        classes = self.folder.classes
        info = {"classes": classes.names, "palette": classes.palette, "ignored": classes.ignored}
        write_json(self.folder.path / "classes.json", info)
