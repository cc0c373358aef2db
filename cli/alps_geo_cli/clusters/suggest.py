"""``alps-geo clusters suggest``: numbers of clusters compared on the segments of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo.outputs.names import SUGGESTION
from alps_geo_cli.clusters.change import Run
from alps_geo_cli.console import Printing
from alps_geo_cli.paths import typed_path

if TYPE_CHECKING:
    from alps_geo.clusters.suggest import Suggestion


def suggest(
    *,
    run: Run,
    span: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="LOW:HIGH[:STEP]",
            help="Numbers of clusters to try; without a step, steps grow with the number.",
            show_default="4:60, or as far as there are segments",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 100, help="Seed of samples and clusters.")
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=typed_path,
            metavar="FILE",
            help="Picture of the curves.",
            show_default=f"RUN/{SUGGESTION}",
        ),
    ] = None,
    printing: Printing,
) -> None:
    """Compare numbers of clusters on the segments of a run, and recommend one.

    For each number: how near segments are to their centres (inertia), how well clusters are
    apart (silhouette), and how alike clusters are that two halves of the segments give
    (stability). None of them knows the classes of a map: it is a number to begin with. With more
    clusters each is purer, and too many are easily merged. `alps-geo label` with another --clusters
    and --overwrite takes seconds.

    Examples
    --------
    alps-geo clusters suggest results --range 4:60
    """
    low, high, step = _range(span)
    with printing.errors():
        from alps_geo.review.suggest import suggest_clusters
        from alps_geo_cli.progress import counting

        picture = out or run / SUGGESTION
        with counting("clusters", quiet=printing.silent) as listen:
            found = suggest_clusters(
                run, low, high, step, seed=seed, picture=picture, listen=listen
            )
    printing.show(found.to_dict(), lambda: _print_suggestion(found, picture))


def _range(text: str | None) -> tuple[int | None, int | None, int | None]:
    """Read LOW:HIGH or LOW:HIGH:STEP."""
    if text is None:
        return None, None, None
    parts = text.split(":")
    if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
        raise typer.BadParameter(
            f"{text!r} is not LOW:HIGH or LOW:HIGH:STEP, such as 4:60", param_hint="--range"
        )
    low, high, *step = (int(part) for part in parts)
    if not 2 <= low <= high or 0 in step:
        raise typer.BadParameter(
            f"{text!r} does not rise from 2 or more, such as 4:60", param_hint="--range"
        )
    return low, high, step[0] if step else None


def _print_suggestion(found: Suggestion, picture: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    looked = "" if found.sample == found.segments else f", {found.sample:,} of them looked at"
    table = Table(title=f"{found.segments:,} segments{looked}")
    for title in ("clusters", "inertia", "silhouette", "stability"):
        table.add_column(title, justify="right")
    for tried in found.tried:
        table.add_row(
            str(tried.clusters),
            f"{tried.inertia:.3f}",
            f"{tried.silhouette:.3f}",
            f"{tried.stability:.3f} ± {tried.stability_error:.3f}",
            style="bold" if tried.clusters == found.clusters else None,
        )
    console = Console()
    console.print(table)
    console.print(f"[bold]{found.clusters} clusters[/]: {found.reason}.", highlight=False)
    console.print(found.caveat, highlight=False)
    console.print(str(picture), soft_wrap=True, highlight=False, markup=False)
