"""Labelled images of a folder, and the contract of their outputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from alps_geo.outputs.output import LabelledScene
from alps_geo.segments.images import ImageTable, open_image_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from alps_geo.outputs.mask_files import MaskFiles, PlannedImages
    from alps_geo.scene import Scene
    from alps_geo.scene.folder import FolderImage


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
        """Value in the masks for each segment id; that at 0 is of pixels without a segment."""
        highest = int(self.model.legend.ids[-1])
        # One value more than there are clusters: that of pixels without one.
        dtype = np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16
        clusters = self.assigned.cluster.astype(dtype)
        if self.files.zero_based:
            return np.append(np.iinfo(dtype).max, clusters - 1).astype(dtype)
        return np.append(0, clusters).astype(dtype)

    @cached_property
    def clusters(self) -> NDArray[np.int64]:
        """Cluster of each segment id; that at 0 is 0, of pixels without a segment."""
        return np.append(0, self.assigned.cluster)

    def open(self, image: FolderImage) -> Scene:
        """Open an image, to draw it.

        Raises
        ------
        SceneError
            If it cannot be read.
        """
        return self.table.reading.open(image.path)


class ImageOutput(Protocol):
    """A format of results of images, written for each split, at first and after changes.

    A new one is a class in a module of its own, derived from this one, and an instance of it in
    `alps_geo.outputs.results.IMAGE_OUTPUTS`. Plans, checks, rewriting and removal follow from that
    list. A method that a format doesn't define does nothing.
    """

    def names(self, planned: PlannedImages) -> Iterable[str]:
        """Return the paths of its files of a split, relative to the folder of the results."""
        return ()

    def check(self, labelled: LabelledImages) -> None:
        """Check that the files can be written again, before anything is changed.

        Raises
        ------
        RunError
            If a file that rewriting needs is absent.
        """
        return

    def write(self, labelled: LabelledImages) -> None:
        """Write the files of a split, each whole or not at all.

        Raises
        ------
        RunError
            If segments cannot be read, or a file cannot be written.
        SceneError
            If an image that is to be drawn cannot be read.
        """
        return

    def write_legend(self, labelled: LabelledImages) -> None:
        """Write names and colours again where all segments keep their clusters; raises as `write`.

        By default nothing: most files have neither.
        """
        return
