"""The rules between the rooms of the house, as docs/architecture.md has them.

A room is a module or a package directly inside `alps_geo`. Imports for type checkers count too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The plugin runs inside QGIS and has rules of its own: tests/qgis/test_imports.py.
PACKAGE = sorted({*(ROOT / "alps_geo").rglob("*.py")} - {*ROOT.glob("alps_geo/qgis/plugin/*.py")})
CLI = sorted((ROOT / "cli").rglob("*.py"))
# Downwards: a room may import those above it only.
ROOMS = [
    "errors",
    "events",
    "fields",
    "files",
    "windows",
    "grid",
    "scene",
    "sam",
    "masks",
    "features",
    "clusters",
    "settings",
    "segments",
    "classes",
    "outputs",
    "evaluate",
    "runs",
    "datasets",
    "qgis",
    "review",
    "tiles",
    "pipeline",
    "training",
    "ipython",
    "api",
]
# Rooms that never import those of the set, whatever their floor.
FORBIDDEN = {
    "tiles": {"outputs", "review", "sam"},
    "segments": {"outputs", "review", "sam"},
    "features": {"outputs", "review", "sam"},
    "clusters": {"segments", "outputs", "review", "sam"},
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE}


def room(name: str) -> str:
    """Return the room of a module, "" for the package's own face."""
    return name.split(".")[1] if "." in name else ""


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported(path: Path) -> frozenset[str]:
    """Return the dotted names that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def used(path: Path) -> set[str]:
    """Return the modules of `alps_geo` that a file imports."""
    return {name for name in imported(path) if name in MODULES} - {module_name(path)}


def longest_chain(graph: dict[str, set[str]]) -> int:
    lengths: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        lengths[name] = 1 + max((lengths[other] for other in graph.get(name, ())), default=0)
    return max(lengths.values())


def room_graph() -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        reached = {room(other) for other in used(path)}
        graph.setdefault(room(name), set()).update(reached - {room(name), ""})
    return graph


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_knows_no_command_line(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    assert not roots & {"typer", "rich", "click", "tqdm", "alps_geo_cli", "cli"}
    words = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(parsed(path))}
    assert not words & {"print", "input", "isatty", "stdin", "stdout", "stderr", "argv"}


def test_every_room_has_its_floor() -> None:
    assert {room(name) for name in MODULES} - {""} == set(ROOMS)
    assert len(ROOMS) <= 25


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    name = room(module_name(path))
    if not name:
        return
    reached = {room(other) for other in used(path)} - {""}
    assert reached <= set(ROOMS[: ROOMS.index(name) + 1])
    assert not reached & FORBIDDEN.get(name, set())


def test_no_module_imports_itself_through_others() -> None:
    # The face of a package only hands on what its modules have; those import it as well.
    graph = {name: used(path) for name, path in MODULES.items() if path.name != "__init__.py"}
    tuple(TopologicalSorter(graph).static_order())


def test_no_chain_of_rooms_is_longer_than_ten() -> None:
    assert longest_chain(room_graph()) <= 10


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_torch_stays_in_its_rooms(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    inside = room(module_name(path)) in ("sam", "masks", "training")
    assert inside or not roots & {"torch", "torchvision", "timm", "segment_anything"}


@cache
def loaded_by(statement: str) -> frozenset[str]:
    """Return the dotted names of all modules that a statement brings into a process."""
    code = f"import sys; {statement}; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return frozenset(output.stdout.split())


def test_help_loads_neither_torch_nor_the_geospatial_stack() -> None:
    heavy = {"torch", "rasterio", "geopandas", "sklearn", "scipy", "timm", "pandas", "numpy"}
    assert not loaded_by("import alps_geo_cli.main") & heavy


def test_the_pipeline_imports_without_torch() -> None:
    assert "torch" not in loaded_by("import alps_geo.pipeline.scenes")


def test_a_worker_imports_neither_tables_nor_pictures_nor_clustering() -> None:
    heavy = {"geopandas", "pandas", "pyogrio", "pyproj", "PIL", "sklearn", "torch", "typer"}
    # A worker without superpixels needs no SLIC, which brings the trees and solvers of scipy.
    heavy |= {"skimage.segmentation.slic_superpixels", "scipy.cluster", "scipy.linalg"}
    assert not loaded_by("import alps_geo.tiles.work") & heavy


def test_status_imports_neither_arrays_nor_rasters() -> None:
    heavy = {"numpy", "rasterio", "scipy", "geopandas", "torch"}
    assert not loaded_by("import alps_geo.runs.status") & heavy


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> list[Function]:
    return [node for node in ast.walk(parsed(path)) if isinstance(node, Function)]


def parameters(function: Function) -> list[ast.arg]:
    """Return all parameters but ``*args`` and ``**kw``."""
    found = function.args
    return [*found.posonlyargs, *found.args, *found.kwonlyargs]


def public_annotations(path: Path) -> list[ast.expr | None]:
    """Return the annotations of public functions, and of the attributes of public classes."""
    public = [each for each in functions(path) if not each.name.startswith("_")]
    rest = [part for each in public for part in (each.args.vararg, each.args.kwarg) if part]
    named = [part for each in public for part in parameters(each)]
    attributes = [
        each.annotation
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        for each in node.body
        if isinstance(each, ast.AnnAssign)
    ]
    return [
        *(part.annotation for part in (*named, *rest)),
        *(each.returns for each in public),
        *attributes,
    ]


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_public_takes_holds_or_gives_a_dict_of_anything(path: Path) -> None:
    written = [ast.unparse(each) for each in public_annotations(path) if each is not None]
    assert not [each for each in written if re.search(r"\b[dD]ict\[str, Any\]", each)]


def test_only_one_module_names_the_parts_of_run_json() -> None:
    """Records are read and written in one place: elsewhere their keys are attributes."""
    naming = [
        path.stem for path in (*PACKAGE, *CLI) if '"labelled_share"' in path.read_text("utf-8")
    ]
    assert naming == ["record"]


CODE = [
    path
    for folder in ("alps_geo", "cli", "benchmarks", "docs", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
MOST_LINES, MOST_STATEMENT_LINES, MOST_PARAMETERS = 400, 40, 7


def test_no_file_does_everything() -> None:
    lengths = {str(path): len(path.read_text("utf-8").splitlines()) for path in CODE}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def body_lines(function: Function) -> int:
    """Count the lines of a body, without those of the docstring."""
    has_docstring = ast.get_docstring(function) is not None
    body = function.body[1:] if has_docstring else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    tested = [path for path in CODE if not path.is_relative_to(ROOT / "tests")]
    lengths = {
        f"{path}:{each.name}": body_lines(each) for path in tested for each in functions(path)
    }
    assert {name: length for name, length in lengths.items() if length > MOST_STATEMENT_LINES} == {}


def commands() -> set[str]:
    """Return the dotted names of the functions that the groups of the command line import."""
    groups = [path for path in CLI if path.name in {"main.py", "__init__.py"}]
    return {name for path in groups for name in imported(path)}


def test_functions_take_few_parameters() -> None:
    options = commands()
    found = {
        f"{path}:{each.name}": len(parameters(each))
        - (bool(each.args.args) and each.args.args[0].arg in {"self", "cls"})
        for path in CODE
        for each in functions(path)
        # The parameters of a test are its fixtures, those of a command its options.
        if not each.name.startswith("test_")
        and f"{module_name(path)}.{each.name}".removeprefix("cli.") not in options
    }
    assert {name: count for name, count in found.items() if count > MOST_PARAMETERS} == {}


def docstrings(path: Path) -> dict[str, str]:
    """Return the docstrings of a file by their places, those of constants and attributes too."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = {}
    for node in ast.walk(parsed(path)):
        if isinstance(node, kinds) and (doc := ast.get_docstring(node)):
            found[f"{path}:{getattr(node, 'lineno', 1)}"] = doc
        body = node.body if isinstance(node, ast.Module | ast.ClassDef) else []
        for value, below in pairwise(body):
            text = below.value if isinstance(below, ast.Expr) else None
            if isinstance(value, ast.Assign | ast.AnnAssign) and isinstance(text, ast.Constant):
                found[f"{path}:{text.lineno}"] = str(text.value)
    return found


def test_docstrings_name_their_subject() -> None:
    """A docstring that begins with a question word speaks of something without a noun."""
    questions = {"what", "where", "how", "which", "whether", "when", "who", "whose", "why"}
    firsts = {
        where: re.split(r"\W", text.lower().lstrip(), maxsplit=1)[0]
        for path in CODE
        for where, text in docstrings(path).items()
    }
    assert {where: first for where, first in firsts.items() if first in questions} == {}


OPTIONAL = {
    **{name: {f"{name}.py"} for name in ("matplotlib", "onnx", "onnxruntime", "pyarrow", "pystac")},
    "IPython": {"ipython.py"},
    "distributed": {"dask.py"},
    "fsspec": {"fsspec.py"},
    "s3fs": set(),  # brought in by fsspec
    "segmentation_models_pytorch": {"segmentation_models_pytorch.py"},
    "tensorboard": {"tensorboard.py"},
    "torchmetrics": {"torchmetrics.py"},
}


def test_every_extra_has_a_file_of_its_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # Extras of those who work on the project are programs; the package imports none of them.
    extras = {k: v for k, v in project["optional-dependencies"].items() if k not in ("dev", "docs")}
    needed = {re.split(r"[>=<\[; ]", each)[0] for name in extras for each in extras[name]}
    assert needed
    assert {name.replace("-", "_") for name in needed} <= OPTIONAL.keys()


@pytest.mark.parametrize("dependency", OPTIONAL)
def test_an_optional_dependency_is_imported_in_the_file_of_its_name(dependency: str) -> None:
    importing = {
        path.name
        for path in (*PACKAGE, *CLI)
        if dependency in {name.split(".")[0] for name in imported_to_run(path)}
    }
    assert importing <= OPTIONAL[dependency]


def imported_to_run(path: Path) -> set[str]:
    """Return the dotted names that a file imports when it runs, without those for type checkers."""
    tree = parsed(path)
    checked = [
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    ]
    nodes = [node for node in ast.walk(tree) if node not in checked]
    names = {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
    return names | {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module}


# Names of modules that are not written into an import statement would pass the tests above.
IMPORTERS = {"features/registry.py", "files/disk.py", "masks/registry.py"}


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_are_absolute_and_written_out(path: Path) -> None:
    nodes = [*ast.walk(parsed(path))]
    assert not [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level]
    named = str(path.relative_to(ROOT / "alps_geo")) in IMPORTERS
    assert named or not {"importlib.import_module"} & imported(path)
    assert not {name for name in imported(path) if name.endswith("._err")}


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_input_is_never_asserted(path: Path) -> None:
    nodes = ast.walk(parsed(path))
    assert not [node.lineno for node in nodes if isinstance(node, ast.Assert)]


def test_values_are_frozen() -> None:
    """Dataclasses are, but for the state of a worker process, which lives and dies."""
    changing = [
        node.name
        for path in PACKAGE
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
        for each in node.decorator_list
        if ast.unparse(each).startswith("dataclass") and "frozen=True" not in ast.unparse(each)
    ]
    assert changing == ["WorkerProcess"]


def exported_functions() -> dict[str, ast.FunctionDef]:
    """Return the functions that the package's face hands on, by name."""
    face = ast.parse((ROOT / "alps_geo" / "__init__.pyi").read_text("utf-8"))
    found: dict[str, ast.FunctionDef] = {}
    for node in face.body:
        if isinstance(node, ast.ImportFrom):
            module = MODULES[f"alps_geo.{node.module}"]
            names = {alias.name for alias in node.names}
            found |= {
                each.name: each
                for each in parsed(module).body
                if isinstance(each, ast.FunctionDef) and each.name in names
            }
    return found


def test_every_exported_function_shows_an_example() -> None:
    found = exported_functions()
    assert found
    without = [name for name, each in found.items() if ">>>" not in (ast.get_docstring(each) or "")]
    assert without == []
