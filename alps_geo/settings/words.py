"""Words of settings: those of earlier versions, replaced by today's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alps_geo.errors import SettingsError
from alps_geo.fields import Rule, settings_of
from alps_geo.settings.label import LabelSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def current_words(
    values: Mapping[str, Any], note: Callable[[str], None] | None = None
) -> Mapping[str, Any]:
    """Return stored or typed values of settings, with today's words for those of before.

    >>> current_words({"compare": "weighed", "points_per_side": 16})
    {'compare': 'weighted', 'points': 'grid:16'}

    Parameters
    ----------
    values : mapping of str to object
        Some of the settings, by name.
    note : callable, optional
        Given a line for each word that is replaced.

    Raises
    ------
    SettingsError
        If a setting is given under two names.
    """
    known = {
        each: (name, setting.within)
        for name, setting in settings_of(LabelSettings).items()
        for each in (name, *setting.within.earlier_names)
    }
    current: dict[str, Any] = {}
    for given, value in values.items():
        name, rule = known.get(given, (given, Rule()))
        if name in current:
            names = " and ".join((name, *rule.earlier_names))
            raise SettingsError(f"{names} are one setting, expected one of them")
        current[name] = rule.current(given, value)
        if note is not None and name != given:
            note(f"{given} {value} is called {name} {current[name]} now")
        elif note is not None and current[name] != value:
            note(f"{name} {value} is called {current[name]} now")
    return current
