"""The page of the segments to label next: crops of them, and the command that takes the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.files import write_bytes
from alps_geo.outputs.pages import render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alps_geo.outputs.gallery_page import Crop


@dataclass(frozen=True)
class Suggestion:
    """A segment to label, in its surroundings.

    Attributes
    ----------
    crop : Crop
        The segment.
    reason : str
        Reason of its choice.
    """

    crop: Crop
    reason: str


def write_suggested_page(
    path: Path, file: str, command: str, suggestions: Sequence[Suggestion]
) -> None:
    """Write the page.

    Parameters
    ----------
    path : pathlib.Path
        File to write; one that is there is replaced at the end.
    file : str
        The layer to fill in.
    command : str
        The command that takes the labels.
    suggestions : sequence of Suggestion
        In the order of the page.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    title = f"{len(suggestions)} segments to label"
    page = render(
        "suggested.html", title=title, file=file, command=command, suggestions=suggestions
    )
    write_bytes(path, page.encode())
