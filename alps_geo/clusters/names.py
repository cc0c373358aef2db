"""Names of clusters or classes, from a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, Literal

from alps_geo.errors import SceneError


def read_names(path: str | Path, things: Literal["clusters", "classes"]) -> dict[int, str]:
    """Read names by number.

    Parameters
    ----------
    path : str or pathlib.Path
        JSON, an object such as ``{"1": "water"}``; or else CSV with the number and the name in the
        first two columns, with or without a heading.
    things : str
        Bearers of the names, for messages of errors.

    Raises
    ------
    SceneError
        If the file cannot be read or holds something else.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SceneError(f"{path}: the names of the {things} cannot be read: {error}") from error
    try:
        pairs = _from_json(text) if path.suffix.lower() == ".json" else _from_csv(text)
        return {int(number): str(name).strip() for number, name in pairs}
    except (TypeError, ValueError) as error:
        raise SceneError(
            f"{path}: holds no names of {things} ({error}); expected lines such as 1,water, "
            'or in a .json file an object such as {"1": "water"}'
        ) from error


def _from_json(text: str) -> list[tuple[Any, Any]]:
    names = json.loads(text)
    if not isinstance(names, dict):
        raise TypeError(f"a JSON {type(names).__name__}")
    return list(names.items())


def _from_csv(text: str) -> list[tuple[str, str]]:
    rows = [row for row in csv.reader(text.splitlines()) if row]
    if short := [row for row in rows if len(row) < 2]:
        raise ValueError(f"a line {','.join(short[0])!r} without a comma")
    if rows and not _is_whole(rows[0][0]):
        rows = rows[1:]
    if not rows:
        raise ValueError("no line")
    return [(row[0], row[1]) for row in rows]


def _is_whole(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True
