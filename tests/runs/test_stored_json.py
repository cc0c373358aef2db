import json
import re
from pathlib import Path
from typing import Any

import pytest

from alps_geo.runs.stored_json import DamagedError, Perhaps, check_shape, read_json

SHAPE: dict[str, Any] = {
    "text": str,
    "count": int,
    "share": float,
    "list": [{"inner": (None, [int])}, ...],
    "color": re.compile("#[0-9a-f]{6}"),
    "unit": ("m2", "px"),
    "flag": Perhaps(bool),
}
GOOD: dict[str, Any] = {
    "text": "a",
    "count": 3,
    "share": 1,
    "list": [{"inner": None}, {"inner": [1]}],
    "color": "#00ff7f",
    "unit": "px",
}


def checked(found: object) -> object:
    return check_shape(found, SHAPE)


def test_what_has_the_shape_is_read_with_all_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert read_json(path, checked) is None
    assert read_json(path / "below a file", checked) is None
    path.write_text(json.dumps(GOOD | {"flag": True, "later": [{}]}))
    assert read_json(path, checked) == GOOD | {"flag": True, "later": [{}]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"text": "\xff"}', "codec"),
        (b"[" * 100_000, "recursion"),
        (b"[]", "the content is [], expected an object"),
        (json.dumps(GOOD).encode()[:-9], "damaged"),
        ({"text": None}, "text is null, expected text"),
        ({"count": 2.5}, "count is 2.5, expected a whole number"),
        ({"count": True}, "count is true"),
        ({"share": "1"}, 'share is "1", expected a number'),
        ({"list": {}}, "list is {}, expected a list"),
        ({"list": []}, "list is [], expected a list"),
        ({"list": [3]}, "list is 3, expected an object"),
        ({"list": [{}]}, "list lacks 'inner'"),
        ({"list": [{"inner": ["x"]}]}, 'inner is ["x"], expected null or a list'),
        ({"color": "red"}, 'color is "red", expected text such as'),
        ({"unit": "ft"}, 'unit is "ft", expected "m2" or "px"'),
        ({"flag": 1}, "flag is 1, expected true or false"),
    ],
)
def test_anything_else_is_damage_that_is_told_in_one_line(
    content: bytes | dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    data = content if isinstance(content, bytes) else json.dumps(GOOD | content).encode()
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=re.escape(reason)) as caught:
        read_json(path, checked)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_damage(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="cannot be read"):
        read_json(tmp_path, checked)
