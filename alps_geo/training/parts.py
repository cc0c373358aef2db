"""Chips of a folder that train and that validate, and a share of their labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.errors import SceneError, SettingsError
from alps_geo.training.batches import seed_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.training.chip_folder import ChipFile, ChipFolder

TRAIN, VAL = "train", "val"
"""Names of the splits."""

_ORDER = 1


def with_validation(folder: ChipFolder, share: float, seed: int) -> ChipFolder:
    """Return a folder whose chips have the splits train and val.

    Parameters
    ----------
    folder : ChipFolder
        The chips.
    share : float
        Share of the chips that validate if there is no split val.
    seed : int
        Decides them.

    Raises
    ------
    SceneError
        If there is no chip to train on, or none to validate on.
    SettingsError
        If the share leaves none of them.
    """
    if folder.of(VAL):
        if not folder.of(TRAIN):
            raise SceneError(
                f"{folder.root} has no chips in the split train, expected some: export it with "
                "another --split, or smaller chips"
            )
        return folder
    if not share:
        raise SceneError(
            f"{folder.root} has no chips in the split val, expected some, for they decide when "
            "training ends: export it with another --split or smaller chips, or hold some back "
            "with --val-share 0.2"
        )
    count = max(1, round(share * len(folder.chips)))
    if count >= len(folder.chips):
        raise SettingsError(
            f"val_share is {share:g}, which leaves none of {len(folder.chips)} chips to train on"
        )
    order = np.random.default_rng(seed_of(seed, len(folder.chips))).permutation(len(folder.chips))
    held = {*order[:count].tolist()}
    chips = [
        replace(chip, split=VAL if index in held else TRAIN)
        for index, chip in enumerate(folder.chips)
    ]
    return replace(folder, chips=tuple(chips))


def drawn_chips(
    chips: Sequence[ChipFile], labelled: Sequence[int], fraction: float, seed: int
) -> tuple[ChipFile, ...]:
    """Draw a share of the chips that have labels, at least one; in the order of the chips.

    Chips of a smaller share are among those of a larger one.

    Parameters
    ----------
    chips : sequence of ChipFile
        The chips.
    labelled : sequence of int
        Labelled pixels of each chip.
    fraction : float
        The share, more than 0.
    seed : int
        Decides the chips.

    Raises
    ------
    SceneError
        If no chip has a label.
    """
    having = [index for index, count in enumerate(labelled) if count]
    if not having:
        raise SceneError(
            "no pixel of the chips that are trained on has a label; expected some: check the masks "
            "and the values that are ignored"
        )
    order = np.random.default_rng(seed_of(seed, _ORDER)).permutation(len(having))
    count = max(1, round(fraction * len(having)))
    return tuple(chips[having[index]] for index in sorted(order[:count].tolist()))
