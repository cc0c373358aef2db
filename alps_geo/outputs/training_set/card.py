"""The card of a training set: a README that says what is in it and where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.outputs.pages import render
from alps_geo.outputs.training_set.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.outputs.training_set.format import TrainingFormat
    from alps_geo.outputs.training_set.record import TrainingSet

_MOST_SOURCES = 100


def write_card(path: Path, training_set: TrainingSet, training_format: TrainingFormat) -> None:
    """Write the card as Markdown.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    training_set : TrainingSet
        The set.
    training_format : TrainingFormat
        Its format.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    sources, chips_of = training_set.plan.sources, training_set.plan.chips_of
    total = len(training_set.plan.chips)
    rows = [
        {
            "name": each.name,
            "clusters": ", ".join(map(str, each.clusters)),
            "counts": [
                number
                for count in training_set.counts
                for number in (
                    *(count.class_chips[index], count.class_pixels[index]),
                    count.class_objects[index],
                )
            ],
        }
        for index, each in enumerate(training_set.classes.classes)
    ]
    settings = [(name, _text(value)) for name, value in training_set.settings.to_dict().items()]
    page = render(
        "training_set.md",
        set=training_set,
        format=training_format,
        total=total,
        classes=rows,
        ignored=sorted({*training_set.classes.unlabelled} - {*training_set.classes.unnamed}),
        sources=[(each, chips_of[i]) for i, each in enumerate(sources[:_MOST_SOURCES])],
        more_sources=max(0, len(sources) - _MOST_SOURCES),
        settings=settings,
    )
    write_text(path, page)


def _text(value: object) -> str:
    """Write the value of a setting as it is typed."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return "default" if value is None else str(value)
