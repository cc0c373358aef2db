"""The documentation: it builds without warnings, and shows commands and options that exist."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from command_lines import all_commands, check_command, command_lines

import alps_geo
from alps_geo_cli import console

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
COMMANDS = all_commands()
OTHERS = {
    # Of pip, git, pytest, make_map.py and the programs in benchmarks/.
    *("--target", "--index-url", "--editable", "--check", "--array", "--cpus-per-task"),
    # Other programs' own, and all options of one kind.
    *("--help", "--install-completion", "--show-completion", "--noversioncheck"),
}


def options() -> set[str]:
    """Return all options of all commands, hidden ones too."""
    found = set(OTHERS)
    for command in COMMANDS.values():
        for parameter in command.params:
            found |= {*parameter.opts, *parameter.secondary_opts}
    return found


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_command_lines_can_be_typed(path: Path) -> None:
    for line in command_lines(text_of(path)):
        check_command(line)


def test_the_documents_have_command_lines() -> None:
    found = [line for path in DOCUMENTS for line in command_lines(text_of(path))]
    assert len(found) > 60
    words = {" ".join(line.split()[:3]) for line in found} | {
        " ".join(line.split()[:2]) for line in found
    }
    leaves = {name for name, command in COMMANDS.items() if not hasattr(command, "commands")}
    assert leaves <= words, "each command is shown somewhere"


@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTS if path.parent.name != "benchmarks"], ids=str
)
def test_options_named_in_the_text_exist(path: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", text_of(path), flags=re.S | re.M)
    # Lines on the benchmarks, which have options of their own, and on another program's.
    lines = [line for line in prose.splitlines() if "bench_" not in line and "make_" not in line]
    code = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", "\n".join(lines))
    named = {option for each in code for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", each)}
    assert named - options() == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_python_examples_name_what_there_is(path: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", text_of(path), re.S | re.M):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "alps_geo":
                assert hasattr(alps_geo, node.attr)
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "run":
                assert hasattr(alps_geo.Run, node.attr)


def test_exit_codes_of_the_page_are_those_of_the_program() -> None:
    page = text_of(ROOT / "docs" / "trouble.md")
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.M)}
    own = (console.FAILED, console.USAGE, console.PARTLY, console.INTERRUPTED, console.TERMINATED)
    assert codes == {0, *own}


def test_links_between_documents_lead_to_files() -> None:
    """Also in a repository that is read without the site."""
    for path in (*DOCUMENTS, ROOT / "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(path)):
            made = path.name == "index.md" and link == "commands.md"
            assert link.startswith("http") or made or (path.parent / link).exists(), (
                f"{path}: {link}"
            )


class _Page(HTMLParser):
    """Addresses that a page loads when it is opened, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.ids.add(known.get("id", ""))
        if tag in ("script", "img", "iframe") and "src" in known:
            self.loaded.append(known["src"])
        if tag == "link" and known.get("rel") in ("stylesheet", "preload", "preconnect"):
            self.loaded.append(known["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, as `make site` does."""
    pytest.importorskip("mkdocs", reason="the site is built with the extra docs")
    folder = tmp_path_factory.mktemp("site")
    done: Any = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        # No address can be reached through this proxy.
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9"},
    )
    # With --quiet, mkdocs does not count warnings.
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = [*site.glob("*.html")]
    assert len(pages) > 25
    for path in pages:
        page = _Page()
        page.feed(path.read_text(encoding="utf-8"))
        assert page.loaded
        assert not [each for each in page.loaded if re.match(r"(https?:)?//", each)]


def test_the_site_shows_every_command_and_function(site: Path) -> None:
    page = _Page()
    page.feed((site / "commands.html").read_text(encoding="utf-8"))
    wanted = {name.replace(" ", "-") for name in COMMANDS} - {"alps-geo"}
    assert wanted <= page.ids
    api = (site / "api.html").read_text(encoding="utf-8")
    assert [
        name for name in ("label", "fit", "apply", "open_run", "Run.segments") if name not in api
    ] == []
    assert 'href="contributing.html"' in (site / "architecture.html").read_text(encoding="utf-8")
