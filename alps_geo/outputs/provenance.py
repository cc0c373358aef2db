"""Provenance of results: the program, model and settings that made them, and when."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from alps_geo.errors import SettingsError

_EPOCH = "SOURCE_DATE_EPOCH"

_DESCRIPTION = "{subject} of {scene}, made by {software} with {model} on {day}; settings {settings}"
_OWN = re.compile(r"\w+ of .+, made by alps-geo \S+ with \S+ on \S+; settings \S+")


@dataclass(frozen=True)
class Provenance:
    """Origin of the results of a run; values that a record of an earlier version lacks are empty.

    Attributes
    ----------
    software : str
        The program and its version.
    model : str
        Name of the mask generator's model.
    settings_sha256 : str
        Digest of all settings and weights that decide segments and clusters.
    date : str
        Beginning of the run, or of the change that wrote the result, in UTC by ISO 8601.
    """

    software: str = ""
    model: str = ""
    settings_sha256: str = ""
    date: str = ""

    def items(self, scene: str) -> dict[str, str]:
        """Return the values by name, with that of the scene, without empty ones."""
        found = {
            "software": self.software,
            "scene": scene,
            "model": self.model,
            "settings_sha256": self.settings_sha256,
            "date": self.date,
        }
        return {name: value for name, value in found.items() if value}

    def tags(self, scene: str, subject: str) -> dict[str, str]:
        """Return the tags of a TIFF: those of the standard, and the items.

        Parameters
        ----------
        scene : str
            Name of the scene in the run.
        subject : str
            Content of the file, such as Clusters.
        """
        standard = {"TIFFTAG_SOFTWARE": self.software}
        if self.date:
            when = datetime.fromisoformat(self.date)
            standard["TIFFTAG_DATETIME"] = f"{when:%Y:%m:%d %H:%M:%S}"
        if self.software:
            standard["TIFFTAG_IMAGEDESCRIPTION"] = self.describe(scene, subject)
        return {k: v for k, v in standard.items() if v} | self.items(scene)

    def describe(self, scene: str, subject: str) -> str:
        """Describe a file or layer in one sentence, as GIS programs show it.

        >>> Provenance("alps-geo 1.0", "mobile_sam", "5e1f", "2026-01-01T00:00:00Z").describe(
        ...     "town", "Segments"
        ... )
        'Segments of town, made by alps-geo 1.0 with mobile_sam on 2026-01-01; settings 5e1f'
        """
        return _DESCRIPTION.format(
            subject=subject,
            scene=scene,
            software=self.software,
            model=self.model or "?",
            day=self.date[:10] or "?",
            settings=self.settings_sha256[:12] or "?",
        )


def is_own_description(text: str) -> bool:
    """Return True for a description of `Provenance`, which no person has added."""
    return _OWN.fullmatch(text) is not None


def current_date() -> str:
    """Return the date that results get which are made now, in UTC by ISO 8601.

    ``SOURCE_DATE_EPOCH`` takes its place where it is set, see
    https://reproducible-builds.org/specs/source-date-epoch/.

    Raises
    ------
    SettingsError
        If it is set to something else than seconds since 1970.
    """
    given = os.environ.get(_EPOCH)
    if given is None:
        when = datetime.now(UTC)
    else:
        try:
            when = datetime.fromtimestamp(int(given), UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise SettingsError(
                f"{_EPOCH} is {given!r}, expected seconds since 1970 as a whole number; "
                "correct it in the environment, or unset it"
            ) from error
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
