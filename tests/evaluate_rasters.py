"""Rasters that the tests of `alps_geo.evaluate` measure."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from helpers import DATA
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from sklearn.cluster import MiniBatchKMeans
from sklearn.preprocessing import StandardScaler

NAIP = DATA / "naip_md_1m.tif"
LANDCOVER = DATA / "naip_md_1m_landcover.tif"
UTM = "EPSG:26918"
GRID = Affine(1, 0, 327432, 0, -1, 4269825)


def write_ids(
    path: Path,
    ids: NDArray[Any],
    crs: str | None = UTM,
    transform: Affine = GRID,
    nodata: float | None = None,
) -> Path:
    height, width = ids.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=height,
            width=width,
            count=1,
            dtype=ids.dtype,
            crs=crs,
            transform=transform,
            nodata=nodata,
        )
    with dataset:
        dataset.write(ids, 1)
    return path


def read_ids(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        ids: NDArray[Any] = dataset.read(1)
    return ids


def kmeans_labels(clusters: int = 24) -> NDArray[np.uint8]:
    """Label the NAIP scene by k-means on all bands of its pixels."""
    with rasterio.open(NAIP) as dataset:
        bands = dataset.read()
    rows = StandardScaler().fit_transform(bands.reshape(len(bands), -1).T.astype(np.float32))
    model = MiniBatchKMeans(clusters, random_state=0).fit(rows[::16])
    labels: NDArray[np.uint8] = (model.predict(rows) + 1).reshape(bands.shape[1:]).astype(np.uint8)
    return labels
