"""A real run of two scenes, and what is on disk after its clusters were changed."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from helpers import DATA, alps_geo
from numpy.typing import NDArray
from rio_cogeo.cogeo import cog_validate

from alps_geo.runs.run import read_model

# Two kinds of scene: one band with nodata in degrees, and 8-bit RGB.
SCENES = ("landsat5_int16_1band", "neon_osbs_10cm")

LABEL = ("label", *(DATA / f"{name}.tif" for name in SCENES), "--points", "grid:4")

CLUSTERS = ("--clusters", "6")

# What the polygons hold, as the run wrote them.
NOTE = ".tiles/polygons.json"


class Killed(BaseException):
    """The end of a process at once."""


def finished_run(factory: pytest.TempPathFactory) -> Path:
    """Label the scenes once for all test files of this process; tests change copies alone."""
    out = factory.getbasetemp() / "clustered" / "out"
    if not (out / "run.json").exists():
        outcome = alps_geo(*LABEL, *CLUSTERS, "--out", out)
        assert outcome.exit_code == 0, outcome.stderr
    return out


def clusters(*arguments: object) -> None:
    outcome = alps_geo("clusters", *arguments)
    assert outcome.exit_code == 0, outcome.stderr
    assert all(line.startswith("note: ") for line in outcome.stderr.splitlines())


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def differing(first: Path, second: Path) -> set[str]:
    one, two = contents(first), contents(second)
    return {name for name in one.keys() | two.keys() if one.get(name) != two.get(name)}


def labels(run: Path, name: str) -> NDArray[np.uint8]:
    with rasterio.open(run / name / "labels.tif") as raster:
        pixels: NDArray[np.uint8] = raster.read(1)
        return pixels


def polygons(run: Path, name: str) -> gpd.GeoDataFrame:
    return gpd.read_file(run / name / "segments.gpkg", layer="segments").set_index("segment_id")


def record(run: Path) -> dict[int, dict[str, Any]]:
    found = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return {cluster["cluster"]: cluster for cluster in found["clusters"]}


def table(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def assert_consistent(run: Path) -> None:
    """All that a run says of its clusters is the same everywhere."""
    model = read_model(run / "clusters.npz")
    known = record(run)
    assert list(known) == model.legend.ids.tolist()
    assert {i: each["name"] for i, each in known.items() if each["name"]} == model.legend.names
    counted = dict.fromkeys(known, 0)
    # Where some have names, the others show their numbers: nothing is blank.
    shown = {i: model.legend.names.get(i, str(i)) for i in known} if model.legend.names else {}
    for name in SCENES:
        shapes = polygons(run, name)
        with rasterio.open(run / name / "segments.tif") as raster:
            ids = raster.read(1)
        of_id = np.zeros(ids.max() + 1, dtype=np.int64)
        of_id[shapes.index] = shapes["cluster"]
        np.testing.assert_array_equal(labels(run, name), of_id[ids])
        assert (shapes["cluster_name"] == [shown.get(i, "") for i in shapes["cluster"]]).all()
        for cluster in shapes["cluster"]:
            counted[cluster] += 1
        valid, errors, _ = cog_validate(run / name / "labels.tif", quiet=True)
        assert valid, errors
        with rasterio.open(run / name / "labels.tif") as raster:
            colors = raster.colormap(1)
        assert {i: colors[i][:3] for i in known} == model.legend.palette
        entries = {i: model.legend.names.get(i, "") for i in known}
        entries = {i: f"{each} ({i})" if each else str(i) for i, each in entries.items()}
        style = ET.parse(run / name / "labels.qml").getroot()
        assert {
            int(entry.attrib["value"]): entry.attrib["label"]
            for entry in style.iter("paletteEntry")
        } == entries
        (qml, sld), *others = table(
            run / name / "segments.gpkg",
            "SELECT styleQML, styleSLD FROM layer_styles WHERE styleName = 'clusters'",
        )
        assert others == []
        listed = [entry.attrib["label"] for entry in ET.fromstring(qml).iter("category")]
        assert listed == [*entries.values(), "all other values"]
        assert all(f">{escape(text)}<" in sld for text in entries.values())
        numbered = {i: model.legend.names.get(i, str(i)) for i in known}
        found = categories(run, name)
        assert list(found) == list(range(max(known) + 1))
        assert found[0] == "unlabelled"
        assert all(found.values())
        assert {i: found[i] for i in known} == numbered
        rows = attribute_table(run, name)
        assert {i: row["Name"] for i, row in rows.items()} == numbered
        assert {i: row["Color"] for i, row in rows.items()} == {
            i: each["color"] for i, each in known.items()
        }
        pixels = np.bincount(labels(run, name).ravel(), minlength=max(known) + 1)
        assert {i: int(row["Pixel_Count"]) for i, row in rows.items()} == {
            i: pixels[i] for i in known
        }
        areas = shapes.groupby("cluster")["area_m2"].sum()
        for i, row in rows.items():
            assert float(row["Area_m2"]) == pytest.approx(areas.get(i, 0.0))
    assert {i: each["segments"] for i, each in known.items()} == counted


def categories(run: Path, name: str) -> dict[int, str]:
    """Names of ids, as GDAL reads them next to the raster."""
    path = run / name / "labels.tif.aux.xml"
    return dict(enumerate(each.text or "" for each in ET.parse(path).iter("Category")))


def attribute_table(run: Path, name: str) -> dict[int, dict[str, str]]:
    """Rows of the table of attributes by value, as GDAL reads them next to the raster."""
    table = ET.parse(run / name / "labels.tif.aux.xml").find(".//GDALRasterAttributeTable")
    assert table is not None
    names = [field.findtext("Name", "") for field in table.iter("FieldDefn")]
    rows = [[field.text or "" for field in row.iter("F")] for row in table.iter("Row")]
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return {int(row["Value"]): row for row in found}
