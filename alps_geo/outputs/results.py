"""All results of one scene, in the order in which they depend on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


PREVIEW_SIZE = 1024


@dataclass(frozen=True)
class SceneResults:
    """What was written for one scene, in numbers.

    Attributes
    ----------
    files : tuple of str
        Names of the files in the scene's folder.
    segments : int
        Number of segments.
    valid_pixels : int
        Pixels with data.
    cluster_segments, cluster_pixels : ndarray of int64, shape (k,)
        Segments and pixels of each cluster.
    cluster_area_m2 : ndarray of float64, shape (k,), or None
        Ground area of each cluster; None for a scene without a CRS.
    """

    files: tuple[str, ...]
    segments: int
    valid_pixels: int
    cluster_segments: NDArray[np.int64]
    cluster_pixels: NDArray[np.int64]
    cluster_area_m2: NDArray[np.float64] | None
