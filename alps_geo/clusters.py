"""The cluster model: fit once, apply anywhere, saved as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import colorcet
import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import pairwise_distances_argmin
from sklearn.preprocessing import StandardScaler

from alps_geo.errors import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Color = tuple[int, int, int]

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ClusterModel:
    """k-means clusters of features; cluster ids are 1..k.

    Attributes
    ----------
    mean, scale : ndarray of float64, shape (C,)
        Features are standardised to (feature - mean) / scale before they are compared.
    centers : ndarray of float64, shape (k, C)
        Standardised centre of each cluster.
    colors : ndarray of uint8, shape (k, 3)
        Red, green, blue of each cluster.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    centers: NDArray[np.float64]
    colors: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.centers)

    @property
    def palette(self) -> dict[int, Color]:
        """Colour of each cluster id."""
        return {i: (int(r), int(g), int(b)) for i, (r, g, b) in enumerate(self.colors, start=1)}

    def apply(self, features: NDArray[np.float64]) -> NDArray[np.int64]:
        """Cluster id, 1..k, of each row of an (n, C) array."""
        if not len(features):
            return np.empty(0, dtype=np.int64)
        standardised = (features - self.mean) / self.scale
        nearest = pairwise_distances_argmin(standardised, self.centers)
        return np.asarray(nearest, dtype=np.int64) + 1

    def to_bytes(self) -> bytes:
        """Serialise as an .npz of plain arrays."""
        buffer = BytesIO()
        np.savez(
            buffer,
            format_version=np.array(FORMAT_VERSION),
            mean=self.mean,
            scale=self.scale,
            centers=self.centers,
            colors=self.colors,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> ClusterModel:
        """Read what `to_bytes` wrote; `where` names the source in errors.

        Raises
        ------
        RunError
            If the data is no cluster model of this version.
        """
        try:
            with np.load(BytesIO(data), allow_pickle=False) as arrays:
                version = int(arrays["format_version"])
                if version != FORMAT_VERSION:
                    raise RunError(
                        f"{where}: cluster model has format {version}, expected {FORMAT_VERSION}; "
                        "fit it again with this version"
                    )
                return cls(*(arrays[name] for name in ("mean", "scale", "centers", "colors")))
        except (BadZipFile, KeyError, ValueError, EOFError) as error:
            raise RunError(
                f"{where}: not a cluster model ({error}); expected a clusters.npz of alps-geo"
            ) from error


def fit_clusters(
    features: NDArray[np.float64], area: NDArray[np.integer], clusters: int, seed: int
) -> ClusterModel:
    """Fit mini-batch k-means (Sculley 2010, doi 10.1145/1772690.1772862) to standardised features.

    Parameters
    ----------
    features : ndarray of float64, shape (n, C)
        One row per segment.
    area : ndarray of int, shape (n,)
        Pixels of each segment. Cluster ids are given by total area, the largest first; the
        segments themselves count alike.
    clusters : int
        Number of clusters.
    seed : int
        Seed of the initialisation and of the batches.

    Raises
    ------
    RunError
        If there are fewer segments than clusters.
    """
    if clusters > len(features):
        raise RunError(
            f"{clusters} clusters asked for, but SAM found only {len(features)} segments; "
            "ask for fewer clusters, or find more masks with a smaller tile size, lower thresholds "
            "or more points per side"
        )
    scaler = StandardScaler().fit(features)
    kmeans = MiniBatchKMeans(n_clusters=clusters, random_state=seed, n_init=10, batch_size=1024)
    assigned = kmeans.fit_predict(scaler.transform(features))
    covered = np.bincount(assigned, weights=area, minlength=clusters)
    order = np.argsort(-covered, kind="stable")
    return ClusterModel(
        mean=np.asarray(scaler.mean_),
        scale=np.asarray(scaler.scale_),
        centers=np.asarray(kmeans.cluster_centers_[order], dtype=np.float64),
        colors=default_colors(clusters),
    )


def default_colors(count: int) -> NDArray[np.uint8]:
    """Colours that are easy to tell apart, shape (count, 3): Glasbey's sequence as in colorcet.

    Glasbey et al. 2007, doi 10.1002/col.20327, grown from the ten colours of D3's category10. The
    sequence has 256 colours and starts again after them.
    """
    glasbey = np.array(colorcet.glasbey_category10)
    colors: NDArray[np.uint8] = np.rint(255 * glasbey[np.arange(count) % len(glasbey)]).astype(
        np.uint8
    )
    return colors
