"""Areas for people: one unit for a table, in which all are short numbers."""

from __future__ import annotations

import math

import pytest

from alps_geo.outputs.area_units import area_unit


@pytest.mark.parametrize(
    ("largest", "measure", "name", "shown"),
    [
        (99.0, "m2", "m²", "1,234"),
        (1e5, "m2", "ha", "0.12"),
        (1e7, "m2", "km²", "<0.01"),
        (1e9, "px", "px", "1,234"),
    ],
)
def test_areas_have_a_unit_for_people(largest: float, measure: str, name: str, shown: str) -> None:
    unit = area_unit(largest, measure)
    assert (unit.name, unit.shown(1234.4)) == (name, shown)
    assert unit.shown(math.nan) == "-"
    assert float(unit.shown(0.0)) == 0
