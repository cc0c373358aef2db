"""The segments of the images of a folder on disk.

Two files for each image, written when its work is done::

    <name>.columns.npz    columns of its segments
    <name>.image.npz      segment of each pixel, and all else; written last

and, once all are done, the tables of a split in the form of `alps_geo.segments.table`, in which the
segments of all its images are numbered one after the other, with::

    images.npz            names, sizes and first segments of the images

The columns are in these tables then, and the files of columns are deleted.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alps_geo.errors import RunError
from alps_geo.features.columns import Columns
from alps_geo.files.storage import fetch_files
from alps_geo.files.stored import StoredFiles
from alps_geo.scene.folder import FolderImage, ImageReading
from alps_geo.segments.names import IMAGE
from alps_geo.segments.table import Attributes, TableWriter, read_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

_COLUMNS = "columns.npz"
_IMAGES = "images.npz"


@dataclass(frozen=True)
class StoredImage:
    """The n segments of one image, without columns.

    Attributes
    ----------
    ids : ndarray of unsigned int, shape (H, W)
        Segment of each pixel, 1..n; 0 for none.
    area : ndarray of int64, shape (n,)
        Pixels of each.
    attributes : Attributes
        One row for each.
    valid_pixels : int
        Pixels that have data.
    """

    ids: NDArray[np.unsignedinteger]
    area: NDArray[np.int64]
    attributes: Attributes
    valid_pixels: int

    def __len__(self) -> int:
        return len(self.area)


@dataclass(frozen=True, kw_only=True)
class ImageSegments(StoredImage):
    """The n segments of one image.

    Attributes
    ----------
    columns : Columns
        One row for each.
    """

    columns: Columns


@dataclass(frozen=True)
class ImageStore(StoredFiles[FolderImage]):
    """Stored segments of the images of one split under one key; see `StoredFiles`."""

    def stem(self, item: FolderImage) -> str:
        """Return the name of an image."""
        return item.name

    def identity(self, item: FolderImage, kind: str) -> str:
        """Return the key and the version of the image's file, which go into its digests."""
        return f"{self.key} {kind} {item.title} {item.stamp} "

    def holds(self, image: FolderImage) -> bool:
        """Return True if segments of an image are stored, and undamaged as far as is known."""
        return self.holds_all(image, (IMAGE,))

    def held(self) -> Callable[[FolderImage], bool]:
        """Return `holds` for many images."""
        return self.held_of((IMAGE,))

    def load(self, image: FolderImage) -> StoredImage | None:
        """Load the segments of an image without their columns; None if absent or damaged."""
        data = self.read(image, IMAGE)
        if data is None:
            return None
        with np.load(BytesIO(data), allow_pickle=False) as found:
            ids = np.frombuffer(zlib.decompress(found["ids"].tobytes()), found["dtype"].dtype)
            return StoredImage(
                ids.reshape(found["shape"]),
                found["area"],
                Attributes.stored(found),
                int(found["valid_pixels"]),
            )

    def load_columns(self, image: FolderImage) -> Columns | None:
        """Load the columns of the segments of an image; None if absent or damaged."""
        data = self.read(image, _COLUMNS)
        if data is None:
            return None
        with np.load(BytesIO(data), allow_pickle=False) as found:
            return Columns(
                str(found["kind"]),
                tuple(found["features"].tolist()),
                tuple(found["names"].tolist()),
                found["values"],
            )

    def save(self, image: FolderImage, segments: ImageSegments) -> None:
        """Keep the segments of an image.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        columns = segments.columns
        self._write(
            image,
            _COLUMNS,
            kind=np.array(columns.kind),
            features=np.array(columns.features),
            names=np.array(columns.names),
            values=columns.values.astype(np.float32),
        )
        ids = segments.ids.astype(np.min_scalar_type(len(segments)))
        self._write(
            image,
            IMAGE,
            # Only the ids compress well.
            ids=np.frombuffer(zlib.compress(ids.tobytes(), 1), np.uint8),
            dtype=np.zeros(0, ids.dtype),
            shape=np.array(ids.shape),
            area=segments.area,
            valid_pixels=np.array(segments.valid_pixels),
            **vars(segments.attributes),
        )

    def drop_columns(self, images: Iterable[FolderImage]) -> None:
        """Remove the columns of images, as far as they are there."""
        self.files.remove([self.name(image, _COLUMNS) for image in images])

    def fetched(self, images: Iterable[FolderImage]) -> ImageStore:
        """Return the files of images in the folder on this machine, fetched if they lie elsewhere.

        Those that are there whole are not fetched again.

        Raises
        ------
        RunError
            If a store does not answer, or the disk does not take a file.
        """
        if self.storage is None:
            return self
        here = replace(self, storage=None)
        absent = [
            self.name(image, kind)
            for image in images
            for kind in (_COLUMNS, IMAGE)
            if here.read(image, kind) is None
        ]
        fetch_files(self.storage, absent, self.folder)
        return here

    def _write(self, image: FolderImage, ending: str, **arrays: Any) -> None:
        buffer = BytesIO()
        np.savez(buffer, **arrays)
        self.write(image, ending, buffer.getvalue())


@dataclass(frozen=True)
class ImageTable:
    """The images of one split that have been worked on, in the order of their segments.

    Attributes
    ----------
    images : tuple of FolderImage
        The images.
    reading : ImageReading
        The way in which they are read.
    store : ImageStore
        Their stored segments.
    shapes : ndarray of int64, shape (n, 2)
        Heights and widths.
    first : ndarray of int64, shape (n + 1,)
        Cumulative number of segments; image i has the rows ``first[i]:first[i + 1]``.
    valid_pixels : ndarray of int64, shape (n,)
        Pixels that have data.
    """

    images: tuple[FolderImage, ...]
    reading: ImageReading
    store: ImageStore
    shapes: NDArray[np.int64]
    first: NDArray[np.int64]
    valid_pixels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def check(self, image: FolderImage) -> None:
        """Raise RunError if the segments of an image are absent or damaged."""
        if not self.store.holds(image):
            raise self._absent(image)

    def _absent(self, image: FolderImage) -> RunError:
        return RunError(
            f"{self.store.folder}: the segments of {image.title} are absent or damaged, expected "
            "those of a finished run: give the command of alps-geo dataset label again with "
            "--overwrite"
        )

    def displayed(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the colours that SAM sees for values of the bands: see `Scene.displayed`.

        Raises
        ------
        SceneError
            If the first image cannot be read.
        """
        # Stretch and bands are those of all images of the kind.
        return self.reading.open(self.images[0].path).displayed(values)

    def rows_of(self, index: int) -> slice:
        """Return the rows of the segments of an image in the table of the split."""
        return slice(int(self.first[index]), int(self.first[index + 1]))

    def read_ids(self, index: int) -> NDArray[np.uint32]:
        """Read the segment of each pixel of an image, numbered through the split; 0 for none.

        Raises
        ------
        RunError
            If the file of the image's segments is absent or damaged.
        """
        segments = self.store.load(self.images[index])
        if segments is None:
            raise self._absent(self.images[index])
        ids = segments.ids.astype(np.uint32)
        return np.where(ids > 0, ids + np.uint32(self.first[index]), np.uint32(0))


def write_image_tables(
    folder: Path,
    images: Iterable[tuple[FolderImage, StoredImage, Columns]],
    reading: ImageReading,
    store: ImageStore,
) -> ImageTable:
    """Write the segments of the images of a split, one image in memory at a time.

    Parameters
    ----------
    folder : pathlib.Path
        Folder to write to; made if need be.
    images : iterable of (FolderImage, StoredImage, Columns)
        One at least, all of one kind. Their files of columns are of no use afterwards.
    reading : ImageReading
        The way in which they are read.
    store : ImageStore
        Their stored segments.

    Raises
    ------
    RunError
        If the folder cannot be written; the tables are then absent, never half there.
    """
    known, shapes, counts, valid = [], [], [0], []
    with TableWriter.opened(folder) as writer:
        for image, segments, columns in images:
            writer.add(columns, segments.area, segments.attributes)
            known.append(image)
            shapes.append(segments.ids.shape)
            counts.append(len(segments))
            valid.append(segments.valid_pixels)
        table = ImageTable(
            tuple(known),
            reading,
            store,
            np.array(shapes, np.int64).reshape(-1, 2),
            np.cumsum(counts),
            np.array(valid, np.int64),
        )
        writer.end(int(table.valid_pixels.sum()), {_IMAGES: _arrays(table, _run_folder(folder))})
    return table


def _run_folder(folder: Path) -> Path:
    """Return the run folder of a folder of tables."""
    return folder.absolute().parent.parent


def _arrays(table: ImageTable, run_folder: Path) -> dict[str, Any]:
    images = table.images
    paths = [Path(image.path).absolute() for image in images]
    # Images inside of the run folder are found where it is moved to.
    moving = [
        path.relative_to(run_folder) if path.is_relative_to(run_folder) else path for path in paths
    ]
    return {
        "split": np.array([image.split for image in images]),
        "name": np.array([image.name for image in images]),
        "path": np.array(list(map(str, moving))),
        "stamp": np.array([" ".join(map(str, image.stamp)) for image in images]),
        "reading": np.array(table.reading.to_text()),
        # Next to the folder of the tables, wherever the run folder is moved to.
        "store": np.array([table.store.folder.name, table.store.key]),
        "shapes": table.shapes,
        "first": table.first,
        "valid_pixels": table.valid_pixels,
    }


def open_image_table(folder: Path) -> ImageTable:
    """Open the table of images that `write_image_tables` wrote.

    Raises
    ------
    RunError
        If it is absent or damaged.
    """
    texts_of = ("split", "name", "path")
    numbers = ("shapes", "first", "valid_pixels")
    found = read_arrays(folder / _IMAGES, (*texts_of, "stamp", "reading", "store", *numbers))
    stamps = [tuple(map(int, text.split())) for text in found["stamp"].tolist()]
    found["path"] = np.array([str(_run_folder(folder) / path) for path in found["path"].tolist()])
    texts = (found[key].tolist() for key in texts_of)
    images = tuple(
        FolderImage(split, name, path, stamp)
        for split, name, path, stamp in zip(*texts, stamps, strict=True)
    )
    reading = ImageReading.from_text(str(found["reading"]))
    name, key = found["store"].tolist()
    store = ImageStore(folder.parent / name, key)
    return ImageTable(images, reading, store, *(found[each] for each in numbers))
