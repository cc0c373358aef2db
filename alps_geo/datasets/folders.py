"""Images of a folder in the layout of ALPS: ``ROOT/img_dir/<split>/<name>.png``."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from alps_geo.errors import SceneError, reason_of
from alps_geo.scene.folder import FolderImage

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_SPLITS = ("train", "val")
"""Splits that are read unless others are named; of these, one that is not there is skipped."""

_READ_WITH = (".aux.xml", ".msk")
"""Endings, after the whole name, of files next to an image that decide its pixels."""

_IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".jp2", ".webp", ".gif")
"""Endings of images, for errors that list the endings that are there."""


@dataclass(frozen=True)
class Folder:
    """A folder of images.

    Attributes
    ----------
    root : pathlib.Path
        The folder.
    image_dir : str
        Name of the folder in it that holds the splits.
    splits : tuple of str, optional
        Splits to read; by default those of `DEFAULT_SPLITS` that are there.
    suffix : str
        Ending of the images' names, in capitals or not.
    """

    root: Path
    image_dir: str = "img_dir"
    splits: tuple[str, ...] | None = None
    suffix: str = ".png"


def find_images(folder: Folder, leave_out: Sequence[str] = ()) -> tuple[FolderImage, ...]:
    """List the images of a folder by split and name, whatever the order of the file system.

    A folder that has no `image_dir`, or one without folders of splits, is flat: its images are of
    the split "".

    Parameters
    ----------
    folder : Folder
        The folder.
    leave_out : sequence of str
        Names of files in a flat folder that are no images, such as results of a run there.

    Raises
    ------
    SceneError
        If the folder or a split is not there or cannot be read, a split holds no image, or two
        images have one name.
    """
    found = []
    for split, path in _split_folders(folder).items():
        images = _images(path, split, folder.suffix, leave_out)
        if not images:
            raise SceneError(_no_image(path, folder, split))
        found += images
    return tuple(found)


def _split_folders(folder: Folder) -> dict[str, Path]:
    """Return the folders of the splits that are read; one of the name "" for a flat folder."""
    root, inside = folder.root, folder.root / folder.image_dir
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise SceneError(f"{root} {what}, expected a folder of images: check the path")
    parent = inside if inside.is_dir() else root
    there = sorted(each.name for each in _listed(parent) if each.is_dir())
    if folder.splits is None:
        found = [name for name in DEFAULT_SPLITS if name in there]
        if found:
            return {name: parent / name for name in found}
        has_image = any(_has_suffix(each.name, folder.suffix) for each in _listed(parent))
        if parent is inside and not has_image:
            listed = f" (it holds {', '.join(there)})" if there else ""
            raise SceneError(
                f"{parent} holds neither {' nor '.join(DEFAULT_SPLITS)}{listed}: name the splits "
                "with --splits"
            )
        return {"": parent}
    for name in folder.splits:
        if name not in there:
            listed = f", expected one of {', '.join(there)}" if there else ""
            raise SceneError(f"{parent / name} is not there{listed}: check --splits and --img-dir")
    return {name: parent / name for name in folder.splits}


def _images(folder: Path, split: str, suffix: str, leave_out: Sequence[str]) -> list[FolderImage]:
    """List the images of one split by name."""
    entries = {entry.name: entry for entry in _listed(folder)}
    by_name: dict[str, str] = {}
    images = []
    for file in sorted(entries):
        is_hidden = file.startswith(".")
        if is_hidden or file in leave_out or not _has_suffix(file, suffix):
            continue
        if entries[file].is_dir():
            continue
        name = file[: -len(suffix)] if suffix else file
        other = by_name.setdefault(_on_disk(name), file)
        if other != file:
            raise SceneError(
                f"{folder / file} and {other} are two images of one name, whose masks would be one "
                "file: rename one of them"
            )
        images.append(FolderImage(split, name, str(folder / file), _stamp(file, entries)))
    return images


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise SceneError(
            f"{folder} cannot be listed ({reason_of(error)}): expected a folder of images that "
            "this user may read"
        ) from error


def _stamp(file: str, entries: dict[str, os.DirEntry[str]]) -> tuple[int, ...]:
    """Sizes and times of change of an image and of the files that are read with it."""
    names = [file, *(file + ending for ending in _READ_WITH)]
    facts = []
    for name in names:
        with suppress(OSError):  # as of a link that leads nowhere: opening it says so
            facts += [entries[name].stat()] if name in entries else []
    return tuple(number for each in facts for number in (each.st_size, each.st_mtime_ns))


def _has_suffix(file: str, suffix: str) -> bool:
    return file.lower().endswith(suffix.lower()) and len(file) > len(suffix)


def _no_image(path: Path, folder: Folder, split: str) -> str:
    """Return the message for a split without images, with the endings of its files."""
    endings = Counter(_ending(entry.name) for entry in _listed(path) if entry.is_file())
    known = [f"{ending} ({count})" for ending, count in endings.most_common() if ending in _IMAGES]
    found = f"{path} holds no image *{folder.suffix}"
    if known:
        return f"{found}; there are {', '.join(known)}: give one with --image-suffix"
    if split:
        return f"{found}: put images there, or remove the folder"
    return f"{found}, and no folder {folder.image_dir}: check ROOT and --img-dir"


def _ending(name: str) -> str:
    return Path(name).suffix.lower()


def _on_disk(name: str) -> str:
    """Case-folded, composed name, as macOS and Windows compare names."""
    return normalize("NFC", normalize("NFD", name).casefold())
