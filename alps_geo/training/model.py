"""Trained models: all that decides the classes that a network gives pixels, but its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from alps_geo.runs.stored_json import check_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alps_geo.clusters.colors import Color

IGNORED = 255
"""Value of pixels without a class in masks, as networks are trained on them."""

MOST_CLASSES = 255
"""Classes of a trained model, at most: their positions are 0 to 254, for `IGNORED` is none."""

KIND = "alps-geo trained model"
_FORMAT = 1


@dataclass(frozen=True)
class NetworkSpec:
    """The shape of a network.

    Attributes
    ----------
    architecture : str
        Name of the architecture, as segmentation_models_pytorch has it: ``unet``.
    encoder : str
        Name of the encoder: ``resnet18``.
    bands, classes : int
        Channels that go in and come out.
    """

    architecture: str
    encoder: str
    bands: int
    classes: int


@dataclass(frozen=True)
class BandStatistics:
    """A band of chips, and its values over the pixels that were trained on.

    Attributes
    ----------
    name : str
        Its name.
    mean, std : float
        Mean and standard deviation of its valid values, in its stored units; std is above 0. The
        network is given ``(value - mean) / std``, and 0 where there is no data.
    """

    name: str
    mean: float
    std: float


@dataclass(frozen=True)
class ModelClass:
    """A class of a model; its position in `TrainedModel.classes` is its channel in the network.

    Attributes
    ----------
    value : int
        Value of its pixels in the masks that were trained on.
    name : str
        Its name.
    color : (red, green, blue)
        Its colour.
    """

    value: int
    name: str
    color: Color


@dataclass(frozen=True)
class TrainingData:
    """The chips and labels that a model was trained on.

    Attributes
    ----------
    path : str
        Folder of the chips.
    labels : str
        Origin of the labels, in words or as a path.
    stamp : str
        SHA-256 of the names and sizes of all chips and masks, and of the classes.
    train, val : int
        Chips that were trained on, and chips that the figures are of.
    fraction : float
        Share of the labels that was used, 1 for all.
    """

    path: str
    labels: str
    stamp: str
    train: int
    val: int
    fraction: float = 1.0


@dataclass(frozen=True)
class Figures:
    """Figures of a training; those of accuracy are of the weights that were kept.

    Attributes
    ----------
    epochs : int
        Epochs that were trained.
    best_epoch : int
        The epoch, from 1, whose weights were kept.
    loss, val_loss : float
        Mean loss of the training chips in that epoch, and of the validation chips after it.
    mean_iou, accuracy : float
        Mean intersection over union of the classes that the validation chips or the predictions
        for them have, and share of their labelled pixels that got their class.
    class_iou : tuple of (float or None)
        Intersection over union of each class; None for a class that is in neither.
    seconds : float
        Time that training took.
    device : str
        The device: ``cpu`` or the name of the GPU.
    """

    epochs: int
    best_epoch: int
    loss: float
    val_loss: float
    mean_iou: float
    accuracy: float
    class_iou: tuple[float | None, ...]
    seconds: float
    device: str


@dataclass(frozen=True)
class Parent:
    """A model whose weights another one began with.

    Attributes
    ----------
    path : str
        Folder that it was in.
    stamp : str
        SHA-256 of its weights.
    data : TrainingData
        Chips and labels that it was trained on.
    """

    path: str
    stamp: str
    data: TrainingData


@dataclass(frozen=True)
class TrainedModel:
    """A trained model, but for its weights.

    Attributes
    ----------
    architecture, encoder : str
        As in `NetworkSpec`.
    bands : tuple of BandStatistics
        Bands in the order of the channels.
    values : str
        ``8bit`` if it was trained on pictures with the stretch of their scene, as SAM sees it, and
        is to be given such; ``native`` for stored values.
    dtype : str
        Data type of the chips.
    classes : tuple of ModelClass
        Classes in the order of the channels.
    chip_size : int
        Side of the pixels that it was trained on at once.
    stride : int
        Height and width of an input have to be multiples of it.
    initial : str
        Weights that training began with: ``imagenet``, ``random`` or ``model``.
    parents : tuple of Parent
        Models that its weights come from, the latest first.
    data : TrainingData
        Chips and labels.
    settings : mapping of str to object
        Settings of the training, as plain values.
    figures : Figures
        Its figures.
    versions : mapping of str to str
        Versions of the programs that trained it.
    weights_sha256 : str
        SHA-256 of its file of weights, by which a model is known.
    ignored : int
        Value of pixels without a class.
    """

    architecture: str
    encoder: str
    bands: tuple[BandStatistics, ...]
    values: str
    dtype: str
    classes: tuple[ModelClass, ...]
    chip_size: int
    stride: int
    initial: str
    parents: tuple[Parent, ...]
    data: TrainingData
    settings: Mapping[str, object]
    figures: Figures
    versions: Mapping[str, str]
    weights_sha256: str = ""
    ignored: int = IGNORED

    @property
    def network(self) -> NetworkSpec:
        """The shape of its network."""
        return NetworkSpec(self.architecture, self.encoder, len(self.bands), len(self.classes))

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands in the order of the channels."""
        return tuple(each.name for each in self.bands)

    def to_json(self) -> dict[str, object]:
        """Return the model as a JSON object."""
        return {"kind": KIND, "format": _FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, found: object) -> TrainedModel:
        """Build a model from the JSON object that `to_json` returns.

        Raises
        ------
        ValueError
            If it has another shape.
        """
        values = check_shape(found, _MODEL)
        return cls(
            bands=tuple(BandStatistics(**_known(each, _BAND)) for each in values["bands"]),
            classes=tuple(_class(each) for each in values["classes"]),
            parents=tuple(_parent(each) for each in values["parents"]),
            data=TrainingData(**_known(values["data"], _DATA)),
            figures=_figures(values["figures"]),
            **{name: values[name] for name in _PLAIN},
        )


_BAND = {"name": str, "mean": float, "std": float}
_CLASS = {"value": int, "name": str, "color": [int]}
_DATA = {
    "path": str,
    "labels": str,
    "stamp": str,
    "train": int,
    "val": int,
    "fraction": float,
}
_PARENT = {"path": str, "stamp": str, "data": _DATA}
_NUMBER_OR_NONE = (float, None)
_FIGURES = {
    "epochs": int,
    "best_epoch": int,
    "loss": float,
    "val_loss": float,
    "mean_iou": float,
    "accuracy": float,
    "class_iou": [_NUMBER_OR_NONE],
    "seconds": float,
    "device": str,
}
_PLAIN: dict[str, Any] = {
    "architecture": str,
    "encoder": str,
    "values": ("8bit", "native"),
    "dtype": str,
    "chip_size": int,
    "stride": int,
    "initial": str,
    "settings": {},
    "versions": {},
    "weights_sha256": str,
    "ignored": IGNORED,
}
_MODEL = {
    "kind": KIND,
    "format": _FORMAT,
    "bands": [_BAND, ...],
    "classes": [_CLASS, ...],
    "parents": [_PARENT],
    "data": _DATA,
    "figures": _FIGURES,
    **_PLAIN,
}


def _known(found: Mapping[str, Any], shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a shape, without those of later versions."""
    return {key: found[key] for key in shape}


def _class(found: Mapping[str, Any]) -> ModelClass:
    red, green, blue = found["color"]
    return ModelClass(found["value"], found["name"], (red, green, blue))


def _parent(found: Mapping[str, Any]) -> Parent:
    return Parent(found["path"], found["stamp"], TrainingData(**_known(found["data"], _DATA)))


def _figures(found: Mapping[str, Any]) -> Figures:
    return Figures(**{**_known(found, _FIGURES), "class_iou": tuple(found["class_iou"])})
