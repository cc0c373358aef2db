"""Progress of a run in a notebook: a bar below the cell, drawn by the browser."""

from __future__ import annotations

import sys
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from alps_geo.events import Event


def in_notebook() -> bool:
    """Tell if this process is the kernel of a notebook.

    IPython is asked only where a kernel has imported it, so that a script does not load it.
    """
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    shell = get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


def notebook_bar() -> Callable[[Event], None]:
    """Show a progress bar below the running cell, and the notes of the run under it.

    Returns
    -------
    callable
        Takes each `Event` of the run and redraws the bar.
    """
    from IPython.display import HTML, display

    notes: list[str] = []
    shown = display(HTML(""), display_id=True)

    def show(event: Event) -> None:
        if event.note:
            notes.append(event.noted)
        shown.update(HTML(_page(event, notes)))

    return show


def _page(event: Event, notes: list[str]) -> str:
    total = event.tiles - event.skipped
    bar = f'<progress value="{event.computed}" max="{max(total, 1)}"></progress>'
    stage = escape(f"{event.stage} {event.scene}".strip())
    lines = "".join(f"<div><b>note</b> {escape(note)}</div>" for note in notes)
    return f"<div>{bar} {event.computed} of {total} tiles, {stage}</div>{lines}"
