"""Names of clusters or classes, from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alps_geo.clusters.names import read_names
from alps_geo.errors import SceneError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("names.csv", "1,water\n2, tree canopy\n"),
        ("names.csv", "class,name,colour\n1,water,blue\n\n2,tree canopy,green\n"),
        ("names.json", '{"1": "water", "2": "tree canopy"}'),
    ],
)
def test_names_are_read(tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / file).write_text(content)
    assert read_names(tmp_path / file, "classes") == {1: "water", 2: "tree canopy"}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("names.csv", "1 water", "a line '1 water' without a comma"),
        ("names.csv", "", "no line"),
        ("names.csv", "1,water\nx,tree", "'x'"),
        ("names.json", "[1, 2]", "a JSON list"),
        ("names.json", "{", "Expecting"),
    ],
)
def test_names_that_are_none_are_refused(
    tmp_path: Path, file: str, content: str, message: str
) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(SceneError, match="holds no names of clusters") as error:
        read_names(tmp_path / file, "clusters")
    assert message in str(error.value)
    with pytest.raises(SceneError, match="names of the classes cannot be read"):
        read_names(tmp_path / "absent.csv", "classes")
