"""Formats of results: settings choose among them, and outputs write them."""

from __future__ import annotations

from dataclasses import dataclass

PREVIEW_FORMATS = ("png", "pdf", "svg")
"""Formats of previews."""

GEOPACKAGE = "gpkg"
"""The format that is always written: changes of clusters and classes are made in it."""

RESULT_FORMATS = (GEOPACKAGE, "geoparquet", "flatgeobuf", "geojson", "stac")
"""Formats of polygons, and of descriptions of all results."""


@dataclass(frozen=True)
class ChosenFormats:
    """Formats that were chosen for the results of a run.

    Attributes
    ----------
    formats : tuple of str
        Some of `RESULT_FORMATS`.
    previews : tuple of str
        Some of `PREVIEW_FORMATS`.
    """

    formats: tuple[str, ...]
    previews: tuple[str, ...]


ALL_FORMATS = ChosenFormats(RESULT_FORMATS, PREVIEW_FORMATS)
"""All of them."""
