"""Tiles and images that could not be labelled, and scenes whose results could not be written."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from alps_geo.errors import AlpsGeoError, DiskError, RunError, StoreError
from alps_geo.runs.stored_json import check_shape, json_object, known_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from alps_geo.grid import Tile

Result = TypeVar("Result")

FAILED_TILE = {
    "scene": str,
    "row": int,
    "col": int,
    "row_off": int,
    "col_off": int,
    "height": int,
    "width": int,
    "reason": str,
}
"""Shape of a `FailedTile` as JSON; see `alps_geo.runs.stored_json`."""

FAILED_SCENE = {"scene": str, "path": str, "position": int, "reason": str}
"""Shape of a `FailedScene` as JSON."""

FAILED_IMAGE = {"image": str, "path": str, "reason": str}
"""Shape of a `FailedImage` as JSON."""


@dataclass(frozen=True)
class FailedTile:
    """A tile that could not be labelled.

    Attributes
    ----------
    scene : str
        Name of the scene's folder.
    row, col : int
        Position in the grid.
    row_off, col_off, height, width : int
        The tile's window, in scene pixels.
    reason : str
        One line for the user.
    """

    scene: str
    row: int
    col: int
    row_off: int
    col_off: int
    height: int
    width: int
    reason: str

    @classmethod
    def of(cls, scene: str, tile: Tile, reason: str) -> FailedTile:
        """Describe the failure of `tile`."""
        window = tile.window
        return cls(
            scene,
            tile.row,
            tile.col,
            int(window.row_off),
            int(window.col_off),
            int(window.height),
            int(window.width),
            reason,
        )

    @classmethod
    def from_json(cls, found: object) -> FailedTile:
        """Build a tile from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, FAILED_TILE))

    def __str__(self) -> str:
        return (
            f"{self.scene}, rows {self.row_off} to {self.row_off + self.height}, "
            f"columns {self.col_off} to {self.col_off + self.width}: {self.reason}"
        )

    def to_json(self) -> dict[str, object]:
        """Return the tile as a JSON object."""
        return json_object(self, FAILED_TILE)


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
    def from_json(cls, found: object) -> FailedScene:
        """Build a scene from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, FAILED_SCENE))

    def __str__(self) -> str:
        return f"{self.scene}, all results: {self.reason}"

    def to_json(self) -> dict[str, object]:
        """Return the scene as a JSON object."""
        return json_object(self, FAILED_SCENE)


@dataclass(frozen=True)
class FailedImage:
    """An image of a folder that could not be labelled.

    Attributes
    ----------
    image : str
        Its split and name, as ``train/a``.
    path : str
        Its file.
    reason : str
        One line for the user.
    """

    image: str
    path: str
    reason: str

    @classmethod
    def from_json(cls, found: object) -> FailedImage:
        """Build an image from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, FAILED_IMAGE))

    def __str__(self) -> str:
        return f"{self.image}: {self.reason}"

    def to_json(self) -> dict[str, object]:
        """Return the image as a JSON object."""
        return json_object(self, FAILED_IMAGE)


Failure: TypeAlias = FailedTile | FailedScene | FailedImage
"""A part of a run that failed."""


def failure_from_json(found: object) -> Failure:
    """Build a failure from JSON; raise ValueError for JSON of another shape."""
    keys = check_shape(found, {})
    if "row" in keys:
        return FailedTile.from_json(found)
    return FailedImage.from_json(found) if "image" in keys else FailedScene.from_json(found)


def write_each(
    scenes: Mapping[str, str],
    write: Callable[[str], Result],
    folder: Callable[[str], Path],
    announce: Callable[[str], None],
    *,
    strict: bool,
) -> tuple[dict[str, Result], list[FailedScene]]:
    """Write the results of scenes one by one; one that fails costs the others nothing.

    Parameters
    ----------
    scenes : mapping of str to str
        The scenes, absolute paths of files, by the names of their folders.
    write : callable
        Given such a name, writes the results of that scene.
    folder : callable
        Given such a name, returns the folder that `write` writes into.
    announce : callable
        Called with each name before it is written; an exception that it raises ends all.
    strict : bool
        True to stop at the first scene that fails.

    Returns
    -------
    results : dict of str to Result
        Return values of `write`, without those of scenes that failed.
    failed : list of FailedScene

    Raises
    ------
    DiskError, StoreError
        If the disk is full, or a store does not answer: the next scene would fail too.
    AlpsGeoError
        If all scenes fail, or, if `strict`, one does.
    """
    results: dict[str, Result] = {}
    failed: list[FailedScene] = []
    for position, (name, path) in enumerate(scenes.items()):
        announce(name)
        try:
            results[name] = write(name)
        except (DiskError, StoreError):
            raise
        # Whatever it is, it must not cost the scenes whose results are as good as written.
        except Exception as error:
            failed.append(FailedScene(name, path, position, _reason(error)))
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
