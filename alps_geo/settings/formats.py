"""Formats of results that a setting chooses, for modules that need no more of the settings."""

PREVIEW_FORMATS = ("png", "pdf", "svg")
"""Formats of previews."""
