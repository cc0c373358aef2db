"""The legend of classes: their ids, names and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.clusters.legend import Legend
from alps_geo.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alps_geo.clusters.colors import Color

MOST_CLASSES = 65_535
"""Highest id of a class, as far as a raster with a colour table counts."""


def class_legend(
    names: Iterable[str], colors: Mapping[str, Color] | None = None, known: Legend | None = None
) -> Legend:
    """Make the legend of classes of these names.

    Names that are all whole numbers from 1 on are the ids too; others are counted from 1 in
    alphabetical order.

    Parameters
    ----------
    names : iterable of str
        Names of the classes, in any order.
    colors : mapping of str to Color, optional
        Colours of some of them; others have default colours.
    known : Legend, optional
        Classes of before, which keep their ids and colours; ids of others follow theirs.

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
        first = max(earlier, default=0) + 1
        own = dict(enumerate(fresh, start=first))
    found = dict(sorted({**earlier, **own}.items()))
    if max(found, default=0) > MOST_CLASSES:
        raise SettingsError(f"{len(found)} classes, expected {MOST_CLASSES} at most")
    palette = Legend.default(len(found)).palette.values()
    colored = dict(zip(found, palette, strict=True))
    colored |= {i: (colors or {}).get(name, colored[i]) for i, name in found.items()}
    colored |= {} if known is None else known.palette
    return Legend(dict(sorted(colored.items())), found)


def _is_id(name: str) -> bool:
    return name.isascii() and name.isdecimal() and 1 <= int(name) <= MOST_CLASSES


def _order(name: str) -> tuple[int, int, str]:
    """Sort numbers by value, before texts."""
    return (0, int(name), name) if name.isascii() and name.isdecimal() else (1, 0, name)
