"""The format of GeoJSON: chips, and a file of polygons for each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rasterio.warp
import shapely
from shapely.affinity import affine_transform
from shapely.geometry import mapping, shape

from alps_geo.outputs.training_set.files import write_image, write_text
from alps_geo.outputs.training_set.format import TrainingFormat

if TYPE_CHECKING:
    from alps_geo.outputs.training_set.chips import LabelledChip
    from alps_geo.outputs.training_set.format import SetFolder
    from alps_geo.outputs.training_set.source import ChipSource

# Degrees of about 0.1 mm.
_DIGITS = 9


class GeoJson(TrainingFormat):
    """``images/<split>`` and ``labels/<split>/<chip>.geojson``."""

    name = "geojson"
    about = (
        "`images/<split>/<chip>` are the chips, `labels/<split>/<chip>.geojson` their objects as "
        "polygons, each with the number of its class (`class`), its name and its segment. "
        "`object_id` is the same in all chips that hold a part of one object. Coordinates are "
        "longitude and latitude in WGS84 (RFC 7946); for a source without a CRS they are column "
        "and row in the chip, downwards from its upper left corner, and the file says so in "
        "`coordinates`."
    )
    reading = """\
from pathlib import Path
import geopandas

for path in sorted(Path("SET/labels/train").glob("*.geojson")):
    objects = geopandas.read_file(path)
"""
    has_ignored = False

    def check(self, source: ChipSource) -> None:
        """Take any source."""

    def begin(self, folder: SetFolder) -> GeoJsonWriter:
        """Return a writer."""
        return GeoJsonWriter(folder)


@dataclass(frozen=True)
class GeoJsonWriter:
    """Writer of chips and their polygons into a folder."""

    folder: SetFolder

    def write(self, chip: LabelledChip) -> None:
        """Write a chip and its polygons."""
        path, names = self.folder.path, self.folder.classes.names
        write_image(path / "images" / chip.split / f"{chip.name}{self.folder.suffix}", chip)
        numbers = chip.objects[1].tolist()
        features = [
            {
                "type": "Feature",
                "properties": {
                    "class": number,
                    "class_name": names[number],
                    "segment_id": segment,
                    "source": chip.source,
                    "object_id": chip.object_id(segment),
                },
                "geometry": geometry,
            }
            for number, segment, geometry in zip(
                numbers, chip.polygons.segment_id.tolist(), _geometries(chip), strict=True
            )
        ]
        pixels = {} if _is_on_map(chip) else {"coordinates": "column and row in the chip"}
        found = {"type": "FeatureCollection", **pixels, "features": features}
        text = json.dumps(found, ensure_ascii=False) + "\n"
        write_text(path / "labels" / chip.split / f"{chip.name}.geojson", text)

    def finish(self) -> None:
        """Do nothing: all files are written."""


def _is_on_map(chip: LabelledChip) -> bool:
    """Return True if the chip has a place on Earth."""
    if chip.transform is None or chip.crs is None:
        return False
    return bool(chip.crs.is_geographic or chip.crs.is_projected)


def _geometries(chip: LabelledChip) -> list[dict[str, Any]]:
    """Return the polygons as GeoJSON, whose outer rings run counter-clockwise."""
    polygons = list(chip.polygons.geometry)
    if chip.transform is None or not _is_on_map(chip) or not polygons:
        return [mapping(each) for each in polygons]
    at = chip.transform
    placed = [affine_transform(each, (at.a, at.b, at.d, at.e, at.c, at.f)) for each in polygons]
    found = rasterio.warp.transform_geom(
        chip.crs, "EPSG:4326", list(map(mapping, placed)), precision=_DIGITS
    )
    return [mapping(each) for each in shapely.orient_polygons(list(map(shape, found)))]
