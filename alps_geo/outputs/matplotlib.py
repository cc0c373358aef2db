"""Labels drawn with matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from matplotlib.transforms import Affine2D

from alps_geo.outputs.readers import read_labels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

LONGEST = 1024
"""Longest side of the drawn raster in pixels: more than a figure on a screen shows."""


def plot_labels(path: Path, legend: Mapping[int, tuple[str, str]], ax: Axes | None = None) -> Axes:
    """Draw a raster of clusters in map coordinates, with a legend next to it.

    Parameters
    ----------
    path : pathlib.Path
        A ``labels.tif``.
    legend : mapping of int to (str, str)
        Name and colour (``#rrggbb``) of each cluster, by id in ascending order.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Raises
    ------
    RunError
        The file cannot be read.
    """
    values, transform, _ = read_labels(path, longest=LONGEST)
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    ids = np.array([*legend])
    colors = [color for _, color in legend.values()]
    drawn = np.ma.MaskedArray(np.searchsorted(ids, values.filled(ids[0])), values.mask)
    height, width = values.shape
    image = ax.imshow(
        drawn,
        cmap=ListedColormap(colors),
        vmin=-0.5,
        vmax=len(colors) - 0.5,
        interpolation="nearest",
        extent=(0, width, height, 0),
    )
    # By the whole transform, so that rotated and south-up scenes lie where they belong too.
    image.set_transform(Affine2D(np.array(transform).reshape(3, 3)) + ax.transData)
    corners = [transform @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    x, y = np.transpose(corners)
    ax.set(xlim=(x.min(), x.max()), ylim=(y.min(), y.max()), aspect="equal")
    ax.ticklabel_format(style="plain", useOffset=False)
    # Coordinates have many digits, and more of them would run into each other.
    ax.locator_params(axis="x", nbins=4)
    shown = np.unique(drawn.compressed())
    patches = [Patch(color=colors[index], label=legend[int(ids[index])][0]) for index in shown]
    ax.legend(
        handles=patches, loc="upper left", bbox_to_anchor=(1.01, 1), ncols=1 + len(shown) // 16
    )
    return ax
