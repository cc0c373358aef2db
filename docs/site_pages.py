"""Pages of the site that are made while it is built: a hook of mkdocs.

The page of all commands is made of the command line itself. Documents from outside of docs/ become
pages too, so that links between all of them hold.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File
from typer.main import get_command

from alps_geo_cli.console import EXIT_CODES
from alps_geo_cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
DOCUMENTS = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
}
"""Documents outside of docs/ by their names there, and the names of their pages."""

_LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
HEAD = f"""# Commands

Made of the command line itself; `--help` prints the same in a terminal. Settings of `label`,
`fit`, `apply` and `dataset label` are listed by name only: [settings](options.md) has them with
defaults, ranges and meanings.

Results go to standard output; progress, notes, logs and errors to standard error. `--json` prints
the result as JSON, `--quiet` nothing but errors. Colours are for terminals, and off with the
environment variable `NO_COLOR`. `alps-geo --install-completion` lets the shell complete commands,
options and their values.

Exit codes: {EXIT_CODES}
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in docs/."""
    files.append(File.generated(config, "commands.md", content=commands_page()))
    for name, page in DOCUMENTS.items():
        files.append(File.generated(config, page, content=document(name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links of pages in docs/ to documents outside of it into links to their pages."""
    if page.file.src_uri in DOCUMENTS.values():
        return markdown
    return _LINK.sub(lambda link: _page_of(posixpath.join("docs", link[0])), markdown)


def document(name: str) -> str:
    """Return a document of the repository, with links to pages of the site."""
    text = (ROOT / name).read_text(encoding="utf-8")
    folder = posixpath.dirname(name)
    return _LINK.sub(lambda link: _page_of(posixpath.join(folder, link[0])), text)


def _page_of(path: str) -> str:
    """Return the page of a file of the repository, relative to docs/."""
    path = posixpath.normpath(path)
    return DOCUMENTS.get(path, posixpath.relpath(path, "docs"))


def commands_page() -> str:
    """Return the page of all commands."""
    return "\n".join([HEAD, *_sections(get_command(app), "alps-geo")])


def _sections(command: Any, words: str) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    if words != "alps-geo":
        yield from _section(command, words, is_group=bool(inner))
    for name, each in inner.items():
        yield from _sections(each, f"{words} {name}")


def _section(command: Any, words: str, *, is_group: bool) -> Iterator[str]:
    yield f"\n{'##' if is_group or words.count(' ') == 1 else '###'} {words}\n"
    yield f"{command.help}\n"
    if not is_group:
        yield f"```text\n{words} {_usage(command)}\n```\n"
    examples = command.epilog.split("Examples:\n", 1)[-1]
    yield f"```console\n{examples}\n```\n"
    if not is_group:
        yield from _table(command)


def _usage(command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    return " ".join(["[OPTIONS]", *(each.display_name_raw for each in arguments)])


def _table(command: Any) -> Iterator[str]:
    """Give the arguments and options that are no settings as a table, and then the settings."""
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    settings = [each for each in shown if _is_setting(command, each)]
    yield "| argument or option | meaning |\n|---|---|"
    for each in shown:
        if each not in settings:
            text = f"{_cell(each.help or '')}{_choices(each)}{_default(each)}"
            yield f"| {_typed(each)} | {text} |"
    if settings:
        yield f"\nSettings: {', '.join(_typed(each) for each in settings)}."


def _is_setting(command: Any, parameter: Any) -> bool:
    from alps_geo.settings import LabelSettings
    from alps_geo.settings.folder import FolderSettings

    is_run = "passes" in {each.name for each in command.params} or command.name == "apply"
    names = {*LabelSettings.__dataclass_fields__, *FolderSettings.__dataclass_fields__}
    return is_run and parameter.name in names


def _typed(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.display_name_raw}`"
    value = "" if parameter.is_flag or not parameter.metavar else f" {parameter.metavar}"
    names = [*reversed(parameter.opts), *parameter.secondary_opts]
    return ", ".join(f"`{name}{value if name.startswith('--') else ''}`" for name in names)


def _choices(parameter: Any) -> str:
    words = getattr(getattr(parameter, "type_descriptor", None), "choices", None) or ()
    return f" One of {', '.join(f'`{each}`' for each in words)}." if words else ""


def _default(parameter: Any) -> str:
    if parameter.required:
        return " Required."
    shown = getattr(parameter, "show_default", False)
    if isinstance(shown, str):
        return f" Default: {_cell(shown)}."
    plain = parameter.default is None or parameter.default is False
    return "" if plain or not shown else f" Default: {parameter.default}."


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
