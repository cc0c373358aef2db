"""Profiles of QGIS: the folders in which it keeps the plugins and settings of a user."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "default"
"""Profile of a user who has made no other."""

_ELSEWHERE = "give its folder by --path (in QGIS: Settings > User Profiles > Open Active Profile)"


def profile_folders(
    name: str,
    *,
    home: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    platform: str = sys.platform,
) -> list[Path]:
    """Find a profile: one folder for each version of QGIS that has it, such as 3 and 4.

    Parameters
    ----------
    name : str
        Name of the profile.
    home : pathlib.Path, optional
        Home of the user.
    environment : mapping of str to str
        Variables of the environment. QGIS_CUSTOM_CONFIG_PATH wins, as in QGIS.
    platform : str
        The system, as `sys.platform` names it.

    Raises
    ------
    RunError
        If there is no such profile.

    Examples
    --------
    >>> profile_folders("default")  # doctest: +SKIP
    [PosixPath('/home/me/.local/share/QGIS/QGIS3/profiles/default')]
    """
    home = Path.home() if home is None else home
    parents = _parents(home, environment, platform)
    found = [folder for parent in parents if (folder := parent / name).is_dir()]
    if found:
        return found
    others = sorted({folder.name for each in parents for folder in each.iterdir() if _is(folder)})
    if others:
        raise RunError(
            f"QGIS has no profile {name!r}, only {', '.join(others)}: give one of them by "
            f"--profile, or {_ELSEWHERE}"
        )
    place = _data_folder(home, environment, platform) / "QGIS"
    raise RunError(
        f"{place}: there is no profile of QGIS; start QGIS once, which makes one, or {_ELSEWHERE}"
    )


def profile_at(path: Path) -> Path:
    """Return the folder of a profile that a user gives.

    Raises
    ------
    RunError
        If there is no such folder.
    """
    if not path.is_dir():
        raise RunError(f"{path}: there is no such folder; expected that of a profile of QGIS")
    return path


def _is(folder: Path) -> bool:
    return folder.is_dir() and (folder / "QGIS").exists()


def _parents(home: Path, environment: Mapping[str, str], platform: str) -> list[Path]:
    """List the folders that hold profiles, the latest version of QGIS last."""
    if custom := environment.get("QGIS_CUSTOM_CONFIG_PATH"):
        found = [Path(custom) / "profiles"]
    else:
        data = _data_folder(home, environment, platform)
        found = sorted(data.glob("QGIS/QGIS[0-9]*/profiles"))
    return [folder for folder in found if folder.is_dir()]


def _data_folder(home: Path, environment: Mapping[str, str], platform: str) -> Path:
    """Return the folder in which programs keep data of a user, as Qt finds it."""
    if platform == "win32":
        return Path(environment.get("APPDATA") or home / "AppData" / "Roaming")
    if platform == "darwin":
        return home / "Library" / "Application Support"
    return Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
