"""``alps-geo models``: list the Segment Anything models, and download one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from alps_geo.sam.weights import MODELS
from alps_geo_cli.console import Printing

if TYPE_CHECKING:
    ModelName = str
else:
    ModelName = Literal[tuple(MODELS)]


def models(
    *,
    download: Annotated[
        ModelName | None,
        typer.Option(
            help="Download this model into the user's cache and check its SHA-256.",
            show_default=False,
        ),
    ] = None,
    printing: Printing,
) -> None:
    """List the Segment Anything models, and say which are present.

    A file is known by its size here; its SHA-256 is checked whenever it is downloaded or loaded.
    Other weights of these models, such as MobileSAM's own mobile_sam.pt, are used by --model and
    --checkpoint.

    Examples
    --------
    alps-geo models
    alps-geo models --download vit_h
    """
    with printing.errors():
        if download is not None:
            _download(download, quiet=printing.quiet)
    printing.show(_rows(), _print_table)


def _rows() -> list[dict[str, str | int | bool]]:
    from alps_geo.masks.registry import models as all_models

    return [
        {
            "name": spec.name,
            "description": spec.description,
            "present": spec.is_present,
            "damaged": spec.is_damaged,
            "path": str(spec.path),
            "size_bytes": spec.size,
            "sha256": spec.sha256,
            "url": spec.url or "",
        }
        for spec in all_models().values()
    ]


def _print_table() -> None:
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    table = Table(
        caption="Other weights of one of these, such as MobileSAM's own mobile_sam.pt:\n"
        "alps-geo label ... --model mobile_sam --checkpoint mobile_sam.pt",
    )
    for title in ("model", "what", "size", "present"):
        table.add_column(title, justify="right" if title == "size" else "left")
    for row in _rows():
        table.add_row(
            str(row["name"]),
            str(row["description"]),
            decimal(int(row["size_bytes"])),
            _presence(row),
        )
    Console().print(table)


def _presence(row: dict[str, str | int | bool]) -> str:
    if row["present"]:
        return "[green]yes[/]"
    if not row["damaged"]:
        return f"no; --download {row['name']}"
    remedy = f"--download {row['name']}" if row["url"] else "reinstall alps-geo"
    return f"[red]damaged[/]; {remedy}"


def _download(name: str, *, quiet: bool) -> None:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from alps_geo.masks.registry import models as all_models
    from alps_geo.sam.weights import download

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    disable = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=disable) as progress:
        task = progress.add_task(f"download {name}", total=None)
        download(
            all_models()[name],
            lambda done, total: progress.update(task, completed=done, total=total or None),
        )
