"""The legend of classes: their ids, names and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alps_geo.clusters.colors import unused_colors
from alps_geo.clusters.legend import Legend
from alps_geo.clusters.named_colors import usual_color
from alps_geo.clusters.natural_colors import near_colors
from alps_geo.clusters.sight import is_apart
from alps_geo.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color

MOST_CLASSES = 65_535
"""Highest id of a class, as far as a raster with a colour table counts."""


def class_legend(
    names: Iterable[str],
    colors: Mapping[str, Color] | None = None,
    known: Legend | None = None,
    ids: Mapping[str, int] | None = None,
) -> Legend:
    """Make the legend of classes of these names.

    Names that are all whole numbers from 1 on are the ids too; others are counted from 1 in
    alphabetical order.

    Parameters
    ----------
    names : iterable of str
        Names of the classes, in any order.
    colors : mapping of str to Color, optional
        Colours of some of them; others have the usual colours of their names, such as blue for
        water, or else colours that can be told apart from all of these.
    known : Legend, optional
        Classes of before, which keep their ids and colours; ids of others follow theirs.
    ids : mapping of str to int, optional
        Ids that names had before. Those of `names` keep them, unless a class of `known` has the id
        or all names are numbers; ids of others follow all of these.

    Raises
    ------
    SettingsError
        If there are too many classes, or a name cannot be shown.

    Examples
    --------
    >>> class_legend(["road", "roof", "grass"]).names
    {1: 'grass', 2: 'road', 3: 'roof'}
    """
    earlier = {} if known is None else dict(known.names)
    fresh = sorted(set(names) - set(earlier.values()), key=_order)
    for name in fresh:
        if not name.isprintable():
            raise SettingsError(f"the class {name!r} is not one line of text: give it another name")
    own = {int(name): name for name in fresh if _is_id(name)}
    if earlier or len(own) < len(fresh):
        own = _numbered(fresh, earlier, ids or {})
    found = dict(sorted({**earlier, **own}.items()))
    if max(found, default=0) > MOST_CLASSES:
        raise SettingsError(f"{len(found)} classes, expected {MOST_CLASSES} at most")
    given = {i: colors[name] for i, name in found.items() if name in colors} if colors else {}
    given |= {} if known is None else known.palette
    return Legend(dict(sorted(_palette(found, given).items())), found)


def _numbered(
    fresh: Iterable[str], earlier: Mapping[int, str], ids: Mapping[str, int]
) -> dict[int, str]:
    """Give new classes the free ids that they had before, and others ids above the highest."""
    kept = {ids[name]: name for name in fresh if ids.get(name, 0) not in {0, *earlier}}
    first = max([0, *earlier, *ids.values()]) + 1
    others = (name for name in fresh if name not in kept.values())
    return kept | dict(enumerate(others, start=first))


def _palette(names: Mapping[int, str], given: Mapping[int, Color]) -> dict[int, Color]:
    """Give classes the usual colours of their names, and others ones that differ from all."""
    colored = dict(given)
    fresh = {i: usual_color(name) for i, name in names.items() if i not in given}
    for i, color in fresh.items():
        if color is not None and is_apart(color, _array(colored.values())):
            colored[i] = color
    without = [i for i in fresh if i not in colored]
    taken = _array(colored.values())
    plain = iter(unused_colors(taken, len(without)).tolist())
    wishes = [fresh[i] or next(plain) for i in without]
    chosen = near_colors(_array(wishes), taken).tolist()
    colored |= {
        i: (red, green, blue) for i, (red, green, blue) in zip(without, chosen, strict=True)
    }
    return colored


def _array(colors: Iterable[Color]) -> NDArray[np.uint8]:
    return np.array(list(colors), np.uint8).reshape(-1, 3)


def _is_id(name: str) -> bool:
    return name.isascii() and name.isdecimal() and 1 <= int(name) <= MOST_CLASSES


def _order(name: str) -> tuple[int, int, str]:
    """Sort numbers by value, before texts."""
    return (0, int(name), name) if name.isascii() and name.isdecimal() else (1, 0, name)
