"""Pages that are made from the code."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from alps_geo_cli.main import app

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("maker", ["make_options.py", "make_map.py"])
def test_pages_are_up_to_date(maker: str) -> None:
    found = subprocess.run(
        [sys.executable, str(DOCS / maker), "--check"], capture_output=True, text=True, check=False
    )
    assert found.stdout + found.stderr == ""
    assert found.returncode == 0


ALPS_ARGUMENTS = {
    *("root_dir", "process_list", "img_name", "threshold", "label_dir", "logger_dir"),
    *("logger_name", "temp_dir", "delete_temp", "image_suffix", "sam_checkpoint", "model_type"),
    *("device", "number_clusters", "batch_size", "kmeans_save_name", "vis", "vis_dir"),
    *("vis_prefix", "instance_prefix", "mask_save_dir_name", "mask_save_dir_prefix"),
    *("json_save_dir_name", "npy_save_dir_name", "instance_label_name"),
    *("instance_save_dir_name", "instance_path"),
}


def alps_table() -> dict[str, str]:
    """Return our counterpart of each argument of the published program."""
    page = (DOCS / "coming-from-alps.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): row[2] for row in rows if len(row) == 4}


def test_every_argument_of_alps_has_a_row() -> None:
    table = alps_table()
    assert set(table) == ALPS_ARGUMENTS
    assert all(counterpart.strip() for counterpart in table.values())


def test_options_of_the_alps_table_exist() -> None:
    command: Any = get_command(app)
    for name in ("dataset", "label"):
        command = command.commands[name]
    defaults = {option: each.default for each in command.params for option in each.opts}
    page = (DOCS / "coming-from-alps.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(--[a-z-]+)", page.split("## Figures")[0]))
    assert len(named) > 15
    assert named <= set(defaults)
    # Names of files and folders stand in the table with their defaults.
    for option, text in re.findall(r"\| `(--[a-z-]+(?:dir|ending|name|suffix)) (\S+)` \|", page):
        assert str(defaults[option]) == text
