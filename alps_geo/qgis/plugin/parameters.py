"""Parameters of algorithms, made from the options of the program's commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import (
    NULL,
    QgsProcessing,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qgis.core import QgsProcessingAlgorithm, QgsProcessingContext

    from .installation import Option, Value

YES, NO = "yes", "no"


def key_of(option: Option) -> str:
    """Return the name of the parameter of an option."""
    return option.name.upper()


def parameter_of(
    option: Option, label: str, *, is_needed: bool
) -> QgsProcessingParameterDefinition:
    """Make the parameter of an option.

    Parameters
    ----------
    option : Option
        The option.
    label : str
        Its label in a dialog.
    is_needed : bool
        True if there is no run without a value.
    """
    # A text may be emptied; all else that has a default always has a value.
    has_value = option.kind != "text" and option.default is not None
    parameter = _bare(option, label, is_optional=not is_needed and not has_value)
    shown = option.shown or ("" if option.default is None else str(option.default))
    default = f"\n\nDefault: {shown}" if shown and option.kind != "flag" else ""
    parameter.setHelp(f"{option.help}{default}")
    return parameter


def _bare(option: Option, label: str, *, is_optional: bool) -> QgsProcessingParameterDefinition:
    """Make the parameter of an option, without help."""
    key, default = key_of(option), option.default
    if option.kind == "choice" or (option.kind == "switch" and default is None):
        choices = list(option.choices) or [YES, NO]
        return QgsProcessingParameterEnum(
            key, label, choices, False, default, is_optional, usesStaticStrings=True
        )
    if option.kind in ("flag", "switch"):
        return QgsProcessingParameterBoolean(key, label, default, is_optional)
    if option.kind in ("integer", "number"):
        return _number(option, label, is_optional=is_optional)
    if option.kind in ("file", "folder"):
        return _file(option, label, is_optional=is_optional)
    return QgsProcessingParameterString(key, label, default, optional=is_optional)


def _number(option: Option, label: str, *, is_optional: bool) -> QgsProcessingParameterNumber:
    # Names of enumerations without their scope are known to QGIS 3.22 and to all later ones.
    number = QgsProcessingParameterNumber
    kind = number.Integer if option.kind == "integer" else number.Double
    parameter = number(key_of(option), label, kind, option.default, is_optional)
    if option.low is not None:
        parameter.setMinimum(option.low)
    if option.high is not None:
        parameter.setMaximum(option.high)
    return parameter


def _file(option: Option, label: str, *, is_optional: bool) -> QgsProcessingParameterDefinition:
    key = key_of(option)
    if option.several:
        files = QgsProcessing.TypeFile
        return QgsProcessingParameterMultipleLayers(key, label, files, None, is_optional)
    file = QgsProcessingParameterFile
    behavior = file.Folder if option.kind == "folder" else file.File
    return file(key, label, behavior, optional=is_optional)


def value_of(
    option: Option,
    algorithm: QgsProcessingAlgorithm,
    parameters: Mapping[str, object],
    context: QgsProcessingContext,
) -> Value:
    """Return the value of an option that was given to an algorithm; else its default."""
    key = key_of(option)
    if parameters.get(key) in (None, NULL):
        return option.default
    given = parameters, key, context
    if option.kind == "choice" or (option.kind == "switch" and option.default is None):
        chosen = str(algorithm.parameterAsEnumString(*given))
        return chosen == YES if chosen and option.kind == "switch" else chosen
    if option.kind in ("flag", "switch"):
        return bool(algorithm.parameterAsBool(*given))
    if option.kind == "integer":
        # Seeds go beyond the whole numbers that QGIS has.
        return int(algorithm.parameterAsDouble(*given))
    if option.kind == "number":
        return float(algorithm.parameterAsDouble(*given))
    if option.several:
        return list(algorithm.parameterAsFileList(*given))
    return str(algorithm.parameterAsString(*given))
