"""Networks for training and prediction: made, and filled with the weights of a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alps_geo.errors import ModelError, SettingsError, reason_of
from alps_geo.training.model_folder import read_weights

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

    from alps_geo.training.model import NetworkSpec, TrainedModel

_INSTALL = 'pip install "alps-geo[train]"'


@dataclass(frozen=True)
class InitialNetwork:
    """A network that has not been trained.

    Attributes
    ----------
    network : torch.nn.Module
        Takes (B, bands, H, W) float32, and gives logits (B, classes, H, W).
    weights : str
        ``imagenet`` if its encoder was trained on ImageNet, else ``random``.
    note : str
        Reason for random weights where others were wanted, else empty.
    """

    network: nn.Module
    weights: str
    note: str = ""


def build_network(spec: NetworkSpec, weights: str = "random") -> InitialNetwork:
    """Build a network; its random weights follow from torch's seed.

    Parameters
    ----------
    spec : NetworkSpec
        Its shape.
    weights : str
        ``random``; ``imagenet`` for an encoder that was trained on ImageNet; ``auto`` for that if
        it can be had, else random weights and a note.

    Raises
    ------
    SettingsError
        If the encoder is unknown, or does not go with the architecture.
    ModelError
        If segmentation_models_pytorch is not installed, or weights that have to be there are not.
    """
    check_installed()
    from alps_geo.training.segmentation_models_pytorch import make_network

    if weights == "random":
        return InitialNetwork(make_network(spec, None), "random")
    try:
        return InitialNetwork(make_network(spec, "imagenet"), "imagenet")
    except (OSError, SettingsError) as error:
        # An encoder that is unknown is told as such, whatever weights are wanted.
        network = make_network(spec, None)
        reason = f"no ImageNet weights for {spec.encoder} ({reason_of(error)})"
        if weights == "imagenet":
            raise ModelError(f"{reason}; go online once, or begin with --weights random") from error
    return InitialNetwork(network, "random", f"{reason}: random weights")


def check_encoder(name: str) -> None:
    """Check the name of an encoder, before any work is done.

    Raises
    ------
    SettingsError
        If it is unknown.
    ModelError
        If segmentation_models_pytorch is not installed.
    """
    check_installed()
    from alps_geo.training.segmentation_models_pytorch import check_encoder as check

    check(name)


def check_installed() -> None:
    """Check that segmentation_models_pytorch is installed.

    Raises
    ------
    ModelError
        If it is not.
    """
    try:
        import alps_geo.training.segmentation_models_pytorch  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModelError(
            f"training needs {error.name}, which is not installed; {_INSTALL} brings it"
        ) from error


def stride_of(network: nn.Module) -> int:
    """Return the number that height and width of an input have to be multiples of."""
    encoder: Any = network.get_submodule("encoder")
    return int(encoder.output_stride)


def load_network(folder: Path, model: TrainedModel) -> nn.Module:
    """Build the network of a trained model, with its weights, on the CPU and in evaluation mode.

    Parameters
    ----------
    folder : pathlib.Path
        The model's folder.
    model : TrainedModel
        Its description.

    Raises
    ------
    ModelError
        If weights are damaged or of another network, or segmentation_models_pytorch is not there.
    """
    network = build_network(model.network).network
    fill_network(network, read_weights(folder, model), str(folder))
    return network.eval()


def fill_network(network: nn.Module, weights: dict[str, torch.Tensor], source: str) -> None:
    """Give a network all of its weights.

    Parameters
    ----------
    network : torch.nn.Module
        The network.
    weights : dict of str to Tensor
        Its state.
    source : str
        Origin of the weights, for the error.

    Raises
    ------
    ModelError
        If the weights are those of another network.
    """
    state = network.state_dict()
    other = sorted(
        {*state} ^ {*weights}
        | {k for k in {*state} & {*weights} if state[k].shape != weights[k].shape}
    )
    if other:
        raise ModelError(
            f"{source} holds weights of another network: {len(other)} of {len(state)} differ, the "
            f"first is {other[0]}; give the architecture, encoder, bands and classes that it was "
            "trained with"
        )
    network.load_state_dict(weights)
