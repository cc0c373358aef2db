"""Words of settings: those of earlier versions, replaced by today's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alps_geo.fields import Choices, settings_of
from alps_geo.settings.label import LabelSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def current_words(
    values: Mapping[str, Any], note: Callable[[str], None] | None = None
) -> Mapping[str, Any]:
    """Return stored or typed values of settings, with today's words for those of before.

    >>> current_words({"compare": "weighed", "clusters": 12})
    {'compare': 'weighted', 'clusters': 12}

    Parameters
    ----------
    values : mapping of str to object
        Some of the settings, by name.
    note : callable, optional
        Given a line for each word that is replaced.
    """
    current = dict(values)
    for name, known in settings_of(LabelSettings).items():
        if isinstance(known.within, Choices) and name in values:
            current[name] = known.within.current(values[name])
            if note is not None and current[name] != values[name]:
                note(f"{name} {values[name]} is called {current[name]} now")
    return current
