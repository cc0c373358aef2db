"""Help with examples, completion, versions, colours, streams, the log and exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
import rasterio
from command_lines import all_commands, check_command
from helpers import DATA, alps_geo
from image_folders import make_root

from alps_geo import __version__
from alps_geo_cli import console

if TYPE_CHECKING:
    from pathlib import Path

SCENE = DATA / "neon_osbs_10cm.tif"
QUICK = ("--points", "none", "--clusters", "2", "--tile-size", "160", "--overlap", "0")
COMMANDS = all_commands()
PROGRAM = "import sys; from alps_geo_cli.main import run; sys.argv[0] = 'alps-geo'; run()"
COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-7]|10[0-7])[0-9;]*m")

pytestmark = pytest.mark.usefixtures("images_encoded_once")


def run_program(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own, under further variables."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | variables,
    )


def on_terminal(*arguments: str, **variables: str) -> str:
    """Run the program on a terminal, and return what that is sent."""
    pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX only")
    ours, theirs = pty.openpty()
    drop = {"NO_COLOR", "FORCE_COLOR", "CI"}
    environment = {key: value for key, value in os.environ.items() if key not in drop}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
        env=environment | {"TERM": "xterm-256color", "COLUMNS": "100"} | variables,
    )
    os.close(theirs)
    sent = b""
    # Linux ends what the other side of a terminal has sent with an error.
    try:
        while part := os.read(ours, 65536):
            sent += part
    except OSError:
        pass
    finally:
        os.close(ours)
    assert process.wait() == 0
    return sent.decode()


def help_of(words: str) -> str:
    outcome = alps_geo(*words.split()[1:], "--help")
    assert outcome.exit_code == 0
    return outcome.stdout


def examples_of(words: str) -> list[str]:
    """Return the lines below the heading of examples in the help of a command, as printed."""
    lines = [line.strip() for line in help_of(words).splitlines()]
    below = lines[lines.index("Examples:") + 1 :]
    return below[: below.index("")]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_help_has_examples_that_parse(words: str) -> None:
    examples = examples_of(words)
    assert examples
    for line in examples:
        assert line.startswith("alps-geo ")
        check_command(line)
    # Those of a group show its commands, those of a command itself.
    assert all(line.startswith(words) for line in examples)


@pytest.mark.parametrize("words", COMMANDS)
def test_flags_have_no_placeholder_of_a_value(words: str) -> None:
    assert "bool" not in help_of(words)


def test_a_wrong_example_is_noticed() -> None:
    for wrong in (
        "alps-geo label scene.tif --outt results",
        "alps-geo label scene.tif --out results --preset rough",
        "alps-geo clusters rename results",
        "alps-geo export results --to mmseg",
    ):
        with pytest.raises((Exception, AssertionError)):
            check_command(wrong)


def test_paragraphs_of_help_fill_the_lines() -> None:
    lines = [line.strip() for line in help_of("alps-geo label").splitlines()]
    # The docstring breaks after "its"; a terminal of 80 columns has room for more.
    assert "folder of its name, and clusters.npz and run.json next to them. A run that was" in lines


def test_help_lists_the_exit_codes() -> None:
    text = " ".join(help_of("alps-geo").split("Exit codes:")[1].split())
    codes = [console.FAILED, console.USAGE, console.PARTLY]
    ends = [console.INTERRUPTED, console.TERMINATED]
    assert re.findall(r"(?:^|; )(\d+) ", text) == [str(code) for code in (0, *codes, ends[0])]
    assert f"{ends[1]} by SIGTERM" in text


def test_version_names_libraries_and_device() -> None:
    found = run_program("--version")
    assert found.returncode == 0
    assert found.stderr == ""
    lines = found.stdout.splitlines()
    assert lines[0] == f"alps-geo {__version__}"
    assert re.fullmatch(r"Python 3\.\d+\.\d+.*", lines[1])
    assert re.fullmatch(
        rf"torch {re.escape(version('torch'))}, device (cpu|mps|cuda \(.+\))", lines[2]
    )
    gdal = f"GDAL {rasterio.__gdal_version__}, rasterio {rasterio.__version__}"
    assert lines[3] == gdal


def test_version_says_so_where_torch_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.13: cannot open')\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    found = run_program("--version", PYTHONPATH=path)
    assert found.returncode == 0
    assert ", cannot be loaded: libcudart.so.13: cannot open" in found.stdout


def test_completion_offers_commands_options_and_choices() -> None:
    def offered(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        return run_program(_ALPS_GEO_COMPLETE="complete_bash", **words).stdout.split()

    assert offered("alps-geo cl") == ["classify", "clusters"]
    assert offered("alps-geo clusters m") == ["merge"]
    assert "--tile-size" in offered("alps-geo label --t")
    assert offered("alps-geo label --preset ") == ["alps", "draft", "fine"]


def test_completion_is_installed_and_works_in_bash(tmp_path: Path) -> None:
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "alps-geo").write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    (bin_dir / "alps-geo").chmod(0o755)
    environment = os.environ | {
        "HOME": str(tmp_path),
        "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}",
    }

    def bash(script: str) -> str:
        done = subprocess.run(
            ["bash", "--norc", "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        return done.stdout

    shown = bash("alps-geo --show-completion; true")
    assert "complete -o default -F _alps_geo_completion alps-geo" in shown
    assert "bash completion installed in" in bash("alps-geo --install-completion; true")
    line = "COMP_WORDS=(alps-geo assess s) COMP_CWORD=2; _alps_geo_completion alps-geo"
    assert bash(f". ~/.bashrc; {line}; echo ${{COMPREPLY[@]}}").strip() == "sample"


def test_colours_are_for_terminals_and_not_with_no_color() -> None:
    assert COLOUR.search(on_terminal("models"))
    assert COLOUR.search(on_terminal("label", "--help"))
    assert not COLOUR.search(on_terminal("models", NO_COLOR="1"))
    assert not COLOUR.search(on_terminal("label", "--help", NO_COLOR="1"))
    for arguments in (("models",), ("label", "--help"), ("label", "--no-such-option")):
        piped = run_program(*arguments)
        assert "\x1b" not in piped.stdout + piped.stderr


def test_the_log_has_the_time_of_every_tile(tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = alps_geo("label", SCENE, "--out", out, *QUICK, "-v", "--json")
    assert outcome.exit_code == 0
    json.loads(outcome.stdout)
    lines = outcome.stderr.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines if "note" not in line)
    tiles = re.findall(
        r"neon_osbs_10cm, tile at row (\d+), column (\d+): (\S+) s$", outcome.stderr, re.M
    )
    size = -(-rasterio.open(SCENE).width // 160)
    assert [(int(row), int(col)) for row, col, _ in tiles] == [
        (row, col) for row in range(size) for col in range(size)
    ]
    assert all(float(seconds) > 0 for _, _, seconds in tiles)
    assert any(line.endswith(" cluster") for line in lines)
    again = alps_geo("label", SCENE, "--out", out, *QUICK, "-v", "--overwrite", "--seed", "1")
    assert again.stderr.count(": stored before") == len(tiles)
    quiet = alps_geo("label", SCENE, "--out", out, *QUICK, "-v", "-q")
    assert quiet.exit_code == 2
    assert "--quiet leaves no log" in quiet.stderr


def test_the_log_has_the_time_of_every_image(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=2, val=0)
    outcome = alps_geo("dataset", "label", root, "--points", "none", "--clusters", "2", "-v")
    assert outcome.exit_code == 0
    assert len(re.findall(r"train, chip\.\d: \d+\.\d\d s$", outcome.stderr, re.M)) == 2
    assert " s\n" not in outcome.stdout


def test_the_log_of_processes_has_times(tmp_path: Path) -> None:
    arguments = ("label", SCENE, "--out", tmp_path / "out", *QUICK, "-v", "--workers", "2")
    outcome = alps_geo(*arguments)
    assert outcome.exit_code == 0
    assert re.search(r"tile at row 0, column 0: [0-9.]*[1-9]\d* s$", outcome.stderr, re.M)
