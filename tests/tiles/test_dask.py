"""Workers of a Dask scheduler make the tiles that this process makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dask_workers import scheduler, worker
from helpers import DATA
from stand_in import BrightRegions

from alps_geo.pipeline.scenes import label_scenes
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alps_geo.events import Event

SCENE = str(DATA / "neon_osbs_10cm.tif")
SETTINGS = {"tile_size": 160, "overlap": 16, "clusters": 4}


def results(folder: Path) -> dict[str, bytes]:
    """Return the files of a run but the record, which tells of times."""
    kept = (".tif", ".npz", ".gpkg", ".csv", ".png")
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in kept
    }
    assert len(found) > 5
    return found


def label(out: Path, **settings: object) -> list[Event]:
    events: list[Event] = []
    label_scenes(
        [SCENE],
        out,
        LabelSettings(**{**SETTINGS, **settings}),  # type: ignore[arg-type]
        generator=BrightRegions(),
        listen=events.append,
    )
    return events


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("expected")
    label(out)
    return results(out)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("dask")
    with scheduler(folder) as (file, _), worker(file, "one"), worker(file, "two"):
        yield file


def test_workers_elsewhere_leave_the_same_bytes(
    expected: dict[str, bytes], two_workers: Path, tmp_path: Path
) -> None:
    events = label(tmp_path / "out", dask=str(two_workers))
    assert {event.tile.worker for event in events if event.tile} == {"one", "two"}
    assert results(tmp_path / "out") == expected
