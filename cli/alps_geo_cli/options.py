"""Options of `label`, `fit` and `apply`, most of them made from the fields of settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from alps_geo.errors import SettingsError
from alps_geo.fields import Choices, FilePath, Readable, Setting, settings_of
from alps_geo.runs.flags import RunFlags
from alps_geo.settings import CLUSTERING, OUTPUT, PRESETS, LabelSettings, current_words
from alps_geo.settings.folder import FolderSettings
from alps_geo.settings.keywords import available
from alps_geo_cli.config import (
    read_config,
    read_image_preset,
    read_model_settings,
    read_preset,
)
from alps_geo_cli.groups import keyword
from alps_geo_cli.paths import typed_name, typed_path

if TYPE_CHECKING:
    PresetName = str
else:
    PresetName = Literal[tuple(PRESETS)]

Scenes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SCENE...",
        help="Rasters to label: files, folders, globs or URLs; anything GDAL reads. "
        "All of them share one cluster model. Folders and globs leave out results of runs.",
        show_default=False,
    ),
]
Results = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        parser=typed_name,
        metavar="DIR",
        help="Folder for the results, or its address in an object store, such as s3://bucket/run.",
        rich_help_panel=OUTPUT,
    ),
]
Work = Annotated[
    Path | None,
    typer.Option(
        "--work",
        parser=typed_path,
        metavar="DIR",
        help="Folder of this machine for the work on results in an object store; emptied when they "
        "are there.",
        show_default="one in the user's cache",
        rich_help_panel=OUTPUT,
    ),
]


@dataclass(frozen=True)
class FlagOptions(RunFlags):
    """Options of a run for earlier results and for failures."""

    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace the other run, or other files, that lie where results go; tiles that "
            "still fit are kept.",
            rich_help_panel=OUTPUT,
        ),
    ] = False
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Do everything again, tiles that are done included.",
            rich_help_panel=OUTPUT,
        ),
    ] = False
    discard_edits: Annotated[
        bool,
        typer.Option(
            "--discard-edits",
            help="Replace polygons that were changed by hand, as in QGIS, since a run wrote them; "
            "and let adopted edits go (clusters adopt) where segments are others.",
            rich_help_panel=OUTPUT,
        ),
    ] = False
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Stop at the first tile, image or scene that fails; else finish the rest, with "
            "exit code 3.",
            rich_help_panel=OUTPUT,
        ),
    ] = False

    @property
    def on_stop(self) -> str:
        """Advice for somebody who stops the run."""
        if self.force:
            return "the same command without --force goes on where it stopped"
        return "the same command goes on where it stopped"


Config = Annotated[
    Path | None,
    typer.Option(
        parser=typed_path,
        metavar="FILE",
        help="Take options from a TOML file, or from the run.json of an earlier run; "
        "options that are typed win.",
        is_eager=True,
        callback=read_config,
    ),
]
_OF_OURS = (
    "draft has superpixels and no masks, for a first look at a large scene; fine looks for masks "
    "in whole tiles and in their parts."
)
Preset = Annotated[
    PresetName | None,
    typer.Option(
        help="Settings that go together: alps is the published recipe, SAM's masks with its "
        "thresholds and a gate of 0.3, their raw features alone, 46 clusters, batches of 512 in "
        f"one pass, no fill; {_OF_OURS} Other options win.",
        is_eager=True,
        callback=read_preset,
        rich_help_panel=CLUSTERING,
    ),
]

ImagePreset = Annotated[
    PresetName | None,
    typer.Option(
        help="Settings that go together: alps is the published recipe, SAM's masks of the whole "
        "image with its thresholds and a gate of 0.3, their raw features alone, 46 clusters, "
        f"batches of 512 in one pass, no fill; {_OF_OURS} Other options win.",
        is_eager=True,
        callback=read_image_preset,
        rich_help_panel=CLUSTERING,
    ),
]


@dataclass(frozen=True)
class Chosen:
    """Values of the options of settings, as typed or taken from a config."""

    values: Mapping[str, Any]

    def settings(self, note: Callable[[str], None]) -> LabelSettings:
        """Make settings of the values; `note` is given a line for each word that is outdated.

        Raises
        ------
        SettingsError
            If a value is out of its range.
        """
        return LabelSettings(**current_words(self.values, note))


@dataclass(frozen=True)
class SettingsGroup:
    """Options of the settings that a command has, and of the files and presets they come from.

    Attributes
    ----------
    fits : bool
        True for commands that fit clusters, False for one that applies a cluster model.
    writes : bool
        True for commands that write labels.
    scenes : bool
        True for commands that label rasters, False for one that labels images.
    """

    fits: bool
    writes: bool
    scenes: bool = True

    def parameters(self) -> Sequence[Parameter]:
        """Return the options, in the order of the fields."""
        # Both only set the defaults of the others, in their callbacks.
        sources = [keyword("config", Config, None)]
        if self.fits:
            sources.append(keyword("preset", Preset if self.scenes else ImagePreset, None))
        known = settings_of(LabelSettings)
        names = available(fits=self.fits, writes=self.writes, images=not self.scenes)
        options = [option_of(LabelSettings, name, known[name]) for name in names]
        earlier = [each for name in names for each in known[name].within.earlier_names]
        context = keyword("context", typer.Context, Parameter.empty)
        return [*sources, *options, *map(_earlier_option, earlier), context]

    def collect(self, values: Mapping[str, Any]) -> Chosen:
        """Return the values of settings among what was typed.

        Raises
        ------
        typer.BadParameter
            If a setting was typed under two names.
        """
        chosen = {name: values[name] for name in values.keys() - {"config", "preset", "context"}}
        for name, known in settings_of(LabelSettings).items():
            for earlier in known.within.earlier_names:
                is_typed, was_typed = (_is_typed(values["context"], x) for x in (name, earlier))
                if is_typed and was_typed:
                    options = (f"--{each.replace('_', '-')}" for each in (earlier, name))
                    raise typer.BadParameter("{} is another name of {}: give one".format(*options))
                unused = earlier if is_typed or chosen.get(earlier) is None else name
                chosen.pop(unused, None)
        return Chosen(chosen)


@dataclass(frozen=True)
class FieldsGroup:
    """Options of all fields of a class of settings.

    Attributes
    ----------
    settings : type
        The class.
    """

    settings: type

    def parameters(self) -> Sequence[Parameter]:
        """Return the options, in the order of the fields."""
        known = settings_of(self.settings)
        return [option_of(self.settings, name, known[name]) for name in known]

    def collect(self, values: Mapping[str, Any]) -> Chosen:
        """Return the values as they were typed."""
        return Chosen(values)


@dataclass(frozen=True)
class FolderGroup:
    """Options of a folder of images."""

    def parameters(self) -> Sequence[Parameter]:
        """Return the options, in the order of the fields."""
        return FieldsGroup(FolderSettings).parameters()

    def collect(self, values: Mapping[str, Any]) -> FolderOptions:
        """Return the values of the settings."""
        return FolderOptions(dict(values))


@dataclass(frozen=True)
class FolderOptions:
    """Values of the options of a folder of images, as typed or taken from a config."""

    values: Mapping[str, Any]

    def settings(self) -> FolderSettings:
        """Make settings of the values.

        Raises
        ------
        SettingsError
            If a value is out of its range.
        """
        return FolderSettings(**self.values)


_CALLBACKS = {"clusters_from": read_model_settings}
"""Callbacks of settings that set the defaults of others; they come before all others."""


def option_of(settings: type, name: str, known: Setting) -> Parameter:
    """Make the option of a setting, a field of the class `settings`."""
    default = getattr(settings, name)
    if isinstance(default, tuple):
        # Typer reads a default as if it had been typed.
        default = ",".join(map(str, default))
    kind, parser, metavar = _reading(settings, name, known)
    option = typer.Option(
        help=known.help.split("\n\n")[0],
        rich_help_panel=known.panel,
        show_default=known.shown if known.shown is not None else True,
        metavar=metavar,
        parser=parser,
        is_eager=name in _CALLBACKS,
        callback=_CALLBACKS.get(name),
    )
    return keyword(name, Annotated[kind, option], default)


def _earlier_option(name: str) -> Parameter:
    """Make the option of a setting by a name of earlier versions."""
    return keyword(name, Annotated[str | None, typer.Option(hidden=True)], None)


def _is_typed(context: typer.Context, name: str) -> bool:
    """Return True if an option was typed, and not taken from a file."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _reading(
    settings: type, name: str, known: Setting
) -> tuple[Any, Callable[[str], Any] | None, str | None]:
    """Return the type of an option, its parser and the placeholder of its value."""
    rule = known.within
    if isinstance(rule, Choices):
        words = rule.words + tuple(before for before, _ in rule.earlier)
        shown = f"<{'|'.join(rule.words)}>" if rule.earlier else None
        return Literal[words], None, known.metavar or shown
    if isinstance(rule, Readable):
        return str | None, _parser(rule, name), known.metavar
    if isinstance(rule, FilePath):
        return str | None, typed_name, known.metavar
    return get_type_hints(settings)[name], None, known.metavar


def _parser(rule: Readable, name: str) -> Callable[[str], Any]:
    """Return a parser whose errors Typer reports as wrong usage of the option."""

    def parse(text: str) -> Any:
        try:
            return rule.read(name, str(text))
        except SettingsError as error:
            raise typer.BadParameter(str(error)) from None

    return parse
