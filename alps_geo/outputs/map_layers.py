"""Layers of a scene for a page: imagery, maps and outlines as pictures of the same extent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from alps_geo.outputs.pages import data_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color

_QUALITY = 75
"""Quality of imagery as WebP."""

_SMALLEST_SIDE = 48
"""Longest side of a picture that is not made smaller, in pixels."""

_CROWDED = 0.4
"""Share of pixels above which outlines of segments hide everything else."""


@dataclass(frozen=True)
class IdMap:
    """A map of ids, and the colour of each.

    Attributes
    ----------
    title : str
        Its name on the page.
    ids : ndarray of integers, shape (H, W)
        Ids, 0 for none.
    palette : mapping of int to Color
        Red, green, blue of each id.
    """

    title: str
    ids: NDArray[np.integer]
    palette: Mapping[int, Color]


@dataclass(frozen=True)
class SceneArrays:
    """A scene read for a page, with north up, decimated to one size or several.

    Attributes
    ----------
    image : ndarray of uint8, shape (H, W, 3), or None
        Imagery; None where it cannot be read.
    valid : ndarray of bool, shape (H, W), or None
        True where the imagery has data.
    maps : tuple of IdMap
        Maps of clusters and classes.
    segments : ndarray of integers, shape (H, W), or None
        Ids of segments, for their outlines.
    """

    image: NDArray[np.uint8] | None
    valid: NDArray[np.bool_] | None
    maps: tuple[IdMap, ...]
    segments: NDArray[np.integer] | None

    @property
    def shape(self) -> tuple[int, int] | None:
        """(height, width) of the largest of the arrays; None without any."""
        arrays = [self.image, self.segments, *(each.ids for each in self.maps)]
        shapes = [array.shape[:2] for array in arrays if array is not None]
        return max(shapes, default=None)


@dataclass(frozen=True)
class MapLayer:
    """A picture of a map as a data URI, with the name of the map."""

    title: str
    uri: str


@dataclass(frozen=True)
class SceneLayers:
    """Pictures of a scene of the same extent, as data URIs.

    Attributes
    ----------
    width, height : int
        Size of the pictures in pixels.
    image : str or None
        Imagery, transparent where it has no data.
    maps : tuple of MapLayer
        Maps, transparent where they have no id.
    outlines : str or None
        White outlines on nothing.
    between : str
        The regions that outlines are drawn between: ``segments``, or the title of a map.
    """

    width: int
    height: int
    image: str | None
    maps: tuple[MapLayer, ...]
    outlines: str | None
    between: str

    @property
    def size(self) -> int:
        """Bytes of all pictures."""
        uris = [self.image, self.outlines, *(each.uri for each in self.maps)]
        return sum(len(uri) for uri in uris if uri is not None)


def draw_layers(arrays: SceneArrays, budget: int) -> SceneLayers | None:
    """Draw the layers of a scene as large as some bytes allow.

    Parameters
    ----------
    arrays : SceneArrays
        The scene.
    budget : int
        Bytes that all pictures may take; the smallest pictures are drawn in any case.

    Returns
    -------
    SceneLayers or None
        None for a scene without any array.
    """
    if (shape := arrays.shape) is None:
        return None
    side = max(shape)
    while True:
        scale = min(1.0, side / max(shape))
        rows, cols = (max(1, round(length * scale)) for length in shape)
        layers = _layers(arrays, rows, cols)
        if layers.size <= budget or side <= _SMALLEST_SIDE:
            return layers
        # Smaller pictures have more detail for each pixel, and so shrink by less.
        shrunk = side * max(0.3, 0.92 * math.sqrt(budget / layers.size))
        side = max(_SMALLEST_SIDE, int(shrunk))


def as_webp(picture: Image.Image, *, lossless: bool) -> str:
    """Return a picture as a WebP inside a data URI; the same pixels give the same text."""
    buffer = BytesIO()
    picture.save(buffer, format="WEBP", lossless=lossless, quality=_QUALITY, method=4)
    return data_uri(buffer.getvalue(), "image/webp")


def _layers(arrays: SceneArrays, rows: int, cols: int) -> SceneLayers:
    image = None if arrays.image is None else _imagery(arrays.image, arrays.valid, rows, cols)
    found = _outlines(arrays, rows, cols)
    return SceneLayers(
        width=cols,
        height=rows,
        image=None if image is None else as_webp(image, lossless=False),
        maps=tuple(MapLayer(each.title, _colored(each, rows, cols)) for each in arrays.maps),
        outlines=None if found is None else _white(found[0]),
        between="" if found is None else found[1],
    )


def _imagery(
    image: NDArray[np.uint8], valid: NDArray[np.bool_] | None, rows: int, cols: int
) -> Image.Image:
    """Draw imagery at a size; one that is smaller is left as it is."""
    pixels = image
    if valid is not None and not valid.all():
        pixels = np.dstack([image, np.where(valid, np.uint8(255), np.uint8(0))])
    picture = Image.fromarray(pixels)
    if picture.height <= rows and picture.width <= cols:
        return picture
    return picture.resize((cols, rows), Image.Resampling.BOX)


def _colored(found: IdMap, rows: int, cols: int) -> str:
    ids = _nearest(found.ids, rows, cols)
    colors = np.zeros((max([0, int(ids.max()), *found.palette]) + 1, 4), np.uint8)
    for number, color in found.palette.items():
        colors[number] = (*color, 255)
    return as_webp(Image.fromarray(colors[ids]), lossless=True)


def _outlines(arrays: SceneArrays, rows: int, cols: int) -> tuple[NDArray[np.bool_], str] | None:
    """Find the outlines of segments, or of a map where those would hide everything else."""
    found = None
    if arrays.segments is not None:
        found = _borders(_nearest(arrays.segments, rows, cols)), "segments"
    if arrays.maps and (found is None or found[0].mean() > _CROWDED):
        first = arrays.maps[0]
        found = _borders(_nearest(first.ids, rows, cols)), first.title
    return found


def _borders(ids: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return True at pixels whose right or lower neighbour has another id."""
    borders = np.zeros(ids.shape, np.bool_)
    borders[:-1] |= ids[:-1] != ids[1:]
    borders[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    return borders


def _white(borders: NDArray[np.bool_]) -> str:
    pixels = np.where(borders[..., None], np.uint8(255), np.zeros(4, np.uint8))
    return as_webp(Image.fromarray(pixels), lossless=True)


def _nearest(ids: NDArray[np.integer], rows: int, cols: int) -> NDArray[np.integer]:
    row = np.arange(rows) * ids.shape[0] // rows
    col = np.arange(cols) * ids.shape[1] // cols
    nearest: NDArray[np.integer] = ids[row[:, None], col]
    return nearest
