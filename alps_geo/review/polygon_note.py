"""Note of the contents of a run's polygons, by which changes of a person are known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from alps_geo.files import write_bytes
from alps_geo.outputs.gpkg.contents import Contents
from alps_geo.runs.stored_json import (
    DamagedError,
    Perhaps,
    check_shape,
    json_object,
    known_fields,
    read_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alps_geo.runs.folder import RunFolder

CONTENTS = {
    "columns": [str],
    "features": int,
    "rows": str,
    "clusters": str,
    "extras": [str],
    "style": Perhaps((None, str)),
    "classes": Perhaps((None, str)),
    "styles": Perhaps({}),
}
"""Shape of the contents of one file as JSON; see `alps_geo.runs.stored_json`."""


def read_note(folder: RunFolder) -> dict[str, Contents]:
    """Read the contents of polygons as the run wrote them.

    Returns
    -------
    dict of str to Contents
        By the path of the file, relative to the run folder; empty if the note is absent or damaged.
    """
    try:
        found = read_json(folder.polygons_path, _from_json)
    except DamagedError:
        found = None
    return found or {}


def write_note(folder: RunFolder, contents: Mapping[str, Contents]) -> None:
    """Note the contents of polygons by the paths of their files; an older note is replaced.

    Raises
    ------
    RunError
        If the note cannot be written.
    """
    data = {name: json_object(each, CONTENTS) for name, each in contents.items()}
    write_bytes(folder.polygons_path, json.dumps(data, indent=1).encode())


def _from_json(found: object) -> dict[str, Contents]:
    files = check_shape(found, {})
    return {name: _contents(each) for name, each in files.items()}


def _contents(found: object) -> Contents:
    known = known_fields(found, CONTENTS)
    return Contents(**{name: value for name, value in known.items() if value is not None})
