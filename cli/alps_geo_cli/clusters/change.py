"""Options and course of the commands that change clusters."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo.outputs.names import GALLERY, REPORT
from alps_geo_cli.console import print_note
from alps_geo_cli.paths import typed_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alps_geo.runs.record import RunRecord
    from alps_geo_cli.console import Printing

Run = Annotated[
    Path,
    typer.Argument(
        parser=typed_path, metavar="RUN", help="Folder that was the --out of alps-geo label."
    ),
]

DiscardEdits = Annotated[
    bool,
    typer.Option(
        "--discard-edits",
        help="Overwrite what was edited by hand, as in QGIS, in cluster, cluster_name or "
        "confidence of features that change. Other edits and features stay in any case.",
    ),
]


def change_clusters(
    run: Path,
    work: Callable[[], RunRecord],
    printing: Printing,
    notes: Callable[[RunRecord], Iterable[str]] = lambda _: (),
) -> None:
    """Change the clusters of a run, and print its new table.

    Parameters
    ----------
    run : pathlib.Path
        The run folder.
    work : callable
        Makes the change and returns the record of the run.
    printing : Printing
        Options of what is printed.
    notes : callable
        Gives notes to print after the table.
    """
    with printing.errors("the same command finishes the change"):
        pages = {GALLERY: ["clusters", "gallery"], REPORT: ["report"]}
        outdated = {run / page: again for page, again in pages.items() if (run / page).exists()}
        record = work()

    def print_table() -> None:
        from alps_geo_cli.summary import print_summary

        print_summary(record, run)
        for note in notes(record):
            print_note(note)
        for page, again in outdated.items():
            command = shlex.join(["alps-geo", *again, str(run)])
            print_note(
                f"{page} showed the clusters as they were, and is gone; {command} makes it again"
            )

    printing.show(record.to_json(), print_table)


def read_pairs(texts: list[str], form: str) -> dict[int, str]:
    """Read values of clusters, such as 3=water.

    Parameters
    ----------
    texts : list of str
        One for each cluster.
    form : str
        Name of the argument, for errors.

    Raises
    ------
    typer.BadParameter
        If one is something else, or a cluster comes twice.
    """
    found: dict[int, str] = {}
    for text in texts:
        number, sign, value = text.partition("=")
        if not sign or not number.strip().isdecimal():
            raise typer.BadParameter(
                f"{text!r} does not begin with the number of a cluster and a =", param_hint=form
            )
        if int(number) in found:
            raise typer.BadParameter(f"cluster {int(number)} is given twice", param_hint=form)
        found[int(number)] = value.strip()
    return found
