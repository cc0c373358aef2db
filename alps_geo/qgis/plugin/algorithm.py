"""The base of all algorithms: one run of the program, followed in QGIS's dialog."""

from __future__ import annotations

import html
import re
import shlex
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
)

from .command_line import error_in, typed_options
from .layers import show
from .parameters import parameter_of, value_of
from .program import PARTLY, run_program
from .results import Result, results_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qgis.core import QgsProcessingContext, QgsProcessingFeedback

    from .installation import Command, Installation, Option, Value
    from .program import Finished, Progress

    Given = Mapping[str, object]

LOAD = "LOAD"
_OF_TERMINALS = {"quiet", "json", "debug", "progress", "only", "shard"}
"""Options of what a terminal shows, which the dialog has in place of it, and of job arrays."""


class _Dialog:
    """Shows the steps of the program in QGIS's own dialog."""

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self._feedback = feedback
        self._text = ""

    def progress(self, step: Progress) -> None:
        self._feedback.setProgress(step.percent)
        if step.note:
            self._feedback.pushWarning(f"{step.scene}: {step.note}".removeprefix(": "))
        if (text := f"{step.stage} {step.scene}".strip()) != self._text:
            self._text = text
            self._feedback.setProgressText(text)

    def is_cancelled(self) -> bool:
        return bool(self._feedback.isCanceled())


class ProgramAlgorithm(QgsProcessingAlgorithm):
    """One command of the program.

    Attributes
    ----------
    words : str
        The command.
    title : str
        Name in the toolbox.
    own : set of str
        Options of the command that have parameters made by hand, or none.
    needed : tuple of str
        Options without which there is no run.
    main : tuple of str
        Options that are not among the advanced parameters.
    labels : mapping of str to str
        Labels of options whose names say too little in a dialog.
    maps : str
        Maps that the command changes, as in `results_of`; empty for none.
    after_cancel : str
        Advice after the program was cancelled.
    """

    words: str
    title: str
    own: frozenset[str] = frozenset()
    needed: tuple[str, ...] = ()
    main: tuple[str, ...] = ()
    labels: ClassVar[Mapping[str, str]] = {}
    maps: str = ""
    after_cancel: str

    def __init__(self, installation: Installation) -> None:
        super().__init__()
        self._installation = installation
        self._results: list[Result] = []

    @abstractmethod
    def own_parameters(self) -> Sequence[QgsProcessingParameterDefinition]:
        """Return the parameters made by hand."""

    @abstractmethod
    def own_arguments(
        self, folder: str, given: Given, context: QgsProcessingContext, log: QgsProcessingFeedback
    ) -> list[str]:
        """Return the arguments of the parameters made by hand, for a folder of results."""

    @abstractmethod
    def folder(self, given: Given, context: QgsProcessingContext) -> str:
        """Return the folder of the results."""

    def createInstance(self) -> ProgramAlgorithm:
        """Return a new instance."""
        return type(self)(self._installation)

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return self.title

    def shortHelpString(self) -> str:
        """Return the help of the command."""
        command = self._command
        rows = "".join(
            f"<li><b>{self._label(each)}</b>: {_html(each.help)}</li>" for each in self._options
        )
        paragraphs = "".join(f"<p>{_html(part)}</p>" for part in command.help.split("\n\n"))
        return f"{paragraphs}<ul>{rows}</ul><p>alps-geo {self._installation.version}</p>"

    def initAlgorithm(self, configuration: object = None) -> None:
        """Define the parameters: those made by hand, then the options of the command."""
        for parameter in self.own_parameters():
            self.addParameter(parameter)
        for option in self._options:
            is_needed = option.name in self.needed
            parameter = parameter_of(option, self._label(option), is_needed=is_needed)
            if not is_needed and option.name not in self.main:
                advanced = QgsProcessingParameterDefinition.FlagAdvanced
                parameter.setFlags(parameter.flags() | advanced)
            self.addParameter(parameter)
        if self.maps:
            self.addParameter(
                QgsProcessingParameterBoolean(LOAD, "Add the results to the project", True)
            )

    def processAlgorithm(
        self, given: Given, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, object]:
        """Run the program."""
        folder = str(Path(self.folder(given, context)).absolute())
        values = {each.name: value_of(each, self, given, context) for each in self._options}
        is_followed = any(each.name == "progress" for each in self._command.options)
        command = [
            self._installation.program,
            *self.words.split(),
            *(["--progress=json"] if is_followed else []),
            *typed_options(self._options, values),
            *self.own_arguments(folder, given, context, feedback),
        ]
        self._run(command, folder, feedback)
        found = self.results(folder, values)
        self._results = found if self.parameterAsBool(given, LOAD, context) else []
        return {"OUTPUT": folder, **self.layer_outputs(found)}

    def postProcessAlgorithm(
        self,
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, object]:
        """Show the results in the project."""
        show(self._results, context)
        return {}

    def results(self, folder: str, values: Mapping[str, Value]) -> list[Result]:
        """List the results that belong into a project, for the values of the options."""
        return results_of(folder, self.maps) if self.maps else []

    def layer_outputs(self, results: Sequence[Result]) -> dict[str, object]:
        """Return further outputs: none, unless the algorithm defines them."""
        return {}

    @property
    def _command(self) -> Command:
        return self._installation.commands[self.words]

    @property
    def _options(self) -> list[Option]:
        """The options that have parameters, those first that are not advanced."""
        hidden = self.own | _OF_TERMINALS
        first = (*self.needed, *self.main)
        options = [each for each in self._command.options if each.name not in hidden]
        return sorted(options, key=lambda o: first.index(o.name) if o.name in first else len(first))

    def _label(self, option: Option) -> str:
        return self.labels.get(option.name) or option.name.replace("_", " ").capitalize()

    def _run(self, command: list[str], folder: str, feedback: QgsProcessingFeedback) -> None:
        feedback.pushCommandInfo(shlex.join(command))
        try:
            finished = run_program(command, self._installation.environment, _Dialog(feedback))
        except OSError as error:
            raise QgsProcessingException(
                f"{command[0]} cannot be started ({error.strerror}); `alps-geo qgis install` "
                "mends it, given in the environment that has the program now"
            ) from None
        if finished.code and feedback.isCanceled():
            raise QgsProcessingException(f"Cancelled. {self.after_cancel.format(folder=folder)}")
        _report(finished, feedback)


def _report(finished: Finished, feedback: QgsProcessingFeedback) -> None:
    """Show the output of the program; raise its error."""
    if finished.code not in (0, PARTLY):
        error = error_in(finished.lines) or f"the program ended with exit code {finished.code}"
        raise QgsProcessingException(error)
    for line in finished.lines:
        feedback.pushWarning(line)
    feedback.pushConsoleInfo(finished.output)


def _html(text: str) -> str:
    """Return a text of the program's help as HTML."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
