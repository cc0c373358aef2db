"""Scenes whose files change between two commands: nothing old passes for new."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from helpers import DATA, alps_geo
from PIL import Image
from rasterio.windows import Window

pytestmark = pytest.mark.usefixtures("images_encoded_once")

SIDE = 96
QUICK = ("--points", "grid:2", "--quiet")


def crop(path: Path, row: int) -> Path:
    """Write a corner of a real scene, always of as many bytes."""
    with rasterio.open(DATA / "naip_md_1m.tif") as source:
        profile = source.profile | {"width": SIDE, "height": SIDE, "count": 3, "compress": None}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read((1, 2, 3), window=Window(0, row, SIDE, SIDE)))
    os.utime(path, (row, row))
    return path


@pytest.fixture
def mosaic(tmp_path: Path) -> Path:
    source, path = crop(tmp_path / "source.tif", 0), tmp_path / "mosaic.vrt"
    with rasterio.open(f"vrt://{source}?bands=1,2,3") as opened:
        text = next(iter("=".join(item) for item in opened.tags(ns="xml:VRT").items()))
    path.write_text(text)
    return path


def results(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("mosaic/*")}


def test_labels_of_a_mosaic_are_those_of_its_sources(mosaic: Path, tmp_path: Path) -> None:
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    label = ("label", mosaic, "--out", out, *QUICK)
    assert alps_geo(*label, "--clusters", "3").exit_code == 0
    before = results(out)
    assert alps_geo(*label, "--clusters", "3").exit_code == 0
    assert results(out) == before
    crop(tmp_path / "source.tif", 500)
    refused = alps_geo(*label, "--clusters", "3")
    assert refused.exit_code == 1
    assert "holds another run (other scenes" in refused.stderr
    assert results(out) == before
    # Other settings alone keep tiles, and with them the old outlines.
    assert alps_geo(*label, "--clusters", "4", "--overwrite").exit_code == 0
    assert alps_geo("label", mosaic, "--out", fresh, *QUICK, "--clusters", "4").exit_code == 0
    assert results(out) == results(fresh) != before


def test_the_gallery_shows_no_pixels_that_were_not_labelled(mosaic: Path, tmp_path: Path) -> None:
    out, source = tmp_path / "out", tmp_path / "source.tif"
    assert alps_geo("label", mosaic, "--out", out, *QUICK, "--clusters", "3").exit_code == 0
    kept = shutil.copy2(source, tmp_path / "kept.tif")
    crop(source, 500)
    outcome = alps_geo("clusters", "gallery", out)
    assert outcome.exit_code == 1
    assert "mosaic.vrt has changed since it was labelled (its pixels are others)" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not (out / "gallery.html").exists()
    # Put back, though by a program that keeps no times.
    shutil.copyfile(kept, source)
    assert alps_geo("clusters", "gallery", out, "--quiet").exit_code == 0
    assert (out / "gallery.html").exists()


def test_the_gallery_notices_that_a_scene_was_moved(tmp_path: Path) -> None:
    path, out = tmp_path / "photo.jpg", tmp_path / "out"
    with rasterio.open(crop(tmp_path / "source.tif", 0)) as source:
        Image.fromarray(np.moveaxis(source.read(), 0, -1)).save(path)
    assert alps_geo("label", path, "--out", out, *QUICK, "--clusters", "3").exit_code == 0
    path.with_suffix(".jgw").write_text("1\n0\n0\n-1\n327432.5\n4269824.5\n")
    outcome = alps_geo("clusters", "gallery", out)
    assert outcome.exit_code == 1
    assert "photo.jpg has changed since it was labelled (it lies elsewhere)" in outcome.stderr
    assert alps_geo("label", path, "--out", out, *QUICK, "--clusters", "3").exit_code == 1
    again = alps_geo("label", path, "--out", out, *QUICK, "--clusters", "3", "--overwrite")
    assert again.exit_code == 0, again.stderr
    with rasterio.open(out / "photo" / "labels.tif") as labels:
        assert (labels.transform.c, labels.transform.f) == (327432, 4269825)
    assert alps_geo("clusters", "gallery", out, "--quiet").exit_code == 0
