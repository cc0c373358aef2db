"""The output of masks of a folder of images: the cluster of each pixel, without loss."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from alps_geo.files import gdal_error, replacing, run_errors
from alps_geo.outputs.labelled_images import ImageOutput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from alps_geo.outputs.labelled_images import LabelledImages
    from alps_geo.outputs.mask_files import PlannedImages
    from alps_geo.scene import Scene


class InstanceMasks(ImageOutput):
    """``instance_mask/<split>/<name>_instance_color.png``: the cluster of each pixel."""

    def names(self, planned: PlannedImages) -> Iterator[str]:
        """Return the paths of the masks."""
        return map(planned.files.mask, planned.images)

    def check(self, labelled: LabelledImages) -> None:
        """Check that the segments of all images are there."""
        for image in labelled.table.images:
            labelled.table.check(image)

    def write(self, labelled: LabelledImages) -> None:
        """Write the masks."""
        files, values = labelled.files, labelled.values
        for index, image in enumerate(labelled.table.images):
            path = labelled.folder / files.mask(image)
            mask = values[labelled.table.read_ids(index)]
            with replacing(path) as part, run_errors(path, gdal_error("rasterio")):
                if path.suffix.lower() == ".png":
                    Image.fromarray(mask).save(part, format="PNG", compress_level=3)
                else:
                    write_tiff(part, mask[None], labelled.open(image), int(values[0]))


def write_tiff(
    path: Path, bands: NDArray[np.unsignedinteger], scene: Scene, nodata: int | None = None
) -> None:
    """Write bands (B, H, W) as a GeoTIFF that lies where an image does."""
    placed: dict[str, Any] = {}
    if scene.has_transform:
        placed = {"crs": scene.crs, "transform": scene.transform}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=bands.shape[0],
            height=bands.shape[1],
            width=bands.shape[2],
            dtype=bands.dtype,
            compress="deflate",
            nodata=nodata,
            **placed,
        ) as raster:
            raster.write(bands)
