"""Settings of the commands, and settings from the keywords of a call in Python."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from alps_geo.fields import settings_of
from alps_geo.settings.folder import FolderSettings
from alps_geo.settings.label import LabelSettings
from alps_geo.settings.presets import IMAGE_PRESETS, PRESETS
from alps_geo.settings.words import current_words

if TYPE_CHECKING:
    from collections.abc import Mapping


_OF_SCENES = ("merge", "merge_strength", "neighbours")
"""Settings that compare the segments of a scene: an image of a folder has too few."""


def available(*, fits: bool, writes: bool, images: bool = False) -> tuple[str, ...]:
    """List the settings that a command has.

    Parameters
    ----------
    fits : bool
        True for commands that fit clusters, False for one that applies a cluster model.
    writes : bool
        True for commands that write labels.
    images : bool
        True for a command that labels images, by clusters of its own or by those of a model, and
        draws no polygons.
    """

    def has(name: str, decides: str | None) -> bool:
        if name == "clusters_from":
            return images or not fits
        if images:
            return decides != "outputs" and name not in _OF_SCENES
        return (fits or decides != "clusters") and (writes or decides != "outputs")

    known = settings_of(LabelSettings)
    return tuple(name for name in known if has(name, known[name].decides))


def _decider(name: str, *, fits: bool) -> str:
    """Say why a call does not have a setting."""
    if name == "clusters_from":
        return "the clusters are fitted, so there is no model to apply"
    if name in _OF_SCENES:
        return "segments are compared with their neighbours in scenes alone"
    if settings_of(LabelSettings)[name].decides == "clusters" and not fits:
        return "the cluster model decides it"
    return "no maps of scenes are written"


def settings_from(
    keywords: Mapping[str, Any],
    defaults: Mapping[str, Any],
    *,
    fits: bool = True,
    writes: bool = True,
    images: bool = False,
) -> LabelSettings:
    """Make settings from the keywords of a call.

    Parameters
    ----------
    keywords : mapping
        Fields of `LabelSettings`, by today's names or earlier ones, and ``preset`` for others that
        are not given. Lists stand for tuples.
    defaults : mapping
        Settings that neither a keyword nor the preset gives.
    fits, writes, images : bool
        As in `available`.

    Raises
    ------
    TypeError
        If there is no setting or preset of that name, or the call has it not.
    SettingsError
        If a value is out of its range, or a setting is given under two names.

    Examples
    --------
    >>> settings_from({"preset": "alps", "clusters": 12}, {}).compare
    'raw'
    """
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in current_words(keywords).items()
        if name != "preset"
    }
    preset = keywords.get("preset") or ""
    if preset and preset not in PRESETS:
        raise TypeError(f"preset is {preset!r}, expected one of {', '.join(PRESETS)}")
    known = available(fits=fits, writes=writes, images=images)
    for name in given:
        if name not in known:
            if name in settings_of(LabelSettings):
                raise TypeError(f"{name} cannot be set here: {_decider(name, fits=fits)}")
            of_folder = settings_of(FolderSettings) if images else ()
            near = difflib.get_close_matches(name, [*known, *of_folder], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise TypeError(f"there is no setting {name!r} here{hint}")
    presets = IMAGE_PRESETS if images else PRESETS
    return LabelSettings(**{**defaults, **presets.get(preset, {}), **given})
