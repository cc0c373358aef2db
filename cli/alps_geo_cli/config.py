"""Options from a file: a TOML file, or the run.json of an earlier run."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import Any

import typer

from alps_geo.errors import SettingsError
from alps_geo.fields import settings_of
from alps_geo.settings import PRESETS, LabelSettings, current_words
from alps_geo.settings.presets import IMAGE_PRESETS
from alps_geo_cli.console import reported_errors


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the file's values the defaults of the command's options; what the user types wins.

    A callback of an eager option, which Typer calls before all others.
    """
    if path is not None:
        with reported_errors(debug=False):
            known = {name for p in context.command.params if (name := p.name) is not None}
            found = load_defaults(path, known - {"config", "preset", "debug"})
        # In any order of options, a config wins over the settings of a cluster model.
        context.default_map = {**(context.default_map or {}), **found}
    return path


def read_model_settings(context: typer.Context, path: str | None) -> str | None:
    """Make the settings that a cluster model was fitted with the defaults of the options.

    A callback of an eager option, which Typer calls before all others.
    """
    if path is not None:
        from alps_geo.runs.model_file import given_model
        from alps_geo.runs.run import fitted_settings

        with reported_errors(debug=False):
            fitted = fitted_settings(given_model(path))
        found = {key: _as_typed(key, value) for key, value in fitted.items()}
        context.default_map = {**found, **(context.default_map or {})}
    return path


def read_preset(context: typer.Context, name: str | None) -> str | None:
    """Make the values of a preset the defaults; a config and what the user types win."""
    if name is not None:
        _make_defaults(context, PRESETS[name])
    return name


def read_image_preset(context: typer.Context, name: str | None) -> str | None:
    """Make the values of a preset for images the defaults, as `read_preset`."""
    if name is not None:
        _make_defaults(context, IMAGE_PRESETS[name])
    return name


def _make_defaults(context: typer.Context, preset: dict[str, Any]) -> None:
    typed = {key: _as_typed(key, value) for key, value in preset.items()}
    context.default_map = {**typed, **(context.default_map or {})}


def load_defaults(path: Path, known: set[str]) -> dict[str, Any]:
    """Read option values, in the form in which they would be typed.

    Parameters
    ----------
    path : pathlib.Path
        TOML with options as keys (``tile-size`` or ``tile_size``), or a run.json.
    known : set of str
        Names of the options there are, with underscores.

    Raises
    ------
    SettingsError
        If the file cannot be read, or holds an option that does not exist or has two names.
    """
    values = {key.replace("-", "_"): value for key, value in _read(path).items()}
    if path.suffix == ".json":
        # The settings of a run, some of which another command may not have.
        values = {key: value for key, value in values.items() if key in known}
    for key in values:
        if key not in known:
            raise SettingsError(f"{path}: {_unknown(key, known)}")
    try:
        current_words(values)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    return {key: _as_typed(key, value) for key, value in values.items() if value is not None}


def _unknown(key: str, known: set[str]) -> str:
    """Say what is wrong with an option that a command does not have."""
    if key in settings_of(LabelSettings):
        return (
            f"this command has no option {key!r}, which label has: leave it out, or give the "
            "run.json of a run, of which each command takes what it has"
        )
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
    return f"there is no option {key!r}; {hint}"


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            return tomllib.loads(text)
        from alps_geo.runs.record import RunInputs

        inputs = RunInputs.from_json(json.loads(text))
        return {**inputs.settings, "scenes": list(inputs.scenes)}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: the config cannot be read: {error}") from error
    except ValueError as error:
        raise SettingsError(
            f"{path}: not a config ({error}); expected TOML with options as keys, "
            "such as tile_size = 512, or the run.json of an earlier run"
        ) from error


def _as_typed(key: str, value: Any) -> Any:
    """Return a value in the form in which it is typed: 4,3,2 for bands = [4, 3, 2]."""
    if isinstance(value, list | tuple) and key != "scenes":
        return ",".join(str(item) for item in value)
    return value
