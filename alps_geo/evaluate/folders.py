"""Folders of masks, paired by name with folders of their truth.

A folder holds masks itself or in folders of its splits. A mask and its truth have one name, apart
from an ending that all masks, or all files of truth, have: ``a_instance_color.png`` goes with
``a.tif`` and ``a_labelTrainIds.png``. Both have the same pixels, whatever their georeferencing.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.errors import SceneError, SettingsError, reason_of
from alps_geo.evaluate.rasters import check_one_band
from alps_geo.evaluate.truth_file import whole_numbers
from alps_geo.scene.raster import opened, read_window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

    from alps_geo.evaluate.rasters import IdRaster
    from alps_geo.evaluate.truth_file import Truth

    Key = tuple[str, str]
    """Split and name; the split is "" for a mask that lies in the folder itself."""

SUFFIXES = (".png", ".tif", ".tiff")
"""Suffixes of masks."""

# A single mask shows no common ending: of one, this alone is known.
_MASK_ENDING = "_instance_color"

# A number is a part of the name: a_1 is no other file of a.
_WORDS = re.compile(r"(?:[_. -][A-Za-z][^_. -]*)+")
_SEPARATOR = re.compile(r"[_. -]")


@dataclass(frozen=True)
class MaskLayout:
    """Names of masks, and the values in them.

    Attributes
    ----------
    ending : str, optional
        Ending of their names before the suffix; found from the names if not given.
    zero_based : bool
        True if ids count from 0, with 255, or 65535 in 16 bit, for unlabelled.
    """

    ending: str | None = None
    zero_based: bool = False


@dataclass(frozen=True)
class MaskPair:
    """A mask and its truth.

    Attributes
    ----------
    labels, truth : str
        Paths of the two files.
    """

    labels: str
    truth: str


@dataclass(frozen=True)
class PairedFolders:
    """Masks with their truth.

    Attributes
    ----------
    pairs : tuple of MaskPair
        One for each mask, by split and name.
    without_labels : tuple of str
        Files of truth, in splits that have masks, without a mask of their own.
    """

    pairs: tuple[MaskPair, ...]
    without_labels: tuple[str, ...]


def pair_folders(
    labels: str, truth: str, truth_ending: str | None = None, ending: str | None = None
) -> PairedFolders:
    """Pair each mask of a folder with its truth in another.

    Parameters
    ----------
    labels, truth : str
        The folders.
    truth_ending : str, optional
        Ending of the names of the truth; found from the names if not given.
    ending : str, optional
        Ending of the names of the masks; likewise.

    Raises
    ------
    SceneError
        If a folder holds no mask, or a mask has no truth.
    SettingsError
        If several endings fit equally well.
    """
    masks, classes = _find(labels), _find(truth)
    best = _Match("", {}, ("",), 0)
    common = _common_endings(name for _, name in masks) if ending is None else [ending]
    for each in common:
        match = _match(masks, classes, each, truth_ending)
        # Of matches of equally many the one of the shorter ending: names as they are.
        if match.count > best.count:
            best = match
    if not best.count:
        raise _nothing_paired(labels, truth, masks, classes)
    if len(best.truth_endings) > 1:
        found = " and ".join(best.truth_endings)
        raise SettingsError(
            f"{truth} holds several files for each mask of {labels}, with the endings {found}; "
            "expected one that is the truth: name its ending with --truth-ending"
        )
    (found,) = best.truth_endings
    _check_complete(labels, truth, best, classes)
    pairs = tuple(
        MaskPair(str(path), str(classes[split, name + found]))
        for (split, name), path in sorted(best.masks.items())
    )
    return PairedFolders(pairs, tuple(_without_labels(best, classes)))


@contextmanager
def open_mask_truth(path: str, labels: IdRaster, ignored: frozenset[int]) -> Iterator[Truth]:
    """Open the truth of a mask, which lies on it pixel by pixel.

    Raises
    ------
    SceneError
        If it cannot be opened, has several bands, or is of another size.
    """
    with opened(path) as dataset:
        check_one_band(path, dataset)
        if (dataset.height, dataset.width) != (labels.height, labels.width):
            raise SceneError(
                f"{path}: has {dataset.height} x {dataset.width} pixels, while {labels.path} has "
                f"{labels.height} x {labels.width}; expected the same pixels in both: give the "
                "truth of these very images"
            )
        yield _MaskTruth(path, dataset, ignored)


@dataclass(frozen=True)
class _MaskTruth:
    """A raster of classes that lies on a mask pixel by pixel."""

    path: str
    dataset: DatasetReader
    ignored: frozenset[int]

    @property
    def names(self) -> Mapping[int, str]:
        return {}

    def read(self, window: Window) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        values = read_window(self.dataset, self.path, (1,), window)[0]
        valid = read_window(self.dataset, self.path, (1,), window, masks=True)[0] != 0
        valid &= ~np.isnan(values)
        return whole_numbers(self.path, np.where(valid, values, 0)), valid


def _find(folder: str) -> dict[Key, Path]:
    """Find the masks in a folder and in the folders right inside it.

    Raises
    ------
    SceneError
        If there are none, or two of one name.
    """
    top = Path(folder)
    splits = {"": top, **{path.name: path for path in _listed(top) if path.is_dir()}}
    found: dict[Key, Path] = {}
    for split, where in splits.items():
        for path in _listed(where):
            if path.suffix.lower() not in SUFFIXES or path.is_dir():
                continue
            other = found.setdefault((split, path.stem), path)
            if other != path:
                raise SceneError(
                    f"{where} holds both {other.name} and {path.name}, expected one mask of a "
                    "name: take one of them away"
                )
    if not found:
        raise SceneError(
            f"{folder} holds no mask, expected {', '.join(SUFFIXES)} in it or in the folders of "
            "its splits: give a folder such as instance_mask or instance_mask/train"
        )
    return found


def _listed(folder: Path) -> list[Path]:
    """List a folder in the order of the names, hidden files left out."""
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != ".")
    except OSError as error:
        raise SceneError(
            f"{folder} cannot be listed ({reason_of(error)}): check its permissions"
        ) from error


@dataclass(frozen=True)
class _Match:
    """Masks by name, and the endings with which most of them have a truth.

    Attributes
    ----------
    ending : str
        Ending of the masks, which their names are without.
    masks : mapping
        Mask of each split and name.
    truth_endings : tuple of str
        Endings of the truth that fit equally well.
    count : int
        Masks that have a truth with each of them.
    """

    ending: str
    masks: Mapping[Key, Path]
    truth_endings: tuple[str, ...]
    count: int


def _match(
    masks: Mapping[Key, Path], classes: Mapping[Key, Path], ending: str, given: str | None
) -> _Match:
    """Match truth with the names of the masks without an ending."""
    named = {(split, name.removesuffix(ending)): path for (split, name), path in masks.items()}
    counts: Counter[str] = Counter()
    for split, name in classes:
        for start in _starts(name):
            if (split, name[:start]) in named:
                counts[name[start:]] += 1
    if given is not None:
        return _Match(ending, named, (given,), counts[given])
    most = max(counts.values(), default=0)
    fitting = tuple(sorted(each for each, count in counts.items() if count == most))
    # A truth of the very name is the one.
    return _Match(ending, named, ("",) if "" in fitting else fitting, most)


def _starts(name: str) -> list[int]:
    """Positions at which an ending may start, the end of the name included."""
    found = [each.start() for each in _SEPARATOR.finditer(name)]
    return [start for start in found if start and _WORDS.fullmatch(name, start)] + [len(name)]


def _common_endings(names: Iterable[str]) -> list[str]:
    """List the endings that all names have, the shortest, which is none, first."""
    names = list(names)
    if len(names) == 1:
        return ["", _MASK_ENDING] if names[0].endswith(_MASK_ENDING) else [""]
    endings = (names[0][start:] for start in reversed(_starts(names[0])))
    return [ending for ending in endings if all(name.endswith(ending) for name in names)]


def _nothing_paired(
    labels: str, truth: str, masks: Mapping[Key, Path], classes: Mapping[Key, Path]
) -> SceneError:
    mask, other = next(iter(masks.values())), next(iter(classes.values()))
    return SceneError(
        f"{truth}: none of its files belongs to a mask of {labels} by its name and split, as "
        f"{other.relative_to(truth)} and {mask.relative_to(labels)}; expected names that are the "
        "same apart from one ending: give the folder of the truth of these images"
    )


def _check_complete(labels: str, truth: str, match: _Match, classes: Mapping[Key, Path]) -> None:
    (ending,) = match.truth_endings
    lacking = [key for key in match.masks if (key[0], key[1] + ending) not in classes]
    if lacking:
        split, name = min(lacking)
        raise SceneError(
            f"{truth}: has no truth for {len(lacking)} of {len(match.masks)} masks of {labels}, "
            f"such as {match.masks[split, name].relative_to(labels)}; expected "
            f"{Path(split) / (name + ending)} with one of {', '.join(SUFFIXES)}: add it, or give "
            "the folder of a split that has all"
        )


def _without_labels(match: _Match, classes: Mapping[Key, Path]) -> Iterator[str]:
    """Find truth of images without a mask; other files of an image with one are none."""
    (ending,) = match.truth_endings
    splits = {split for split, _ in match.masks}
    for (split, name), path in classes.items():
        images = ((split, name[:start]) for start in _starts(name))
        if split in splits and name.endswith(ending) and not any(i in match.masks for i in images):
            yield str(path)
