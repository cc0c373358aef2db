"""Events that a run tells its listener."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class TileNews:
    """A tile of a scene, or an image of a folder, that has been worked on or was stored before.

    Attributes
    ----------
    title : str
        Its place in the scene, or its name.
    seconds : float or None
        Time that it took; None if it was stored before, or failed without a time.
    reason : str or None
        Reason of its failure; None without one.
    worker : str or None
        Name of the worker that did it; None for a process on this machine.
    """

    title: str
    seconds: float | None = None
    reason: str | None = None
    worker: str | None = None

    def __str__(self) -> str:
        if self.reason is not None:
            return f"{self.title}: failed: {self.reason}"
        if self.seconds is None:
            return f"{self.title}: stored before"
        by = "" if self.worker is None else f" on worker {self.worker}"
        return f"{self.title}: {self.seconds:.2f} s{by}"


@dataclass(frozen=True)
class Event:
    """News of a run for its listener.

    Attributes
    ----------
    stage : str
        What is being done.
    scene : str
        Name of the scene it is done to; empty for all of them.
    tiles, computed, skipped : int
        Tiles of the whole run; how many have been through SAM; and how many need not, because
        they hold no data or were done before.
    note : str
        Something that was assumed and that the user should know; else empty.
    tile : TileNews or None
        The tile that is counted; None for all other events.
    """

    stage: str
    scene: str = ""
    tiles: int = 0
    computed: int = 0
    skipped: int = 0
    note: str = ""
    tile: TileNews | None = None

    @property
    def noted(self) -> str:
        """The note with the name of its scene, if it is about one."""
        return f"{self.scene}: {self.note}" if self.scene else self.note


class Tally:
    """Counts the tiles of the run for its listener."""

    def __init__(self, tiles: int, listen: Callable[[Event], None]) -> None:
        self._now = Event("open", tiles=tiles)
        self._listen = listen

    def tell(self, stage: str, scene: str = "", note: str = "") -> None:
        """Say what is being done, without counting anything."""
        self._listen(replace(self._now, stage=stage, scene=scene, note=note))

    def count(self, scene: str, tile: TileNews, *, computed: bool) -> None:
        """Count one more tile of `scene` as through SAM, or as needing no pass."""
        now = self._now
        self._now = replace(
            now, computed=now.computed + computed, skipped=now.skipped + (not computed)
        )
        self._listen(replace(self._now, stage="tiles", scene=scene, tile=tile))
