"""Argument that commands take for a raster of labels."""

from __future__ import annotations

from typing import Annotated

import typer

from alps_geo_cli.paths import typed_name

Labels = Annotated[
    str,
    typer.Argument(
        parser=typed_name,
        metavar="LABELS",
        help="Raster of cluster ids, such as labels.tif; 0 is unlabelled.",
    ),
]
