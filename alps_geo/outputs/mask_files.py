"""Names of the masks of a folder of images, and of pictures of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.scene.folder import FolderImage

_LOSSLESS = (".png", ".tif", ".tiff")
"""Endings of images whose masks have the same: files of these formats hold ids without loss."""

_PICTURES = (*_LOSSLESS, ".jpg", ".jpeg")
"""Endings of images whose pictures have the same."""


@dataclass(frozen=True)
class MaskFiles:
    """Names of masks and pictures, relative to the folder of the results.

    Attributes
    ----------
    image_suffix : str
        Ending of the images' names.
    mask_dir, mask_ending : str
        Folder of the masks, and ending of their names before the suffix.
    vis_dir, vis_ending : str
        The same of the pictures.
    vis : bool
        True if there are pictures.
    zero_based : bool
        True if clusters count from 0 in the masks.
    """

    image_suffix: str
    mask_dir: str
    mask_ending: str
    vis_dir: str
    vis_ending: str
    vis: bool
    zero_based: bool

    def mask(self, image: FolderImage) -> str:
        """Return the path of a mask."""
        name = f"{image.name}{self.mask_ending}{self._format(_LOSSLESS)}"
        return _joined(self.mask_dir, image.split, name)

    def picture(self, image: FolderImage) -> str:
        """Return the path of a picture of an image with its mask over it."""
        name = f"{image.name}{self.vis_ending}{self._format(_PICTURES)}"
        return _joined(self.vis_dir, image.split, name)

    def _format(self, known: tuple[str, ...]) -> str:
        """Return the format's ending of the images' suffix if it is known, else that of PNG."""
        ending = PurePath(f"x{self.image_suffix}").suffix
        return ending if ending.lower() in known else ".png"


@dataclass(frozen=True)
class PlannedImages:
    """Images of a split that are to be labelled.

    Attributes
    ----------
    split : str
        Name of the split in the run folder.
    images : sequence of FolderImage
        The images.
    files : MaskFiles
        Names of their masks.
    """

    split: str
    images: Sequence[FolderImage]
    files: MaskFiles


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)
