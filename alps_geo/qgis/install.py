"""The plugin in a profile of QGIS: installed with a note of the program, and removed."""

from __future__ import annotations

import shutil
import sysconfig
from configparser import ConfigParser
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.files import replacing_folder, run_errors
from alps_geo.qgis.plugin.installation import NOTE

if TYPE_CHECKING:
    from alps_geo.qgis.plugin.installation import Installation

NAME = "alps_geo_qgis"
"""Name of the plugin in QGIS: it must not be that of the package, which QGIS may have as well."""

FOREIGN = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "GDAL_DATA",
    "GDAL_DRIVER_PATH",
    "PROJ_LIB",
    "PROJ_DATA",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FRAMEWORK_PATH",
)
"""Variables that QGIS may set for its own Python and libraries, which are none of ours."""

_SOURCE = Path(__file__).parent / "plugin"
_METADATA = "metadata.txt"


def plugin_folder(profile: Path) -> Path:
    """Return the folder of the plugin in a profile."""
    return profile / "python" / "plugins" / NAME


def program_path() -> Path:
    """Find the command line of the environment that this process runs in.

    Raises
    ------
    RunError
        If the environment has none.
    """
    schemes = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
    folders = [sysconfig.get_path("scripts", scheme) for scheme in schemes]
    for folder in folders:
        if found := shutil.which("alps-geo", path=folder):
            return Path(found).absolute()
    raise RunError(
        f"the program alps-geo is not in {' or '.join(folders)}; install the package with pip in "
        "this environment, which puts it there"
    )


def install_plugin(profile: Path, installation: Installation) -> Path:
    """Put the plugin into a profile, in the place of an earlier one.

    Parameters
    ----------
    profile : pathlib.Path
        Folder of the profile.
    installation : Installation
        The program that the plugin is to run.

    Returns
    -------
    pathlib.Path
        Folder of the plugin.

    Raises
    ------
    RunError
        If something else lies there, or it cannot be written.
    """
    folder = plugin_folder(profile)
    _check_own(folder)
    with replacing_folder(folder) as part, run_errors(folder):
        for path in _SOURCE.iterdir():
            if path.suffix in (".py", ".svg"):
                shutil.copyfile(path, part / path.name)
        metadata = ConfigParser(interpolation=None)
        metadata.optionxform = str  # type: ignore[assignment, method-assign]
        metadata.read(_SOURCE / _METADATA, encoding="utf-8")
        metadata["general"]["version"] = installation.version
        with (part / _METADATA).open("w", encoding="utf-8") as file:
            metadata.write(file, space_around_delimiters=False)
        (part / NOTE).write_text(installation.to_json(), encoding="utf-8")
    return folder


def uninstall_plugin(profile: Path) -> Path:
    """Remove the plugin from a profile; return the folder in which it was.

    Raises
    ------
    RunError
        If it is not there, something else is, or it cannot be removed.
    """
    folder = plugin_folder(profile)
    if not folder.exists():
        raise RunError(f"{folder}: the plugin is not there, so nothing is removed")
    _check_own(folder)
    with run_errors(folder):
        # A link to a folder, as developers of plugins make, is none that was installed.
        shutil.rmtree(folder)
    return folder


def _check_own(folder: Path) -> None:
    """Raise RunError if something lies in the place of the plugin that is not the plugin."""
    if folder.exists() and not (folder / NOTE).is_file():
        raise RunError(
            f"{folder}: something else lies in the place of the plugin; expected nothing, or an "
            f"earlier one with {NOTE} in it: move it away"
        )
