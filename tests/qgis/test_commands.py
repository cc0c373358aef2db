"""Options that the plugin is told, and the command lines that it makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from helpers import alps_geo

from alps_geo.classes.names import CLASSIFIERS
from alps_geo.outputs.names import TRAINING_FORMATS
from alps_geo.outputs.training_set.settings import ExportSettings
from alps_geo.qgis.plugin.command_line import error_in, names_of_clusters, typed_options
from alps_geo.qgis.plugin.installation import Command, Option
from alps_geo.settings import PRESETS, LabelSettings
from alps_geo.settings.keywords import available
from alps_geo_cli.qgis.commands import COMMANDS, command_of

if TYPE_CHECKING:
    from alps_geo.qgis.plugin.installation import Value

ALL = {words: command_of(*each) for words, each in COMMANDS.items()}


def options(words: str) -> dict[str, Option]:
    return {each.name: each for each in ALL[words].options}


@pytest.mark.parametrize(("words", "fits"), [("label", True), ("apply", False)])
def test_every_setting_of_a_command_is_an_option_with_its_default(words: str, fits: bool) -> None:
    found = options(words)
    settings = available(fits=fits, writes=True)
    assert set(settings) <= set(found)
    for name in settings:
        default, option = getattr(LabelSettings, name), found[name]
        typed = {"tile_size": str(default), "formats": "gpkg", "preview_format": "png"}
        assert option.default == typed.get(name, default), name
    # Neither names nor words of earlier versions are offered.
    assert "points_per_side" not in found
    assert found["compare"].choices == ("weighted", "raw")


def test_ranges_and_choices_are_those_of_the_settings() -> None:
    found = options("label")
    assert found["preset"].choices == tuple(PRESETS)
    assert (found["superpixel_size"].low, found["superpixel_size"].high) == (4, 64)
    assert (found["overlap"].low, found["overlap"].high) == (0, None)
    assert found["clusters"].shown == "24, or fewer if there are fewer segments"
    kinds = {
        name: found[name].kind for name in ("clusters", "merge", "force", "checkpoint", "bands")
    }
    assert list(kinds.values()) == ["integer", "switch", "flag", "file", "text"]
    export = options("export")
    assert export["to"].choices == TRAINING_FORMATS
    assert export["chip_size"].default == ExportSettings.chip_size
    assert (export["chip_size"].low, export["chip_size"].high) == (16, 16384)
    classify = options("classify")
    assert classify["classifier"].choices == CLASSIFIERS
    assert (classify["model"].kind, classify["model"].several) == ("file", True)
    assert (classify["balance"].kind, classify["balance"].default) == ("switch", None)
    assert (classify["suggest"].low, classify["suggest"].high) == (0, 10_000)
    assert options("clusters name")["from"].kind == "file"


def test_help_is_that_of_the_command() -> None:
    assert ALL["label"].help.startswith("Label rasters: masks by Segment Anything")
    assert "\n\nWrites labels.tif" in ALL["label"].help
    assert all(option.help for command in ALL.values() for option in command.options)


@pytest.mark.parametrize("words", COMMANDS)
def test_defaults_are_not_typed(words: str) -> None:
    """So a preset, a config or the settings of a model decide, as they do in a terminal."""
    found = options(words)
    assert typed_options(found.values(), {}) == []
    assert typed_options(found.values(), {name: o.default for name, o in found.items()}) == []


def other(option: Option) -> Value:
    """Return a value that is not the default."""
    if option.kind in ("flag", "switch"):
        return not option.default
    if option.kind in ("integer", "number"):
        low = 1 if option.low is None else option.low
        return low if low != option.default else low + 1
    if option.choices:
        return next(each for each in option.choices if each != option.default)
    return ["other"] if option.several else "other"


@pytest.mark.parametrize("words", COMMANDS)
def test_the_program_knows_every_option_that_is_typed(words: str) -> None:
    found = [each for each in ALL[words].options if each.kind in ("flag", "switch", "choice")]
    found += [each for each in ALL[words].options if each.kind in ("integer", "number")]
    typed = typed_options(found, {each.name: other(each) for each in found})
    assert len(typed) == len(found)
    outcome = alps_geo(*words.split(), *typed, "--help")
    assert outcome.exit_code == 0, outcome.stderr
    assert "Usage:" in outcome.stdout


def test_values_are_typed_as_in_a_terminal() -> None:
    values = {
        "merge": False,
        "clusters": 7,
        "seed": 2**32 - 1,
        "nodata": -9999.0,
        "neighbours": 0.1 + 0.2,
        "overwrite": True,
        "features": "",
        "bands": "4,3,2",
        "merge_strength": 0.1,
    }
    assert set(typed_options(ALL["label"].options, cast("dict[str, Value]", values))) == {
        "--no-merge",
        "--clusters=7",
        "--seed=4294967295",
        "--nodata=-9999",
        "--overwrite",
        "--bands=4,3,2",
    }
    several = {"model": ["/a b/classes.npz", "/c/classes.npz"], "balance": False}
    assert typed_options(ALL["classify"].options, cast("dict[str, Value]", several)) == [
        "--model=/a b/classes.npz",
        "--model=/c/classes.npz",
        "--no-balance",
    ]


def test_names_are_given_in_lines_or_between_semicolons() -> None:
    assert names_of_clusters("3=water\n 5=bare soil ;7=road, track;\n") == [
        "3=water",
        "5=bare soil",
        "7=road, track",
    ]
    assert names_of_clusters("") == []


def test_errors_are_told_without_what_surrounds_them_in_a_terminal() -> None:
    assert error_in(["a warning", "alps-geo: error: a.tif: no"]) == "a.tif: no"
    usage = alps_geo("label", "a.tif", "--out", "x", "--bands", "1,x").stderr.splitlines()
    assert error_in(usage) == (
        "Invalid value for '--bands': bands is '1,x', not whole numbers, expected one or three "
        "band numbers from 1, such as 4,3,2"
    )
    assert error_in(["Traceback", "  File"]) == "Traceback\n  File"


def test_a_command_without_documentation_of_examples_has_all_its_help() -> None:
    def command() -> None:
        """Do it.

        And more
        of it.

        Examples
        --------
        alps-geo do
        """

    assert command_of(command, None) == Command("Do it.\n\nAnd more of it.", ())
