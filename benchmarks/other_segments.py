"""Segments of another program, clustered: mean shift of the Orfeo Toolbox and k-means."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.windows import Window
from scipy import ndimage
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from alps_geo.scene import read_tile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.scene import Scene

PROGRAM = "otbcli_LargeScaleMeanShift"
"""Command of the toolbox; Debian has it in the package otb-bin."""


def is_installed() -> bool:
    """Return True if the toolbox is there."""
    return shutil.which(PROGRAM) is not None


def mean_shift_labels(scene: Scene, clusters: int, seed: int, folder: Path) -> NDArray[np.uint8]:
    """Label a scene by k-means over mean shift segments.

    Segments are those of the program's default radii and size; what k-means compares are mean and
    standard deviation of all bands, standardised.

    Parameters
    ----------
    scene : Scene
        The scene, in a file that GDAL opens.
    clusters : int
        Number of clusters.
    seed : int
        Seed of k-means.
    folder : pathlib.Path
        Folder for the segments.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        Clusters 1..k, 0 where there is no data.
    """
    path = folder / "mean_shift.tif"
    subprocess.run(
        [PROGRAM, "-in", scene.path, "-mode", "raster", "-mode.raster.out", str(path), "uint32"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with rasterio.open(path) as raster:
        segments = raster.read(1)
    pixels = read_tile(scene, Window(0, 0, scene.width, scene.height))
    segments[~pixels.valid] = 0
    ids = np.unique(segments[segments > 0])
    columns = [
        statistic(band, segments, ids)
        for band in pixels.bands.astype(np.float64)
        for statistic in (ndimage.mean, ndimage.standard_deviation)
    ]
    rows = StandardScaler().fit_transform(np.stack(columns, axis=1))
    cluster = KMeans(clusters, n_init=10, random_state=seed).fit_predict(rows) + 1
    labels = np.zeros(int(ids.max()) + 1, np.uint8)
    labels[ids] = cluster
    found: NDArray[np.uint8] = labels[segments]
    return found
