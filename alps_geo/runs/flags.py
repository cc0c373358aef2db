"""Flags of a run, which decide nothing about its results."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class RunFlags:
    """Treatment of earlier results, and of failures.

    Attributes
    ----------
    overwrite : bool
        True to replace results of another run. Tiles that still fit are kept.
    force : bool
        True to do everything again, tiles that are done included.
    discard_edits : bool
        True to replace polygons that a person has changed since a run wrote them, and to let go
        the clusters that a person gave segments that are others now.
    strict : bool
        True to stop at the first tile or scene that fails. Else the pixels of such a tile remain
        unlabelled, such a scene has no results, and ``failed`` in the record names it.
    """

    overwrite: bool = False
    force: bool = False
    discard_edits: bool = False
    strict: bool = False


DEFAULT_FLAGS = RunFlags()
"""Nothing is replaced, and a failed tile stops nothing."""

FLAG_NAMES = tuple(field.name for field in fields(RunFlags))
"""Names of the flags."""
