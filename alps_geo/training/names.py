"""Names of architectures, losses and precisions, for modules that need no more of training."""

ARCHITECTURES = (
    "unet",
    "unetplusplus",
    "manet",
    "linknet",
    "fpn",
    "pspnet",
    "deeplabv3",
    "deeplabv3plus",
    "upernet",
    "segformer",
)
"""Architectures that take images of any size."""

WEIGHTS = ("auto", "imagenet", "random")
"""Weights that an encoder begins with."""

LOSSES = ("ce", "dice", "focal", "ce+dice")
"""Losses."""

PRECISIONS = ("auto", "float32", "bf16")
"""Precisions that training computes in."""
