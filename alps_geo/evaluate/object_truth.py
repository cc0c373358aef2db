"""Objects of ground truth: polygons, or connected regions of classes, numbered window by window."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from alps_geo.classes.vector_file import is_vector
from alps_geo.errors import SceneError
from alps_geo.evaluate.truth import open_truth
from alps_geo.evaluate.truth_file import class_number
from alps_geo.evaluate.truth_polygons import draw, open_layer, read_classes
from alps_geo.segments.regions import connected_pieces, first_pixels
from alps_geo.windows import origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import geopandas
    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.evaluate.rasters import IdRaster
    from alps_geo.evaluate.truth_file import Truth, TruthFile
    from alps_geo.evaluate.truth_polygons import ClassColumn, PolygonLayer

_POLYGONS = ("Polygon", "MultiPolygon")

# Classes of features that are drawn, but are no objects.
_NO_OBJECT = 0


@dataclass(frozen=True)
class FoundObjects:
    """The objects that a pass over all windows has found.

    Attributes
    ----------
    of_number : ndarray of int, shape (p + 1,)
        Object of each number that was given to pixels, 1..m; that of number 0 is 0.
    classes : ndarray of int32, shape (m,), or None
        Class of each object; None if they have none.
    names : mapping of int to str
        Names of classes, as far as they are known.
    """

    of_number: NDArray[np.intp]
    classes: NDArray[np.int32] | None
    names: Mapping[int, str]

    def __len__(self) -> int:
        return int(self.of_number.max())


class ObjectTruth(Protocol):
    """Open ground truth of objects.

    Attributes
    ----------
    chosen : tuple of int, or None
        Classes whose objects count, in the order in which they were given; None for all.
    """

    @property
    def chosen(self) -> tuple[int, ...] | None:
        """Classes whose objects count."""
        ...

    def read(self, window: Window) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return the number of each pixel's object, 0 for none, and a mask of the valid pixels.

        Every window is read once, in the order of their rows and columns.
        """
        ...

    def found(self) -> FoundObjects:
        """Return the objects of all windows that were read."""
        ...


@contextmanager
def open_objects(
    file: TruthFile, classes: Sequence[str], segments: IdRaster
) -> Iterator[ObjectTruth]:
    """Open ground truth of objects on the grid of segments.

    Parameters
    ----------
    file : TruthFile
        Polygons, each of which is an object, or a raster of classes, in which each connected
        region of one class is one.
    classes : sequence of str
        Classes whose objects count, as numbers or by name; none for all.
    segments : IdRaster
        Raster that gives the grid.

    Raises
    ------
    SceneError
        If the file cannot be read, or holds neither classes nor polygons.
    SettingsError
        If classes, `field`, `layer` or `ignore` do not go with the file.
    """
    if is_vector(file.path):
        yield _open_polygons(file, classes, segments)
        return
    with open_truth(file, segments) as truth:
        by_name = _by_name(file)
        chosen = [
            by_name[text] if text in by_name else class_number("--classes", text, file.path)
            for text in classes
        ]
        yield RegionObjects(truth, tuple(dict.fromkeys(chosen)) or None, segments.width)


class RegionObjects:
    """Connected regions of one class each, whose pixels share sides.

    Regions of a window get numbers of their own, and those that meet across the border of two
    windows are one object: the objects do not depend on the windows.

    Parameters
    ----------
    truth : Truth
        Classes of pixels.
    chosen : tuple of int, or None
        Classes whose regions count; None for all.
    width : int
        Columns of the whole raster.
    """

    def __init__(self, truth: Truth, chosen: tuple[int, ...] | None, width: int) -> None:
        self.chosen = chosen
        self._truth = truth
        self._classes: list[NDArray[np.int32]] = []
        self._count = 0
        self._joined: list[NDArray[np.int32]] = [np.zeros((0, 2), np.int32)]
        # Numbers and classes of the pixels above and to the left of the next window.
        self._above = np.zeros((2, width), np.int32)
        self._left = np.zeros((2, 0), np.int32)

    def read(self, window: Window) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Read the numbered regions of a window; see `ObjectTruth`."""
        classes, valid = self._truth.read(window)
        valid &= ~np.isin(classes, list(self._truth.ignored))
        counts = valid if self.chosen is None else valid & np.isin(classes, self.chosen)
        codes = np.zeros(classes.shape, np.int32)
        codes[counts] = np.unique(classes[counts], return_inverse=True)[1] + 1
        regions = connected_pieces(codes)
        numbers = np.where(counts, regions + self._count, 0).astype(np.int32)
        self._count += int(regions.max())
        self._classes.append(classes.ravel()[first_pixels(regions)])
        self._join(window, np.stack([numbers, classes]))
        return numbers, valid

    def found(self) -> FoundObjects:
        """Join the regions of windows into objects."""
        size = self._count + 1
        pairs = np.concatenate(self._joined)
        graph = coo_array((np.ones(len(pairs), bool), tuple(pairs.T)), shape=(size, size))
        # Number 0 is joined with none, and the first: its component is 0.
        objects, of_number = connected_components(graph, directed=False)
        classes = np.zeros(objects, np.int32)
        classes[of_number] = np.concatenate([np.zeros(1, np.int32), *self._classes])
        return FoundObjects(of_number, classes[1:], self._truth.names)

    def _join(self, window: Window, drawn: NDArray[np.int32]) -> None:
        """Join regions with those above and to the left; `drawn` are numbers and classes."""
        _, col = origin(window)
        cols = slice(col, col + drawn.shape[2])
        if col == 0:
            self._left = np.zeros((2, drawn.shape[1]), np.int32)
        for before, here in ((self._above[:, cols], drawn[:, 0]), (self._left, drawn[:, :, 0])):
            meet = (before[0] > 0) & (here[0] > 0) & (before[1] == here[1])
            pairs = np.stack([before[0, meet], here[0, meet]], axis=1)
            self._joined.append(np.unique(pairs, axis=0))
        self._above[:, cols] = drawn[:, -1]
        self._left = drawn[:, :, -1]


class PolygonObjects:
    """Polygons, each of which is an object; of two that overlap, the later in the file is seen.

    Pixels outside of all polygons are valid, those of ignored classes are not.

    Parameters
    ----------
    layer : PolygonLayer
        The polygons.
    column : ClassColumn or None
        Their classes; None if all are alike.
    chosen : tuple of int, or None
        Classes whose polygons count; None for all.
    ignored : frozenset of int
        Classes of polygons in which there is no truth.
    """

    def __init__(
        self,
        layer: PolygonLayer,
        column: ClassColumn | None,
        chosen: tuple[int, ...] | None,
        ignored: frozenset[int],
    ) -> None:
        self.chosen = chosen
        self._layer = layer
        self._column = column
        self._ignored = ignored
        # A polygon that reaches less far into the scene can hold no centre of a pixel.
        self._scene = shapely.box(
            0.5, 0.5, max(layer.labels.width - 0.5, 0.6), max(layer.labels.height - 0.5, 0.6)
        )
        self._numbers: dict[int, int] = {}
        self._classes: list[int] = [_NO_OBJECT]

    def read(self, window: Window) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Read the numbered polygons of a window; see `ObjectTruth`."""
        columns = [] if self._column is None else [self._column.field]
        features = self._layer.read(window, columns)
        features = features[features.geom_type.isin(_POLYGONS)]
        classes = self._classes_of(features)
        ignored = np.isin(classes, list(self._ignored))
        counts = ~ignored if self.chosen is None else np.isin(classes, self.chosen) & ~ignored
        inside = shapely.intersects(features.geometry.to_numpy(), self._scene)
        numbers = np.array(
            [
                self._number(fid, number) if is_object else _NO_OBJECT
                for fid, number, is_object in zip(
                    features.index.tolist(), classes.tolist(), counts & inside, strict=True
                )
            ],
            np.int32,
        )
        seen = np.flatnonzero(ignored | (counts & inside))
        shapes = [(features.geometry.iloc[at], number) for number, at in enumerate(seen, start=1)]
        drawn = draw(shapes, window)
        return np.append(0, numbers[seen])[drawn], np.append(True, ~ignored[seen])[drawn]

    def found(self) -> FoundObjects:
        """Return the polygons that reach into the scene, some of which may have no pixel."""
        classes = None if self._column is None else np.array(self._classes[1:], np.int32)
        names = {} if self._column is None else self._column.names
        return FoundObjects(np.arange(len(self._classes)), classes, names)

    def _classes_of(self, features: geopandas.GeoDataFrame) -> NDArray[np.int32]:
        if self._column is None:
            return np.full(len(features), _NO_OBJECT, np.int32)
        codes, values = self._column.codes, features[self._column.field]
        return np.array([codes[value] for value in values], np.int32)

    def _number(self, fid: int, of_class: int) -> int:
        """Return the number of a feature; a new one gets the next."""
        if fid not in self._numbers:
            self._numbers[fid] = len(self._classes)
            self._classes.append(of_class)
        return self._numbers[fid]


def _open_polygons(file: TruthFile, classes: Sequence[str], segments: IdRaster) -> PolygonObjects:
    layer = open_layer(file.path, segments, file.layer)
    if not any(kind in layer.geometry_type for kind in ("Polygon", "Surface", "Unknown")):
        raise SceneError(
            f"{file.path}: layer {layer.name} holds geometries of type {layer.geometry_type}, "
            "expected polygons: give another layer as --layer, or a file of polygons"
        )
    column: ClassColumn | None = None
    if file.field is not None or classes or file.ignore:
        column = read_classes(layer, file.field)
    return PolygonObjects(
        layer,
        column,
        _chosen(column, classes, _by_name(file)),
        frozenset() if column is None else column.classes("--ignore", file.ignore),
    )


def _by_name(file: TruthFile) -> dict[str, int]:
    """Return classes by the names that the user gave them."""
    return {name: number for number, name in (file.names or {}).items()}


def _chosen(
    column: ClassColumn | None, classes: Sequence[str], by_name: Mapping[str, int]
) -> tuple[int, ...] | None:
    """Return the classes that were typed, by number or name."""
    if column is None or not classes:
        return None
    chosen: list[int] = []
    for text in classes:
        known = [by_name[text]] if text in by_name else column.classes("--classes", [text])
        chosen.extend(known)
    return tuple(dict.fromkeys(chosen))
