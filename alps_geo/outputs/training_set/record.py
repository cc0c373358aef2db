"""Record of a training set: its ``export.json``, which identifies a folder as a set of ours."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.outputs.training_set.classes import ClassTable
    from alps_geo.outputs.training_set.counts import SplitCounts
    from alps_geo.outputs.training_set.plan import ChipPlan
    from alps_geo.outputs.training_set.settings import ExportSettings

RECORD, CARD, SHEET, CHIPS = "export.json", "README.md", "chips.png", "chips.csv"
"""Files of every training set, next to those of its format."""

_KIND = "alps-geo training set"


@dataclass(frozen=True)
class SetOrigin:
    """Origin of the labels of a training set.

    Attributes
    ----------
    version : str
        Version of alps-geo.
    run : str
        The run that was exported.
    model : str
        Name of the SAM model of the run.
    stamp : str
        Stamp of its clusters.
    """

    version: str
    run: str
    model: str
    stamp: str


@dataclass(frozen=True)
class TrainingSet:
    """A training set on disk.

    Attributes
    ----------
    format : str
        Name of its format.
    origin : SetOrigin
        Origin of its labels.
    settings : ExportSettings
        Settings of the export.
    classes : ClassTable
        Its classes.
    counts : tuple of SplitCounts
        Counts of each split.
    plan : ChipPlan
        Its sources and chips, and the number of those that were left out.
    notes : tuple of str
        Notes for its users, one sentence each.
    """

    format: str
    origin: SetOrigin
    settings: ExportSettings
    classes: ClassTable
    counts: tuple[SplitCounts, ...]
    plan: ChipPlan
    notes: tuple[str, ...]

    def to_json(self, contents: tuple[str, ...] = ()) -> dict[str, object]:
        """Return the set as a JSON object; `contents` are the names in its folder."""
        ids = "classes_of_run" if self.classes.of_run else "clusters"
        return {
            "kind": _KIND,
            "format": self.format,
            "version": self.origin.version,
            "run": self.origin.run,
            "model": self.origin.model,
            "clusters_stamp": self.origin.stamp,
            "settings": self.settings.to_dict(),
            "classes": [
                {"class": number, "name": each.name, "color": list(each.color)}
                | {ids: list(each.clusters)}
                for number, each in enumerate(self.classes.classes)
            ],
            f"unlabelled_{ids}": list(self.classes.unlabelled),
            "splits": [each.to_json() for each in self.counts],
            "chips": len(self.plan.chips),
            "left_out": {"few_labels": self.plan.sparse, "in_gap": self.plan.in_gap},
            "sources": self._sources(),
            "notes": list(self.notes),
            **({"contents": sorted(contents)} if contents else {}),
        }

    def _sources(self) -> list[dict[str, object]]:
        count = self.plan.chips_of
        return [
            {
                "name": each.name,
                "path": each.path,
                "height": each.shape[0],
                "width": each.shape[1],
                "crs": each.crs_text or None,
                "chips": count[number],
            }
            for number, each in enumerate(self.plan.sources)
        ]


def check_folder(path: Path, *, overwrite: bool) -> None:
    """Check that a training set may be written to a folder.

    Raises
    ------
    RunError
        If something else is there, or another set that is not to be replaced, or one to which
        files were added.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    contents = _contents(path / RECORD)
    if contents is None:
        raise RunError(
            f"{path} is there and is no training set that alps-geo exported; give another --out"
        )
    if not overwrite:
        raise RunError(
            f"{path} holds a training set; --overwrite replaces it, another --out keeps it"
        )
    if added := sorted({each.name for each in path.iterdir()} - contents):
        raise RunError(
            f"{path} holds {', '.join(added)}, which the export there did not write, and "
            "--overwrite would remove; move it away, or give another --out"
        )


def _contents(record: Path) -> set[str] | None:
    """Return the names in the folder of a training set, None for another folder."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("kind") != _KIND:
        return None
    listed = found.get("contents")
    return set(map(str, listed)) if isinstance(listed, list) else set()
