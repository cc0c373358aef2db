"""Networks of segmentation_models_pytorch."""

from __future__ import annotations

import difflib
import warnings
from contextlib import nullcontext
from typing import TYPE_CHECKING

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.encoders import get_encoder_names

from alps_geo.errors import SettingsError, one_line
from alps_geo.training.huggingface_hub import without_retries
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
    SettingsError
        If there is no such encoder, or it does not go with the architecture.
    OSError
        If weights cannot be had from the network.
    """
    check_encoder(spec.encoder)
    try:
        with nullcontext() if weights is None else without_retries(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network: nn.Module = smp.create_model(
                spec.architecture,
                encoder_name=spec.encoder,
                encoder_weights=weights,
                in_channels=spec.bands,
                classes=spec.classes,
            )
    except (ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        raise SettingsError(
            f"{spec.architecture} cannot have the encoder {spec.encoder} ({one_line(error)}); "
            "give another --arch or --encoder"
        ) from error
    return network


def check_encoder(name: str) -> None:
    """Check that there is an encoder of a name; those of timm are known to that library alone.

    Raises
    ------
    SettingsError
        If there is none.
    """
    known = get_encoder_names()
    if name not in known and not name.startswith("tu-"):
        near = difflib.get_close_matches(name, known, 3) or ["resnet18", "mit_b0"]
        raise SettingsError(
            f"encoder is {name!r}, expected a name of segmentation_models_pytorch, such as "
            f"{', '.join(near)}, or tu-NAME for a network of timm"
        )


def make_loss(name: str) -> nn.Module:
    """Make the loss ``dice`` or ``focal``, without pixels that have no class."""
    kinds = {"dice": smp.losses.DiceLoss, "focal": smp.losses.FocalLoss}
    loss: nn.Module = kinds[name]("multiclass", ignore_index=IGNORED)
    return loss
