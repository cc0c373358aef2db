"""Names of mask generators' models, as a setting."""

from __future__ import annotations

from dataclasses import dataclass

from alps_geo.fields import Choices
from alps_geo.masks.registry import models


@dataclass(frozen=True)
class ModelName(Choices):
    """Name of a model of the registry: those of today are listed, later ones are allowed too."""

    def check(self, name: str, value: str) -> None:
        """Raise SettingsError if there is no model of that name."""
        Choices(tuple(models())).check(name, value)
