"""Settings of training sets that are exported from a finished run."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from alps_geo.fields import (
    AtLeast,
    BandNumbers,
    Between,
    Choices,
    Shares,
    Words,
    check_fields,
    documented,
    setting,
)

CHIPS, CLASSES = "Chips", "Classes"
"""Panels of options."""

SPLITS = ("train", "val", "test")
"""Names of the splits, in the order of their shares."""


@documented
@dataclass(frozen=True)
class ExportSettings:
    """Settings of `alps_geo.review.export.export_run`.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    chip_size: int = setting(
        512,
        Between(16, 16384),
        "Side of a chip in pixels. What fits into one chip is not cut.",
        CHIPS,
    )
    overlap: int = setting(
        0,
        AtLeast(0),
        "Pixels that neighbouring chips share, less than a chip.",
        CHIPS,
    )
    bands: tuple[int, ...] | None = setting(
        None,
        BandNumbers(counts=()),
        "Numbers of the bands of the chips; one or three of them for 8bit.",
        CHIPS,
        metavar="A,B,...",
        shown="those that SAM saw for 8bit, all for native",
    )
    values: str = setting(
        "8bit",
        Choices(("8bit", "native")),
        "8bit: pictures with the stretch of the scene, as PNG; native: the scene's own values, as "
        "TIFF.",
        CHIPS,
    )
    split: tuple[float, ...] = setting(
        (0.8, 0.1, 0.1),
        Shares(),
        "Shares of the chips for train, val and test. Splits are blocks on the ground with a gap "
        "between them, whose chips are left out. Image folders keep their own splits.",
        CHIPS,
        metavar="TRAIN,VAL,TEST",
        shown="0.8,0.1,0.1",
    )
    min_labelled: float = setting(
        0.2,
        Between(0, 1),
        "Leave out chips of which a smaller share is labelled, 0 to 1.",
        CHIPS,
    )
    by: str = setting(
        "cluster",
        Choices(("cluster", "class")),
        "cluster: every cluster is a class; class: the classes of alps-geo classify, or else the "
        "names of clusters; those without a name are unlabelled.",
        CLASSES,
    )
    ignore: tuple[str, ...] = setting(
        (),
        Words(),
        "Names or numbers of clusters or classes that are left unlabelled, separated by commas.",
        CLASSES,
        metavar="NAMES",
        shown="none",
    )
    seed: int = setting(0, Between(0, 2**32 - 1), "Seed of the splits.", CHIPS)

    def __post_init__(self) -> None:
        check_fields(self)
        Between(0, self.chip_size - 1).check("overlap", self.overlap)
        if not self.is_native:
            BandNumbers().check("bands", self.bands)

    @property
    def is_native(self) -> bool:
        """True for chips with the scene's own values."""
        return self.values == "native"

    @property
    def step(self) -> int:
        """Pixels from one chip to the next."""
        return self.chip_size - self.overlap

    def to_dict(self) -> dict[str, object]:
        """Return the settings as plain values, in the order of the fields."""
        return asdict(self)
