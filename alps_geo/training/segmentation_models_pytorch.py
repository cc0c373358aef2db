"""Networks of segmentation_models_pytorch."""

from __future__ import annotations

import difflib
import warnings
from typing import TYPE_CHECKING

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.encoders import get_encoder_names

from alps_geo.errors import ModelError, one_line
from alps_geo.training.model import IGNORED

if TYPE_CHECKING:
    from torch import nn

    from alps_geo.training.model import NetworkSpec

VERSION: str = smp.__version__
"""Version of the library."""


def make_network(spec: NetworkSpec, weights: str | None) -> nn.Module:
    """Make a network.

    Parameters
    ----------
    spec : NetworkSpec
        Its shape.
    weights : str or None
        ``imagenet`` for an encoder that was trained on ImageNet, None for random weights.

    Raises
    ------
    ModelError
        If there is no such encoder, or it does not go with the architecture.
    OSError
        If weights cannot be had from the network.
    """
    known = get_encoder_names()
    if spec.encoder not in known and not spec.encoder.startswith("tu-"):
        near = difflib.get_close_matches(spec.encoder, known, 3) or ["resnet18", "mit_b0"]
        raise ModelError(
            f"encoder is {spec.encoder!r}, expected a name of segmentation_models_pytorch, such as "
            f"{', '.join(near)}, or tu-NAME for a network of timm"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network: nn.Module = smp.create_model(
                spec.architecture,
                encoder_name=spec.encoder,
                encoder_weights=weights,
                in_channels=spec.bands,
                classes=spec.classes,
            )
    except (ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        raise ModelError(
            f"{spec.architecture} cannot have the encoder {spec.encoder} ({one_line(error)}); "
            "give another --arch or --encoder"
        ) from error
    return network


def make_loss(name: str) -> nn.Module:
    """Make the loss ``dice`` or ``focal``, without pixels that have no class."""
    kinds = {"dice": smp.losses.DiceLoss, "focal": smp.losses.FocalLoss}
    loss: nn.Module = kinds[name]("multiclass", ignore_index=IGNORED)
    return loss
