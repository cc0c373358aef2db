"""Paths that a user types."""

from __future__ import annotations

from pathlib import Path

import typer


def typed_path(text: str) -> Path:
    """Read a path; an empty one, mostly of a variable that is not set, is not the current folder.

    Raises
    ------
    typer.BadParameter
        If there is no text.
    """
    if not text:
        raise typer.BadParameter("the path is empty; expected the name of a file or folder")
    return Path(text)


def typed_name(text: str) -> str:
    """Read what may be a path or something else, such as a URL; not empty, as in `typed_path`."""
    return text if text else str(typed_path(text))
