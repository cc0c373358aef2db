"""The steps of ALPS after SAM as its published program takes them, mask by mask.

Written anew from the description of the steps, as the contestant of `bench_alps_steps`. Two forms:
`as_published` on a fixed grid of 256 x 256 cells with soft masks, divided by the number of cells
that are not 0, masks and means in files; and `exactly`, over the mask's own pixels and in memory.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from time import process_time
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from sklearn.cluster import MiniBatchKMeans
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.masks.tile_masks import TileMasks

    Mask = NDArray[np.bool_]
    Rows = NDArray[np.floating]

SIDE = 1024
"""Side of the square that masks are enlarged to before they are compared with the embedding."""

GRID = 256
"""Side of the grid on which embedding and mask meet."""

BATCH = 512


@dataclass
class Laps:
    """Processor seconds of each step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the processor seconds that the block takes."""
        begin = process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + process_time() - begin

    @property
    def total(self) -> float:
        """Seconds of all steps."""
        return sum(self.seconds.values())


def kept_masks(masks: TileMasks, gate: float) -> list[int]:
    """List the masks that the filtering gate keeps, in SAM's order."""
    most = gate * masks.shape[0] * masks.shape[1]
    return np.flatnonzero(masks.area <= most).tolist()


def whole_mask(masks: TileMasks, index: int) -> Mask:
    """One mask over the whole image."""
    found = np.zeros(masks.shape, dtype=np.bool_)
    found[masks.slices(index)] = masks.mask(index)
    return found


def mean_as_published(embedding: Rows, mask: Mask) -> Rows:
    """Sum of embedding times soft mask over the cells of a grid, by the number of those not 0."""
    grey = Image.fromarray(mask.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    soft = torch.from_numpy(np.array(grey))[None, None]
    size = [GRID, GRID]
    cells = torch.from_numpy(np.asarray(embedding, np.float32))[None]
    cells = interpolate(cells, size=size, mode="bilinear")
    product = (cells * interpolate(soft, size=size, mode="bilinear"))[0].flatten(1)
    mean = product.sum(dim=1) / torch.count_nonzero(product, dim=1)
    return np.asarray(torch.nan_to_num(mean, nan=0.0).numpy())


def mean_exactly(embedding: Rows, mask: Mask) -> Rows:
    """Mean of the embedding, enlarged to the image, over the pixels of a mask."""
    cells = torch.from_numpy(np.asarray(embedding, np.float32))[None]
    enlarged = interpolate(cells, size=list(mask.shape), mode="bilinear")[0]
    return np.asarray((enlarged * torch.from_numpy(mask)).flatten(1).sum(dim=1) / int(mask.sum()))


def fit_predict(rows: Rows, clusters: int, seed: int, batches: Sequence[int]) -> NDArray[np.int64]:
    """Cluster rows by one pass of mini-batches in their order; 0..k-1.

    Parameters
    ----------
    rows : ndarray of float, shape (n, C)
        Means of the masks.
    clusters, seed : int
        Number of clusters, and seed of k-means.
    batches : sequence of int
        Rows in each batch.
    """
    kmeans = MiniBatchKMeans(clusters, random_state=seed, batch_size=BATCH, n_init="auto")
    ends = np.cumsum(batches)
    for end, count in zip(ends, batches, strict=True):
        kmeans.partial_fit(rows[end - count : end])
    return np.asarray(kmeans.predict(rows), dtype=np.int64)


def paint_by_pixel(canvas: NDArray[np.uint8], mask: Mask, value: int) -> None:
    """Paint a mask in a loop over its pixels."""
    for row, col in np.transpose(np.nonzero(mask)):
        canvas[row, col] = value


def paint_at_once(canvas: NDArray[np.uint8], mask: Mask, value: int) -> None:
    """Paint a mask by indexing."""
    canvas[mask] = value


def store_mask(folder: Path, number: int, mask: Mask) -> Path:
    """Write a mask as PNG."""
    path = folder / f"{number}.png"
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)
    return path


def read_mask(path: Path) -> Mask:
    """Read a mask from PNG."""
    return np.asarray(Image.open(path)) > 0
