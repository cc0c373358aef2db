"""``alps-geo clusters recolor``: other colours for clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from alps_geo_cli.clusters.change import Run, change_clusters, read_pairs
from alps_geo_cli.console import Printing

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from alps_geo.runs.record import RunRecord

_MOST_LISTED = 3
"""Pairs of colours alike that are listed."""


def recolor(
    *,
    run: Run,
    colors: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID=COLOUR...", help="Such as 3=#1f77b4 or 5=teal."),
    ] = None,
    scheme: Annotated[
        Literal["natural", "distinct"] | None,
        typer.Option(
            "--colors",
            help="Colours of all other clusters: natural ones, like their mean in the image, "
            "or distinct ones.",
            show_default="as they are",
        ),
    ] = None,
    by_name: Annotated[
        bool,
        typer.Option(
            "--by-name",
            help="Usual colours for usual names: water, forest, grass, soil, road, building …",
        ),
    ] = False,
    printing: Printing,
) -> None:
    """Give clusters other colours, as CSS writes them, by a scheme or by their names.

    Natural colours of up to 32 clusters can be told apart by every eye, also with protanopia and
    deuteranopia; of more clusters some are alike. A note lists new colours that are alike.

    Examples
    --------
    alps-geo clusters recolor results 3=#225588 5=tan
    alps-geo clusters recolor results --by-name
    """
    given = read_pairs(colors or [], "ID=COLOUR")
    if not given and scheme is None and not by_name:
        raise typer.BadParameter(
            "give colours, such as 3=teal, or --colors or --by-name", param_hint="ID=COLOUR"
        )

    def work() -> RunRecord:
        from alps_geo.review.relabel import recolor_clusters

        return recolor_clusters(run, given, scheme, by_name=by_name)

    changed = None if scheme is not None or by_name else set(given)

    def notes(record: RunRecord) -> Iterator[str]:
        if by_name:
            yield from _unknown_names(record, given)
        yield from _alike(record, changed)

    change_clusters(run, work, printing, notes)


def _unknown_names(record: RunRecord, given: Container[int]) -> Iterator[str]:
    """Give a line for the names that have no usual colour, of clusters without a given one."""
    from alps_geo.clusters.named_colors import usual_color
    from alps_geo.review.schemes import legend_of

    names = legend_of(record).names
    unknown = {
        name: None for i, name in names.items() if i not in given and usual_color(name) is None
    }
    if unknown:
        yield (
            f"no usual colour is known for {', '.join(unknown)}: give colours of these by number"
        )


def _alike(record: RunRecord, changed: set[int] | None) -> Iterator[str]:
    """Give a line for each of the pairs of clusters that look most alike, of changed ones."""
    from alps_geo.clusters.sight import PLAIN, alike_colors
    from alps_geo.review.schemes import legend_of

    legend = legend_of(record)
    found = alike_colors(legend.palette, legend.names, changed)
    for each in found[:_MOST_LISTED]:
        one, other = each.clusters
        yield (
            f"the colours of clusters {one} and {other} are alike: they differ by "
            f"{each.difference:.1f} in CIEDE2000 with {each.sight}, and colours are told apart "
            f"from {PLAIN:g} on"
        )
    if len(found) > _MOST_LISTED:
        yield f"pairs of colours that are alike, in all: {len(found)}"
