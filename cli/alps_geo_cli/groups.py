"""Groups of options that several commands have, each defined once.

Typer reads options from the signature of a command. `spread` gives it one in which a parameter
that is a group of options is replaced by the options of the group; the command itself stays a
typed function that is called with the group as one value.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol, get_args, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class OptionGroup(Protocol):
    """Options that are made while the program runs; metadata of a parameter's `Annotated` type."""

    def parameters(self) -> Sequence[inspect.Parameter]:
        """Return the options, as parameters whose annotations Typer reads."""

    def collect(self, values: Mapping[str, Any]) -> Any:
        """Return the argument that the command gets for the values of the options."""


class _FieldGroup:
    """The options of a frozen dataclass, whose fields are annotated as Typer wants them."""

    def __init__(self, group: type[Any]) -> None:
        self._group = group

    def parameters(self) -> list[inspect.Parameter]:
        """Return the fields as parameters."""
        hints = get_type_hints(self._group, include_extras=True)
        return [
            keyword(field.name, hints[field.name], _default(field)) for field in fields(self._group)
        ]

    def collect(self, values: Mapping[str, Any]) -> Any:
        """Return the group."""
        return self._group(**values)


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command for Typer, with the options of each group as parameters of their own.

    >>> app.command()(spread(label))
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: dict[str, inspect.Parameter] = {}
    groups: dict[str, tuple[OptionGroup, list[str]]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if (group := _group(hints[name])) is None:
            parameters[name] = keyword(name, hints[name], parameter.default)
        else:
            options = {option.name: option for option in group.parameters()}
            parameters |= options
            groups[name] = group, list(options)

    @functools.wraps(command)
    def run(**values: Any) -> None:
        collected = {
            name: group.collect({option: values.pop(option) for option in options})
            for name, (group, options) in groups.items()
        }
        command(**values, **collected)

    del run.__wrapped__
    run.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    run.__annotations__ = {name: each.annotation for name, each in parameters.items()}
    return run


def keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """Return a parameter as Typer reads it."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _group(hint: Any) -> OptionGroup | None:
    """Return the group of options that an annotation stands for; None for a single option."""
    if is_dataclass(hint) and isinstance(hint, type):
        return _FieldGroup(hint)
    return next((each for each in get_args(hint)[1:] if hasattr(each, "collect")), None)


def _default(field: Field[Any]) -> Any:
    return inspect.Parameter.empty if field.default is MISSING else field.default
