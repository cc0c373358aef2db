"""Formats of vector results, as a user joins them: gpkg,geojson."""

from __future__ import annotations

from dataclasses import dataclass

from alps_geo.errors import SettingsError
from alps_geo.fields import Rule

GEOPACKAGE = "gpkg"
"""The format that is always written: changes of clusters and classes are made in it."""

FORMATS = (GEOPACKAGE, "geoparquet", "flatgeobuf", "geojson", "stac")
"""Names of the formats."""


@dataclass(frozen=True)
class FormatNames(Rule):
    """Names of formats, joined by commas."""

    def check(self, name: str, value: str) -> None:
        """Raise SettingsError if a format does not exist."""
        if unknown := [each for each in chosen_formats(value) if each not in FORMATS]:
            raise SettingsError(
                f"{name} is {value!r}, and {unknown[0]!r} is none of {', '.join(FORMATS)}; "
                f"expected some of them with commas between them, such as {GEOPACKAGE},geojson"
            )

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "some of " + ", ".join(f"`{word}`" for word in FORMATS)

    def is_silent(self, value: str) -> bool:
        """Return True for a choice of nothing but the format that is always written."""
        return set(chosen_formats(value)) <= {GEOPACKAGE}


def chosen_formats(text: str) -> tuple[str, ...]:
    """Return the formats in a text, each once.

    >>> chosen_formats("gpkg, geojson")
    ('gpkg', 'geojson')
    """
    return tuple(dict.fromkeys(name.strip() for name in text.split(",")))
