"""Contingency table of ids and classes: counted window by window, scored at the end.

All scores come out of one sparse table of counts, so that a scene of any size is scored exactly as
if it were one array.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy
from sklearn.metrics import f1_score, jaccard_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_CLASS = -1
"""Class index of unlabelled pixels, and of clusters without a class."""

# Up to this many cells per pixel a full table is counted, which takes less time than sorting.
_CELLS_PER_PIXEL = 4


class PairCounts:
    """Counts pairs of an id and a class.

    Holds 16 bytes for each different pair, and at most twice that while it counts: the pixels
    themselves are not kept.
    """

    def __init__(self) -> None:
        self._keys = np.zeros(0, np.uint64)
        self._counts = np.zeros(0, np.int64)
        self._pending: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []
        self._waiting = 0

    def add(self, ids: NDArray[np.uint32], classes: NDArray[np.int32]) -> None:
        """Count the pairs of two arrays of one shape."""
        if not ids.size:
            return
        keys, counts = _count(ids.ravel(), classes.ravel())
        self._pending.append((keys, counts))
        self._waiting += len(keys)
        # Merging costs as much as the table holds: waiting for as many new pairs keeps it linear.
        if self._waiting > max(len(self._keys), 1 << 20):
            self._merge()

    def table(self) -> Contingency:
        """Return the table of all pairs that were counted."""
        self._merge()
        ids, rows = np.unique((self._keys >> np.uint64(32)).astype(np.uint32), return_inverse=True)
        values = (self._keys & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.int32)
        classes, cols = np.unique(values, return_inverse=True)
        return Contingency(ids, classes, rows, cols, self._counts)

    def _merge(self) -> None:
        keys = np.concatenate([self._keys, *(keys for keys, _ in self._pending)])
        counts = np.concatenate([self._counts, *(counts for _, counts in self._pending)])
        self._keys, where = np.unique(keys, return_inverse=True)
        self._counts = np.zeros(len(self._keys), np.int64)
        np.add.at(self._counts, where, counts)
        self._pending, self._waiting = [], 0


def _count(
    ids: NDArray[np.uint32], classes: NDArray[np.int32]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the different pairs as keys, the id in the upper 32 bits, and their counts."""
    first_id, first_class = int(ids.min()), int(classes.min())
    span = int(classes.max()) - first_class + 1
    cells = (int(ids.max()) - first_id + 1) * span
    if cells <= _CELLS_PER_PIXEL * ids.size:
        flat = (ids.astype(np.int64) - first_id) * span + (classes.astype(np.int64) - first_class)
        table = np.bincount(flat, minlength=cells)
        found = np.flatnonzero(table)
        return _keys(found // span + first_id, found % span + first_class), table[found]
    return np.unique(_keys(ids, classes), return_counts=True)


def _keys(ids: NDArray[np.integer], classes: NDArray[np.integer]) -> NDArray[np.uint64]:
    lower = classes.astype(np.int32).view(np.uint32)
    return (ids.astype(np.uint64) << np.uint64(32)) | lower.astype(np.uint64)


@dataclass(frozen=True)
class Contingency:
    """A sparse table of pixel counts: ids down, classes across.

    Attributes
    ----------
    ids : ndarray of uint32, shape (k,)
        The ids that occur, ascending; 0 is unlabelled.
    classes : ndarray of int32, shape (c,)
        The classes that occur, ascending.
    rows, cols : ndarray of int, shape (n,)
        Cells that are not zero, as indices into `ids` and `classes`.
    counts : ndarray of int64, shape (n,)
        Pixels in them.
    """

    ids: NDArray[np.uint32]
    classes: NDArray[np.int32]
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    counts: NDArray[np.int64]

    @property
    def pixels(self) -> int:
        """Pixels that were counted."""
        return int(self.counts.sum())

    @property
    def class_pixels(self) -> NDArray[np.int64]:
        """Pixels of each class, shape (c,)."""
        return _sums(self.cols, self.counts, len(self.classes))

    @property
    def id_pixels(self) -> NDArray[np.int64]:
        """Pixels of each id, shape (k,)."""
        return _sums(self.rows, self.counts, len(self.ids))

    @property
    def coverage(self) -> float:
        """Share of the pixels that carry an id other than 0."""
        return float(self.id_pixels[self.ids != 0].sum() / self.pixels)

    def without(self, classes: frozenset[int]) -> Contingency:
        """Return the table without some classes, and without the ids that lie on no other."""
        kept = ~np.isin(self.classes[self.cols], list(classes))
        ids, rows = np.unique(self.rows[kept], return_inverse=True)
        columns, cols = np.unique(self.cols[kept], return_inverse=True)
        return replace(
            self,
            ids=self.ids[ids],
            classes=self.classes[columns],
            rows=rows,
            cols=cols,
            counts=self.counts[kept],
        )

    def majority(self) -> NDArray[np.intp]:
        """Give each id the class that most of its pixels have, the lower class if two tie.

        Returns
        -------
        ndarray of int, shape (k,)
            Class indices; `NO_CLASS` for id 0.
        """
        order = np.lexsort((self.cols, -self.counts, self.rows))
        rows, first = np.unique(self.rows[order], return_index=True)
        best = np.full(len(self.ids), NO_CLASS, np.intp)
        best[rows] = self.cols[order][first]
        best[self.ids == 0] = NO_CLASS
        return best

    def one_to_one(self) -> NDArray[np.intp]:
        """Pair ids and classes so that the most pixels agree, each used once at most.

        The Hungarian method: H. W. Kuhn, "The Hungarian method for the assignment problem", 1955.

        Returns
        -------
        ndarray of int, shape (k,)
            Class indices; `NO_CLASS` for id 0 and for the ids that are left over.
        """
        table = np.zeros((len(self.ids), len(self.classes)))
        table[self.rows, self.cols] = self.counts
        table[self.ids == 0] = 0
        rows, cols = linear_sum_assignment(table, maximize=True)
        paired = np.full(len(self.ids), NO_CLASS, np.intp)
        paired[rows] = cols
        paired[self.ids == 0] = NO_CLASS
        return paired

    def score(self, given: NDArray[np.intp]) -> Scores:
        """Score the map in which each id has the class that it was given.

        Parameters
        ----------
        given : ndarray of int, shape (k,)
            Class indices, `NO_CLASS` for none: its pixels are wrong whatever their class.
        """
        size = len(self.classes)
        confusion = np.zeros((size, size + 1), np.int64)
        # NO_CLASS is -1 and so the last column.
        np.add.at(confusion, (self.cols, given[self.rows]), self.counts)
        truth, predicted = np.indices(confusion.shape)
        cells = {
            "y_true": truth.ravel(),
            "y_pred": predicted.ravel(),
            "sample_weight": confusion.ravel(),
            "labels": np.arange(size),
            "average": None,
            "zero_division": 0,
        }
        return Scores(
            accuracy=float(np.trace(confusion) / confusion.sum()),
            iou=jaccard_score(**cells),
            f1=f1_score(**cells),
            given=given,
            confusion=confusion,
        )

    def v_measure(self) -> VMeasure:
        """Compare ids and classes as two clusterings of the pixels; id 0 is one cluster among them.

        A. Rosenberg and J. Hirschberg, "V-Measure: a conditional entropy-based external cluster
        evaluation measure", EMNLP 2007. scikit-learn's own function wants one entry per pixel.
        """
        classes, ids = entropy(self.class_pixels), entropy(self.id_pixels)
        # Not below zero, where rounding would lead for clusterings that have nothing in common.
        shared = max(classes + ids - entropy(self.counts), 0.0)
        homogeneity = shared / classes if classes > 0 else 1.0
        completeness = shared / ids if ids > 0 else 1.0
        both = homogeneity + completeness
        return VMeasure(
            homogeneity=float(homogeneity),
            completeness=float(completeness),
            v_measure=float(2 * homogeneity * completeness / both) if both > 0 else 0.0,
        )

    def adjusted_rand(self) -> float:
        """Return the adjusted Rand index of ids and classes; id 0 is one cluster among them.

        L. Hubert and P. Arabie, "Comparing partitions", 1985. scikit-learn's own function wants one
        entry per pixel. Whole Python numbers, since the pairs of 3e9 pixels do not fit into 64 bit.
        """
        together = _pairs(self.counts)
        by_id, by_class = _pairs(self.id_pixels), _pairs(self.class_pixels)
        total = self.pixels * (self.pixels - 1) // 2
        # Both sides times 2 x total, so that nothing is rounded before the last division.
        excess = 2 * (together * total - by_id * by_class)
        most = (by_id + by_class) * total - 2 * by_id * by_class
        return excess / most if most else 1.0


@dataclass(frozen=True)
class Scores:
    """Scores of a map of classes against the truth.

    Attributes
    ----------
    accuracy : float
        Share of all pixels that have the right class; unlabelled pixels have a wrong one.
    iou, f1 : ndarray of float64, shape (c,)
        Intersection over union, and F1, of each class of the truth.
    given : ndarray of int, shape (k,)
        Index of the class that each id was given, `NO_CLASS` for none.
    confusion : ndarray of int64, shape (c, c + 1)
        Pixels by class in the truth (down) and in the map (across); last pixels without a class.
    """

    accuracy: float
    iou: NDArray[np.float64]
    f1: NDArray[np.float64]
    given: NDArray[np.intp]
    confusion: NDArray[np.int64]

    @property
    def mean_iou(self) -> float:
        """Mean over the classes of the truth."""
        return float(self.iou.mean())

    @property
    def mean_f1(self) -> float:
        """Mean over the classes of the truth."""
        return float(self.f1.mean())


@dataclass(frozen=True)
class VMeasure:
    """V-measure, and homogeneity and completeness, its harmonic parts, from 0 to 1.

    Attributes
    ----------
    homogeneity : float
        1 if every cluster lies on one class only.
    completeness : float
        1 if every class lies in one cluster only.
    v_measure : float
        Their harmonic mean.
    """

    homogeneity: float
    completeness: float
    v_measure: float


def _sums(where: NDArray[np.intp], counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    sums = np.zeros(size, np.int64)
    np.add.at(sums, where, counts)
    return sums


def _pairs(counts: NDArray[np.int64]) -> int:
    """Count the pairs of pixels within groups of the given sizes."""
    return sum(count * (count - 1) // 2 for count in counts.tolist())
