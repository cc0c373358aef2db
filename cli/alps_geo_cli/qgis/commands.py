"""Commands for the plugin: their options, read from the signatures that Typer reads."""

from __future__ import annotations

import inspect
import os
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from typer.models import OptionInfo

from alps_geo import __version__
from alps_geo.fields import Choices, Rule, Setting, settings_of
from alps_geo.outputs.training_set.settings import ExportSettings
from alps_geo.qgis.install import FOREIGN, program_path
from alps_geo.qgis.plugin.installation import Command, Installation, Option
from alps_geo.settings import LabelSettings
from alps_geo_cli.apply import apply
from alps_geo_cli.classify import classify
from alps_geo_cli.clusters.name import name
from alps_geo_cli.export import export
from alps_geo_cli.groups import spread
from alps_geo_cli.label import label
from alps_geo_cli.paths import typed_name, typed_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

COMMANDS: dict[str, tuple[Callable[..., None], type | None]] = {
    "label": (label, LabelSettings),
    "apply": (apply, LabelSettings),
    "clusters name": (name, None),
    "classify": (classify, None),
    "export": (export, ExportSettings),
}
"""Commands that the plugin has, each with the settings that its options are made from."""


def this_program() -> Installation:
    """Describe the program of this environment for the plugin.

    Raises
    ------
    RunError
        If the environment has none.
    """
    return Installation(
        __version__,
        str(program_path()),
        {variable: os.environ.get(variable) for variable in FOREIGN},
        {words: command_of(*each) for words, each in COMMANDS.items()},
    )


def command_of(function: Callable[..., None], settings: type | None) -> Command:
    """Read a command.

    Parameters
    ----------
    function : callable
        The command.
    settings : type, optional
        Settings whose fields know the ranges of its options.
    """
    rules = {} if settings is None else settings_of(settings)
    help_text = inspect.cleandoc(function.__doc__ or "").partition("\n\nExamples\n")[0]
    paragraphs = [" ".join(part.split()) for part in help_text.split("\n\n")]
    return Command("\n\n".join(paragraphs), tuple(_options(function, rules)))


def _options(function: Callable[..., None], known: Mapping[str, Setting]) -> Iterator[Option]:
    """Yield the options that the help of a command lists."""
    for parameter in inspect.signature(spread(function)).parameters.values():
        for note in get_args(parameter.annotation)[1:]:
            if isinstance(note, OptionInfo) and not note.hidden:
                setting = known.get(parameter.name)
                yield _option(parameter, note, Rule() if setting is None else setting.within)


def _option(parameter: inspect.Parameter, note: OptionInfo, rule: Rule) -> Option:
    """Describe one option: its type, its words for Typer, and its allowed values."""
    several, kind = _type_of(get_args(parameter.annotation)[0])
    # Typer takes the first name for a default until it makes the option.
    names = [
        text for text in (note.default, *(note.param_decls or ())) if str(text).startswith("--")
    ]
    default = None if parameter.default is inspect.Parameter.empty else parameter.default
    named = _kind(kind, note, has_opposite=not names or "/" in str(names[0]))
    return Option(
        name=_name(str(names[0])) if names else parameter.name,
        kind=named,
        default=str(default) if named == "text" and default is not None else default,
        help=note.help or "",
        shown=note.show_default if isinstance(note.show_default, str) else "",
        choices=_choices(kind, rule),
        low=getattr(rule, "low", note.min),
        high=getattr(rule, "high", note.max),
        several=several,
    )


def _type_of(annotation: Any) -> tuple[bool, Any]:
    """Return True for a list, and the type of one value."""
    parts = [each for each in get_args(annotation) if each is not type(None)]
    if get_origin(annotation) in (Union, UnionType):
        return _type_of(parts[0])
    return (True, parts[0]) if get_origin(annotation) is list else (False, annotation)


def _kind(kind: Any, note: OptionInfo, *, has_opposite: bool) -> str:
    if kind is bool:
        return "switch" if has_opposite else "flag"
    if get_origin(kind) is Literal:
        return "choice"
    if note.parser in (typed_name, typed_path):
        return "folder" if note.metavar == "DIR" else "file"
    return {int: "integer", float: "number"}.get(kind, "text")


def _choices(kind: Any, rule: Rule) -> tuple[str, ...]:
    """Return the words of a choice, without those of earlier versions."""
    if isinstance(rule, Choices):
        return rule.words
    return get_args(kind) if get_origin(kind) is Literal else ()


def _name(declared: str) -> str:
    """Return the name of an option that is declared as --from-names or --balance/--no-balance."""
    return declared.partition("/")[0].removeprefix("--").replace("-", "_")
