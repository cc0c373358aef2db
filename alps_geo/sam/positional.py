"""Positional patterns of an encoder, and their removal from embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from alps_geo.sam.encoder import MEAN
from alps_geo.sam.frame import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.sam.model import SamModel

_SHARE = 0.9
"""Share of the variance over the cells of an empty image that the directions hold."""

_FOUND: dict[tuple[str, str, str, int], NDArray[np.float64]] = {}
"""Directions by weights, device, precision and threads; to find them takes as long as a tile."""


def positional_directions(model: SamModel) -> NDArray[np.float64]:
    """Find the directions in which an embedding follows the position of a cell.

    Vision transformers add patterns to their features that follow the position and not the picture
    (Yang et al. 2024, Denoising Vision Transformers, arXiv 2401.02957). On an even surface such as
    a lake they are most of the variance, and clusters would divide the lake by position. The
    embedding of an image of one colour holds nothing else: its principal components are these
    directions, nearly the same for every colour. They follow from the weights, so further runs of
    a process find them without encoding.

    Parameters
    ----------
    model : SamModel
        Encodes one image.

    Returns
    -------
    ndarray of float64, shape (k, C)
        Orthonormal rows, not writeable.
    """
    key = (model.sha256, model.device, model.dtype, torch.get_num_threads())
    if key not in _FOUND:
        _FOUND[key] = _find_directions(model)
        _FOUND[key].setflags(write=False)
    return _FOUND[key]


def _find_directions(model: SamModel) -> NDArray[np.float64]:
    grey = np.full((SIDE, SIDE, 3), round(np.mean(MEAN)), dtype=np.uint8)
    cells = model.encode(grey)[0].flatten(1).double().cpu().numpy()
    vectors, values, _ = np.linalg.svd(
        cells - cells.mean(axis=1, keepdims=True), full_matrices=False
    )
    held = np.cumsum(values**2) / np.sum(values**2)
    return np.ascontiguousarray(vectors[:, : int(np.searchsorted(held, _SHARE)) + 1].T)


def without_directions(
    embedding: NDArray[np.float32], directions: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Project an embedding onto the complement of some directions.

    As iterative nullspace projection does (Ravfogel et al. 2020, arXiv 2004.07667), in one step.

    Parameters
    ----------
    embedding : ndarray of float32, shape (C, h, w)
    directions : ndarray of float64, shape (k, C)
        Orthonormal rows.

    Returns
    -------
    ndarray of float32, shape (C, h, w)
    """
    amounts = np.einsum("kc,chw->khw", directions, embedding)
    left: NDArray[np.float32] = embedding - np.einsum("kc,khw->chw", directions, amounts)
    return left.astype(np.float32)
