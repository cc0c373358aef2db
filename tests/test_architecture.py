"""The rules between the rooms of the house, as DESIGN has them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = sorted((ROOT / "alps_geo").rglob("*.py"))
# Downwards: a module may import those above it only.
LAYERS = [
    "errors",
    "events",
    "files",
    "stored_json",
    "workers",
    "grid",
    "scene",
    "sam",
    "settings",
    "descriptors",
    "superpixels",
    "features",
    "regions",
    "fragments",
    "matching",
    "stitch",
    "pooling",
    "tile_store",
    "failures",
    "plan",
    "run_files",
    "claim",
    "store",
    "status",
    "kinds",
    "columns",
    "tables",
    "threads",
    "tree",
    "colors",
    "clusters",
    "kmeans",
    "finished",
    "vectorize",
    "ground",
    "outputs",
    "evaluate",
    "record",
    "edits",
    "relabel",
    "suggest",
    "gallery",
    "tiles",
    "checks",
    "pipeline",
]


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_knows_no_command_line(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    assert not roots & {"typer", "rich", "click", "alps_geo_cli", "cli"}


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    parts = path.relative_to(ROOT / "alps_geo").with_suffix("").parts
    if parts[0] == "__init__":
        return
    allowed = set(LAYERS[: LAYERS.index(parts[0]) + 1])
    used = {name.split(".")[1] for name in imported(path) if name.startswith("alps_geo.")}
    assert used <= allowed


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_torch_stays_in_its_room(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    inside = path.is_relative_to(ROOT / "alps_geo" / "sam")
    assert inside or not roots & {"torch", "timm", "segment_anything"}


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(output.stdout.split())


def test_help_loads_neither_torch_nor_the_geospatial_stack() -> None:
    heavy = {"torch", "rasterio", "geopandas", "sklearn", "scipy", "timm", "pandas", "numpy"}
    assert not loaded_by("import alps_geo_cli.main") & heavy


def test_the_pipeline_imports_without_torch() -> None:
    assert "torch" not in loaded_by("import alps_geo.pipeline")
