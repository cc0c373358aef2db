"""The model of classes: its samples, from which the same classifier is fitted wherever it is read.

A file of samples is a few hundred kilobytes of plain arrays. Unlike a stored classifier it runs no
code when it is read, does not depend on the version of scikit-learn, and can be put together with
further samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alps_geo.classes.classifier import Fitted, Method
from alps_geo.clusters.arrays import damage, numbers, plain_arrays, texts, to_npz
from alps_geo.clusters.legend import Legend
from alps_geo.clusters.projection import Projection
from alps_geo.errors import RunError, SceneError, SettingsError
from alps_geo.features.columns import Columns, batches
from alps_geo.files import ARRAYS_DAMAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.features.columns import Table

FORMAT_VERSION = 1


@dataclass(frozen=True)
class SampleColumns:
    """Columns of sampled segments, in the order of the projection's.

    Attributes
    ----------
    values : ndarray of float32, shape (m, C)
        Columns as they are stored, not standardised.
    kinds : tuple of str
        Kind of the scene of each: see `alps_geo.features.columns.Columns`.
    classes : ndarray of int64, shape (m,)
        Id of the class of each.

    Raises
    ------
    ValueError
        If their numbers differ.
    """

    values: NDArray[np.float32]
    kinds: tuple[str, ...]
    classes: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.values) == len(self.kinds) == len(self.classes):
            raise ValueError(
                f"{len(self.values)} rows, {len(self.kinds)} kinds and {len(self.classes)} classes "
                "of samples, expected as many of each"
            )

    def __len__(self) -> int:
        return len(self.classes)

    @classmethod
    def together(cls, parts: Sequence[SampleColumns]) -> SampleColumns:
        """Put samples together, of one part at least."""
        return cls(
            np.concatenate([part.values for part in parts]),
            tuple(kind for part in parts for kind in part.kinds),
            np.concatenate([part.classes for part in parts]),
        )


@dataclass(frozen=True)
class ClassModel:
    """Classes of segments, learnt from samples.

    Attributes
    ----------
    projection : Projection
        Of the columns that are compared.
    method : Method
        The classifier.
    legend : Legend
        Ids, names and colours of the classes.
    samples : SampleColumns
        The samples.

    Raises
    ------
    ValueError
        If the parts are not of one model.
    """

    projection: Projection
    method: Method
    legend: Legend
    samples: SampleColumns

    def __post_init__(self) -> None:
        columns = len(self.projection.column_names)
        if self.samples.values.shape[1:] != (columns,):
            raise ValueError(
                f"samples have shape {self.samples.values.shape}, expected {columns} columns"
            )
        if set(self.samples.kinds) - set(self.projection.kinds):
            raise ValueError("there are samples of a kind of scene that the projection lacks")
        if unknown := set(self.samples.classes.tolist()) - self.legend.palette.keys():
            raise ValueError(f"there are samples of {sorted(unknown)}, which are no classes")

    def check(self, table: Table, where: str) -> None:
        """Check that segments are described as the samples are.

        Raises
        ------
        SettingsError
            If they are not.
        """
        if not len(table):
            return  # A scene without segments lacks columns too.
        if table.kind not in self.projection.kinds:
            raise SettingsError(
                f"{where} is of {table.kind}, and the model knows "
                f"{' and '.join(self.projection.kinds)}; expected the same bands and data type"
            )
        if absent := set(self.projection.column_names) - set(table.names):
            raise SettingsError(
                f"{where} has no column {sorted(absent)[0]}: its segments are described by "
                f"{'+'.join(table.features)}, and those of the model by other features; "
                "give a model of a run with the same --features"
            )

    def rows(self) -> NDArray[np.float64]:
        """Project the samples, shape (m, P)."""
        names, width = self.projection.column_names, self.projection.matrix.shape[1]
        found = np.empty((len(self.samples), width))
        kinds = np.array(self.samples.kinds, object)
        for kind in sorted(set(self.samples.kinds)):
            inside = kinds == kind
            columns = Columns(kind, (), names, self.samples.values[inside])
            found[inside] = self.projection.project(columns)
        return found

    def classes(self) -> NDArray[np.int64]:
        """Return the index of the class of each sample in the legend, shape (m,)."""
        return np.searchsorted(self.legend.ids, self.samples.classes)

    def fitted(self) -> Fitted:
        """Fit the classifier to the samples.

        Raises
        ------
        SceneError
            If they are of one class only.
        """
        classes = self.classes()
        if len(np.unique(classes)) < 2:
            names = [self.legend.names[i] for i in sorted(set(self.samples.classes.tolist()))]
            raise SceneError(
                f"the samples are of {names[0] if names else 'no class'} only; expected two "
                "classes at least: draw samples of another one too"
            )
        return self.method.fitted(self.rows(), classes)

    def to_bytes(self) -> bytes:
        """Serialise as an .npz of plain arrays."""
        legend, samples = self.legend, self.samples
        arrays: dict[str, Any] = {
            "class_format_version": np.array(FORMAT_VERSION),
            **self.projection.to_arrays(),
            "method.classifier": np.array(self.method.classifier),
            "method.seed": np.array(self.method.seed),
            "method.balanced": np.array(int(self.method.balanced)),
            "legend.ids": legend.ids,
            "legend.names": np.array(list(legend.names.values())),
            "legend.colors": legend.colors,
            "samples.values": samples.values,
            "samples.kinds": np.array(samples.kinds),
            "samples.classes": samples.classes,
        }
        return to_npz(arrays)

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> ClassModel:
        """Read a model that `to_bytes` wrote.

        Parameters
        ----------
        data : bytes
            The content of a file.
        where : str
            The source, as errors name it.

        Raises
        ------
        RunError
            If the data is no model of classes, or of a later format.
        """
        try:
            arrays = plain_arrays(data)
            version = int(arrays["class_format_version"])
            if version != FORMAT_VERSION:
                raise ValueError(f"format {version}, expected {FORMAT_VERSION}")
            return cls(
                Projection.of_arrays(arrays),
                Method(
                    str(arrays["method.classifier"]),
                    int(arrays["method.seed"]),
                    bool(arrays["method.balanced"]),
                ),
                Legend.of_arrays(
                    numbers(arrays["legend.ids"], np.int64),
                    texts(arrays["legend.names"]),
                    numbers(arrays["legend.colors"], np.uint8),
                ),
                SampleColumns(
                    numbers(arrays["samples.values"], np.float32),
                    texts(arrays["samples.kinds"]),
                    numbers(arrays["samples.classes"], np.int64),
                ),
            )
        except (*ARRAYS_DAMAGE, TypeError, SettingsError) as error:
            raise RunError(
                f"{where}: not a model of classes ({damage(error)}); "
                "expected a classes.npz of alps-geo classify"
            ) from error


def table_rows(
    projection: Projection, table: Table, order: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Project all segments of a scene, by id.

    Parameters
    ----------
    projection : Projection
        Of the columns.
    table : Table
        The segments in any order.
    order : ndarray of int, shape (n,)
        Segment id of each row of the table, from 1.
    """
    found = np.empty((len(table), projection.matrix.shape[1]))
    start = 0
    for columns in batches(table):
        stop = start + len(columns)
        found[order[start:stop].astype(np.int64) - 1] = projection.project(columns)
        start = stop
    return found


def sample_columns(
    projection: Projection,
    table: Table,
    rows: NDArray[np.int64],
    classes: NDArray[np.int64],
) -> SampleColumns:
    """Take the columns of sampled segments out of a table.

    Parameters
    ----------
    projection : Projection
        Of the columns.
    table : Table
        The segments of a scene.
    rows : ndarray of int64, shape (m,)
        Rows of the samples in it.
    classes : ndarray of int64, shape (m,)
        Ids of their classes.
    """
    parts = [np.empty((0, len(projection.column_names)), np.float32)]
    order, begin = np.argsort(rows, kind="stable"), 0
    listed = rows[order]
    for columns in batches(table):
        inside = listed[slice(*np.searchsorted(listed, [begin, begin + len(columns)]))] - begin
        parts.append(columns.select(projection.column_names)[inside].astype(np.float32))
        begin += len(columns)
    return SampleColumns(np.concatenate(parts), (table.kind,) * len(rows), classes[order])
