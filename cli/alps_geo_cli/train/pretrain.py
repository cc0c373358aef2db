"""``alps-geo train pretrain``: a network learns pseudo-labels."""

from __future__ import annotations

from typing import Annotated

from alps_geo.training.settings import PretrainSettings
from alps_geo_cli.console import Printing
from alps_geo_cli.options import Chosen, FieldsGroup
from alps_geo_cli.train.options import (
    ON_STOP,
    Dataset,
    Out,
    Overwrite,
    Resume,
    is_silent,
    show_model,
)


def pretrain(
    *,
    dataset: Dataset,
    out: Out,
    chosen: Annotated[Chosen, FieldsGroup(PretrainSettings)],
    resume: Resume = False,
    overwrite: Overwrite = False,
    printing: Printing,
) -> None:
    """Train a segmentation network on the labels of chips, such as pseudo-labels.

    Writes a folder: weights.safetensors, model.json with bands, classes and figures, log.csv,
    curves.png, and README.md, a card. Several GPUs of one machine train together under torchrun:
    torchrun --nproc-per-node 2 --no-python alps-geo train pretrain ...

    Examples
    --------
    alps-geo train pretrain chips --out pretrained
    alps-geo train pretrain chips --encoder resnet18 --epochs 100 --out model
    alps-geo train pretrain chips --out pretrained --resume
    """
    with printing.errors(ON_STOP):
        from alps_geo.training.out_folder import OutFlags
        from alps_geo.training.pretrain import pretrain as train
        from alps_geo_cli.progress import RunProgress

        settings = PretrainSettings(**chosen.values)
        with RunProgress(quiet=is_silent(printing)) as progress:
            flags = OutFlags(resume, overwrite)
            model = train(dataset, out, settings, flags, listen=progress.show)
    show_model(printing, model, out)
