"""Settings of training, from chips to a trained model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from alps_geo.errors import SettingsError
from alps_geo.fields import (
    AtLeast,
    Between,
    Choices,
    FileName,
    Rule,
    check_fields,
    documented,
    setting,
    settings_of,
)
from alps_geo.training.names import ARCHITECTURES, LOSSES, PRECISIONS, WEIGHTS

NETWORK, SCHEDULE, LOSS, AUGMENTATION = "Network", "Schedule", "Loss", "Augmentation"
LABELS, MACHINE = "Labels", "Machine"
"""Panels of options."""


@documented
@dataclass(frozen=True)
class TrainingSettings:
    """Settings that pre-training and fine-tuning share.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    epochs: int = setting(50, Between(1, 1_000_000), "Passes over all chips, at most.", SCHEDULE)
    epoch_steps: int | None = setting(
        None,
        Between(1, 1_000_000),
        "Steps of an epoch, after which chips are validated and a checkpoint written. An epoch "
        "takes few chips several times, and of many some.",
        SCHEDULE,
        shown="those that take each chip once",
    )
    batch_size: int = setting(
        8,
        Between(1, 65536),
        "Chips of a step, on all GPUs together. Where memory does not suffice they are taken in "
        "parts, whose gradients are added.",
        SCHEDULE,
    )
    crop: int | None = setting(
        None,
        Between(32, 16384),
        "Side in pixels of the part of a chip that is trained on at once; smaller chips are "
        "padded. It is rounded up to the stride of the network.",
        SCHEDULE,
        shown="that of the largest chip, up to 512",
    )
    learning_rate: float = setting(
        1e-3, Between(1e-8, 10), "Highest learning rate, of the decoder.", SCHEDULE
    )
    encoder_rate: float = setting(
        1.0, Between(0, 10), "Learning rate of the encoder, as a share of that.", SCHEDULE
    )
    warmup: float = setting(
        0.05,
        Between(0, 0.9),
        "Share of the steps in which the learning rate rises, before it falls by a cosine.",
        SCHEDULE,
    )
    weight_decay: float = setting(0.01, Between(0, 10), "Weight decay of AdamW.", SCHEDULE)
    clip: float = setting(
        1.0, AtLeast(0), "Longest gradient; longer ones are shortened. 0 for any.", SCHEDULE
    )
    patience: int = setting(
        10,
        AtLeast(0),
        "Stop after so many epochs in which the mean IoU of the validation chips has not risen. "
        "0 never stops.",
        SCHEDULE,
    )
    keep: str = setting(
        "best",
        Choices(("best", "last")),
        "Epoch whose weights are kept: that of the highest mean IoU of the validation chips; or "
        "the last, where these have too few labels to tell.",
        SCHEDULE,
    )
    val_share: float = setting(
        0.0,
        Between(0, 0.9),
        "Share of the chips that validate, drawn by the seed, where there is no split val. Chips "
        "next to each other look alike, so a split by blocks on the ground is better.",
        SCHEDULE,
    )
    loss: str = setting(
        "ce",
        Choices(LOSSES),
        "ce: cross-entropy; dice: overlap of classes; focal: cross-entropy of doubtful pixels; "
        "ce+dice: the sum of two.",
        LOSS,
    )
    class_weights: str = setting(
        "sqrt",
        Choices(("none", "sqrt", "balanced")),
        "Weights of classes in the loss: none; balanced: the inverse of their pixels; sqrt: the "
        "root of that.",
        LOSS,
    )
    label_smoothing: float = setting(
        0.0, Between(0, 0.9), "Share of each label that goes to all other classes, in ce.", LOSS
    )
    flips: bool = setting(True, Rule(), "Flip chips, and turn them by quarters.", AUGMENTATION)
    scale: float = setting(
        1.25,
        Between(1, 4),
        "Largest factor by which chips grow or shrink; 1 for none.",
        AUGMENTATION,
    )
    color: float = setting(
        0.1,
        Between(0, 2),
        "Largest change of brightness and contrast, of all bands and of each, in standard "
        "deviations; 0 for none.",
        AUGMENTATION,
    )
    seed: int = setting(
        0, Between(0, 2**32 - 1), "The same seed trains the same weights, on a CPU.", SCHEDULE
    )
    device: str = setting(
        "auto", Choices(("auto", "cpu", "cuda")), "Device to train on.", MACHINE, "nothing"
    )
    precision: str = setting(
        "auto",
        Choices(PRECISIONS),
        "float32; bf16 mixes it with bfloat16; auto is bf16 on a GPU that has it.",
        MACHINE,
    )
    workers: int | None = setting(
        None,
        Between(0, 1024),
        "Processes that read chips.",
        MACHINE,
        "nothing",
        shown="0 on a CPU, 4 on a GPU",
    )
    checkpoint_minutes: float = setting(
        5.0,
        AtLeast(0),
        "Minutes between checkpoints inside an epoch; every epoch ends with one.",
        MACHINE,
        "nothing",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.loss in ("dice", "focal") and self.label_smoothing:
            raise SettingsError(
                f"label_smoothing is {self.label_smoothing:g}, but loss is {self.loss}, which has "
                "none: leave it out, or give --loss ce"
            )

    def to_dict(self) -> dict[str, object]:
        """Return the settings as plain values, in the order of the fields."""
        return asdict(self)

    def deciding(self) -> dict[str, object]:
        """Return the settings that decide the weights."""
        known = settings_of(type(self))
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if known[each.name].decides != "nothing"
        }


@documented
@dataclass(frozen=True)
class PretrainSettings(TrainingSettings):
    """Settings of `alps_geo.training.pretrain.pretrain`.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    arch: str = setting("unet", Choices(ARCHITECTURES), "Architecture of the network.", NETWORK)
    encoder: str = setting(
        "resnet18",
        FileName(),
        "Encoder: a name of segmentation_models_pytorch, or tu-NAME for a network of timm.",
        NETWORK,
        metavar="NAME",
    )
    weights: str = setting(
        "auto",
        Choices(WEIGHTS),
        "Weights that the encoder begins with: imagenet, from the internet; random; auto is "
        "imagenet if it can be had, else random, and says which.",
        NETWORK,
    )


@documented
@dataclass(frozen=True)
class FinetuneSettings(TrainingSettings):
    """Settings of `alps_geo.training.finetune.finetune`.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    learning_rate: float = setting(
        5e-4, Between(1e-8, 10), "Highest learning rate, of the decoder and the head.", SCHEDULE
    )
    encoder_rate: float = setting(
        0.1, Between(0, 10), "Learning rate of the encoder, as a share of that.", SCHEDULE
    )
    freeze: bool = setting(False, Rule(), "Leave the encoder as it is.", NETWORK)
    fraction: float = setting(
        1.0,
        Between(0, 1),
        "Share of the labels that is used, drawn by the seed; a smaller share is a part of a "
        "larger one.",
        LABELS,
    )
    fraction_of: str = setting(
        "chips",
        Choices(("chips", "pixels")),
        "chips: use the labels of some chips; pixels: some labelled pixels of all chips.",
        LABELS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.fraction:
            raise SettingsError("fraction is 0, expected more than 0 and up to 1")
