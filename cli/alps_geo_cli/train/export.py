"""``alps-geo train export``: trained models as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from alps_geo_cli.console import Printing
from alps_geo_cli.paths import typed_path

if TYPE_CHECKING:
    from alps_geo.training.export import ExportedModel


def export(
    *,
    model: Annotated[
        Path,
        typer.Argument(parser=typed_path, metavar="MODEL", help="Folder of the trained model."),
    ],
    to: Annotated[Literal["onnx"], typer.Option("--to", help="Format of the file.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", parser=typed_path, metavar="FILE", help="File to write."),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.")
    ] = False,
    printing: Printing,
) -> None:
    """Write a trained model as one file for other programs, such as onnxruntime.

    The file holds names, means and standard deviations of the bands, and names and colours of the
    classes. Where onnxruntime is installed, its results are compared with those of torch.

    Examples
    --------
    alps-geo train export tuned --to onnx --out tuned.onnx
    """
    with printing.errors():
        from alps_geo.training.export import export_onnx

        exporters = {"onnx": export_onnx}
        found = exporters[to](model, out, overwrite=overwrite)
    printing.show(found.to_json(), lambda: _print_export(found))


def _print_export(found: ExportedModel) -> None:
    sizes = f"multiples of {found.stride}" if found.side is None else str(found.side)
    typer.echo(f"height and width of an image: {sizes} pixels")
    if found.difference is None:
        typer.echo(
            'not compared with torch: pip install "alps-geo[onnx]" brings onnxruntime', err=True
        )
    else:
        typer.echo(f"largest difference from torch: {found.difference:.1e}")
    typer.echo(found.path)
