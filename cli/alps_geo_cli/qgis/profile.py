"""Options for the profile of QGIS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from alps_geo_cli.console import Debug, Quiet
from alps_geo_cli.paths import typed_path


@dataclass(frozen=True)
class ProfileOptions:
    """The profile of QGIS, and what is printed."""

    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the profile, as in QGIS's menu Settings > User Profiles.",
            show_default="default",
        ),
    ] = None
    path: Annotated[
        Path | None,
        typer.Option(
            parser=typed_path,
            metavar="DIR",
            help="Folder of the profile, where QGIS keeps it at an unusual place.",
        ),
    ] = None
    quiet: Quiet = False
    debug: Debug = False

    def folders(self) -> list[Path]:
        """Find the folders of the profile.

        Raises
        ------
        typer.BadParameter
            If it is given in two ways.
        RunError
            If there is none.
        """
        from alps_geo.qgis.profiles import DEFAULT, profile_at, profile_folders

        if self.path is None:
            return profile_folders(DEFAULT if self.profile is None else self.profile)
        if self.profile is not None:
            raise typer.BadParameter("give --profile or --path, not both", param_hint="--path")
        return [profile_at(self.path)]
