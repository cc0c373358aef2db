"""Bad input: one line that says what to do, the right exit code, nothing half-written."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from helpers import DATA, FULL_DISK, alps_geo

from alps_geo.sam.weights import MODELS

pytestmark = pytest.mark.usefixtures("images_encoded_once")

NEON = DATA / "neon_osbs_10cm.tif"
QUICK = ("--tile-size", "512", "--points", "grid:2")


def assert_one_line(stderr: str, *parts: str) -> None:
    errors = [line for line in stderr.splitlines() if not line.startswith("note")]
    assert len(errors) == 1, stderr
    assert errors[0].startswith("alps-geo: error: ")
    for part in parts:
        assert part in errors[0]
    assert "Traceback" not in stderr


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder of everything that is no scene."""
    (tmp_path / "text.tif").write_text("this is no raster")
    (tmp_path / "empty.tif").touch()
    (tmp_path / "cut.tif").write_bytes(NEON.read_bytes()[:300_000])
    with rasterio.open(NEON) as scene:
        profile = scene.profile
    with rasterio.open(tmp_path / "void.tif", "w", **profile) as void:
        void.write(np.full((3, 400, 400), 255, np.uint8))
    (tmp_path / "torn.pth").write_bytes(b"PK\x03\x04 torn")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "nothing").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["absent.tif"], ["absent.tif", "does not exist"]),
        (["absent*.tif"], ["absent*.tif"]),
        (["nothing"], ["nothing", "holds no raster"]),
        ([""], ["empty name"]),
        (["text.tif"], ["text.tif"]),
        (["empty.tif"], ["empty.tif"]),
        (["cut.tif"], ["cut.tif"]),
        (["void.tif"], ["void.tif", "no valid pixel"]),
        ([NEON, "--bands", "9"], [NEON.name, "9", "3"]),
        ([NEON, "--clusters", "5000"], ["5000 clusters", "segments"]),
        ([NEON, "--checkpoint", "absent.pth"], ["absent.pth"]),
        ([NEON, "--checkpoint", "torn.pth"], ["torn.pth"]),
        ([NEON, "--checkpoint", "other.pth"], ["other.pth", "mobile_sam"]),
        (
            [NEON, "--model", "vit_b", "--checkpoint", MODELS["mobile_sam"].path],
            ["expected weights of vit_b", "mobile_sam"],
        ),
    ],
    ids=lambda value: " ".join(map(str, value)).replace("/", "-")[-60:],
)
def test_bad_input_exits_with_one_line(
    bad: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[object], parts: list[str]
) -> None:
    monkeypatch.chdir(bad)
    outcome = alps_geo("label", *arguments, "--out", "out", *QUICK)
    assert outcome.exit_code == 1
    assert_one_line(outcome.stderr, *parts)
    assert not list(Path("out").glob("[!.]*"))


def test_a_file_in_the_place_of_the_folder_stays_as_it_is(bad: Path) -> None:
    outcome = alps_geo("label", NEON, "--out", bad / "file", *QUICK)
    assert outcome.exit_code == 1
    assert_one_line(outcome.stderr, "expected a folder")
    assert (bad / "file").read_text() == "mine"


def test_a_file_of_somebody_else_in_the_place_of_a_result_stays(tmp_path: Path) -> None:
    theirs = tmp_path / "out" / NEON.stem / "segments.gpkg"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    outcome = alps_geo("label", NEON, "--out", tmp_path / "out", *QUICK)
    assert outcome.exit_code == 1
    assert_one_line(outcome.stderr, str(theirs), "--overwrite")
    assert theirs.read_text() == "theirs"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [NEON.stem]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_asked_for_and_absent(tmp_path: Path) -> None:
    outcome = alps_geo("label", NEON, "--out", tmp_path / "out", "--device", "cuda", *QUICK)
    assert outcome.exit_code == 1
    assert_one_line(outcome.stderr, "cuda", "--device")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [NEON],
        [NEON, "--out", "out", "--tile-size", "3"],
        [NEON, "--out", "out", "--bands", "red"],
        [NEON, "--out", "out", "--bands", "1,2"],
        [NEON, "--out", "out", "--stretch", "2"],
        [NEON, "--out", "out", "--model", "vit_z"],
        [NEON, "--out", "out", "--overlap", "600"],
        [NEON, "--out", "out", "--no-such-option"],
        [NEON, "--out", "out", "--config", "absent.toml"],
    ],
    ids=lambda value: " ".join(map(str, value[1:])) or "nothing",
)
def test_usage_errors_exit_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[object]
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = alps_geo("label", *arguments)
    assert outcome.exit_code == 2
    assert outcome.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        ["label", NEON, "--out", ""],
        ["label", NEON, "--out", "out", "--checkpoint", ""],
        ["label", NEON, "--out", "out", "--config", ""],
        ["fit", NEON, "--out", ""],
        ["apply", NEON, "--out", "out", "--clusters-from", ""],
        ["status", ""],
        ["clusters", "gallery", ""],
        ["evaluate", "seams", ""],
        ["evaluate", "quality", NEON, "--truth", ""],
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_an_empty_path_is_not_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[object]
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = alps_geo(*command)
    assert outcome.exit_code == 2
    assert "the path is empty" in outcome.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("clusterz = 3", "did you mean clusters?"),
        ("clusters = ", "not a config"),
        ("clusters = 'many'", "--clusters"),
    ],
)
def test_a_wrong_config_is_explained(tmp_path: Path, text: str, part: str) -> None:
    config = tmp_path / "run.toml"
    config.write_text(text)
    outcome = alps_geo("label", NEON, "--out", tmp_path / "out", "--config", config)
    assert outcome.exit_code == 2
    assert part in outcome.stderr


def test_a_config_with_an_option_of_another_command_is_explained(tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text("clusters = 8\n")
    outcome = alps_geo("apply", NEON, "--out", tmp_path / "out", "--config", config)
    assert outcome.exit_code == 2
    assert "this command has no option 'clusters', which label has: leave it out" in outcome.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [
            *(sys.executable, "-c", "from alps_geo_cli.main import run; run()"),
            *("label", "absent.tif", "--out", str(tmp_path / "out"), "--debug"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 1
    assert "Traceback" in outcome.stderr
    assert "SceneError" in outcome.stderr


def label_on_a_full_disk(limit: int, out: Path) -> subprocess.CompletedProcess[str]:
    """Run with a limit on the size of files, on which writing fails half-way through."""
    return subprocess.run(
        [
            *(sys.executable, "-c", FULL_DISK, str(limit)),
            *("label", str(NEON), "--out", str(out), *QUICK, "--clusters", "2"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_disk_that_takes_no_more_ends_with_a_clear_error(tmp_path: Path) -> None:
    """First for a tile, then for the polygons, when other results have been written."""
    out = tmp_path / "out"
    run = ("label", NEON, "--out", out, *QUICK, "--clusters", "2")
    tile = label_on_a_full_disk(60_000, out)
    assert tile.returncode == 1
    assert_one_line(tile.stderr, "0000_0000.embeddings.npz: cannot be written")
    assert alps_geo(*run).exit_code == 0
    folder = out / NEON.stem
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    shutil.rmtree(folder)
    for name in ("run.json", "clusters.npz", "clusters.csv", "alps.qgz"):
        (out / name).unlink()

    assert max(sizes, key=lambda name: sizes[name]) == "segments.gpkg"
    polygons = label_on_a_full_disk(sizes["segments.gpkg"] - 100_000, out)
    assert polygons.returncode == 1
    assert_one_line(polygons.stderr, f"{folder / 'segments.gpkg'}: cannot be written")
    assert [path.name for path in out.iterdir()] == [".tiles"]
    assert alps_geo(*run).exit_code == 0
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == sizes


def test_bands_that_are_no_whole_numbers_are_wrong_usage(tmp_path: Path) -> None:
    scene = DATA / "landsat5_int16_1band.tif"
    outcome = alps_geo("label", scene, "--out", tmp_path / "out", "--bands", "1.5")
    assert outcome.exit_code == 2
    assert "not whole numbers" in outcome.stderr
