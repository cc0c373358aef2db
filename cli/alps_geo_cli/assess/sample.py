"""``alps-geo assess sample``: points to be checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from alps_geo.outputs.names import SAMPLE
from alps_geo_cli.clusters.change import Run
from alps_geo_cli.console import Printing
from alps_geo_cli.paths import typed_path

if TYPE_CHECKING:
    from alps_geo.review.assess_sample import SamplePlan


def sample(
    *,
    run: Run,
    strata: Annotated[
        Literal["class", "cluster"],
        typer.Option(
            help="Draw points of each class, of alps-geo classify or else a name of clusters, or "
            "of each cluster."
        ),
    ] = "class",
    size: Annotated[int, typer.Option(min=2, help="Points of all strata.")] = 400,
    allocation: Annotated[
        Literal["compromise", "proportional", "equal"],
        typer.Option(
            help="Points of each stratum: proportional to its area; equal; or a compromise of "
            "both, proportional but for the --minimum that each stratum gets."
        ),
    ] = "compromise",
    minimum: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Points of each stratum at least, in a compromise.",
            show_default="an equal share of half of all points, up to 50",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="The same seed draws the same points.")
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=typed_path,
            metavar="FILE",
            help="GeoPackage of the points.",
            show_default=f"RUN/{SAMPLE}",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace a sample that is there, filled in or not."),
    ] = False,
    printing: Printing,
) -> None:
    """Draw a stratified random sample of pixels, to be checked by a person.

    Fill in the column `reference` of the points, as in QGIS, where it lists the classes: the class
    on the ground inside the pixel, by imagery or in the field, without a look at the map. Points
    are in random order, so that the first of them are a sample too. Then `alps-geo assess report`.

    Examples
    --------
    alps-geo assess sample results --size 400
    alps-geo assess sample results --strata cluster --seed 1
    """
    with printing.errors():
        from alps_geo.review.assess_sample import SampleSettings, draw_sample

        path = out or run / SAMPLE
        settings = SampleSettings(strata, size, allocation, minimum, seed)
        plan = draw_sample(run, path, settings, overwrite=overwrite)
    printing.show(plan.to_json(), lambda: _print_plan(plan, path))


def _print_plan(plan: SamplePlan, path: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{plan.points.sum():,} points in {len(plan.points):,} strata")
    table.add_column(plan.settings.strata)
    for title in ("pixels", "share", "in proportion", "points"):
        table.add_column(title, justify="right")
    shares = plan.strata.area / plan.strata.area.sum()
    for name, pixels, share, points in zip(
        plan.strata.names, plan.strata.pixels, shares, plan.points, strict=True
    ):
        in_proportion = f"{share * plan.points.sum():.1f}"
        table.add_row(escape(name), f"{pixels:,}", f"{share:.1%}", in_proportion, str(points))
    console = Console()
    console.print(table)
    for line in plan.explained:
        console.print(line, highlight=False, markup=False)
    console.print(str(path), soft_wrap=True, highlight=False, markup=False)
