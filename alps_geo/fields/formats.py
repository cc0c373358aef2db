"""Formats of results: settings choose among them, and outputs write them."""

PREVIEW_FORMATS = ("png", "pdf", "svg")
"""Formats of previews."""
