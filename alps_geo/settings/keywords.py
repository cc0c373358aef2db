"""Settings from the keywords of a call in Python."""

from __future__ import annotations

import difflib
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from alps_geo.settings.label import LabelSettings
from alps_geo.settings.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Mapping


def settings_from(keywords: Mapping[str, Any]) -> LabelSettings:
    """Make settings from fields of `LabelSettings`, and ``preset`` for those that are not given.

    Raises
    ------
    TypeError
        If there is no setting or preset of that name.
    SettingsError
        If a value is out of its range.

    Examples
    --------
    >>> settings_from({"preset": "alps", "clusters": 12}).compare
    'raw'
    """
    given = dict(keywords)
    preset = given.pop("preset", None)
    if preset is not None and preset not in PRESETS:
        raise TypeError(f"preset is {preset!r}, expected one of {', '.join(PRESETS)}")
    known = [field.name for field in fields(LabelSettings)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise TypeError(f"there is no setting {name!r}{hint}")
    return LabelSettings(**{**PRESETS.get(preset or "", {}), **given})
