"""The plugin, put into profiles of QGIS and removed."""

from __future__ import annotations

import json
import os
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from helpers import alps_geo

import alps_geo as package
from alps_geo.errors import RunError
from alps_geo.qgis.install import NAME, install_plugin, plugin_folder, program_path
from alps_geo.qgis.plugin.installation import Installation, read_installation
from alps_geo.qgis.profiles import profile_folders
from alps_geo_cli.qgis.commands import COMMANDS


def profile(parent: Path, name: str = "default") -> Path:
    """Make a profile as QGIS does."""
    (parent / name / "QGIS").mkdir(parents=True)
    return parent / name


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the default profile of a QGIS that keeps its profiles at an odd place."""
    monkeypatch.setenv("QGIS_CUSTOM_CONFIG_PATH", str(tmp_path))
    return profile(tmp_path / "profiles")


def everything(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_plugin_lies_whole_where_install_says(default: Path) -> None:
    outcome = alps_geo("qgis", "install")
    assert outcome.exit_code == 0, outcome.stderr
    folder = default / "python" / "plugins" / "alps_geo_qgis"
    first, rest = outcome.stdout.split("\n", 1)
    assert first == str(folder)
    assert f"It runs {program_path()}." in rest
    assert "qgis_process plugins enable alps_geo_qgis" in rest
    source = Path(package.__file__).parent / "qgis" / "plugin"
    named = {path.name for path in source.iterdir() if path.is_file()}
    assert set(everything(folder)) == named | {"alps-geo.json"}
    # Nothing is left next to it, and nothing else in the profile is touched.
    assert [path.name for path in folder.parent.iterdir()] == [NAME]
    metadata = ConfigParser(interpolation=None)
    metadata.read(folder / "metadata.txt")
    assert metadata["general"]["version"] == package.__version__
    assert metadata["general"]["hasProcessingProvider"] == "yes"
    assert metadata["general"]["qgisMinimumVersion"] == "3.22"
    assert (folder / metadata["general"]["icon"]).is_file()


def test_the_note_names_the_program_of_this_environment(
    default: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/here")
    monkeypatch.delenv("PYTHONHOME", raising=False)
    assert alps_geo("qgis", "install", "--quiet").stdout == ""
    note = read_installation(plugin_folder(default))
    assert Path(note.program).is_absolute()
    assert Path(note.program).parent == Path(sys.executable).parent
    assert os.access(note.program, os.X_OK)
    assert note.version == package.__version__
    assert note.environment["LD_LIBRARY_PATH"] == "/opt/here"
    assert note.environment["PYTHONHOME"] is None
    assert set(note.commands) == set(COMMANDS)
    assert Installation.from_json(note.to_json()) == note


def test_install_replaces_its_own_and_nothing_else(default: Path) -> None:
    assert alps_geo("qgis", "install").exit_code == 0
    folder = plugin_folder(default)
    whole = everything(folder)
    (folder / "program.py").write_text("of an earlier version")
    (folder / "removed_since.py").write_text("of an earlier version")
    assert alps_geo("qgis", "install").exit_code == 0
    assert everything(folder) == whole
    (folder / "alps-geo.json").unlink()
    before = everything(folder)
    for command in ("install", "uninstall"):
        outcome = alps_geo("qgis", command)
        assert outcome.exit_code == 1
        assert f"{folder}: something else lies in the place of the plugin" in outcome.stderr
        assert everything(folder) == before


def test_uninstall_removes_the_plugin_alone(default: Path) -> None:
    other = default / "python" / "plugins" / "other"
    other.mkdir(parents=True)
    alps_geo("qgis", "install")
    outcome = alps_geo("qgis", "uninstall")
    assert outcome.exit_code == 0
    assert outcome.stdout.strip() == f"removed {plugin_folder(default)}"
    assert [path.name for path in other.parent.iterdir()] == ["other"]
    again = alps_geo("qgis", "uninstall")
    assert again.exit_code == 1
    assert "the plugin is not there, so nothing is removed" in again.stderr


def test_profiles_are_found_by_name_or_path(default: Path, tmp_path: Path) -> None:
    work = profile(default.parent, "work")
    assert alps_geo("qgis", "install", "--profile", "work").exit_code == 0
    assert plugin_folder(work).is_dir()
    assert not plugin_folder(default).exists()
    outcome = alps_geo("qgis", "install", "--profile", "wrok")
    assert outcome.exit_code == 1
    assert "QGIS has no profile 'wrok', only default, work: give one of them" in outcome.stderr
    odd = tmp_path / "odd"
    outcome = alps_geo("qgis", "install", "--path", odd)
    assert outcome.exit_code == 1
    assert f"{odd}: there is no such folder" in outcome.stderr
    odd.mkdir()
    assert alps_geo("qgis", "install", "--path", odd).exit_code == 0
    assert plugin_folder(odd).is_dir()
    both = alps_geo("qgis", "install", "--path", odd, "--profile", "work")
    assert both.exit_code == 2
    assert "give --profile or --path, not both" in both.stderr


@pytest.mark.parametrize(
    ("platform", "variable", "inside"),
    [
        ("linux", None, ".local/share"),
        ("linux", "XDG_DATA_HOME", "data"),
        ("darwin", None, "Library/Application Support"),
        ("win32", "APPDATA", "AppData/Roaming"),
        ("win32", None, "AppData/Roaming"),
    ],
)
def test_every_system_has_its_place(
    tmp_path: Path, platform: str, variable: str | None, inside: str
) -> None:
    data = tmp_path / inside
    environment = {variable: str(data)} if variable else {}

    def find(name: str = "default") -> list[Path]:
        return profile_folders(name, home=tmp_path, environment=environment, platform=platform)

    with pytest.raises(RunError, match="there is no profile of QGIS; start QGIS once") as caught:
        find()
    assert str(data / "QGIS") in str(caught.value)
    three = profile(data / "QGIS" / "QGIS3" / "profiles")
    assert find() == [three]
    four = profile(data / "QGIS" / "QGIS4" / "profiles")
    assert find() == [three, four]


def test_a_note_that_cannot_be_written_leaves_the_plugin_of_before(
    default: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alps_geo("qgis", "install")
    folder = plugin_folder(default)
    before = everything(folder)
    note = read_installation(folder)

    def full(self: Installation) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Installation, "to_json", full)
    with pytest.raises(RunError, match="No space left on device"):
        install_plugin(default, note)
    assert everything(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [NAME]


def test_an_environment_without_the_program_says_so(
    default: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alps_geo.qgis.install.shutil.which", lambda name, path: None)
    outcome = alps_geo("qgis", "install")
    assert outcome.exit_code == 1
    assert "the program alps-geo is not in" in outcome.stderr
    assert not plugin_folder(default).exists()


def test_the_note_is_json_for_people_too(default: Path) -> None:
    alps_geo("qgis", "install")
    note = json.loads((plugin_folder(default) / "alps-geo.json").read_text(encoding="utf-8"))
    assert list(note) == ["version", "program", "environment", "commands"]
