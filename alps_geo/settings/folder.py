"""Settings of a folder of images: where they lie, and the names of their masks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from alps_geo.errors import SettingsError
from alps_geo.fields import FileName, Names, Rule, check_fields, documented, setting, settings_of
from alps_geo.settings.panels import CLUSTERING, OUTPUT

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGES = "Images"
"""Panel of options."""


@documented
@dataclass(frozen=True)
class FolderSettings:
    """Settings of `alps_geo.pipeline.images.label_images`.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    img_dir: str = setting(
        "img_dir",
        FileName(),
        "Folder in ROOT that holds a folder of images for each split.",
        IMAGES,
        decides="scene",
        metavar="NAME",
    )
    splits: tuple[str, ...] | None = setting(
        None,
        Names(),
        "Splits to label. A folder without splits, with its images in ROOT or in the folder of "
        "--img-dir, needs none.",
        IMAGES,
        decides="scene",
        metavar="A,B,...",
        shown="train,val, as far as they are there",
    )
    image_suffix: str = setting(
        ".png",
        FileName(),
        "Ending of the images' names; the rest of it is the name of the image.",
        IMAGES,
        decides="scene",
        metavar="SUFFIX",
    )
    fit_on: tuple[str, ...] | None = setting(
        None,
        Names(),
        "Splits to fit the clusters to; the others are labelled by these clusters.",
        CLUSTERING,
        decides="clusters",
        metavar="A,B,...",
        shown="all splits that are labelled",
    )
    zero_based: bool = setting(
        False,
        Rule(),
        "Write clusters 1 to k as 0 to k-1, and pixels without a cluster as 255 (65535 in masks "
        "of 16 bits) instead of 0.",
        OUTPUT,
        decides="outputs",
    )
    vis: bool = setting(
        False,
        Rule(),
        "Write a picture of each image with its mask over it, too.",
        OUTPUT,
        decides="outputs",
    )
    mask_dir: str = setting(
        "instance_mask",
        FileName(),
        "Folder of the masks.",
        OUTPUT,
        decides="outputs",
        metavar="NAME",
    )
    mask_ending: str = setting(
        "_instance_color",
        FileName(empty=True),
        "Ending of the names of masks, before the suffix.",
        OUTPUT,
        decides="outputs",
        metavar="TEXT",
    )
    vis_dir: str = setting(
        "vis_mask",
        FileName(),
        "Folder of the pictures.",
        OUTPUT,
        decides="outputs",
        metavar="NAME",
    )
    vis_ending: str = setting(
        "_instance_vis",
        FileName(empty=True),
        "Ending of the names of pictures, before the suffix.",
        OUTPUT,
        decides="outputs",
        metavar="TEXT",
    )
    log_dir: str = setting(
        "logs", FileName(), "Folder of the log.", OUTPUT, decides="nothing", metavar="NAME"
    )
    log_name: str = setting(
        "alps-geo",
        FileName(),
        "Name of the log, to which every run adds its lines.",
        OUTPUT,
        decides="nothing",
        metavar="NAME",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if "." not in self.image_suffix or "*" in self.image_suffix:
            raise SettingsError(
                f"image_suffix is {self.image_suffix!r}, expected an ending with its dot and no *, "
                "such as .png"
            )
        folders = [self.img_dir, self.mask_dir, self.vis_dir, self.log_dir]
        if len({folder.casefold() for folder in folders}) < len(folders):
            raise SettingsError(
                f"img_dir, mask_dir, vis_dir and log_dir are {', '.join(folders)}, expected four "
                "folders of different names"
            )

    def to_dict(self) -> dict[str, object]:
        """Return the settings as plain values, in the order of the fields."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FolderSettings:
        """Build settings from plain values, without those of later versions."""
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if name in settings_of(cls)
        }
        return cls(**known)

    def deciding(self) -> dict[str, object]:
        """Return the settings that decide results, as fingerprints hold them."""
        known = settings_of(FolderSettings)
        return {
            name: value
            for name, value in self.to_dict().items()
            if known[name].decides != "nothing"
        }
