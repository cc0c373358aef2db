"""Note of a change of the classes of a finished run, with all that it leads to.

The note comes first and goes last, as that of a change of the clusters: whatever cuts a change
short, it is made from its note.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.fields.formats import PREVIEW_FORMATS
from alps_geo.files import replacing, run_errors
from alps_geo.outputs.names import CLASS_FILES, CLASS_MODEL, class_preview_file
from alps_geo.runs.overrides import RunOverrides
from alps_geo.runs.stored_json import DamagedError, Perhaps, json_object, known_fields, read_json

CHANGE = {"command": str, "overrides": Perhaps({}), "date": Perhaps(str)}
"""Shape of a `ClassChange` as JSON; see `alps_geo.runs.stored_json`."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alps_geo.runs.folder import RunFolder


def begin_class_change(
    folder: RunFolder, change: ClassChange, model: bytes, scenes: Mapping[str, bytes]
) -> None:
    """Note a change of the classes with all that it leads to: from here on it is sure to be made.

    Parameters
    ----------
    folder : RunFolder
        The run folder.
    change : ClassChange
        The change.
    model : bytes
        The model of classes.
    scenes : mapping of str to bytes
        Classes of the segments of each scene: see `alps_geo.runs.classes`.

    Raises
    ------
    RunError
        If the folder cannot be written; nothing is noted then.
    """
    path = folder.class_change_path
    with replacing(path) as part, run_errors(path):
        part.with_name(CLASS_MODEL).write_bytes(model)
        for name, classes in scenes.items():
            part.with_name(scene_file(name)).write_bytes(classes)
        part.write_text(json.dumps(change.to_json()), encoding="utf-8")


@dataclass(frozen=True)
class ClassChange:
    """Note of a change of the classes.

    Attributes
    ----------
    command : str
        The command, as typed after ``alps-geo``.
    overrides : RunOverrides or None
        Clusters and classes that a person gave segments, after the change; None where it leaves
        them.
    date : str
        Beginning of the change, in UTC by ISO 8601; empty in notes of earlier versions.
    """

    command: str
    overrides: RunOverrides | None
    date: str = ""

    @classmethod
    def from_json(cls, found: object) -> ClassChange:
        """Build a note from JSON; raise ValueError for JSON of another shape."""
        known = known_fields(found, CHANGE)
        given = known["overrides"]
        overrides = None if given is None else RunOverrides.from_json(given)
        return cls(known["command"], overrides, known["date"] or "")

    def to_json(self) -> dict[str, object]:
        """Return the note as a JSON object."""
        given = {} if self.overrides is None else {"overrides": self.overrides.to_json()}
        return {**json_object(self, CHANGE), **given}


def read_class_change(folder: RunFolder) -> ClassChange | None:
    """Read the note of a change of the classes that has begun and not ended, if there is one.

    Raises
    ------
    RunError
        If its note is damaged.
    """
    path = folder.class_change_path
    try:
        return read_json(path, ClassChange.from_json)
    except DamagedError as error:
        raise RunError(
            f"{error}: alps-geo classify was stopped here while it wrote the classes; remove "
            f"{path.parent}, and give its command again"
        ) from error


def scene_file(scene: str) -> str:
    """Return the name of the classes of a scene, next to the note."""
    # No scene of any name takes the place of another file.
    return f"{scene}.scene.npz"


def changed_class_model(folder: RunFolder) -> bytes:
    """Read the model of classes that a noted change leads to."""
    path = folder.class_change_path.with_name(CLASS_MODEL)
    with run_errors(path):
        return path.read_bytes()


def end_class_change(folder: RunFolder) -> None:
    """Forget a change of the classes that is made, or whose run is about to be replaced."""
    # The note first: without it, the rest is nothing.
    folder.class_change_path.unlink(missing_ok=True)
    shutil.rmtree(folder.class_change_path.parent, ignore_errors=True)


def class_files(scenes: Iterable[str], previews: Sequence[str] = PREVIEW_FORMATS) -> list[str]:
    """List the results of classes in the folders of scenes, with these formats of previews."""
    others = {class_preview_file(form) for form in PREVIEW_FORMATS if form not in previews}
    names = [name for name in CLASS_FILES if name not in others]
    return [f"{scene}/{name}" for scene in scenes for name in names]
