"""Numbers of clusters, compared on segments: their figures, and the recommended one."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, silhouette_score

from alps_geo.clusters.sampling import sample_rows
from alps_geo.clusters.small import put_together, small_number
from alps_geo.clusters.threads import one_thread
from alps_geo.clusters.tree import TOP
from alps_geo.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.features.columns import Table

SAMPLE_ROWS = 6000
"""Segments that are clustered, at most."""

SILHOUETTE_ROWS = 2000
"""Segments whose silhouette is measured: each is compared with each."""

RESAMPLES = 5
"""Pairs of halves of the sample."""

NUMBERS = 16
"""Numbers of clusters that are tried where no step is given, about."""

DEFAULT_RANGE = (4, 60)
"""Numbers of clusters that are tried, as far as there are segments."""

_BEND = 0.9
"""The bend goes on where the curve lies at least this share as deep as at its deepest."""

_NO_STRUCTURE = 0.25
"""Silhouettes up to this mean no substantial structure (Kaufman and Rousseeuw 1990, doi
10.1002/9780470316801)."""

_NO_INERTIA = 1e-9
"""Inertias below this share of the first are taken for nothing but rounding."""


@dataclass(frozen=True)
class Span:
    """Numbers of clusters to try.

    Attributes
    ----------
    low, high : int, optional
        The first and the last; else those of `DEFAULT_RANGE`, as far as there are segments.
    step : int, optional
        From one number to the next; else steps grow with the number, to about `NUMBERS` of them.
    """

    low: int | None = None
    high: int | None = None
    step: int | None = None

    def numbers(self, different: int, where: str) -> list[int]:
        """List the numbers; each half of the segments must be able to make as many clusters.

        Parameters
        ----------
        different : int
            Number of segments that differ.
        where : str
            Source of the segments, as errors name it.

        Raises
        ------
        RunError
            If there are too few.
        """
        most = different // 2
        first = DEFAULT_RANGE[0] if self.low is None else self.low
        last = min(DEFAULT_RANGE[1], most) if self.high is None else self.high
        if first < 2 or last < first or last > most:
            raise RunError(
                f"{where} has {different} different segments, and so from 2 to {most} clusters can "
                f"be compared on halves of them; {first} to {last} were asked for: give another "
                "--range"
            )
        if self.step is not None:
            return list(range(first, last + 1, self.step))
        spread = np.geomspace(first, last, min(NUMBERS, last - first + 1))
        return sorted({round(number) for number in spread})


@dataclass(frozen=True)
class Tried:
    """Figures of one number of clusters.

    Attributes
    ----------
    clusters : int
        The number.
    inertia : float
        Mean squared distance of a segment to its centre.
    silhouette : float
        How much nearer segments are to their own cluster than to the next: -1 to 1 (Rousseeuw
        1987, doi 10.1016/0377-0427(87)90125-7).
    stability : float
        Adjusted Rand index of clusters that were found on two halves of the segments, both applied
        to all: 1 where they are the same, 0 where they agree by chance (Lange et al. 2004, doi
        10.1162/089976604773717621; von Luxburg 2010, doi 10.1561/2200000008).
    stability_error : float
        Standard error of that over `RESAMPLES` pairs of halves.
    """

    clusters: int
    inertia: float
    silhouette: float
    stability: float
    stability_error: float


@dataclass(frozen=True)
class Suggestion:
    """A recommended number of clusters, and the numbers that it was chosen from.

    Attributes
    ----------
    clusters : int
        The number.
    reason : str
        One sentence.
    caveat : str
        The limits of the recommendation; sentences.
    segments, sample : int
        All segments, and the number of them that were clustered.
    tried : tuple of Tried
        By ascending number.
    """

    clusters: int
    reason: str
    caveat: str
    segments: int
    sample: int
    tried: tuple[Tried, ...]

    def to_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return asdict(self)


def suggest_number(
    model: ClusterModel,
    tables: Sequence[Table],
    span: Span,
    seed: int,
    where: str,
    listen: Callable[[int, int], None],
) -> Suggestion:
    """Try numbers of clusters on segments, and recommend one.

    Segments are compared as the model compares them, and clusters are put together of small ones
    if those of the model are. Of the numbers at the bend of the inertia,
    where more clusters begin to explain little more, the most stable is recommended. All three
    curves show how segments lie among each other; none knows the classes of a map, in which more
    clusters are never less pure.

    Parameters
    ----------
    model : ClusterModel
        Its projection of the columns is used, and the number of centres of its clusters.
    tables : sequence of Table
        One per scene.
    span : Span
        Numbers to try.
    seed : int
        Of sample and clusters.
    where : str
        Source of the segments, as errors name it.
    listen : callable
        Called with the count of numbers that have been tried, and of all.

    Raises
    ------
    RunError
        If there are too few segments for the range.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(sample_rows(model.projection, tables, SAMPLE_ROWS, rng))
    numbers = span.numbers(len(np.unique(rows, axis=0)), where)
    trial = Trial.of(rows, seed, numbers[-1], _small_of_each(model))
    tried = []
    for done, number in enumerate(numbers):
        listen(done, len(numbers))
        tried.append(trial.figures(number))
    listen(len(numbers), len(numbers))
    clusters, reason = recommend(tried)
    total = sum(len(table) for table in tables)
    chosen = next(each for each in tried if each.clusters == clusters)
    return Suggestion(clusters, reason, caveat(chosen), total, len(rows), tuple(tried))


@dataclass(frozen=True)
class Part:
    """Rows of which some are clustered as `alps_geo.clusters.fit` does, and all get a cluster.

    Attributes
    ----------
    rows : ndarray of float64, shape (n, P)
        All rows.
    part : ndarray of float64, shape (m, P)
        Those that are clustered.
    small : int
        Number of small clusters, which clusters are put together of; 0 for clusters at once.
    seed : int
        Of the clusters.
    """

    rows: NDArray[np.float64]
    part: NDArray[np.float64]
    small: int
    seed: int

    def labels(self, clusters: int) -> NDArray[np.integer]:
        """Return the cluster of each row, from 0."""
        if self.small > clusters:
            small = self._small
            count = np.bincount(small.labels_, minlength=self.small)
            group = put_together(small.cluster_centers_, count, clusters, self.seed)
            if group is not None:
                found: NDArray[np.int64] = group[self._nearest]
                return found
        labels: NDArray[np.int32] = self._fit(clusters, beginnings=3).predict(self.rows)
        return labels

    @cached_property
    def _small(self) -> KMeans:
        return self._fit(self.small, beginnings=1)

    @cached_property
    def _nearest(self) -> NDArray[np.int32]:
        nearest: NDArray[np.int32] = self._small.predict(self.rows)
        return nearest

    def _fit(self, clusters: int, beginnings: int) -> KMeans:
        # Rows that are all alike make fewer clusters in a half than were asked for: that shows in
        # the stability.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return KMeans(clusters, n_init=beginnings, random_state=self.seed).fit(self.part)


@dataclass(frozen=True)
class Trial:
    """Rows and pairs of halves of them, on which numbers of clusters are tried.

    Attributes
    ----------
    whole : Part
        All rows.
    halves : tuple of (Part, Part)
        `RESAMPLES` pairs.
    """

    whole: Part
    halves: tuple[tuple[Part, Part], ...]

    @classmethod
    def of(cls, rows: NDArray[np.float64], seed: int, most: int, times: int = 1) -> Trial:
        """Prepare rows.

        Parameters
        ----------
        rows : ndarray of float64, shape (n, P)
            In random order.
        seed : int
            Of the clusters, and of the halves.
        most : int
            Highest number of clusters that is tried. Small clusters are found once, for this.
        times : int
            Small clusters for each cluster; 1 for clusters at once.
        """
        half, rng = len(rows) // 2, np.random.default_rng(seed)

        def part(chosen: NDArray[np.float64], number: int) -> Part:
            small = small_number(most, len(chosen), times) if times > 1 else 0
            return Part(rows, chosen, small, seed + number)

        halves = []
        for pair in range(RESAMPLES):
            order = rng.permutation(len(rows))
            first, second = rows[order[:half]], rows[order[half:]]
            halves.append((part(first, pair), part(second, pair)))
        return cls(part(rows, 0), tuple(halves))

    def figures(self, clusters: int) -> Tried:
        """Cluster rows and halves of them.

        Parameters
        ----------
        clusters : int
            From 2 to half of the number of different rows.
        """
        # With one thread, the same run gives the same figures.
        with one_thread():
            rows, labels = self.whole.rows, self.whole.labels(clusters)
            agreed = [
                adjusted_rand_score(first.labels(clusters), second.labels(clusters))
                for first, second in self.halves
            ]
            return Tried(
                clusters=clusters,
                inertia=_inertia(rows, labels),
                silhouette=_silhouette(rows, labels),
                stability=float(np.mean(agreed)),
                stability_error=float(np.std(agreed, ddof=1) / np.sqrt(RESAMPLES)),
            )


def _small_of_each(model: ClusterModel) -> int:
    """Return the number of small clusters that each cluster of a model is made of, on average."""
    topmost = int((model.tree.parents == TOP).sum())
    return max(1, round(topmost / len(model.tree.ids)))


def recommend(tried: Sequence[Tried]) -> tuple[int, str]:
    """Choose the most stable of the numbers at the bend of the inertia, and say why.

    The depth of the curve, on a logarithmic scale, is measured below the line between its ends
    (Satopää et al. 2011, doi 10.1109/ICDCSW.2011.20). It has a broad bend and no sharp one where
    clusters are no islands, and stability alone would favour very few clusters.
    """
    if len(tried) < 3:
        best = max(tried, key=lambda each: each.stability)
        return best.clusters, (
            f"of the {len(tried)} numbers tried, {best.clusters} gives the most similar clusters "
            f"on two halves of the segments (adjusted Rand {best.stability:.2f})"
        )
    number = np.array([each.clusters for each in tried], dtype=np.float64)
    inertia = np.array([each.inertia for each in tried])
    logarithm = np.log(np.maximum(inertia, _NO_INERTIA * inertia[0]))
    across = (number - number[0]) / (number[-1] - number[0])
    down = (logarithm[0] - logarithm) / max(logarithm[0] - logarithm[-1], _NO_INERTIA)
    depth = down - across
    bend = [each for each, deep in zip(tried, depth, strict=True) if deep >= _BEND * depth.max()]
    best = max(bend, key=lambda each: each.stability)
    if len(bend) == 1:
        return best.clusters, (
            f"{best.clusters} lies at the bend of the inertia, where more clusters begin to "
            "explain little more (adjusted Rand on two halves of the segments: "
            f"{best.stability:.2f})"
        )
    return best.clusters, (
        f"of the numbers at the bend of the inertia ({bend[0].clusters} to {bend[-1].clusters}), "
        f"where more clusters begin to explain little more, {best.clusters} gives the most similar "
        f"clusters on two halves of the segments (adjusted Rand {best.stability:.2f})"
    )


def caveat(chosen: Tried) -> str:
    """Name the limits of the recommended number, and say if no number stands out."""
    blurred = (
        f"No number stands out, for segments form no clear groups (silhouette "
        f"{chosen.silhouette:.2f}; {_NO_STRUCTURE} and less is no structure to speak of). "
    )
    return (blurred if chosen.silhouette <= _NO_STRUCTURE else "") + (
        "This is about how segments lie and not about your classes: a map of more clusters "
        "usually fits them better, with more to name and to merge."
    )


def _inertia(rows: NDArray[np.float64], labels: NDArray[np.integer]) -> float:
    """Return the mean squared distance of rows to the mean of their cluster."""
    _, index, count = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.zeros((len(count), rows.shape[1]))
    np.add.at(means, index, rows)
    means /= count[:, None]
    return float(((rows - means[index]) ** 2).sum() / len(rows))


def _silhouette(rows: NDArray[np.float64], labels: NDArray[np.integer]) -> float:
    """Measure the silhouette on the first rows, which are in random order, and one per cluster."""
    _, one_each = np.unique(labels, return_index=True)
    picked = np.union1d(np.arange(min(SILHOUETTE_ROWS, len(rows))), one_each)
    return float(silhouette_score(rows[picked], labels[picked]))
