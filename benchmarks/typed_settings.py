"""Settings as they are typed in benchmarks: key=value pairs separated by spaces."""

from __future__ import annotations

import json
from typing import Any

from alps_geo.fields import settings_of
from alps_geo.fields.rules import Readable


def typed_values(known: type, text: str) -> dict[str, Any]:
    """Read settings of a class of settings.

    >>> typed_values(LabelSettings, "points=grid:16 clusters=24")["clusters"]
    24
    """
    values: dict[str, Any] = {}
    fields = settings_of(known)
    for each in text.split():
        name, _, value = each.partition("=")
        rule = fields[name].within if name in fields else None
        values[name] = rule.read(name, value) if isinstance(rule, Readable) else _typed(value)
    return values


def _typed(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
