"""Superpixels: small even patches of a tile, from all of its bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.segmentation import slic

from alps_geo.descriptors import CLIP

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 16
"""Pixels from one seed to the next: a superpixel has about this squared."""

COLOR_WEIGHT = 1.5
"""Difference in standard deviations, over the bands a root mean square, that counts as much as
`SIDE` pixels of distance."""

_ITERATIONS = 5


def superpixels(
    standard: NDArray[np.float32], valid: NDArray[np.bool_], origin: tuple[int, int]
) -> NDArray[np.int32]:
    """Cut a tile into superpixels by SLIC (Achanta et al. 2012, doi 10.1109/TPAMI.2012.120).

    Seeds lie on a lattice of scene pixels, so that tiles that overlap cut what they share alike,
    but for the surroundings of their edges.

    Parameters
    ----------
    standard : ndarray of float32, shape (B, H, W)
        Standardised bands, within `CLIP` of 0.
    valid : ndarray of bool, shape (H, W)
    origin : (int, int)
        Scene row and column of pixel (0, 0).

    Returns
    -------
    ndarray of int32, shape (H, W)
        Superpixel of every pixel, from 1; 0 where invalid. Every valid pixel has one.
    """
    # Invalid pixels are given a colour that no valid one has, so that few superpixels straddle.
    image = np.moveaxis(np.where(valid, standard, np.float32(-2 * CLIP)), 0, -1)
    height, width = valid.shape
    top, left = origin[0] % SIDE, origin[1] % SIDE
    bottom, right = -(top + height) % SIDE, -(left + width) % SIDE
    padded = np.pad(image, ((top, bottom), (left, right), (0, 0)), mode="edge")
    count = padded.shape[2]
    seeds = padded.shape[0] // SIDE * (padded.shape[1] // SIDE)
    # slic stretches what it is given to 0..1 first: this undoes it, so that all tiles weigh alike.
    spread = float(padded.max() - padded.min()) or 1.0
    labels = slic(
        padded,
        n_segments=seeds,
        compactness=COLOR_WEIGHT * np.sqrt(count) / spread,
        max_num_iter=_ITERATIONS,
        convert2lab=False,
        start_label=1,
        channel_axis=-1,
    )
    cut: NDArray[np.int32] = labels[top : top + height, left : left + width].astype(np.int32)
    cut[~valid] = 0
    return cut
