"""Augmentations of nadir images, whose content has no upright direction, with any bands.

Libraries for augmentation change colours of three bands from 0 to 1; here bands are any number of
normalised values. Every chip draws from a generator of its own, so that what a chip becomes
depends on nothing but the seed, the epoch and its number, and a training that was stopped goes on
as if it had not been.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from alps_geo.training.model import IGNORED

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a chip and its labels.

    Attributes
    ----------
    crop : int
        Side of the results, in pixels.
    flips : bool
        True to flip, and to turn by quarters.
    scale : float
        Largest factor of growing or shrinking, from 1.
    color : float
        Largest change of brightness and contrast, in standard deviations.
    """

    crop: int
    flips: bool
    scale: float
    color: float

    def __call__(self, image: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Change a chip.

        Parameters
        ----------
        image : Tensor of float32, shape (B, H, W)
            Normalised bands, 0 where there is no data.
        labels : Tensor of uint8, shape (H, W)
            Position of the class of each pixel, or `IGNORED`.
        seed : int
            Decides all changes.

        Returns
        -------
        (Tensor, Tensor)
            Bands (B, crop, crop) and labels (crop, crop) of int64.
        """
        draw = torch.Generator().manual_seed(seed)
        image, labels = self._cut(image, labels, draw)
        if self.flips:
            image, labels = _turned(image, labels, draw)
        if self.color:
            image = self._recolored(image, draw)
        return image.contiguous(), labels.long().contiguous()

    def _cut(self, image: Tensor, labels: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Cut a random window, a smaller one to let it grow, and resample it to the crop."""
        factor = self.scale ** _between(-1, 1, draw)
        side = max(1, round(self.crop / factor))
        image, labels = padded(image, labels, side, side)
        top, left = (_whole(size - side + 1, draw) for size in labels.shape)
        image = image[:, top : top + side, left : left + side]
        labels = labels[top : top + side, left : left + side]
        if side != self.crop:
            size = (self.crop, self.crop)
            image = functional.interpolate(image[None], size, mode="bilinear")[0]
            picked = functional.interpolate(labels[None, None].float(), size, mode="nearest-exact")
            labels = picked[0, 0].to(torch.uint8)
        return image, labels

    def _recolored(self, image: Tensor, draw: torch.Generator) -> Tensor:
        """Change brightness and contrast of all bands alike, and of each by half of that."""
        has_data = (image != 0).any(dim=0)
        gain, shift = (
            1 + (2 * torch.rand(len(image) + 1, generator=draw) - 1) * self.color,
            (2 * torch.rand(len(image) + 1, generator=draw) - 1) * self.color,
        )
        of_bands = 1 + (gain[1:] - 1) / 2
        gains = (gain[0] * of_bands)[:, None, None]
        shifts = (shift[0] + shift[1:] / 2)[:, None, None]
        return torch.where(has_data, image * gains + shifts, image)


def padded(image: Tensor, labels: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Pad a chip on the right and below to a size at least, without data and labels there."""
    down = max(0, height - labels.shape[0])
    right = max(0, width - labels.shape[1])
    if not down and not right:
        return image, labels
    edges = (0, right, 0, down)
    return functional.pad(image, edges), functional.pad(labels, edges, value=IGNORED)


def _turned(image: Tensor, labels: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Turn by one of the eight symmetries of a square."""
    if _whole(2, draw):
        image, labels = image.flip(-1), labels.flip(-1)
    quarters = _whole(4, draw)
    return image.rot90(quarters, (-2, -1)), labels.rot90(quarters, (-2, -1))


def _between(low: float, high: float, draw: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=draw))


def _whole(count: int, draw: torch.Generator) -> int:
    """Draw a number from 0 to count - 1."""
    return int(torch.randint(count, (), generator=draw))
