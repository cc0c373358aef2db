"""Imports of the plugin, which QGIS loads under another name into a Python of its own."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import alps_geo.qgis.plugin

FOLDER = Path(alps_geo.qgis.plugin.__file__).parent
FILES = sorted(FOLDER.glob("*.py"))
# Tests and the installer import these, where there is no QGIS.
PURE = {"__init__", "installation", "command_line", "program", "results"}


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Return the packages that a file imports, and the modules next to it."""
    packages, neighbours = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1
            neighbours.add(str(node.module))
        elif isinstance(node, ast.ImportFrom):
            packages.add(str(node.module).split(".")[0])
    return packages, neighbours


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_plugin_imports_qgis_the_standard_library_and_itself_alone(path: Path) -> None:
    packages, neighbours = imports(path)
    allowed = set() if path.stem in PURE else {"qgis"}
    assert packages <= sys.stdlib_module_names | allowed
    assert neighbours <= {each.stem for each in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_plugin_is_read_by_the_oldest_python_of_qgis(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
