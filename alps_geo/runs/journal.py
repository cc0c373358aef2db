"""Note of a change of the clusters of a finished run: from it, a change that was cut short is made.

The note comes first and goes last, so that results never stay half changed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.files import replacing, run_errors
from alps_geo.runs.overrides import RunOverrides
from alps_geo.runs.stored_json import Perhaps, json_object, known_fields

if TYPE_CHECKING:
    from alps_geo.runs.folder import RunFolder

CHANGE = {
    "command": str,
    "earlier": [str],
    "moves_segments": Perhaps(bool),
    "overrides": Perhaps({}),
    "date": Perhaps(str),
}
"""Shape of a `Change` as JSON; see `alps_geo.runs.stored_json`."""


@dataclass(frozen=True)
class Change:
    """A change of the clusters of a finished run, from its begin to its end.

    Attributes
    ----------
    command : str
        The command, as typed after ``alps-geo clusters``.
    earlier : tuple of str
        The commands of the changes before it.
    moves_segments : bool
        True if segments get other clusters; False if only names or colours change.
    overrides : RunOverrides or None
        Clusters that a person gave segments, as they are after the change; None in notes of
        earlier versions, which had none.
    date : str
        Beginning of the change, in UTC by ISO 8601; empty in notes of earlier versions.
    """

    command: str
    earlier: tuple[str, ...]
    moves_segments: bool
    overrides: RunOverrides | None = None
    date: str = ""

    @classmethod
    def from_json(cls, found: object) -> Change:
        """Build a change from JSON; raise ValueError for JSON of another shape."""
        known = known_fields(found, CHANGE)
        # An earlier version did not say: all is written again then, which is right in any case.
        moves = known["moves_segments"] is not False
        given = known["overrides"]
        overrides = None if given is None else RunOverrides.from_json(given)
        return cls(known["command"], known["earlier"], moves, overrides, known["date"] or "")

    def to_json(self) -> dict[str, object]:
        """Return the change as a JSON object."""
        given = {} if self.overrides is None else {"overrides": self.overrides.to_json()}
        return {**json_object(self, CHANGE), **given}


def begin_change(folder: RunFolder, change: Change, model: bytes) -> None:
    """Note a change and the cluster model that it leads to: from here on it is sure to be made.

    Raises
    ------
    RunError
        If the folder cannot be written; nothing is noted then.
    """
    with replacing(folder.change_path) as part, run_errors(folder.change_path):
        part.with_name(folder.changed_model_path.name).write_bytes(model)
        part.write_text(json.dumps(change.to_json()), encoding="utf-8")


def end_change(folder: RunFolder) -> None:
    """Forget a change that is made, or whose run is about to be replaced."""
    folder.change_path.unlink(missing_ok=True)
    folder.changed_model_path.unlink(missing_ok=True)
