"""Classes of a training set, made of the clusters or classes of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color
    from alps_geo.clusters.legend import Legend
    from alps_geo.outputs.training_set.settings import ExportSettings

UNLABELLED = -1
"""Class number of unlabelled pixels."""

_MOST_BYTES = 254
"""Classes of a mask of bytes, at most."""


@dataclass(frozen=True)
class TrainingClass:
    """A class of a training set.

    Attributes
    ----------
    name : str
        Its name, unique in the set.
    color : (red, green, blue)
        Its colour.
    clusters : tuple of int
        Ids of the clusters that it is made of, ascending; its id in a run with classes.
    """

    name: str
    color: Color
    clusters: tuple[int, ...]


@dataclass(frozen=True)
class ClassTable:
    """The classes of a training set, numbered from 0 in their order.

    Attributes
    ----------
    classes : tuple of TrainingClass
        The classes, one at least.
    unlabelled : tuple of int
        Clusters that belong to no class.
    unnamed : tuple of int
        Those of them that lack the name which a class is made of.
    of_run : bool
        True if they are the classes of a run, and ids are those of its classes.
    """

    classes: tuple[TrainingClass, ...]
    unlabelled: tuple[int, ...] = ()
    unnamed: tuple[int, ...] = ()
    of_run: bool = False

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> list[str]:
        """Names in the order of the numbers."""
        return [each.name for each in self.classes]

    @property
    def palette(self) -> list[list[int]]:
        """Red, green and blue in the order of the numbers."""
        return [list(each.color) for each in self.classes]

    @property
    def mask_type(self) -> type[np.uint8 | np.uint16]:
        """Data type of masks: bytes, or uint16 for more classes than bytes hold."""
        return np.uint8 if len(self) <= _MOST_BYTES else np.uint16

    @property
    def ignored(self) -> int:
        """Value of unlabelled pixels in masks: 255, or 65535 in uint16."""
        return int(np.iinfo(self.mask_type).max)

    def of_clusters(self, clusters: NDArray[np.integer]) -> NDArray[np.int32]:
        """Return the number of the class of each cluster id, `UNLABELLED` for none."""
        known = [i for each in self.classes for i in each.clusters]
        number = np.full(max(*known, 0, int(clusters.max(initial=0))) + 1, UNLABELLED, np.int32)
        for index, each in enumerate(self.classes):
            number[list(each.clusters)] = index
        found: NDArray[np.int32] = number[clusters]
        return found

    def mask(self, numbers: NDArray[np.int32]) -> NDArray[np.uint8 | np.uint16]:
        """Return the mask of class numbers: 0 to k - 1, and `ignored` for unlabelled pixels."""
        return np.where(numbers < 0, self.ignored, numbers).astype(self.mask_type)


def classes_of(
    legend: Legend, settings: ExportSettings, classes: Legend | None = None
) -> ClassTable:
    """Make classes of clusters, or of the classes of a run.

    Parameters
    ----------
    legend : Legend
        The clusters.
    settings : ExportSettings
        `by` decides whether clusters or their names are classes, `ignore` what is left out.
    classes : Legend, optional
        The classes of the run, which count in place of names of clusters.

    Raises
    ------
    SettingsError
        If no cluster has a name and names are to be classes, if something is ignored that is not
        there, or if no class is left.
    """
    of_run = settings.by == "class" and classes is not None
    if classes is not None and of_run:
        legend = classes
    if settings.by == "class" and not legend.names:
        raise SettingsError(
            "by is class, but no cluster has a name; give some with alps-geo clusters name RUN "
            "3=water, or classes with alps-geo classify, or export --by cluster"
        )
    ignored = _ignored(legend, settings.ignore)
    kept = [i for i in legend.palette if i not in ignored]
    names = legend.names if settings.by == "class" else _one_by_one(legend)
    members: dict[str, list[int]] = {}
    for cluster in kept:
        if cluster in names:
            members.setdefault(names[cluster], []).append(cluster)
    if not members:
        raise SettingsError(
            f"ignore is {','.join(settings.ignore)}, which leaves no class; ignore fewer"
        )
    table = tuple(
        TrainingClass(name, legend.palette[ids[0]], tuple(ids)) for name, ids in members.items()
    )
    used = {i for ids in members.values() for i in ids}
    unlabelled = tuple(i for i in legend.palette if i not in used)
    unnamed = tuple(i for i in unlabelled if i not in names)
    return ClassTable(table, unlabelled, unnamed, of_run)


def _one_by_one(legend: Legend) -> dict[int, str]:
    """Name every cluster, each by a name of its own."""
    count = Counter(legend.names.values())
    taken = set(legend.names.values())
    names = {}
    for cluster in legend.palette:
        name = legend.names.get(cluster, "cluster")
        alone = cluster in legend.names and count[name] == 1
        candidate = name if alone else f"{name} {cluster}"
        while not alone and candidate in taken:
            candidate += "'"
        taken.add(candidate)
        names[cluster] = candidate
    return names


def _ignored(legend: Legend, words: Sequence[str]) -> set[int]:
    """Find the clusters of names and numbers."""
    found: set[int] = set()
    for word in words:
        named = {i for i, name in legend.names.items() if name == word}
        if not named and word.isdecimal() and int(word) in legend.palette:
            named = {int(word)}
        if not named:
            known = [*map(str, legend.palette), *dict.fromkeys(legend.names.values())]
            raise SettingsError(f"ignore is {word!r}, expected some of {', '.join(known)}")
        found |= named
    return found
