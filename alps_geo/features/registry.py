"""The feature groups: one for each module of `alps_geo.features.groups`, and those registered.

Names are known without importing the modules, and so without numpy: settings and the command line
ask for names, and the stages that describe segments ask for groups.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import RunError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alps_geo.features.group import FeatureGroup, Part

BACKBONE = "timm"
"""The group whose name is followed by a colon and the name of a backbone."""

_MODULES = "alps_geo.features.groups"

_ORDER = ("sam", "spectral", "spread", "texture", "context", "shape", BACKBONE)
"""Order of the columns in models that are fitted already; later groups follow by name."""

_registered: dict[str, FeatureGroup] = {}


def group_names() -> tuple[str, ...]:
    """Names of all feature groups, in the order of their columns."""
    return (*_module_names(), *_registered)


def split_feature(feature: str) -> tuple[str, str]:
    """Split a feature into the name of its group and that of its backbone, if it has one.

    >>> split_feature("timm:resnet18"), split_feature("sam")
    (('timm', 'resnet18'), ('sam', ''))
    """
    name, _, backbone = feature.partition(":")
    return name, backbone


def find_group(feature: str) -> FeatureGroup:
    """Find the group of a feature.

    Raises
    ------
    SettingsError
        If there is none of that name.
    """
    name, _ = split_feature(feature)
    if name in _registered:
        return _registered[name]
    if name not in _module_names():
        raise SettingsError(
            f"feature group {name!r} is unknown, expected one of {', '.join(group_names())}"
        )
    group: FeatureGroup = import_module(f"{_MODULES}.{name}").GROUP
    return group


def find_part(prefix: str) -> Part:
    """Find the part of a group whose columns have this prefix.

    Raises
    ------
    RunError
        If no group has such columns.
    """
    for part in _parts():
        if part.prefix == prefix:
            return part
    raise RunError(
        f"no feature group has columns {prefix}.*, expected one of "
        f"{', '.join(part.prefix for part in _parts())}: register the group that they come from"
    )


def current_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names of columns as they are now, also of those that an earlier version stored."""
    groups = map(find_group, group_names())
    renamed = {old: new for group in groups for old, new in group.earlier_names.items()}
    return tuple(renamed.get(name, name) for name in names)


def register(group: FeatureGroup) -> None:
    """Add a feature group, to be chosen by its name like any other.

    Raises
    ------
    SettingsError
        If a group has that name, or columns of one of its prefixes.
    """
    if group.name in group_names():
        raise SettingsError(f"there is a feature group {group.name!r}: give it another name")
    known = {part.prefix for part in _parts()}
    for part in group.parts:
        if part.prefix in known:
            raise SettingsError(
                f"there are columns {part.prefix}.*: give those of {group.name!r} another prefix"
            )
    _registered[group.name] = group


def unregister(name: str) -> None:
    """Remove a registered feature group; one that is not registered is no error."""
    _registered.pop(name, None)


@cache
def _module_names() -> tuple[str, ...]:
    folder = str(Path(__file__).with_name("groups"))
    found = [module.name for module in pkgutil.iter_modules([folder])]
    order = {name: position for position, name in enumerate(_ORDER)}
    return tuple(sorted(found, key=lambda name: (order.get(name, len(order)), name)))


def _parts() -> tuple[Part, ...]:
    return tuple(part for name in group_names() for part in find_group(name).parts)
