"""Regions of a label image: numbers, pieces and sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.measure import label

from alps_geo.features.sums import pixel_counts, pixel_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray


def region_sums(
    regions: NDArray[np.int32], count: int, standard: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Sum the bands and their squares over regions, for `variance`.

    Parameters
    ----------
    regions : ndarray of int32, shape (H, W)
        Region of every pixel, 1..count; 0 for none.
    count : int
        Number of regions.
    standard : ndarray of float32, shape (B, H, W)
        Standardised bands: their variance over the scene is 1.

    Returns
    -------
    ndarray of float64, shape (count, 1 + 2 * B)
        Pixels, sums of the bands, sums of their squares: they add up when regions are joined.
    """
    area = pixel_counts(regions, count)[:, None]
    values = np.concatenate([standard, standard**2])
    return np.hstack([area, pixel_sums(regions, count, values)])


def variance(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of the bands over each region, a mean over bands, from its `region_sums`; (n,)."""
    area = np.maximum(sums[:, :1], 1)
    first, second = np.split(sums[:, 1:] / area, 2, axis=1)
    return np.asarray((second - first**2).mean(axis=1))


def numbered(owner: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Assign numbers from 1 to masks, without gaps.

    Returns the numbers, shape (H, W), and the mask of each, shape (n,). Masks that smaller ones
    cover whole have none.
    """
    there = np.bincount(owner.ravel()) > 0
    there[0] = True
    number = (np.cumsum(there) - 1).astype(np.int32)
    return number[owner], np.flatnonzero(there)[1:].astype(np.int32)


def first_pixels(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Flat index of the first pixel of each of the labels 1..n, shape (n,)."""
    flat = labels.ravel()
    first = np.zeros(int(flat.max()) + 1, dtype=np.int64)
    # From the last pixel to the first, so that the first stays.
    first[flat[::-1]] = np.arange(flat.size)[::-1]
    return first[1:]


def superpixel_means(
    superpixels: NDArray[np.int32], standard: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Replace each band, shape (B, H, W), by its means over superpixels; 0 outside of them."""
    count = int(superpixels.max())
    area = np.maximum(pixel_counts(superpixels, count), 1)[:, None]
    means = pixel_sums(superpixels, count, standard) / area
    image = np.vstack([np.zeros(len(standard)), means]).astype(np.float32)[superpixels]
    return np.ascontiguousarray(np.moveaxis(image, -1, 0))


def connected_pieces(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Assign a number of its own to each connected piece of each label, from 1; 0 stays 0."""
    pieces: NDArray[np.int64] = label(labels, background=0, connectivity=1)  # type: ignore[no-untyped-call]
    return pieces.astype(np.int32)
