"""Scenes whose results cannot be written, next to tiles that cannot be labelled."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from alps_geo.errors import AlpsGeoError, DiskError, RunError
from alps_geo.runs.tile_store import FailedTile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from alps_geo.scene import Scene

Result = TypeVar("Result")

FAILED_SCENE = {"scene": str, "path": str, "position": int, "reason": str}
"""Shape of a scene that failed, in JSON; see `alps_geo.runs.stored_json`."""


@dataclass(frozen=True)
class FailedScene:
    """A scene whose results could not be written.

    Attributes
    ----------
    scene : str
        Name of the scene's folder.
    path : str
        The scene.
    position : int
        Among the scenes of the run, from 0.
    reason : str
        One line for the user.
    """

    scene: str
    path: str
    position: int
    reason: str

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> FailedScene:
        """Build a scene from JSON of the shape `FAILED_SCENE`."""
        return cls(**{name: found[name] for name in FAILED_SCENE})

    def __str__(self) -> str:
        return f"{self.scene}, all results: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def failures(record: Mapping[str, Any]) -> list[FailedTile | FailedScene]:
    """Read what failed in a run from its record."""
    return [
        FailedTile.from_dict(failed) if "row" in failed else FailedScene.from_dict(failed)
        for failed in record.get("failed", [])
    ]


def write_each(
    scenes: Mapping[str, Scene],
    write: Callable[[str], Result],
    folder: Callable[[str], Path],
    announce: Callable[[str], None],
    *,
    strict: bool,
) -> tuple[dict[str, Result], list[FailedScene]]:
    """Write the results of scenes one by one; a scene that fails has none, the others theirs.

    Parameters
    ----------
    scenes : mapping of str to Scene
        The scenes by the names of their folders.
    write : callable
        Given such a name, writes the results of that scene.
    folder : callable
        Given such a name, returns the folder that `write` writes into.
    announce : callable
        Called with each name before it is written; what it raises ends all.
    strict : bool
        Whether to stop at the first scene that fails.

    Returns
    -------
    results : dict of str to Result
        Return values of `write`, without those of scenes that failed.
    failed : list of FailedScene

    Raises
    ------
    DiskError
        If the disk takes no more: the next scene would fail likewise.
    AlpsGeoError
        If all scenes fail, or, if `strict`, one does.
    """
    results: dict[str, Result] = {}
    failed: list[FailedScene] = []
    for position, (name, scene) in enumerate(scenes.items()):
        announce(name)
        try:
            results[name] = write(name)
        except DiskError:
            raise
        # Whatever it is, it must not cost the scenes whose results are as good as written.
        except Exception as error:
            failed.append(FailedScene(name, scene.path, position, _reason(error)))
            last = position == len(scenes) - 1
            if strict or (last and not results):
                raise _as_ours(error, failed) from error
            shutil.rmtree(folder(name), ignore_errors=True)
    return results, failed


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, AlpsGeoError):
        return text
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind


def _as_ours(error: Exception, failed: Sequence[FailedScene]) -> AlpsGeoError:
    if isinstance(error, AlpsGeoError):
        return error
    more = f" (and so with all {len(failed)} scenes)" if len(failed) > 1 else ""
    return RunError(
        f"{failed[-1].path}: its results cannot be written ({failed[-1].reason}){more}; tiles that "
        "are done are kept: give the command again with --debug to see where it fails"
    )
