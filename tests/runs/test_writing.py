"""Results of a run, put into their places together."""

from dataclasses import replace
from pathlib import Path

import pytest
from run_folders import OTHER, PLAN, begin, finish

from alps_geo.runs.folder import RunFolder
from alps_geo.runs.writing import replaced


def test_results_take_their_places_together_or_not_at_all(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    sidecar = tmp_path / "scene" / "labels.tif.aux.xml"
    sidecar.write_text("of the old raster")

    def write(*, full: bool) -> None:
        with replaced(folder, PLAN) as target:
            target.scene_folder("scene").mkdir()
            (target.scene_folder("scene") / "labels.tif").write_text("new")
            if full:
                raise OSError("full")
            target.record_path.write_text("{}")

    with pytest.raises(OSError, match="full"):
        write(full=True)
    assert (tmp_path / "scene" / "labels.tif").read_text() == "result"
    assert sidecar.exists()
    write(full=False)
    assert (tmp_path / "scene" / "labels.tif").read_text() == "new"
    assert not sidecar.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tiles", "run.json", "scene"]


def test_what_lies_next_to_a_database_goes_with_it(tmp_path: Path) -> None:
    """Next to another of its name, SQLite would take it for a part of that."""
    folder = RunFolder(tmp_path)
    first = replace(PLAN, files=("scene/segments.gpkg", "gone/segments.gpkg"))
    finish(folder, first)
    (tmp_path / "gone" / "segments.gpkg").unlink()
    left = [
        tmp_path / scene / f"segments.gpkg{ending}"
        for scene in ("scene", "gone")
        for ending in ("-wal", "-shm", "-journal")
    ]
    for path in left:
        path.write_text("of the old file")
    with replaced(folder, first) as target:
        for name in first.files:
            target.path.joinpath(name).parent.mkdir()
            target.path.joinpath(name).write_text("new")
        target.record_path.write_text("{}")
    assert not [path for path in left if path.exists()]
    for path in left:
        path.write_text("of the old file")
    begin(folder, OTHER, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tiles"]
