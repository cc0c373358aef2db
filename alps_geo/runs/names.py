"""Names of the results of a run, and of the folders of its scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import normalize

from alps_geo.outputs.names import (
    CLASS_MODEL,
    GALLERY,
    REPORT,
    SAMPLE,
    SIMILAR,
    SUGGESTED,
    SUGGESTED_PAGE,
    SUGGESTION,
)
from alps_geo.outputs.results import run_files, scene_files
from alps_geo.runs.folder import OVERRIDES, RECORD, TILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alps_geo.fields.formats import ChosenFormats

_VIEWS = (GALLERY, SUGGESTION, REPORT, CLASS_MODEL, SUGGESTED, SUGGESTED_PAGE, SIMILAR, SAMPLE)
_RESERVED = (".", "..", TILES, RECORD, OVERRIDES, *_VIEWS)
"""Names in a run folder, next to those of its results, that no scene can have."""


def result_files(names: Sequence[str], chosen: ChosenFormats) -> list[str]:
    """List the results of a run, relative to the run folder.

    Parameters
    ----------
    names : sequence of str
        Names of the folders of its scenes.
    chosen : ChosenFormats
        Formats that were chosen for it.
    """
    files = scene_files(chosen)
    return [*run_files(chosen), *(f"{name}/{file}" for name in names for file in files)]


def scene_results(files: Iterable[str], scene: str) -> frozenset[str]:
    """Return the names of the results of a scene, of those of its run."""
    prefix = f"{scene}/"
    return frozenset(name.removeprefix(prefix) for name in files if name.startswith(prefix))


def folder_names(names: Sequence[str]) -> list[str]:
    """Make names unique, by a number after those that were there before.

    Unique on any disk: names that differ in case or Unicode composition alone are one name to
    Windows and macOS. Those of files in the run folder are taken.

    >>> folder_names(["a", "b", "a", "A"])
    ['a', 'b', 'a-2', 'A-3']
    """
    taken = set(map(_on_disk, (*_RESERVED, *run_files())))
    unique = []
    for name in names:
        candidate, number = name, 1
        while _on_disk(candidate) in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(_on_disk(candidate))
        unique.append(candidate)
    return unique


def _on_disk(name: str) -> str:
    """Return a name as file systems compare it that ignore case and composition."""
    return normalize("NFC", normalize("NFD", name).casefold())
