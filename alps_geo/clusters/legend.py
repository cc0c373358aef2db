"""The legend of a cluster model: ids, names and colours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.clusters.colors import default_colors, unused_colors
from alps_geo.clusters.named_colors import usual_color
from alps_geo.clusters.natural_colors import PLAINLY_APART, near_colors
from alps_geo.clusters.sight import alike_colors
from alps_geo.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color

_JOINERS = dict.fromkeys((0x200C, 0x200D))
"""Characters that Persian and Indic words are spelt with: they join letters, or keep them apart."""


@dataclass(frozen=True)
class Legend:
    """Ids of clusters, their colours and names.

    Merging leaves gaps in the ids: the cluster keeps the lowest of them, and all other clusters
    keep theirs, because a user's styles, filters and notes, and the names that are about to be
    given, speak of ids. For the same reason a split cluster keeps its id for the largest part, and
    new ids follow the highest.

    Attributes
    ----------
    palette : mapping of int to Color
        Red, green, blue of each cluster, by ascending id from 1.
    names : mapping of int to str
        Name of each cluster that has one, by ascending id. Several clusters may have one name: they
        are often parts of one class.

    Raises
    ------
    ValueError
        If ids do not ascend, or a name is that of no cluster.
    """

    palette: Mapping[int, Color]
    names: Mapping[int, str]

    def __post_init__(self) -> None:
        for ids in (list(self.palette), list(self.names)):
            if any(low >= high for low, high in pairwise([0, *ids])):
                raise ValueError("cluster ids do not ascend, expected them to, from 1")
        if unknown := self.names.keys() - self.palette.keys():
            raise ValueError(f"there are names of {sorted(unknown)}, which are no clusters")

    @classmethod
    def default(cls, count: int) -> Legend:
        """Make the legend of clusters 1..count: colours easy to tell apart, and no names."""
        return cls(dict(zip(range(1, count + 1), _colors(default_colors(count)), strict=True)), {})

    @classmethod
    def of_arrays(
        cls, ids: NDArray[np.integer], names: Sequence[str], colors: NDArray[np.uint8]
    ) -> Legend:
        """Make a legend of k ids, k names, empty for clusters without, and colours (k, 3).

        Raises
        ------
        ValueError
            If their numbers differ, or as the class.
        """
        if colors.shape != (len(ids), 3):
            raise ValueError(f"colours have shape {colors.shape}, expected {(len(ids), 3)}")
        listed = ids.tolist()
        named = {i: name for i, name in zip(listed, names, strict=True) if name}
        return cls(dict(zip(listed, _colors(colors), strict=True)), named)

    def __len__(self) -> int:
        return len(self.palette)

    @property
    def ids(self) -> NDArray[np.int64]:
        """Ids of the clusters, ascending, shape (k,)."""
        return np.array(list(self.palette), dtype=np.int64)

    @property
    def colors(self) -> NDArray[np.uint8]:
        """Colours in the order of the ids, shape (k, 3)."""
        return np.array(list(self.palette.values()), dtype=np.uint8).reshape(-1, 3)

    def check(self, clusters: Iterable[int]) -> None:
        """Raise RunError if one of these ids is of no cluster."""
        if unknown := sorted(set(clusters) - self.palette.keys()):
            raise RunError(
                f"there is no cluster {', '.join(map(str, unknown))}; "
                f"expected some of {_ranges(list(self.palette))}"
            )

    def named(self, names: Mapping[int, str]) -> Legend:
        """Give clusters names; an empty one takes a name away.

        Raises
        ------
        RunError
            If there is no such cluster, or a name is not one line of text.
        """
        self.check(names)
        for cluster, name in names.items():
            if not name.translate(_JOINERS).isprintable():
                raise RunError(
                    f"the name {name!r} of cluster {cluster} holds characters that cannot be "
                    "shown, expected one line of text"
                )
        found = {**self.names, **{cluster: name.strip() for cluster, name in names.items()}}
        return replace(self, names={i: found[i] for i in self.palette if found.get(i)})

    def recolored(self, colors: Mapping[int, Color]) -> Legend:
        """Give clusters other colours: red, green, blue.

        Raises
        ------
        RunError
            If there is no such cluster.
        """
        self.check(colors)
        return replace(self, palette={**self.palette, **colors})

    def with_colors(self, colors: NDArray[np.uint8]) -> Legend:
        """Give all clusters other colours, shape (k, 3), in the order of the ids."""
        return replace(self, palette=dict(zip(self.palette, _colors(colors), strict=True)))

    def merged(self, clusters: Sequence[int], name: str | None = None) -> Legend:
        """Make one cluster of several: the one of the lowest id, with its colour.

        Parameters
        ----------
        clusters : sequence of int
            Their ids, two at least.
        name : str, optional
            Of the merged cluster; else the name of the first of them, by id, that has one.

        Raises
        ------
        RunError
            If there is no such cluster, or only one.
        """
        self.check(clusters)
        together = sorted(set(clusters))
        if len(together) < 2:
            listed = " ".join(map(str, together)) or "none"
            raise RunError(f"clusters to merge: {listed}; expected two different ones at least")
        first, others = together[0], set(together[1:])
        if name is None:
            name = next((self.names[i] for i in together if i in self.names), "")
        return self.kept(self.palette.keys() - others).named({first: name})

    def kept(self, clusters: Iterable[int]) -> Legend:
        """Return the legend of some of the clusters alone."""
        some = set(clusters)
        return Legend(
            {i: color for i, color in self.palette.items() if i in some},
            {i: name for i, name in self.names.items() if i in some},
        )

    def added(self, cluster: int, name: str, color: Color | None = None) -> Legend:
        """Add a cluster.

        Parameters
        ----------
        cluster : int
            An id that is not in use.
        name : str
            Its name; empty for none.
        color : Color, optional
            Its colour, another if a cluster has that already; by default a new one, near to the
            usual colour of the name if it has one.

        Raises
        ------
        RunError
            If the name is not one line of text.
        """
        if color is None or color in self.palette.values():
            (color,) = self._new_colors([usual_color(name)])
        palette = dict(sorted({**self.palette, cluster: color}.items()))
        return replace(self, palette=palette).named({cluster: name})

    def extended(self, count: int, like: int | None = None) -> Legend:
        """Add clusters without names, whose ids follow the highest.

        Parameters
        ----------
        count : int
            Their number.
        like : int, optional
            Id of a cluster to whose colour the new ones are to be near.
        """
        highest = max(self.palette, default=0)
        ids = range(highest + 1, highest + count + 1)
        colors = self._new_colors([None if like is None else self.palette[like]] * count)
        return replace(self, palette={**self.palette, **dict(zip(ids, colors, strict=True))})

    def _new_colors(self, wishes: Sequence[Color | None]) -> list[Color]:
        """Choose a colour for each wish: as far apart as all others are, or one that is unused."""
        unused = unused_colors(self.colors, len(wishes))
        if len(self) > PLAINLY_APART or alike_colors(self.palette, self.names):
            return _colors(unused)
        wanted = [wish or each for wish, each in zip(wishes, _colors(unused), strict=True)]
        return _colors(near_colors(np.array(wanted, np.uint8).reshape(-1, 3), self.colors))


def _colors(colors: NDArray[np.uint8]) -> list[Color]:
    return [(red, green, blue) for red, green, blue in colors.tolist()]


def _ranges(ids: Sequence[int]) -> str:
    """List ascending ids for people: 1 to 4, 6, 9 to 11."""
    breaks = [0, *(i for i in range(1, len(ids)) if ids[i] != ids[i - 1] + 1), len(ids)]
    runs = [ids[start:stop] for start, stop in pairwise(breaks)]
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
