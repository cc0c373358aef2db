"""The outputs of a folder of images: masks of cluster ids, pictures of them, and an overview.

A split takes the place of a scene: its segments are numbered through all its images.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from alps_geo.errors import RunError, SceneError
from alps_geo.files import gdal_error, replacing, run_errors
from alps_geo.outputs.mask_files import overview_file
from alps_geo.outputs.output import LabelledScene
from alps_geo.outputs.preview import write_preview
from alps_geo.scene import read_overview, read_tile
from alps_geo.segments.images import ImageTable, open_image_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.outputs.mask_files import MaskFiles
    from alps_geo.scene import Scene
    from alps_geo.scene.folder import FolderImage

_OVER = 0.55
"""Share of a cluster's colour in a picture, over the image."""

_BORDER = 0.5
"""Brightness of the borders between segments in a picture."""

_OVERVIEW_IMAGES = 16
_THUMB = 224
_GAP = 8
"""Images in the overview of a split, their longest side and the space between them, in pixels."""


@dataclass(frozen=True)
class LabelledImages(LabelledScene):
    """The images of one split whose segments have clusters.

    Attributes
    ----------
    files : MaskFiles
        Names of the files.
    """

    files: MaskFiles

    @cached_property
    def table(self) -> ImageTable:
        """The images.

        Raises
        ------
        RunError
            If their table is absent or damaged.
        """
        return open_image_table(self.segments_folder)

    @cached_property
    def values(self) -> NDArray[np.unsignedinteger]:
        """Value in the masks of each segment, by its id; that of no segment first."""
        highest = int(self.model.legend.ids[-1])
        # One value more than there are clusters: that of pixels without one.
        dtype = np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16
        clusters = self.assigned.cluster.astype(dtype)
        if self.files.zero_based:
            return np.append(np.iinfo(dtype).max, clusters - 1).astype(dtype)
        return np.append(0, clusters).astype(dtype)

    def clusters_of(self, index: int) -> NDArray[np.int64]:
        """Return the cluster of each pixel of an image; 0 for none."""
        return np.append(0, self.assigned.cluster)[self.table.read_ids(index)]

    def open(self, image: FolderImage) -> Scene:
        """Open an image, to draw it.

        Raises
        ------
        SceneError
            If it cannot be read.
        """
        return self.table.reading.open(image.path)


def check_images(labelled: LabelledImages) -> None:
    """Check that masks and pictures of images can be written again, before anything is changed.

    Raises
    ------
    RunError
        If segments of an image are absent or damaged, or an image of which there is a picture is
        gone.
    """
    table = labelled.table
    for image in table.images:
        table.check(image)
        if labelled.files.vis and not Path(image.path).is_file():
            raise RunError(
                f"{image.path} is gone, and {labelled.files.picture(image)} "
                "shows it: put the image back, and give the command again"
            )


def write_image_masks(labelled: LabelledImages) -> None:
    """Write the masks of all images of a split, each whole or not at all.

    Raises
    ------
    RunError
        If segments cannot be read, or a file cannot be written.
    """
    files, values = labelled.files, labelled.values
    for index, image in enumerate(labelled.table.images):
        path = labelled.folder / files.mask(image)
        mask = values[labelled.table.read_ids(index)]
        with replacing(path) as part, run_errors(path, gdal_error("rasterio")):
            if path.suffix.lower() == ".png":
                Image.fromarray(mask).save(part, format="PNG", compress_level=3)
            else:
                _write_tiff(part, mask, labelled.open(image), int(values[0]))


def write_image_pictures(labelled: LabelledImages) -> None:
    """Write pictures of all images with their masks over them, if asked for, and the overview.

    Raises
    ------
    RunError
        If segments cannot be read, or a file cannot be written.
    SceneError
        If an image cannot be read.
    """
    files, table = labelled.files, labelled.table
    colors = _colors(labelled)
    for index, image in enumerate(table.images if files.vis else ()):
        scene = labelled.open(image)
        pixels = read_tile(scene, Window(0, 0, scene.width, scene.height))
        ids = table.read_ids(index)
        picture = Image.fromarray(_picture(pixels.image, ids, colors[labelled.clusters_of(index)]))
        path = labelled.folder / files.picture(image)
        with replacing(path) as part, run_errors(path):
            picture.save(part, quality=92)
    _write_overview(labelled)


def _colors(labelled: LabelledImages) -> NDArray[np.uint8]:
    """Colour of each cluster by its id; that of none is black."""
    palette = labelled.model.legend.palette
    colors = np.zeros((max(palette) + 1, 3), np.uint8)
    for cluster, color in palette.items():
        colors[cluster] = color
    return colors


def _picture(
    image: NDArray[np.uint8], ids: NDArray[np.uint32], colors: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Blend the colours of clusters over an image, darker along the borders of segments."""
    share = np.where(ids[..., None] > 0, _OVER, 0.0)
    blend = image * (1 - share) + colors * share
    border = np.zeros(ids.shape, np.bool_)
    border[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    border[1:] |= ids[1:] != ids[:-1]
    blend[border] *= _BORDER
    picture: NDArray[np.uint8] = np.rint(blend).astype(np.uint8)
    return picture


def _write_tiff(path: Path, mask: NDArray[np.unsignedinteger], scene: Scene, nodata: int) -> None:
    """Write a mask as a GeoTIFF that lies where its image does."""
    placed: dict[str, Any] = {}
    if scene.has_transform:
        placed = {"crs": scene.crs, "transform": scene.transform}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=mask.shape[0],
            width=mask.shape[1],
            count=1,
            dtype=mask.dtype,
            compress="deflate",
            nodata=nodata,
            **placed,
        ) as raster:
            raster.write(mask, 1)


def _write_overview(labelled: LabelledImages) -> None:
    """Draw some images of a split, spread evenly over it, next to their clusters."""
    table = labelled.table
    count = min(len(table), _OVERVIEW_IMAGES)
    across = ceil(sqrt(count))
    cell = _THUMB + _GAP
    shape = (ceil(count / across) * cell - _GAP, across * cell - _GAP)
    image = np.full((*shape, 3), 255, np.uint8)
    labels, valid = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    for place, index in enumerate(np.linspace(0, len(table) - 1, count).round().astype(int)):
        # An image that is gone leaves its place empty: the overview is no reason to fail.
        with suppress(SceneError):
            pixels = read_overview(labelled.open(table.images[index]), _THUMB)
            height, width = pixels.valid.shape
            top, left = (cell * each for each in divmod(place, across))
            at = slice(top, top + height), slice(left, left + width)
            rows, cols = (
                np.arange(new) * old // new
                for new, old in zip((height, width), table.shapes[index], strict=True)
            )
            image[at], valid[at] = pixels.image, pixels.valid
            labels[at] = labelled.clusters_of(int(index))[np.ix_(rows, cols)]
    legend = labelled.model.legend
    write_preview(
        labelled.folder / overview_file(labelled.segments_folder.stem),
        image,
        labels,
        valid,
        palette=legend.palette,
        names=legend.names,
        title=labelled.title,
    )
