"""Values that a run folder keeps of the work in it: what is planned, and what is being changed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlannedScene:
    """What a run folder knows about a scene from the first moment on.

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
    """What is being run in a folder.

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


@dataclass(frozen=True)
class Change:
    """How the clusters of a finished run are being changed.

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
