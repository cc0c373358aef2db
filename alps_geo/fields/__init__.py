"""Fields of settings: each carries its allowed values, help, panel of options and effect.

The mechanism behind `alps_geo.settings.LabelSettings` and `alps_geo.sam.settings.MaskSettings`.
Validation, options, fingerprints and the page of options in the docs are read from the fields.
"""

from alps_geo.fields.rules import (
    AtLeast,
    BandNumbers,
    Between,
    Choices,
    FileName,
    FilePath,
    Names,
    Percentiles,
    Readable,
    Rule,
    Shares,
    SomeOf,
    Words,
)
from alps_geo.fields.settings import (
    STAGES,
    Setting,
    Stage,
    check_fields,
    documented,
    setting,
    settings_of,
)

__all__ = [
    "STAGES",
    "AtLeast",
    "BandNumbers",
    "Between",
    "Choices",
    "FileName",
    "FilePath",
    "Names",
    "Percentiles",
    "Readable",
    "Rule",
    "Setting",
    "Shares",
    "SomeOf",
    "Stage",
    "Words",
    "check_fields",
    "documented",
    "setting",
    "settings_of",
]
