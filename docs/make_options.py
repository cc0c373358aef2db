"""Writer of the pages about options: docs/options.md, and the table in docs/label.md.

Run it by `make docs`; with --check it fails if a page is stale, and changes none.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.main import get_command

from alps_geo.fields import Setting, settings_of
from alps_geo.settings import LabelSettings
from alps_geo.settings.folder import FolderSettings
from alps_geo_cli.main import app

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parent.parent
OPTIONS, LABEL = ROOT / "docs" / "options.md", ROOT / "docs" / "label.md"
TABLE = re.compile(
    r"(?<=<!-- options: made by make docs -->\n).*?(?=<!-- end of options -->)", re.S
)
COMMANDS = ("label", "fit", "apply", "dataset label")
LABEL_OPTIONS = (
    "clusters",
    "tile_size",
    "points",
    "pred_iou_thresh",
    "stability_score_thresh",
    "fill",
    "superpixel_size",
    "merge",
    "features",
    "timm_checkpoint",
    "simplify",
    "preset",
    "precision",
    "bands",
    "nodata",
    "stretch",
    "model",
    "checkpoint",
    "alpha",
    "workers",
    "config",
)
"""Options that matter most."""

DECIDES = {
    "scene": "the scene: how its pixels are read; all tiles are made again",
    "tiles": "the tiles, which are made again",
    "segments": "the segments; stored tiles are kept",
    "clusters": "the clusters; stored tiles are kept",
    "outputs": "the files that are written; stored tiles are kept",
    "nothing": "nothing: the results are the same",
}
HEAD = """# Options

Settings of `alps-geo label`, `fit`, `apply` and `dataset label`, made by `make docs` from their
fields in `alps_geo/settings/`: `label.py`, `clusters.py` and `folder.py`. An option such as
`--tile-size` is `tile_size` in a `--config` file, in `run.json` and in Python's `LabelSettings`. A
setting decides one stage of a run first, and with it all stages that follow:

| decides | a change of the setting changes |
|---|---|
"""


def options_page() -> str:
    """Return docs/options.md."""
    known, of_folder = settings_of(LabelSettings), settings_of(FolderSettings)
    lines = [f"| {stage} | {meaning} |" for stage, meaning in DECIDES.items()]
    for panel in dict.fromkeys(each.panel for each in known.values()):
        rows = [
            _row(LabelSettings, name, each) for name, each in known.items() if each.panel == panel
        ]
        lines += _table(panel, rows)
    lines += _table(
        "Folders of images", [_row(FolderSettings, name, each) for name, each in of_folder.items()]
    )
    return HEAD + "\n".join(lines) + "\n"


def _table(title: str, rows: Sequence[str]) -> list[str]:
    """Return the lines of a section with a table of options."""
    head = "| option | default | allowed | decides | commands | meaning |"
    return ["", f"## {title}", "", head, "|---|---|---|---|---|---|", *rows]


def label_page() -> str:
    """Return docs/label.md with the table of the options that matter most."""
    known, texts = settings_of(LabelSettings), _texts("label")
    rows = ["| option | what it does |", "|---|---|"]
    for name in LABEL_OPTIONS:
        text = known[name].help if name in known else texts[name]
        value = _example(name, known) if name in known else ""
        rows.append(f"| `--{name.replace('_', '-')}{value}` | {_cell(text)} |")
    return TABLE.sub(lambda _: "\n".join(rows) + "\n", LABEL.read_text(encoding="utf-8"))


def _row(owner: type, name: str, known: Setting) -> str:
    commands = ", ".join(command for command in COMMANDS if name in _texts(command))
    value, typed = getattr(owner, name), name.replace("_", "-")
    default = known.shown or _plain(value)
    option, allowed = f"`--{typed}{f' {known.metavar}' if known.metavar else ''}`", None
    if isinstance(value, bool):
        default, allowed = f"`--{'' if value else 'no-'}{typed}`", "True or False"
        option = f"`--{typed}`, `--no-{typed}`"
    cells = (
        option,
        default,
        allowed or known.within.describe(),
        str(known.decides),
        commands,
        _cell(known.help),
    )
    return f"| {' | '.join(cells)} |"


def _texts(command: str) -> dict[str, str]:
    """Return the help of each option of a command."""
    found: Any = get_command(app)
    for word in command.split():
        found = found.commands[word]
    return {each.name: getattr(each, "help", "") or "" for each in found.params}


def _example(name: str, known: Mapping[str, Setting]) -> str:
    """Return the default as it is typed, or the placeholder of a value."""
    value = getattr(LabelSettings, name)
    default = "" if isinstance(value, bool) else _plain(value)
    return f" {known[name].metavar or default}".rstrip()


def _plain(value: object) -> str:
    return "" if value is None else str(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write the pages, or check them; return the exit code."""
    stale = [
        path
        for path, text in ((OPTIONS, options_page()), (LABEL, label_page()))
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path} is stale: make docs writes it")
        return int(bool(stale))
    OPTIONS.write_text(options_page(), encoding="utf-8")
    LABEL.write_text(label_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
