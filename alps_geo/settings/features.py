"""Names of feature groups, as a user joins them: sam+spectral+timm:NAME."""

from __future__ import annotations

from dataclasses import dataclass

from alps_geo.errors import SettingsError
from alps_geo.fields import Choices, Rule

FEATURES = ("sam", "spectral", "spread", "texture", "context", "shape")
BACKBONE_GROUP = "timm"
"""The group whose name is followed by a colon and the name of a backbone."""


def split_feature(name: str) -> tuple[str, str]:
    """Split a feature into its group and the backbone behind it.

    >>> split_feature("timm:resnet18"), split_feature("sam")
    (('timm', 'resnet18'), ('sam', ''))
    """
    group, _, backbone = name.partition(":")
    return group, backbone


@dataclass(frozen=True)
class FeatureNames(Rule):
    """Names of feature groups, joined by plus signs; one of them may be a backbone of timm."""

    def check(self, name: str, value: str) -> None:
        """Raise SettingsError if a group does not exist, or if there are several backbones."""
        prefix = f"{BACKBONE_GROUP}:"
        chosen = chosen_features(value)
        backbones = [feature for feature in chosen if feature.startswith(prefix)]
        for feature in chosen:
            if feature not in backbones:
                Choices(self.known).check(name, feature)
        if len(backbones) > 1 or prefix in backbones:
            raise SettingsError(
                f"{name} is {value!r}, expected one backbone after {prefix}, such as "
                f"sam+{prefix}vit_small_patch14_dinov2.lvd142m"
            )

    def describe(self) -> str:
        """Return the allowed values in words."""
        return " + ".join(f"`{word}`" for word in self.known)

    @property
    def known(self) -> tuple[str, ...]:
        """Names that may be chosen."""
        return (*FEATURES, f"{BACKBONE_GROUP}:NAME")


def chosen_features(text: str) -> tuple[str, ...]:
    """Return the features in a text such as sam+texture: each once, backbones first."""
    chosen = [name.strip() for name in text.split("+")]
    others = [name for name in chosen if name not in FEATURES]
    return (*others, *(name for name in FEATURES if name in chosen))
