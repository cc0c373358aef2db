"""Command lines of help and documents, read by the program's own parser."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from typer.main import get_command

from alps_geo_cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "alps-geo"
_ENDS = {"|", "&&", "||", ";", ">", ">>", "2>", "&"}


def all_commands() -> dict[str, Any]:
    """Return the groups and commands of the program by the words that are typed."""
    return dict(_below(get_command(app), PROGRAM))


def _below(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    yield words, command
    for name, each in getattr(command, "commands", {}).items():
        yield from _below(each, f"{words} {name}")


def check_command(line: str) -> None:
    """Parse a command line as the program does, without running it.

    Raises
    ------
    Exception
        As Typer raises it for an unknown command or option, a wrong value or a missing argument.
    """
    program, *words = _of_shell(line)
    assert program == PROGRAM, line
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    is_group = hasattr(command, "commands")
    assert not is_group or not words or words[0].startswith("-"), f"no such command: {line}"
    for parameter in command.params:
        # Callbacks read files, print, or end the program.
        parameter.callback = None
    if words[-1:] != ["--help"]:
        command.make_context(PROGRAM, words)


def _of_shell(line: str) -> list[str]:
    """Split a line as a shell does, up to the end of its first command."""
    words = shlex.split(line, comments=True)
    end = next((index for index, word in enumerate(words) if word in _ENDS), len(words))
    return words[:end]


def command_lines(markdown: str) -> list[str]:
    """Find the lines of fenced blocks that call the program, continuations joined."""
    found = []
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", markdown, re.S | re.M):
        for line in block.replace("\\\n", " ").splitlines():
            typed = re.sub(r"^\$ |^(OMP_NUM_THREADS=1 )?(\.venv/bin/)?(?=alps-geo )", "", line)
            if typed.startswith(f"{PROGRAM} "):
                found.append(typed)
    return found
