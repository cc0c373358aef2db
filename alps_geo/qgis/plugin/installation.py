"""Note of an installed plugin: the program to run, and the options of its commands."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTE = "alps-geo.json"
"""File of the note, in the folder of the plugin; it also marks the folder as ours."""

Value = Union[bool, int, float, str, "list[str]", None]
"""Value of an option, as typed or chosen in a dialog; None for none."""


@dataclass(frozen=True)
class Option:
    """One option of a command.

    Attributes
    ----------
    name : str
        Name, such as ``tile_size``.
    kind : str
        ``flag`` for one that is typed or not, ``switch`` for one that has an opposite, ``integer``,
        ``number``, ``text``, ``choice``, ``file`` or ``folder``.
    default : bool, int, float, str or None
        Value if it is not typed; None where the program decides.
    shown : str
        The default in words where it is None; else empty.
    choices : tuple of str
        Words to choose from; empty for other kinds.
    low, high : float or None
        Range of a number, as far as it has one.
    several : bool
        True if it may be typed again for further values.
    help : str
        Meaning.
    """

    name: str
    kind: str
    default: Value
    help: str
    shown: str = ""
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    several: bool = False

    @property
    def typed(self) -> str:
        """The option as it is typed."""
        return f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True)
class Command:
    """One command of the program.

    Attributes
    ----------
    help : str
        Paragraphs that say what it does, separated by empty lines.
    options : tuple of Option
        Its options, in the order of its help.
    """

    help: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Installation:
    """The program that the plugin runs.

    Attributes
    ----------
    version : str
        Its version.
    program : str
        Absolute path of its command line.
    environment : mapping of str to str or None
        Variables that QGIS sets for itself and that the program must not inherit, with the values
        that they had where the plugin was installed from; None for those that were not set.
    commands : mapping of str to Command
        Its commands by name, such as ``clusters name``.
    """

    version: str
    program: str
    environment: Mapping[str, str | None]
    commands: Mapping[str, Command]

    def to_json(self) -> str:
        """Write the note.

        >>> Installation.from_json(text).to_json() == text  # doctest: +SKIP
        True
        """
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Installation:
        """Read a note.

        Raises
        ------
        ValueError, KeyError or TypeError
            If the text is something else.
        """
        note = json.loads(text)
        commands = {
            name: Command(
                command["help"],
                tuple(
                    Option(**{**option, "choices": tuple(option["choices"])})
                    for option in command["options"]
                ),
            )
            for name, command in note["commands"].items()
        }
        return cls(note["version"], note["program"], note["environment"], commands)


def read_installation(folder: Path = Path(__file__).parent) -> Installation:
    """Read the note in the folder of an installed plugin.

    Raises
    ------
    OSError, ValueError, KeyError or TypeError
        If there is none, or something else.
    """
    return Installation.from_json((folder / NOTE).read_text(encoding="utf-8"))
