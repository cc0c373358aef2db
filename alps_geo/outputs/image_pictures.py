"""The outputs of pictures of images with their masks over them, and of an overview of a split."""

from __future__ import annotations

from contextlib import suppress
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from rasterio.windows import Window

from alps_geo.errors import RunError, SceneError
from alps_geo.files import gdal_error, replacing, run_errors
from alps_geo.outputs.image_masks import write_tiff
from alps_geo.outputs.labelled_images import ImageOutput
from alps_geo.outputs.names import OVERVIEW
from alps_geo.outputs.preview import write_preview
from alps_geo.outputs.preview_sheet import Captions, MapPicture
from alps_geo.scene import read_overview, read_tile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from alps_geo.outputs.labelled_images import LabelledImages
    from alps_geo.outputs.mask_files import PlannedImages

_OVER = 0.55
"""Share of a cluster's colour in a picture, over the image."""

_BORDER = 0.5
"""Brightness of the borders between segments in a picture."""

_OVERVIEW_IMAGES = 16
_LONGEST = 224
_GAP = 8
"""Images in the overview of a split, their longest side and the space between them, in pixels."""


class ImagePictures(ImageOutput):
    """``vis_mask/<split>/<name>_instance_vis.png``: each image with its mask over it, if asked."""

    def names(self, planned: PlannedImages) -> Iterator[str]:
        """Return the paths of the pictures."""
        images = planned.images if planned.files.vis else ()
        return map(planned.files.picture, images)

    def check(self, labelled: LabelledImages) -> None:
        """Check that the images are there."""
        for image in labelled.table.images if labelled.files.vis else ():
            if not Path(image.path).is_file():
                raise RunError(
                    f"{image.path} is gone, and {labelled.files.picture(image)} shows it: put the "
                    "image back, and give the command again"
                )

    def write(self, labelled: LabelledImages) -> None:
        """Write the pictures."""
        files, table, colors = labelled.files, labelled.table, _colors(labelled)
        for index, image in enumerate(table.images if files.vis else ()):
            scene = labelled.open(image)
            pixels = read_tile(scene, Window(0, 0, scene.width, scene.height))
            ids = table.read_ids(index)
            picture = _picture(pixels.image, ids, colors[labelled.clusters[ids]])
            path = labelled.folder / files.picture(image)
            with replacing(path) as part, run_errors(path, gdal_error("rasterio")):
                if path.suffix.lower() in (".tif", ".tiff"):
                    write_tiff(part, np.moveaxis(picture, -1, 0), scene)
                else:
                    Image.fromarray(picture).save(part, quality=92)

    def write_legend(self, labelled: LabelledImages) -> None:
        """Write the pictures again."""
        self.write(labelled)


class SplitOverview(ImageOutput):
    """``overview/<split>.png``: some images of a split next to their clusters, with a legend."""

    def names(self, planned: PlannedImages) -> Iterator[str]:
        """Return the path of the overview."""
        yield f"{OVERVIEW}/{planned.split}.png"

    def write(self, labelled: LabelledImages) -> None:
        """Draw the overview."""
        _write_overview(labelled)

    def write_legend(self, labelled: LabelledImages) -> None:
        """Draw the overview again."""
        self.write(labelled)


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


def _write_overview(labelled: LabelledImages) -> None:
    """Draw some images of a split, spread evenly over it, next to their clusters."""
    table = labelled.table
    count = min(len(table), _OVERVIEW_IMAGES)
    across = ceil(sqrt(count))
    # Small images are shown as they are.
    side = min(_LONGEST, int(table.shapes.max()))
    cell = side + _GAP
    shape = (ceil(count / across) * cell - _GAP, across * cell - _GAP)
    image = np.full((*shape, 3), 255, np.uint8)
    labels, valid = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    for place, index in enumerate(np.linspace(0, len(table) - 1, count).round().astype(int)):
        # An image that is gone leaves its place empty: the overview is no reason to fail.
        with suppress(SceneError):
            pixels = read_overview(labelled.open(table.images[index]), side)
            height, width = pixels.valid.shape
            top, left = (cell * each for each in divmod(place, across))
            at = slice(top, top + height), slice(left, left + width)
            rows, cols = (
                np.arange(new) * old // new
                for new, old in zip((height, width), table.shapes[index], strict=True)
            )
            image[at], valid[at] = pixels.image, pixels.valid
            labels[at] = labelled.clusters[table.read_ids(int(index))[np.ix_(rows, cols)]]
    write_preview(
        [labelled.folder / OVERVIEW / f"{labelled.title}.png"],
        MapPicture(image, labels, valid),
        labelled.model.legend,
        title=labelled.title,
        captions=Captions(scene="images"),
    )
