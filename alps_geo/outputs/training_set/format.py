"""The contract of formats: the files of a training set in the layout of one training program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.outputs.training_set.chips import LabelledChip
    from alps_geo.outputs.training_set.classes import ClassTable
    from alps_geo.outputs.training_set.source import ChipSource


@dataclass(frozen=True)
class SetFolder:
    """The folder of a training set that is being written.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    classes : ClassTable
        Classes of the set.
    splits : tuple of str
        Splits that have chips.
    bands : int
        Bands of a chip.
    is_native : bool
        True if chips hold the scenes' own values, False for pictures.
    """

    path: Path
    classes: ClassTable
    splits: tuple[str, ...]
    bands: int
    is_native: bool

    @property
    def suffix(self) -> str:
        """Suffix of the files of chips, where a format has none of its own."""
        return ".tif" if self.is_native else ".png"


class ChipWriter(Protocol):
    """Writes the chips of one set, one after the other."""

    def write(self, chip: LabelledChip) -> None:
        """Write the files of a chip.

        Raises
        ------
        RunError
            If a file cannot be written.
        """

    def finish(self) -> None:
        """Write the files that are about all chips.

        Raises
        ------
        RunError
            If a file cannot be written.
        """


class TrainingFormat(Protocol):
    """A layout of training sets.

    A new one is a class in a module of its own, and an instance of it in
    `alps_geo.outputs.training_set.formats.FORMATS`.

    Attributes
    ----------
    name : str
        Name to choose it by.
    about : str
        Its files and the meaning of its values, as Markdown for the card of a set.
    reading : str
        Python that reads the training split; ``SET`` stands for the folder of the set.
    has_ignored : bool
        True if it has masks in which unlabelled pixels are `ClassTable.ignored`.
    """

    name: str
    about: str
    reading: str
    has_ignored: bool

    def check(self, source: ChipSource) -> None:
        """Check that the format can hold a source, before anything is written.

        Raises
        ------
        SettingsError
            If it cannot.
        """

    def begin(self, folder: SetFolder) -> ChipWriter:
        """Return a writer of a set into an empty folder."""
