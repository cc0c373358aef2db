"""Help of commands: examples below it, paragraphs without line breaks, flags without a type."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.models import CommandFunctionType

EXAMPLES = "Examples\n--------\n"
"""Heading in the docstring of a command, below which each line is one that can be typed."""


class App(typer.Typer):
    """An app, or a group of commands, whose help shows examples.

    >>> app = App(name="alps-geo", help="Label imagery.", no_args_is_help=True)
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(
            cls=_HelpGroup, pretty_exceptions_enable=False, rich_markup_mode="rich", **options
        )

    def command(
        self, name: str | None = None, **options: Any
    ) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """Return a decorator that enters a command, as `typer.Typer.command`."""
        return super().command(name, cls=_HelpCommand, **options)


class _HelpCommand(TyperCommand):
    """A command whose docstring may end in examples."""

    def __init__(self, name: str | None, **options: Any) -> None:
        super().__init__(name, **with_examples(options))

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters; flags have no placeholder of a value."""
        return _plain_flags(super().get_params(ctx))


class _HelpGroup(TyperGroup):
    """A group of commands whose help may end in examples."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**with_examples(options))

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters; flags have no placeholder of a value."""
        return _plain_flags(super().get_params(ctx))


def with_examples(options: dict[str, Any]) -> dict[str, Any]:
    """Move examples from the end of a command's ``help`` to its ``epilog``, before that."""
    text, _, examples = inspect.cleandoc(options.get("help") or "").partition(EXAMPLES)
    paragraphs = [" ".join(each.split()) for each in text.split("\n\n")]
    listed = [line.strip() for line in examples.splitlines() if line.strip()]
    below = ["\n".join(["Examples:", *listed])] if listed else []
    if options.get("epilog"):
        below.append(options["epilog"])
    return options | {"help": "\n\n".join(paragraphs).strip(), "epilog": "\n\n".join(below)}


def _plain_flags(parameters: list[Any]) -> list[Any]:
    for each in parameters:
        if getattr(each, "is_flag", False) and each.metavar is None:
            each.metavar = ""
    return parameters
