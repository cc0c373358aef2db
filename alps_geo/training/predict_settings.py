"""Settings of predictions, from a trained model and scenes to maps of classes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from alps_geo.fields import (
    AtLeast,
    BandNumbers,
    Between,
    Choices,
    Percentiles,
    Rule,
    Stage,
    check_fields,
    documented,
    setting,
    settings_of,
)
from alps_geo.settings.panels import IMAGERY, MODEL, OUTPUT
from alps_geo.settings.scheduler import check_workers, dask_setting, wait_setting

TILES = "Tiles"
"""Panel of options."""


@documented
@dataclass(frozen=True)
class PredictSettings:
    """Settings of `alps_geo.training.predict.predict_scenes`.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    device: str = setting(
        "auto", Choices(("auto", "cpu", "cuda")), "Device to predict on.", MODEL, "nothing"
    )
    workers: int = setting(
        1,
        Between(1, 1024),
        "Processes that work on tiles side by side, each with a network of its own in memory.\n\n"
        "The results are the same.",
        MODEL,
        "nothing",
    )
    dask: str | None = dask_setting(MODEL, "the run folder, the scenes and the model")
    wait: float = wait_setting(MODEL)
    precision: str = setting(
        "float32",
        Choices(("float32", "bf16")),
        "float32; bf16 mixes it with bfloat16, which is quicker on a GPU that has it.",
        MODEL,
        "tiles",
    )
    flips: bool = setting(
        False,
        Rule(),
        "Average the probabilities of each tile as it is and flipped, left to right, upside down "
        "and both: four times the work.",
        MODEL,
        "tiles",
    )
    bands: tuple[int, ...] | None = setting(
        None,
        BandNumbers(()),
        "Numbers of the bands that the network is given, in the order of its own; red, green and "
        "blue for a model of pictures.",
        IMAGERY,
        "scene",
        metavar="B,...",
        shown="those of the model's names, else in its order",
    )
    nodata: float | None = setting(
        None,
        Rule(),
        "Value of pixels without data.\n\nIn place of that in the file; nan where none is nodata.",
        IMAGERY,
        "scene",
        shown="the scene's own",
    )
    alpha: str = setting(
        "auto",
        Choices(("auto", "yes", "no")),
        "Take bands that are tagged as alpha for transparency, where pixels of 0 are missing, or "
        "for data; auto tells them by what they hold.",
        IMAGERY,
        "scene",
    )
    stretch: tuple[float, float] | None = setting(
        None,
        Percentiles(),
        "Percentiles of the valid pixels that become black and white for a model of pictures.",
        IMAGERY,
        "scene",
        metavar="LOW,HIGH",
        shown="2,98; 8-bit scenes as they are",
    )
    tile_size: int | None = setting(
        None,
        Between(32, 16384),
        "Side of a tile in pixels: memory grows with it.",
        TILES,
        "tiles",
        shown="512, or that of the chips of the training if it is larger",
    )
    overlap: int | None = setting(
        None,
        AtLeast(0),
        "Pixels that neighbouring tiles share, across which their probabilities blend.\n\n"
        "At most half of the tile size.",
        TILES,
        "tiles",
        shown="a quarter of the tile size",
    )
    simplify: float = setting(
        0.0,
        Between(0, 1e6),
        "Draw the borders of regions without details smaller than this; neighbours keep their "
        "common border. Without it, they follow the pixels.\n\n"
        "In metres, or in pixels without a CRS.",
        OUTPUT,
        "outputs",
        metavar="METRES",
        shown="0",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        check_workers(self.workers, self.dask)
        if self.tile_size is not None:
            Between(0, self.tile_size // 2).check("overlap", self.overlap)

    def to_dict(self) -> dict[str, object]:
        """Return the settings as plain values, in the order of the fields."""
        return asdict(self)

    def deciding(self, *stages: Stage) -> dict[str, object]:
        """Return the settings that decide some stages, as fingerprints hold them."""
        return {
            stored: value
            for name, known in settings_of(PredictSettings).items()
            if known.decides in stages
            for stored, value in [known.within.stored(name, getattr(self, name))]
        }

    def sizes(self, chip_size: int) -> tuple[int, int]:
        """Return the side of a tile and the overlap of neighbours, in pixels.

        Parameters
        ----------
        chip_size : int
            Side of the pixels that the network was trained on at once.

        Raises
        ------
        SettingsError
            If the overlap is more than half of the tile.
        """
        size = self.tile_size or min(max(_LEAST_SIDE, chip_size), _LARGEST_SIDE)
        overlap = size // 4 if self.overlap is None else self.overlap
        Between(0, size // 2).check("overlap", overlap)
        return size, overlap


_LEAST_SIDE, _LARGEST_SIDE = 512, 2048
