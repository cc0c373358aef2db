"""Names of feature groups, as a user joins them: sam+spectral+timm:NAME."""

from __future__ import annotations

from dataclasses import dataclass

from alps_geo.errors import SettingsError
from alps_geo.features.registry import BACKBONE, group_names
from alps_geo.fields import Choices, Rule


@dataclass(frozen=True)
class FeatureNames(Rule):
    """Names of feature groups, joined by plus signs; one of them may be a backbone of timm."""

    def check(self, name: str, value: str) -> None:
        """Raise SettingsError if a group does not exist, or if there are several backbones."""
        prefix = f"{BACKBONE}:"
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
        return (*_plain_groups(), f"{BACKBONE}:NAME")


def chosen_features(text: str) -> tuple[str, ...]:
    """Return the features in a text such as sam+texture: each once, backbones first."""
    chosen = [name.strip() for name in text.split("+")]
    known = _plain_groups()
    others = [name for name in chosen if name not in known]
    return (*others, *(name for name in known if name in chosen))


def _plain_groups() -> tuple[str, ...]:
    """Names of the feature groups that need no backbone."""
    return tuple(name for name in group_names() if name != BACKBONE)
