"""Values that a run folder keeps of the work in it: what is planned, and what is being changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alps_geo.runs.stored_json import Perhaps

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAN = {
    "run": str,
    "scenes": [{"name": str, "path": str, "tiles_folder": str, "tiles": int}],
    "files": [str],
}
"""Shape of a `Plan` as JSON, for `alps_geo.runs.stored_json`."""

CHANGE = {"command": str, "earlier": [str], "moves_segments": Perhaps(bool)}
"""Shape of a `Change` as JSON."""


@dataclass(frozen=True)
class PlannedScene:
    """One scene of a plan: its name, path and tiles.

    Attributes
    ----------
    name : str
        The scene's folder for results.
    path : str
        The scene.
    tiles_folder : str
        Name of the folder of its tiles.
    tiles : int
        How many there are.
    """

    name: str
    path: str
    tiles_folder: str
    tiles: int


@dataclass(frozen=True)
class Plan:
    """Scenes and results of the run in a folder.

    Attributes
    ----------
    run : str
        Fingerprint of all that decides the results.
    scenes : tuple of PlannedScene
        The scenes.
    files : tuple of str
        The results that there will be, relative to the run folder.
    """

    run: str
    scenes: tuple[PlannedScene, ...]
    files: tuple[str, ...]

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Plan:
        """Build a plan from JSON of the shape `PLAN`."""
        scenes = (
            PlannedScene(scene["name"], scene["path"], scene["tiles_folder"], scene["tiles"])
            for scene in found["scenes"]
        )
        return cls(found["run"], tuple(scenes), tuple(found["files"]))

    @property
    def is_fit(self) -> bool:
        """True for a fit, whose cluster model lies elsewhere and which has no results."""
        return not self.files


@dataclass(frozen=True)
class Change:
    """A change of the clusters of a finished run, from its begin to its end.

    Attributes
    ----------
    command : str
        What the user typed after ``alps-geo clusters``.
    earlier : list of str
        The changes that were made before, likewise.
    moves_segments : bool
        Whether segments get other clusters, and not the clusters other names or colours alone.
    """

    command: str
    earlier: list[str]
    moves_segments: bool

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Change:
        """Build a change from JSON of the shape `CHANGE`."""
        # Without a word on it all is written again, which is right in any case.
        return cls(found["command"], found["earlier"], found.get("moves_segments", True))
