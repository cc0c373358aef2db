"""Paths that a user types."""

from __future__ import annotations

from pathlib import Path

import typer

from alps_geo.runs.address import NOT_LOCAL, RunAddress, is_address


def typed_path(text: str) -> Path:
    """Read a path; an empty one, mostly of a variable that is not set, is not the current folder.

    Raises
    ------
    typer.BadParameter
        If there is no text, or if it is the address of something in a store.
    """
    if not text:
        raise typer.BadParameter("the path is empty; expected the name of a file or folder")
    if is_address(text):
        raise typer.BadParameter(f"{text} {NOT_LOCAL}")
    return Path(text)


def typed_name(text: str) -> str:
    """Read what may be a path or something else, such as a URL; not empty, as in `typed_path`."""
    return text if text else str(typed_path(text))


def run_place(text: str, work: Path | None = None) -> Path | RunAddress:
    """Return the run folder that was typed: a path, or an address with its --work.

    Raises
    ------
    typer.BadParameter
        If a --work was typed with a path, or an address without a bucket.
    """
    if is_address(text):
        if not text.partition("://")[2].strip("/"):
            raise typer.BadParameter(f"{text} names no bucket; expected one, as s3://bucket/run")
        return RunAddress(text, work)
    if work is not None:
        raise typer.BadParameter(
            "goes with an address as --out, such as s3://bucket/run; a folder is worked in itself",
            param_hint="--work",
        )
    return typed_path(text)
