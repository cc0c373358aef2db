"""Plan of a run: its scenes, their tiles and the results, noted before it begins."""

from __future__ import annotations

from dataclasses import dataclass

from alps_geo.runs.stored_json import Perhaps, json_object, known_fields

SCENE = {"name": str, "path": str, "tiles_folder": str, "tiles": int}
"""Shape of a `PlannedScene` as JSON; see `alps_geo.runs.stored_json`."""

PLAN = {
    "run": str,
    "scenes": [SCENE],
    "files": [str],
    "images": Perhaps(bool),
    "date": Perhaps(str),
}
"""Shape of a `Plan` as JSON."""


@dataclass(frozen=True)
class PlannedScene:
    """One scene of a plan: its name, path and tiles.

    Attributes
    ----------
    name : str
        The scene's folder for results.
    path : str
        The scene, an absolute path where it is a file; in plans of earlier versions as typed.
    tiles_folder : str
        Name of the folder of its tiles.
    tiles : int
        Number of its tiles.
    """

    name: str
    path: str
    tiles_folder: str
    tiles: int

    @classmethod
    def from_json(cls, found: object) -> PlannedScene:
        """Build a scene from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, SCENE))

    def to_json(self) -> dict[str, object]:
        """Return the scene as a JSON object."""
        return json_object(self, SCENE)


@dataclass(frozen=True)
class Plan:
    """Scenes and results of the run in a folder.

    Attributes
    ----------
    fingerprint : str
        Fingerprint of everything that decides the results.
    scenes : tuple of PlannedScene
        The scenes.
    files : tuple of str
        The results that there will be, relative to the run folder.
    images : bool
        True for a folder of images: its scenes are splits, and its tiles images.
    date : str
        Beginning of the run, in UTC by ISO 8601; empty in plans of earlier versions. It is the
        date in the results, so that a run that was stopped goes on to the same bytes.
    """

    fingerprint: str
    scenes: tuple[PlannedScene, ...]
    files: tuple[str, ...]
    images: bool = False
    date: str = ""

    @classmethod
    def from_json(cls, found: object) -> Plan:
        """Build a plan from JSON; raise ValueError for JSON of another shape."""
        known = known_fields(found, PLAN)
        scenes = tuple(map(PlannedScene.from_json, known["scenes"]))
        return cls(known["run"], scenes, known["files"], bool(known["images"]), known["date"] or "")

    def to_json(self) -> dict[str, object]:
        """Return the plan as a JSON object."""
        return {
            "run": self.fingerprint,
            "scenes": [scene.to_json() for scene in self.scenes],
            "files": list(self.files),
            **({"images": True} if self.images else {}),
            **({"date": self.date} if self.date else {}),
        }

    @property
    def is_fit(self) -> bool:
        """True for a fit, whose cluster model lies elsewhere and which has no results."""
        return not self.files
