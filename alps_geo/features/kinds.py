"""Kinds of scenes: scenes whose bands and units agree, so that their values can be compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.features.registry import find_group

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alps_geo.scene import Scene


def kind_of(unit: str, band_names: Sequence[str]) -> str:
    """Name a kind of scene: the unit of its bands, and their names in the order of reading."""
    return f"{unit}: {', '.join(band_names)}"


def scene_kind(scene: Scene) -> str:
    """Name the kind of a scene."""
    return kind_of(scene.unit, scene.band_names)


def in_one_order(scenes: Iterable[Scene], known: Sequence[str] = ()) -> list[Scene]:
    """Have all scenes of the same bands and unit read in one order, and so be of one kind.

    Parameters
    ----------
    scenes : iterable of Scene
        The first of them sets the order for those after it.
    known : sequence of str
        Kinds that a cluster model knows, which go first.
    """
    orders: dict[tuple[str, frozenset[str]], tuple[str, ...]] = {}
    for kind in known:
        unit, names = kind_parts(kind)
        orders.setdefault((unit, frozenset(names)), names)
    ordered = []
    for scene in scenes:
        key = scene.unit, frozenset(scene.band_names)
        # A model may know both orders, each with a standardisation of its own.
        found = scene.band_names if scene_kind(scene) in known else orders.get(key)
        orders.setdefault(key, scene.band_names)
        ordered.append(scene.in_order(found or scene.band_names))
    return ordered


def with_kind_notes(
    scenes: Sequence[Scene], features: Sequence[str], known: Sequence[str] = (), *, raw: bool
) -> list[Scene]:
    """Note on scenes of other kinds than the first that their clusters are not comparable.

    Parameters
    ----------
    scenes : sequence of Scene
        One at least.
    features : sequence of str
        Names of feature groups.
    known : sequence of str
        Kinds that a cluster model knows; scenes are compared with the first of them.
    raw : bool
        True if columns are compared as they are: then those without units are comparable.
    """
    if raw and not any(find_group(name).in_band_units for name in features):
        return list(scenes)
    first = known[0] if known else scene_kind(scenes[0])
    how = "compared as it is, in its own units" if raw else "standardised by itself"
    than = "those that the clusters were first fitted to" if known else scenes[0].name
    noted = []
    for scene in scenes:
        kind = scene_kind(scene)
        note = (
            f"its bands or their units ({kind}) are others than of {than} ({first}): it is {how}, "
            "so a cluster need not mean the same in both"
        )
        noted.append(scene if kind == first else replace(scene, notes=(*scene.notes, note)))
    return noted


def check_known(kind: str, known: Sequence[str]) -> None:
    """Raise RunError unless clusters know a kind of scene."""
    if kind not in known:
        raise RunError(
            f"the clusters know scenes of {' and of '.join(known)}, and this is one of {kind}; "
            "expected the same bands and data type, and scale and offset tags in both or in none: "
            "fit clusters with it"
        )


def kind_parts(kind: str) -> tuple[str, tuple[str, ...]]:
    """Take the name of a kind apart: unit, and names of the bands."""
    unit, _, names = kind.partition(": ")
    return unit, tuple(names.split(", "))
