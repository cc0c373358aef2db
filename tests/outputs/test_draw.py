"""Drawing that all pictures share: legends inside their width, rows of panels, short texts."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageDraw

from alps_geo.outputs.draw import (
    PATCH,
    Entry,
    Legend,
    LegendStyle,
    paste_row,
    sheet,
    shortened,
)
from alps_geo.outputs.letters import lettering

STYLE = LegendStyle(lettering(15), line=28, after_patch=10)


def entries(count: int) -> list[Entry]:
    return [Entry((i, 200, 30), f"name {i}", str(i), f"{i}.0%") for i in range(1, count + 1)]


@pytest.mark.parametrize("count", [1, 6, 7, 40])
def test_a_legend_shows_every_entry_inside_its_width(count: int) -> None:
    legend = Legend.in_columns(entries(count), STYLE, 720)
    assert legend.lines >= min(count, 6)
    picture = sheet(720, 28 + legend.lines * STYLE.line)
    legend.draw(ImageDraw.Draw(picture), (0, 28))
    pixels = np.asarray(picture).reshape(-1, 3)
    for entry in entries(count):
        assert (pixels == entry.color).all(axis=1).sum() == (PATCH + 1) ** 2


def test_a_stacked_legend_has_one_column_as_wide_as_its_names() -> None:
    legend = Legend.stacked([Entry((200, 30, 1), "short"), Entry((1, 2, 200), "longer")], STYLE)
    assert legend.lines == 2
    picture = sheet(legend.pitch + 50, 2 * STYLE.line)
    legend.draw(ImageDraw.Draw(picture), (0, 0))
    inked = (np.asarray(picture) != 255).any(axis=(0, 2))
    assert inked[:PATCH].all()
    assert not inked[legend.pitch + 1 :].any()  # the last letter may end in a faint pixel more


def test_panels_stand_in_a_row() -> None:
    picture = sheet(100, 30)
    corners = paste_row(picture, [sheet(20, 10), sheet(30, 5)], (4, 3), 6)
    assert corners == [(4, 3), (30, 3)]


def test_long_texts_end_in_an_ellipsis() -> None:
    assert shortened("water", 5) == "water"
    assert shortened("open water", 6) == "open…"
