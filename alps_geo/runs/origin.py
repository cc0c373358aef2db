"""Programs, settings and weights of a run or fit: a part of its record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.fields.formats import GEOPACKAGE, PREVIEW_FORMATS, ChosenFormats
from alps_geo.outputs.provenance import Provenance
from alps_geo.runs.stored_json import Perhaps, json_object, known_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

WEIGHTS = {"name": str, "sha256": str}
"""Shape of a `WeightsRecord` as JSON; see `alps_geo.runs.stored_json`."""

READING = {
    "bands": (None, [int]),
    "nodata": (None, float, "nan"),
    "stretch": (None, [float]),
    "alpha": Perhaps(str),
}
"""Shape of the settings that a `SceneReading` is made of, as JSON."""

ORIGIN = {
    "versions": {},
    "settings": READING,
    "model": WEIGHTS,
    "backbone": Perhaps(WEIGHTS),
    "settings_sha256": Perhaps(str),
    "date": Perhaps(str),
}
"""Shape of an `Origin` as a part of the JSON of a record."""


FORMATS = {"formats": Perhaps([str]), "preview_format": Perhaps([str])}
"""Shape of the settings that choose formats, as JSON."""


@dataclass(frozen=True)
class WeightsRecord:
    """Name of a network and SHA-256 of its weights.

    Attributes
    ----------
    name, sha256 : str
        Name and digest, in hexadecimal.
    """

    name: str
    sha256: str

    @classmethod
    def from_json(cls, found: object) -> WeightsRecord:
        """Build a value from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, WEIGHTS))

    def to_json(self) -> dict[str, object]:
        """Return the value as a JSON object."""
        return json_object(self, WEIGHTS)


@dataclass(frozen=True)
class SceneReading:
    """Settings that a run opened its scenes with; see `alps_geo.scene.open_scene`.

    Attributes
    ----------
    bands : tuple of int or None
        Bands that SAM saw, if they were given.
    nodata : float or None
        Value of pixels without data, if it was given.
    stretch : tuple of float or None
        Percentiles that became black and white, if they were given.
    alpha : str
        Treatment of alpha bands.
    """

    bands: tuple[int, ...] | None
    nodata: float | None
    stretch: tuple[float, float] | None
    alpha: str


@dataclass(frozen=True)
class Origin:
    """Programs, settings and weights that made the results of a run.

    Attributes
    ----------
    versions : mapping of str to str
        Versions of the packages.
    settings : mapping of str to object
        Settings under their names in a config file, as the run was given them.
    model : WeightsRecord
        The SAM model.
    backbone : WeightsRecord or None
        The timm backbone, if one described the segments.
    settings_sha256 : str or None
        Digest of all settings and weights that decide segments and clusters; None in records of
        earlier versions.
    date : str or None
        Beginning of the run, in UTC by ISO 8601; None in records of earlier versions.
    """

    versions: Mapping[str, str]
    settings: Mapping[str, object]
    model: WeightsRecord
    backbone: WeightsRecord | None
    settings_sha256: str | None = None
    date: str | None = None

    @classmethod
    def from_json(cls, found: object) -> Origin:
        """Build an origin from the JSON of a record; raise ValueError for another shape."""
        known = known_fields(found, ORIGIN)
        backbone = known["backbone"]
        return cls(
            known["versions"],
            known["settings"],
            WeightsRecord.from_json(known["model"]),
            None if backbone is None else WeightsRecord.from_json(backbone),
            known["settings_sha256"],
            known["date"],
        )

    @property
    def provenance(self) -> Provenance:
        """The origin as results tell of it."""
        version = self.versions.get("alps-geo")
        return Provenance(
            f"alps-geo {version}" if version else "alps-geo",
            self.model.name,
            self.settings_sha256 or "",
            self.date or "",
        )

    @property
    def simplify_by(self) -> float:
        """Detail that borders lack; records of earlier versions have no such setting."""
        value = self.settings.get("simplify")
        return float(value) if isinstance(value, int | float) else 0.0

    @property
    def chosen_formats(self) -> ChosenFormats:
        """Formats of the results; records of earlier versions have no such settings."""
        found = known_fields(self.settings, FORMATS)
        formats, previews = found["formats"], found["preview_format"]
        return ChosenFormats(formats or (GEOPACKAGE,), previews or PREVIEW_FORMATS[:1])

    @property
    def reading(self) -> SceneReading:
        """Settings that the scenes were opened with."""
        found = known_fields(self.settings, READING)
        nodata = found["nodata"]
        return SceneReading(
            found["bands"],
            None if nodata is None else float(nodata),
            found["stretch"],
            found["alpha"] or "auto",  # records of earlier versions have none
        )

    def to_json(self) -> dict[str, object]:
        """Return the part of a record's JSON that is about its origin."""
        backbone = {} if self.backbone is None else {"backbone": self.backbone.to_json()}
        return {
            "versions": dict(self.versions),
            "settings": dict(self.settings),
            "model": self.model.to_json(),
            **backbone,
            **{
                k: v
                for k, v in (("settings_sha256", self.settings_sha256), ("date", self.date))
                if v
            },
        }
