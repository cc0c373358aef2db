"""STAC items and collections: valid without the web, complete, and true after every change."""

import json
import shutil
from pathlib import Path
from typing import Any

import pystac
import pytest
import rasterio
import shapely
from edited_runs import QUICK, done, finished_crops, scenes
from helpers import DATA, alps_geo
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from rasterio.warp import transform_bounds

from alps_geo.outputs import stac

SCHEMAS = DATA / "stac"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stac") / "out"
    crops = scenes(finished_crops(tmp_path_factory))
    formats = ("--formats", "stac", "--preview-format", "png,pdf,svg")
    done(alps_geo("label", *crops, "--out", out, *QUICK, *formats))
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "out")


@pytest.fixture
def validator(monkeypatch: pytest.MonkeyPatch) -> JsonSchemaSTACValidator:
    def refuse(*_: object) -> str:
        raise AssertionError("a schema is not packaged")

    found = JsonSchemaSTACValidator()
    for path in SCHEMAS.glob("*.json"):
        schema = json.loads(path.read_text())
        found.schema_cache[schema["$id"]] = schema
    monkeypatch.setattr(pystac.StacIO, "read_text", refuse)
    return found


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_items_and_collection_are_valid(finished: Path, validator: JsonSchemaSTACValidator) -> None:
    for name in ("collection.json", "first/item.json", "second/item.json"):
        content = read(finished / name)
        checked = pystac.validation.validate_dict(content, validator=validator)
        assert len(checked) == 1 + len(content.get("stac_extensions", []))
    assert len(read(finished / "first/item.json")["stac_extensions"]) == 3


def test_a_wrong_item_is_found(finished: Path, validator: JsonSchemaSTACValidator) -> None:
    for change in (
        lambda item: item["properties"].update({"proj:shape": ["a", 2]}),
        lambda item: item["assets"]["labels.tif"]["raster:bands"][0].update({"data_type": "byte"}),
        lambda item: item["assets"]["labels.tif"]["classification:classes"][1].pop("name"),
    ):
        content = read(finished / "first/item.json")
        change(content)  # type: ignore[no-untyped-call]
        with pytest.raises(pystac.STACValidationError):
            pystac.validation.validate_dict(content, validator=validator)


def test_an_item_tells_where_its_scene_lies(finished: Path) -> None:
    item = read(finished / "first" / "item.json")
    with rasterio.open(finished / "first" / "segments.tif") as raster:
        expected = transform_bounds(raster.crs, "EPSG:4326", *raster.bounds)
        properties = item["properties"]
        assert properties["proj:code"] == raster.crs.to_string()
        assert properties["proj:shape"] == list(raster.shape)
        assert properties["proj:transform"] == list(raster.transform)[:6]
        assert properties["proj:bbox"] == pytest.approx(list(raster.bounds))
    assert item["bbox"] == pytest.approx(expected, abs=1e-6)
    assert shapely.geometry.shape(item["geometry"]).is_valid
    assert properties["datetime"] == "2000-01-01T00:00:00Z"
    assert properties["alps_geo:model"] == "mobile_sam"


def test_links_and_assets_lead_to_files_wherever_the_folder_lies(run: Path) -> None:
    collection = pystac.Collection.from_file(str(run / "collection.json"))
    items = list(collection.get_items())
    assert [item.id for item in items] == ["first", "second"]
    for item in items:
        assert item.get_collection() is not None
        hrefs = {name: Path(asset.get_absolute_href() or "") for name, asset in item.assets.items()}
        assert {"labels.tif", "segments.tif", "segments.gpkg", "patches.gpkg"} <= hrefs.keys()
        assert all(path.is_file() and run in path.parents for path in hrefs.values())
    written = "".join((run / name).read_text() for name in ("collection.json", "first/item.json"))
    assert str(run) not in written


def test_previews_are_assets_in_all_formats(finished: Path) -> None:
    assets = read(finished / "first" / "item.json")["assets"]
    found = {name: (each["type"], each["roles"]) for name, each in assets.items()}
    assert found["preview.png"] == ("image/png", ["thumbnail"])
    assert found["preview.pdf"] == ("application/pdf", ["overview"])
    assert found["preview.svg"] == ("image/svg+xml", ["overview"])


def test_classes_of_values_follow_every_change(run: Path) -> None:
    done(alps_geo("clusters", "name", run, "1=water"))
    done(alps_geo("clusters", "recolor", run, "1=#12abef"))
    known = read(run / "run.json")["clusters"]
    asset = read(run / "first" / "item.json")["assets"]["labels.tif"]
    none, *classes = asset["classification:classes"]
    assert (none["value"], none["nodata"]) == (0, True)
    assert [each["value"] for each in classes] == [each["cluster"] for each in known]
    assert (classes[0]["title"], classes[0]["color_hint"]) == ("water", "12ABEF")
    assert asset["raster:bands"] == [{"data_type": "uint8", "nodata": 0}]


def test_without_pystac_it_is_refused_at_once(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (crop, _) = scenes(finished_crops(tmp_path_factory))
    monkeypatch.setattr(stac, "find_spec", lambda _: None)
    absent = alps_geo("label", crop, "--out", tmp_path / "out", *QUICK, "--formats", "stac")
    assert absent.exit_code == 2
    assert "pip install 'alps-geo[stac]'" in absent.stderr
