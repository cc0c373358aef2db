"""STAC collections and items of runs, made with pystac."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pystac
import shapely
from pyproj import Transformer
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import DataType, RasterBand, RasterExtension

from alps_geo.clusters.colors import hex_color
from alps_geo.outputs.attribute_table import UNLABELLED
from alps_geo.outputs.names import (
    CLASSES,
    LABELS,
    PATCHES,
    POLYGONS,
    SEGMENTS,
    STAC_COLLECTION,
    STAC_ITEM,
)
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from pathlib import Path

    from affine import Affine
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

    from alps_geo.clusters.legend import Legend
    from alps_geo.outputs.output import LabelledRun, ShownScene

_COG = pystac.MediaType.COG

_TYPES = {
    ".gpkg": pystac.MediaType.GEOPACKAGE,
    ".parquet": pystac.MediaType.PARQUET,
    ".fgb": pystac.MediaType.FLATGEOBUF,
    ".geojson": pystac.MediaType.GEOJSON,
    ".png": pystac.MediaType.PNG,
    ".pdf": pystac.MediaType.PDF,
    ".svg": "image/svg+xml",
}
"""Media types by the endings of files."""

_ROLES = {".png": "thumbnail", ".pdf": "overview", ".svg": "overview"}
"""Roles of pictures, by the same; those of data have another one."""

_TITLES = {POLYGONS: "Segments as polygons", PATCHES: "Connected areas of one cluster or class"}

_EDGE = 21
"""Points along each edge of a scene's footprint, which bends in longitude and latitude."""

_WORLD = [-180.0, -90.0, 180.0, 90.0]
"""Extent of a collection whose scenes lie nowhere on the Earth: STAC wants one."""


def describe_run(run: LabelledRun) -> dict[str, object]:
    """Return the collection of a run, and the items of its scenes, as JSON objects.

    Parameters
    ----------
    run : LabelledRun
        The run, whose scenes have all other results.

    Returns
    -------
    dict of str to JSON object
        By the names of their files, relative to the run folder.
    """
    home = run.home.absolute()
    items = {scene.name: _item(run, scene) for scene in run.scenes}
    collection = _collection(run, list(items.values()))
    collection.set_self_href((home / STAC_COLLECTION).as_posix())
    for name, item in items.items():
        collection.add_item(item)
        item.set_self_href((home / name / STAC_ITEM).as_posix())
    found: dict[str, object] = {STAC_COLLECTION: collection.to_dict(include_self_link=False)}
    for name, item in items.items():
        found[f"{name}/{STAC_ITEM}"] = item.to_dict(include_self_link=False)
    return found


def _collection(run: LabelledRun, items: list[pystac.Item]) -> pystac.Collection:
    boxes = [item.bbox for item in items if item.bbox is not None]
    whole = shapely.union_all([shapely.box(*box) for box in boxes]).bounds if boxes else _WORLD
    dates = [item.datetime for item in items]
    return pystac.Collection(
        run.name,
        f"Labels of {len(items)} scenes: {run.scenes[0].labelled.origin.describe('all', 'Labels')}",
        pystac.Extent(
            pystac.SpatialExtent([list(whole), *boxes] if len(boxes) > 1 else [list(whole)]),
            pystac.TemporalExtent([[min(filter(None, dates)), max(filter(None, dates))]]),
        ),
        title=run.scenes[0].title if len(items) == 1 else f"{run.scenes[0].title} and more",
        license="other",
        catalog_type=pystac.CatalogType.SELF_CONTAINED,
    )


def _item(run: LabelledRun, scene: ShownScene) -> pystac.Item:
    """Describe a scene; its date is that at which its labels were made."""
    folder, origin = run.folder / scene.name, scene.labelled.origin
    with opened(str(folder / SEGMENTS)) as raster:
        transform = scene.labelled.place.transform_of(raster)
        footprint = _footprint(raster, transform)
        item = pystac.Item(
            scene.name,
            None if footprint is None else shapely.geometry.mapping(footprint),
            None if footprint is None else list(footprint.bounds),
            datetime.fromisoformat(origin.date) if origin.date else datetime.fromtimestamp(0, UTC),
            {
                "title": scene.title,
                "description": origin.describe(scene.name, "Labels"),
                **{f"alps_geo:{name}": value for name, value in origin.items(scene.name).items()},
            },
        )
        projection = ProjectionExtension.ext(item, add_if_missing=True)
        projection.apply(
            **_reference(raster.crs),
            shape=[raster.height, raster.width],
            transform=[float(value) for value in tuple(transform)[:6]],
            bbox=_bounds(raster, transform),
        )
    _add_rasters(run, scene, item)
    for name in sorted(scene.labelled.results):
        path = folder / name
        if path.suffix in _TYPES and path.is_file():
            roles = [_ROLES.get(path.suffix, "data")]
            title = _TITLES.get(name, name)
            item.add_asset(name, pystac.Asset(f"./{name}", title, None, _TYPES[path.suffix], roles))
    return item


def _add_rasters(run: LabelledRun, scene: ShownScene, item: pystac.Item) -> None:
    """Add the rasters of a scene as assets, with the meaning of their values."""
    folder = run.folder / scene.name
    _add_raster(item, folder / SEGMENTS, "Ids of segments", None)
    _add_raster(item, folder / LABELS, "Clusters", _classes(run.model.legend, "cluster"))
    if run.classes is not None:
        _add_raster(item, folder / CLASSES, "Classes", _classes(run.classes, "class"))


def _add_raster(
    item: pystac.Item, path: Path, title: str, classes: list[Classification] | None
) -> None:
    asset = pystac.Asset(f"./{path.name}", title, None, _COG, ["data"])
    item.add_asset(path.name, asset)
    with opened(str(path)) as raster:
        band = RasterBand.create(data_type=DataType(raster.dtypes[0]), nodata=0)
    RasterExtension.ext(asset, add_if_missing=True).apply([band])
    if classes is not None:
        ClassificationExtension.ext(asset, add_if_missing=True).apply(classes)


def _classes(legend: Legend, kind: str) -> list[Classification]:
    """Describe the values of a raster of ids."""
    found = [Classification.create(0, name=UNLABELLED, title=UNLABELLED, nodata=True)]
    for number, color in legend.palette.items():
        found.append(
            Classification.create(
                number,
                name=f"{kind}-{number}",
                title=legend.names.get(number) or str(number),
                color_hint=hex_color(color).removeprefix("#").upper(),
            )
        )
    return found


def _reference(crs: CRS | None) -> dict[str, Any]:
    """Return the CRS by its code, or in WKT where it has none."""
    if crs is None:
        return {}
    authority = crs.to_authority()
    if authority is not None:
        return {"code": ":".join(authority)}
    return {"wkt2": crs.to_wkt(version="WKT2_2019")}


def _bounds(raster: DatasetReader, transform: Affine) -> list[float]:
    corners = [transform @ (col, row) for col in (0, raster.width) for row in (0, raster.height)]
    across, up = zip(*corners, strict=True)
    return [min(across), min(up), max(across), max(up)]


def _footprint(raster: DatasetReader, transform: Affine) -> shapely.Polygon | None:
    """Return the outline of a scene in longitude and latitude; None if it lies nowhere."""
    if raster.crs is None:
        return None
    steps = np.linspace(0, 1, _EDGE)
    outline = shapely.get_coordinates(shapely.segmentize(shapely.box(0, 0, 1, 1), steps[1]))
    x, y = transform @ (outline[:, 0] * raster.width, outline[:, 1] * raster.height)
    to_degrees = Transformer.from_crs(raster.crs.to_wkt(), "EPSG:4326", always_xy=True)
    degrees = np.stack(to_degrees.transform(x, y), axis=1)
    if not np.isfinite(degrees).all():
        return None
    return shapely.geometry.polygon.orient(shapely.Polygon(degrees.round(9)))
