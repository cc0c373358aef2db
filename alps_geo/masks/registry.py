"""Mask generators by the names of their models, imported when they are first asked for.

Listing the models costs nothing: neither torch nor numpy is imported for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

from alps_geo.errors import ModelError
from alps_geo.sam import weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alps_geo.masks.generator import Backbone, GeneratorOptions, MaskGenerator
    from alps_geo.sam.weights import ModelSpec


@dataclass(frozen=True)
class Family:
    """Models of one generator.

    Attributes
    ----------
    generator : str
        ``module:Class``, imported when one of the models is asked for: a callable that makes a
        `MaskGenerator` of `GeneratorOptions`.
    models : mapping of str to ModelSpec
        Models by name.
    """

    generator: str
    models: Mapping[str, ModelSpec]


_FAMILIES = [Family("alps_geo.masks.sam1:SamGenerator", weights.MODELS)]


def register(family: Family) -> None:
    """Add models that can be chosen by name; of two of one name the later counts."""
    _FAMILIES.append(family)


def models() -> dict[str, ModelSpec]:
    """All models by name: the default first, those of later families after it."""
    return {name: spec for family in _FAMILIES for name, spec in family.models.items()}


def make_generator(options: GeneratorOptions) -> MaskGenerator:
    """Make the generator of a model; its weights are not loaded yet.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    make: Callable[[GeneratorOptions], MaskGenerator]
    make = EntryPoint("", _family(options.model).generator, "").load()
    return make(options)


def _family(name: str) -> Family:
    for family in reversed(_FAMILIES):
        if name in family.models:
            return family
    raise ModelError(f"there is no model {name!r}, expected one of {', '.join(models())}")


def make_backbone(name: str, checkpoint: str | None = None, device: str = "auto") -> Backbone:
    """Make a backbone of timm; its weights are not loaded yet.

    Parameters
    ----------
    name : str
        As timm calls it.
    checkpoint : str, optional
        File with its weights, in place of those that timm downloads.
    device : str
        One of `alps_geo.sam.settings.DEVICES`.
    """
    from alps_geo.masks.backbone import TimmBackbone

    return TimmBackbone(name, checkpoint, device)
