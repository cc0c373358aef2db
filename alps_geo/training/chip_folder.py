"""Folders of chips with their masks, in the layouts of `alps-geo export` and `dataset label`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alps_geo.clusters.colors import default_colors
from alps_geo.datasets.folders import Folder, find_images
from alps_geo.errors import SceneError
from alps_geo.outputs.training_set.record import RECORD
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.reading import read_record
from alps_geo.runs.stored_json import DamagedError, Perhaps, check_shape, read_json
from alps_geo.training.model import MOST_CLASSES, ModelClass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alps_geo.outputs.mask_files import MaskFiles
    from alps_geo.scene.folder import FolderImage

METAINFO, CLASSES = "metainfo.json", "classes.json"
"""Files that name the classes of a folder in the layout of mmseg, and in that of ALPS."""

_META = {
    "classes": [str, ...],
    "palette": Perhaps([[int]]),
    "ignore_index": Perhaps(int),
    "reduce_zero_label": Perhaps(bool),
    "img_suffix": Perhaps(str),
    "seg_map_suffix": Perhaps(str),
}
_EXPORT = {"format": str, "settings": {"values": ("8bit", "native")}, "run": str}
_MOST_BYTES = 254


@dataclass(frozen=True)
class ChipFile:
    """A chip on disk.

    Attributes
    ----------
    split : str
        Its split; empty in a folder without splits.
    name : str
        Its name, unique in its split.
    image, mask : str
        Its files.
    """

    split: str
    name: str
    image: str
    mask: str

    @property
    def title(self) -> str:
        """Split and name, as ``train/a``."""
        return f"{self.split}/{self.name}" if self.split else self.name


@dataclass(frozen=True)
class ChipFolder:
    """A folder of chips.

    Attributes
    ----------
    root : pathlib.Path
        The folder.
    chips : tuple of ChipFile
        Its chips of the splits train and val, by split and name.
    classes : tuple of ModelClass
        Its classes.
    ignored : frozenset of int
        Values in masks that are no class.
    values : str
        ``8bit`` for pictures with the stretch of their scene, ``native`` for stored values.
    labels : str
        Origin of the labels, in words.
    """

    root: Path
    chips: tuple[ChipFile, ...]
    classes: tuple[ModelClass, ...]
    ignored: frozenset[int]
    values: str
    labels: str

    def of(self, split: str) -> tuple[ChipFile, ...]:
        """Return the chips of a split."""
        return tuple(each for each in self.chips if each.split == split)


def open_chips(root: Path, *, masks: bool = True) -> ChipFolder:
    """Find the chips of a folder, their masks and classes, without reading pixels.

    Parameters
    ----------
    root : pathlib.Path
        What ``alps-geo export --to mmseg`` or ``--to alps`` wrote, the results of ``alps-geo
        dataset label``, or any folder ``img_dir/{train,val}`` and ``ann_dir/{train,val}`` with a
        ``metainfo.json`` that names the classes.
    masks : bool
        True if every image has to have a mask.

    Raises
    ------
    SceneError
        If it is none of these, or an image has no mask.
    RunError
        If the record of a run is damaged.
    """
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise SceneError(f"{root} {found}, expected a folder of chips: check the path")
    if (root / METAINFO).exists():
        chips = _open_mmseg(root)
    elif RunFolder(root).record_path.exists():
        chips = _open_run(root)
    elif (root / CLASSES).exists() and (root / "instance_mask").is_dir():
        chips = _open_alps(root)
    else:
        raise SceneError(
            f"{root} holds neither {METAINFO} nor the results of alps-geo dataset label; expected "
            "a folder of alps-geo export --to mmseg, of dataset label, or of your own with "
            f'img_dir/train, ann_dir/train and a {METAINFO} such as {{"classes": ["water"]}}'
        )
    if masks:
        _check(chips)
    return chips


def _check(folder: ChipFolder) -> None:
    """Raise SceneError for images without masks, and for too many classes."""
    if len(folder.classes) > MOST_CLASSES:
        raise SceneError(
            f"{folder.root} has {len(folder.classes)} classes, expected {MOST_CLASSES} at most: "
            "merge or ignore some"
        )
    absent = [each for each in folder.chips if not Path(each.mask).is_file()]
    if absent:
        raise SceneError(
            f"{folder.root}: {len(absent)} of {len(folder.chips)} images have no mask, the first "
            f"is {absent[0].image}, expected {absent[0].mask}: add the masks, or remove the images"
        )


def _open_mmseg(root: Path) -> ChipFolder:
    path = root / METAINFO
    try:
        info = read_json(path, lambda found: check_shape(found, _META)) or {}
    except DamagedError as error:
        raise SceneError(f"{error}; expected names of classes: write it again") from error
    names, palette = info["classes"], info.get("palette")
    if palette is not None and len(palette) != len(names):
        raise SceneError(
            f"{path} has {len(names)} classes and {len(palette)} colours, expected as many: "
            "mend its classes or its palette"
        )
    zero = bool(info.get("reduce_zero_label", False))
    first = 1 if zero else 0
    default = 255 if len(names) <= _MOST_BYTES else 65535
    ignored = {int(info.get("ignore_index", default)), *([0] if zero else [])}
    images = _images(root, info.get("img_suffix", ".png"))
    ending = info.get("seg_map_suffix", ".png")
    chips = tuple(_chip(each, root / "ann_dir", f"{each.name}{ending}") for each in images)
    classes = make_classes(dict(enumerate(names, first)), palette)
    return ChipFolder(root, chips, classes, frozenset(ignored), *_origin(root))


def _open_alps(root: Path) -> ChipFolder:
    try:
        named = read_json(root / CLASSES, _numbered_names) or {}
    except DamagedError as error:
        raise SceneError(f"{error}; expected names by value: export the set again") from error
    values, labels = _origin(root)
    images = _images(root, ".png" if values == "8bit" else ".tif")
    ending = "_instance_color.png"
    chips = tuple(_chip(each, root / "instance_mask", f"{each.name}{ending}") for each in images)
    return ChipFolder(root, chips, make_classes(named), frozenset({0}), values, labels)


def _open_run(root: Path) -> ChipFolder:
    record = read_record(RunFolder(root))
    if record.folder is None:
        raise SceneError(
            f"{root} is a run over scenes, expected chips: cut them with alps-geo export {root} "
            "--to mmseg"
        )
    settings, files = record.folder.settings, record.folder.files
    inside = Folder(
        Path(record.folder.root), settings.img_dir, settings.splits, settings.image_suffix
    )
    chips = tuple(_labelled(root, each, files) for each in find_images(inside))
    shift = 1 if files.zero_based else 0
    named = {
        each.cluster - shift: each.name or f"cluster {each.cluster}" for each in record.clusters
    }
    palette = [_rgb(each.color) for each in record.clusters]
    ignored = frozenset({255, 65535} - named.keys()) if files.zero_based else frozenset({0})
    labels = f"pseudo-labels of {root.resolve()}"
    return ChipFolder(root, chips, make_classes(named, palette), ignored, "native", labels)


def _images(root: Path, suffix: str) -> tuple[FolderImage, ...]:
    return find_images(Folder(root, suffix=suffix))


def _chip(image: FolderImage, masks: Path, name: str) -> ChipFile:
    return ChipFile(image.split, image.name, image.path, str(masks / image.split / name))


def _labelled(root: Path, image: FolderImage, files: MaskFiles) -> ChipFile:
    return ChipFile(image.split, image.name, image.path, str(root / files.mask(image)))


def _origin(root: Path) -> tuple[str, str]:
    """Return the kind of the values of chips, and the origin of their labels."""
    try:
        found: Mapping[str, Any] | None = read_json(
            root / RECORD, lambda found: check_shape(found, _EXPORT)
        )
    except DamagedError as error:
        raise SceneError(f"{error}; export the set again") from error
    if found is None:
        return "native", f"masks of {root.resolve()}"
    return found["settings"]["values"], f"pseudo-labels of {found['run']}"


def _numbered_names(found: object) -> dict[int, str]:
    """Read names by the values of classes, from 1."""
    if not isinstance(found, dict) or not all(re.fullmatch(r"\d+", key) for key in found):
        raise ValueError(f"the content is {json.dumps(found)[:40]}, expected names by number")
    return {int(key): str(name) for key, name in found.items() if int(key) > 0}


def make_classes(
    names: Mapping[int, str], palette: Sequence[Sequence[int]] | None = None
) -> tuple[ModelClass, ...]:
    """Make classes of their names by value, by ascending value; without a palette in its colours.

    >>> make_classes({1: "water"})[0].name
    'water'
    """
    colors = palette if palette is not None else default_colors(len(names)).tolist()
    return tuple(
        ModelClass(value, names[value], (int(red), int(green), int(blue)))
        for value, (red, green, blue) in zip(sorted(names), colors, strict=True)
    )


def _rgb(color: str) -> tuple[int, int, int]:
    """Read a colour such as ``#1a2b3c``."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
