"""``alps-geo clusters``: the clusters of a finished run, understood and changed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alps_geo.outputs.names import GALLERY, SUGGESTION
from alps_geo_cli.console import Debug, Json, Quiet, reported_errors
from alps_geo_cli.paths import typed_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from alps_geo.review.suggest import Suggestion

clusters = typer.Typer(
    name="clusters",
    help="Understand the clusters of a finished run, and name, merge, split and recolour them: "
    "in seconds, without SAM.",
    no_args_is_help=True,
)

ON_STOP = "the same command finishes the change"

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


@clusters.command()
def name(
    run: Run,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID=NAME]...", help='Such as 3=water 5="bare soil"; 3= takes the name away.'
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            parser=typed_path,
            metavar="FILE",
            help='Names from a file: CSV lines such as 3,water, or JSON such as {"3": "water"}.',
        ),
    ] = None,
    seen: Annotated[
        str | None,
        typer.Option(
            metavar="STAMP",
            help="Refuse if the clusters are not those any more that a gallery showed, which puts "
            "their stamp here.",
        ),
    ] = None,
    discard_edits: DiscardEdits = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Name clusters: in the legends, the polygons, the raster and the cluster model.

    Several clusters may have one name; `clusters merge` makes one of them.
    """
    given = _pairs(names or [], "ID=NAME")
    if not given and file is None:
        raise typer.BadParameter("give names, such as 3=water, or a --from file", param_hint="NAME")

    def work() -> dict[str, Any]:
        from alps_geo.clusters.names import read_names
        from alps_geo.review.relabel import name_clusters

        read = {} if file is None else read_names(file, "clusters")
        return name_clusters(run, read | given, seen, discard_edits=discard_edits)

    _change(run, work, quiet=quiet, as_json=as_json, debug=debug)


@clusters.command()
def merge(
    run: Run,
    ids: Annotated[list[int], typer.Argument(metavar="ID...", help="Two clusters or more.")],
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What they become.",
            show_default="the name of the first of them that has one",
        ),
    ] = None,
    discard_edits: DiscardEdits = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make one cluster of several: the one of the lowest id, with its colour.

    All other clusters keep their ids.
    """

    def work() -> dict[str, Any]:
        from alps_geo.review.relabel import merge_clusters

        return merge_clusters(run, ids, name, discard_edits=discard_edits)

    _change(run, work, quiet=quiet, as_json=as_json, debug=debug)


@clusters.command()
def split(
    run: Run,
    cluster: Annotated[int, typer.Argument(metavar="ID", help="The cluster.")],
    into: Annotated[int, typer.Option(metavar="N", min=2, help="What it becomes.")],
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the clustering.")] = 0,
    discard_edits: DiscardEdits = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make several clusters of one, by clustering its segments alone.

    The largest part keeps id, name and colour, the others get ids after the highest. No segment of
    another cluster moves, in no scene that the model is applied to.
    """

    def work() -> dict[str, Any]:
        from alps_geo.review.relabel import split_cluster

        return split_cluster(run, cluster, into, seed, discard_edits=discard_edits)

    _change(run, work, quiet=quiet, as_json=as_json, debug=debug)


@clusters.command()
def recolor(
    run: Run,
    colors: Annotated[
        list[str],
        typer.Argument(metavar="ID=COLOUR...", help="Such as 3=#1f77b4 or 5=teal."),
    ],
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Give clusters other colours, as CSS writes them."""
    given = _pairs(colors, "ID=COLOUR")

    def work() -> dict[str, Any]:
        from alps_geo.review.relabel import recolor_clusters

        return recolor_clusters(run, given)

    _change(run, work, quiet=quiet, as_json=as_json, debug=debug)


@clusters.command()
def suggest(
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
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare numbers of clusters on the segments of a run, and recommend one.

    For each number: how near segments are to their centres (inertia), how well clusters are
    apart (silhouette), and how alike clusters are that two halves of the segments give
    (stability). None of them knows the classes of a map: it is a number to begin with. With more
    clusters each is purer, and too many are easily merged. `alps-geo label` with another --clusters
    and --overwrite takes seconds.
    """
    low, high, step = _range(span)
    picture = out or run / SUGGESTION
    with reported_errors(debug=debug):
        from alps_geo.review.suggest import suggest_clusters
        from alps_geo_cli.progress import counting

        with counting("clusters", quiet=quiet or as_json) as listen:
            found = suggest_clusters(
                run, low, high, step, seed=seed, picture=picture, listen=listen
            )
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
    elif not quiet:
        _print_suggestion(found, picture)


@clusters.command()
def gallery(
    run: Run,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=typed_path,
            metavar="FILE",
            help="The page.",
            show_default=f"RUN/{GALLERY}",
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what clusters look like, on one HTML page that needs nothing else.

    For each cluster: where it lies, and crops of its most typical and most doubtful segments, from
    all scenes. Names that are typed into the page become a `clusters name` command to paste.
    """
    page = out or run / GALLERY
    with reported_errors(debug=debug):
        from alps_geo.review.gallery import make_gallery
        from alps_geo_cli.progress import counting

        with counting("crops", quiet=quiet) as listen:
            make_gallery(run, page, listen)
    if not quiet:
        typer.echo(page)


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


def _pairs(texts: list[str], form: str) -> dict[int, str]:
    """Read what is given to each cluster."""
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


def _change(
    run: Path, work: Callable[[], dict[str, Any]], *, quiet: bool, as_json: bool, debug: bool
) -> None:
    """Change clusters, and print what has come of it."""
    with reported_errors(debug=debug, on_stop=ON_STOP):
        page = run / GALLERY
        shown = page.exists()
        record = work()
    if as_json:
        typer.echo(json.dumps(record, indent=2))
    elif not quiet:
        from alps_geo_cli.summary import print_summary

        print_summary(record, run)
        if shown:
            again = shlex.join(["alps-geo", "clusters", "gallery", str(run)])
            typer.echo(
                f"{page} showed the clusters as they were, and is gone; {again} makes it anew"
            )
