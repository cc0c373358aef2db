"""Ground truth in a file: its options, and its classes as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from alps_geo.classes.vector_file import check_both_placed
from alps_geo.errors import SceneError, SettingsError
from alps_geo.evaluate.rasters import crs_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.evaluate.rasters import IdRaster


class Truth(Protocol):
    """Open ground truth.

    Attributes
    ----------
    names : mapping of int to str
        Names of classes, as far as the truth knows them.
    ignored : frozenset of int
        Classes that are not to be compared.
    """

    @property
    def names(self) -> Mapping[int, str]:
        """Names of classes."""
        ...

    @property
    def ignored(self) -> frozenset[int]:
        """Classes that are not to be compared."""
        ...

    def read(self, window: Window) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return classes, ignored ones too, and a mask of the pixels that have one."""
        ...


class CountedTruth(Truth, Protocol):
    """Open ground truth whose labels can be counted.

    Attributes
    ----------
    unit : str
        Unit of the counts: polygons, or pixels on the grid of the labels.
    """

    unit: ClassVar[str]

    def counts(self) -> Mapping[int, int]:
        """Count all polygons or pixels of each class, ignored ones too."""
        ...


@dataclass(frozen=True)
class TruthFile:
    """A file or folder of ground truth, and how it is read.

    Attributes
    ----------
    path : str
        Raster of classes, or vector file of polygons; on any grid and in any CRS. Or a folder of
        rasters of classes, for a folder of masks.
    field : str, optional
        Column of a vector file that holds the class, as a number or as text; texts get the ids 1,
        2, … in alphabetical order. Not needed if it is the only column.
    layer : str, optional
        Layer of a vector file, needed if it has several with geometries.
    ignore : sequence of str
        Classes that are no truth, as numbers or, for classes of text, as text.
    names : mapping of int to str, optional
        Names of classes, which take the place of names in the file.
    ending : str, optional
        Ending of the names of the files in a folder of truth.
    """

    path: str
    field: str | None = None
    layer: str | None = None
    ignore: Sequence[str] = ()
    names: Mapping[int, str] | None = None
    ending: str | None = None


def ignored_numbers(file: TruthFile, kind: str) -> frozenset[int]:
    """Return the classes of rasters that are no truth.

    Raises
    ------
    SettingsError
        If one is no number, or if the options are those of a vector file.
    """
    for option, value in (("--field", file.field), ("--layer", file.layer)):
        if value is not None:
            raise SettingsError(f"{option} is {value!r}, but {file.path} is {kind}: leave it out")
    return frozenset(class_number("--ignore", text, file.path) for text in file.ignore)


def class_number(option: str, text: str, path: str) -> int:
    """Read a class of a file whose classes are numbers.

    Raises
    ------
    SettingsError
        If it is no whole number.
    """
    try:
        return int(text)
    except ValueError:
        raise SettingsError(
            f"{option} is {text!r}, but the classes of {path} are whole numbers: give numbers"
        ) from None


def whole_numbers(path: str, values: NDArray[Any]) -> NDArray[np.int32]:
    """Take numbers as classes.

    Raises
    ------
    SceneError
        If they are not whole, or too large.
    """
    limits = np.iinfo(np.int32)
    wrong = (values != np.floor(values)) | (values < limits.min) | (values > limits.max)
    if wrong.any():
        raise SceneError(
            f"{path}: holds the class {values[wrong].flat[0]}, expected whole numbers from "
            f"{limits.min} to {limits.max}: give a map of classes, not of measurements"
        )
    classes: NDArray[np.int32] = values.astype(np.int32)
    return classes


def check_crs(path: str, crs: Any, labels: IdRaster) -> None:
    """Refuse truth with a CRS for labels without one, and the reverse.

    Raises
    ------
    SceneError
        If one of the two has a CRS.
    """
    known = None if labels.crs is None else crs_name(labels.crs)
    check_both_placed(path, crs, labels.path, known)
