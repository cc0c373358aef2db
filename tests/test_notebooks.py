"""The notebooks: each runs, shows its progress and pictures, and is stored without outputs."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXTRAS = {"05-from-image-folders-to-pre-training.ipynb": "segmentation_models_pytorch"}
"""Modules of extras by the notebook that needs them."""


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def imported(notebook: Any) -> set[str]:
    """Return the packages that the cells import."""
    found = set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.ImportFrom):
                    found.add(str(node.module).split(".")[0])
                if isinstance(node, ast.Import):
                    found |= {name.name.split(".")[0] for name in node.names}
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
# The kernel's own client and its messaging library warn about their internals.
@pytest.mark.filterwarnings("default")
def test_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if path.name in EXTRAS:
        pytest.importorskip(EXTRAS[path.name], reason="the notebook needs the extra train")
    # tqdm, which libraries of networks import, misses the widgets that Jupyter has.
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:IProgress not found")
    notebook = read(path)
    client = NotebookClient(
        notebook,
        timeout=3000,
        startup_timeout=600,
        iopub_timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": path.parent}},
    )
    client.execute()
    shown = outputs(notebook)
    pages = [output["data"].get("text/html", "") for output in shown if "data" in output]
    # The progress of the run, and the run itself.
    assert any("<progress" in page for page in pages)
    assert any("data:image/png;base64," in page for page in pages)
    plots = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(plots) >= 3
    errors = [output.text for output in shown if output.get("name") == "stderr"]
    assert errors == [], "warnings"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_stored_without_outputs(path: Path) -> None:
    notebook = read(path)
    assert outputs(notebook) == []
    assert {cell.get("execution_count") for cell in notebook.cells} == {None}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_imports_packages_that_a_user_has(path: Path) -> None:
    wanted = {"alps_geo", "geopandas", "matplotlib", "numpy", "pandas", "rasterio", "torch"}
    assert imported(read(path)) - wanted <= {"pathlib", "tempfile"}


def test_the_page_lists_all_notebooks() -> None:
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    assert re.findall(r"`([\w-]+\.ipynb)`", page) == [path.name for path in NOTEBOOKS]
