"""``alps-geo train finetune``: a trained network learns a few labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alps_geo.training.settings import LABELS, FinetuneSettings
from alps_geo_cli.console import Printing
from alps_geo_cli.options import Chosen, FieldsGroup
from alps_geo_cli.paths import typed_name, typed_path
from alps_geo_cli.train.options import (
    ON_STOP,
    Dataset,
    Out,
    Overwrite,
    Resume,
    is_silent,
    show_model,
)


def finetune(
    *,
    dataset: Dataset,
    parent: Annotated[
        Path,
        typer.Option(
            "--from", parser=typed_path, metavar="MODEL", help="Folder of the model to begin with."
        ),
    ],
    out: Out,
    labels: Annotated[
        str | None,
        typer.Option(
            parser=typed_name,
            metavar="FILE",
            help="Polygons or a raster of classes to burn onto the chips, in any CRS, in the place "
            "of the masks of DATASET.",
            show_default="the masks of DATASET",
            rich_help_panel=LABELS,
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column of the polygons that holds the class, as number or text.",
            show_default="their only column",
            rich_help_panel=LABELS,
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Layer of the polygons.",
            show_default="their only layer",
            rich_help_panel=LABELS,
        ),
    ] = None,
    ignore: Annotated[
        str | None,
        typer.Option(
            metavar="VALUES",
            help="Classes of FILE that are no labels, separated by commas.",
            show_default="none but nodata",
            rich_help_panel=LABELS,
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            parser=typed_path,
            metavar="FILE",
            help="Names of classes that are numbers: CSV lines such as 1,water, or JSON such as "
            '{"1": "water"}.',
            show_default="numbers",
            rich_help_panel=LABELS,
        ),
    ] = None,
    chosen: Annotated[Chosen, FieldsGroup(FinetuneSettings)],
    resume: Resume = False,
    overwrite: Overwrite = False,
    printing: Printing,
) -> None:
    """Train a network of alps-geo train further, on a few real labels.

    Labels are the masks of DATASET, or --labels. Other classes than those of the model get a head
    of their own. --fraction uses a share of the labels, to see how few suffice.

    Examples
    --------
    alps-geo train finetune chips --from pretrained --out tuned
    alps-geo train finetune chips --from model --labels a.gpkg --out tuned
    alps-geo train finetune chips --from model --fraction 0.05 --out tuned
    """
    with printing.errors(ON_STOP):
        from alps_geo.clusters.names import read_names
        from alps_geo.errors import SettingsError
        from alps_geo.evaluate import TruthFile
        from alps_geo.training.finetune import FinetuneRequest
        from alps_geo.training.finetune import finetune as train
        from alps_geo.training.out_folder import OutFlags
        from alps_geo_cli.progress import RunProgress

        if labels is None and (given := field or layer or ignore or names):
            raise SettingsError(
                f"{given} says how --labels are read, but there are none: give some"
            )
        file = labels and TruthFile(
            labels,
            field,
            layer,
            [] if ignore is None else [part.strip() for part in ignore.split(",")],
            None if names is None else read_names(names, "classes"),
        )
        request = FinetuneRequest(dataset, parent, file or None)
        settings = FinetuneSettings(**chosen.values)
        with RunProgress(quiet=is_silent(printing)) as progress:
            flags = OutFlags(resume, overwrite)
            model = train(request, out, settings, flags, listen=progress.show)
    show_model(printing, model, out)
