"""Classes of the segments of a run, stored by scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.clusters.arrays import to_npz
from alps_geo.errors import RunError
from alps_geo.files import write_bytes
from alps_geo.runs.class_journal import scene_file
from alps_geo.segments.table import read_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.runs.folder import RunFolder

_FILE = "classes.npz"


@dataclass(frozen=True)
class SegmentClasses:
    """Classes of the segments of a scene; row i is that of segment id i + 1.

    Attributes
    ----------
    ids : ndarray of int64, shape (n,)
        Id of the class of each.
    confidence : ndarray of float64, shape (n,)
        Its probability.
    margin : ndarray of float64, shape (n,)
        Its probability less that of the next.
    names : mapping of int to str
        Names of the classes.
    """

    ids: NDArray[np.int64]
    confidence: NDArray[np.float64]
    margin: NDArray[np.float64]
    names: Mapping[int, str]

    def overridden(self, classes: Mapping[int, str]) -> SegmentClasses:
        """Give segments the classes that a person gave them, by name and segment id."""
        if not classes:
            return self
        id_of = {name: number for number, name in self.names.items()}
        found = SegmentClasses(
            self.ids.copy(), self.confidence.copy(), self.margin.copy(), self.names
        )
        at = np.array(list(classes), np.int64) - 1
        found.ids[at] = [id_of[name] for name in classes.values()]
        found.confidence[at] = found.margin[at] = 1.0
        return found

    def to_bytes(self) -> bytes:
        """Serialise as an .npz."""
        return to_npz(
            {
                "ids": self.ids,
                "confidence": self.confidence,
                "margin": self.margin,
                "listed": np.array(list(self.names), np.int64),
                "names": np.array(list(self.names.values())),
            }
        )


def read_classes(path: Path) -> SegmentClasses:
    """Read what `SegmentClasses.to_bytes` has given.

    Raises
    ------
    RunError
        If the file is absent or damaged.
    """
    found = read_arrays(path, ("ids", "confidence", "margin", "listed", "names"))
    names = dict(zip(found["listed"].tolist(), map(str, found["names"].tolist()), strict=True))
    return SegmentClasses(found["ids"], found["confidence"], found["margin"], names)


def stored_classes(folder: RunFolder, scene: str) -> SegmentClasses | None:
    """Read the classes of the segments of a scene as they were written; None without any."""
    path = folder.classes_folder(scene) / _FILE
    return read_classes(path) if path.is_file() else None


def given_classes(folder: RunFolder, scene: str) -> SegmentClasses:
    """Read the classes of the segments of a scene in a run that is classified.

    Raises
    ------
    RunError
        If the file is absent or damaged.
    """
    found = stored_classes(folder, scene)
    if found is None:
        raise RunError(
            f"{folder.classes_folder(scene)}: the classes of {scene} are absent, expected those of "
            f"alps-geo classify; give it again with --model {folder.class_model_path}"
        )
    return found


def store_classes(folder: RunFolder, scene: str, classes: SegmentClasses) -> None:
    """Store the classes of the segments of a scene, for comparison with edits of a person."""
    write_bytes(folder.classes_folder(scene) / _FILE, classes.to_bytes())


def changed_classes(folder: RunFolder, scene: str) -> SegmentClasses:
    """Read the classes that a noted change gives the segments of a scene."""
    return read_classes(folder.class_change_path.with_name(scene_file(scene)))
