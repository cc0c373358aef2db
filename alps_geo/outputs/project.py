"""The output of a project of QGIS that shows the scenes of a run with their labels and segments."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from rasterio.errors import CRSError
from rasterio.warp import transform_bounds

from alps_geo.files import write_bytes
from alps_geo.outputs.fixed_styles import fixed_styles
from alps_geo.outputs.gpkg.patches import LAYER as PATCH_LAYER
from alps_geo.outputs.gpkg.update import LAYER
from alps_geo.outputs.id_styles import labels_pipe
from alps_geo.outputs.names import CLASSES, LABELS, PATCHES, POLYGONS, PROJECT, SEGMENTS
from alps_geo.outputs.output import Output
from alps_geo.outputs.pages import render
from alps_geo.outputs.segment_styles import describing, outlines
from alps_geo.outputs.styles import class_style, cluster_style
from alps_geo.scene.placed import map_transform
from alps_geo.scene.raster import is_local, opened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rasterio.crs import CRS

    from alps_geo.clusters.legend import Legend
    from alps_geo.outputs.output import LabelledRun, ShownScene

    Bounds = tuple[float, float, float, float]

_OPACITY = 0.5
"""Opacity of labels and classes over the image."""

_MARGIN = 0.03
"""Margin around the data, as a share of their extent."""

_FAR = 10.0
"""Scenes are far apart if their joint extent is so many times as long as all of them in a row."""

_ID = "alps_geo"
"""Beginning of the ids of layers: QGIS gives those of up to ten characters others."""

# Protocols that rasterio turns into the names of GDAL, which QGIS hands to GDAL as they are.
_PROTOCOLS = {
    "http://": "/vsicurl/http://",
    "https://": "/vsicurl/https://",
    "s3://": "/vsis3/",
    "gs://": "/vsigs/",
    "az://": "/vsiaz/",
}


class Project(Output):
    """``alps.qgz``: imagery, labels and outlines of all scenes, ready to be looked at in QGIS."""

    run_files = (PROJECT,)
    is_map = True

    def write_run(self, run: LabelledRun) -> None:
        """Write the project; the same run gives the same bytes."""
        write_bytes(run.folder / PROJECT, _zipped(project_xml(run)))


def project_xml(run: LabelledRun) -> str:
    """Return the project as QGIS 3.22 and later read it.

    Layers lie in a group for each scene. Paths are relative to the project. Its CRS, and that of
    the view, is the one of the first scene.

    Parameters
    ----------
    run : LabelledRun
        The run, whose scenes have all other results.

    Raises
    ------
    SceneError
        If a raster of segments cannot be read.
    """
    placed = [(scene, _place(run.folder / scene.name / SEGMENTS)) for scene in run.scenes]
    before = _sources(run.home / PROJECT)
    crs = placed[0][1].crs
    groups = [
        _Group(scene.name, _layers(run, scene, place, number, before))
        for number, (scene, place) in enumerate(placed)
    ]
    return render(
        "project.qgs",
        title=_title(run),
        crs=_named(crs),
        units="degrees" if crs is not None and crs.is_geographic else "meters",
        view=_view([place for _, place in placed], crs),
        groups=groups,
    )


def _title(run: LabelledRun) -> str:
    """Name the project after its scenes: the folder may get another name."""
    first, more = run.scenes[0].title, len(run.scenes) - 1
    return f"{first} and {more} more" if more else first


@dataclass(frozen=True)
class _Place:
    """Place of a scene on the map."""

    crs: CRS | None
    bounds: Bounds


@dataclass(frozen=True)
class _System:
    """A CRS as QGIS stores it: its WKT, and its code if it has one."""

    authority: str | None
    wkt: str


@dataclass(frozen=True)
class _NamedStyle:
    """A style that can be chosen in the menu of a layer; empty for the one that is shown."""

    name: str
    content: str = ""


@dataclass(frozen=True)
class _Layer:
    """A layer of the project; `kind` and `provider` are words of QGIS."""

    id: str
    name: str
    source: str
    crs: _System | None
    style: str
    styles: tuple[_NamedStyle, ...] = ()
    kind: str = "raster"
    provider: str = "gdal"
    opacity: float = 1.0
    is_shown: bool = True
    is_expanded: bool = False


@dataclass(frozen=True)
class _Group:
    """Layers of a scene, the uppermost first."""

    name: str
    layers: list[_Layer]


def _layers(
    run: LabelledRun, scene: ShownScene, place: _Place, number: int, before: Mapping[str, str]
) -> list[_Layer]:
    """List the layers of a scene."""
    crs, folder = _named(place.crs), f"./{scene.name}"
    segments = _Layer(
        f"{_ID}_segments_{number}",
        f"{scene.name} segments",
        f"{folder}/{POLYGONS}|layername={LAYER}",
        crs,
        "".join(map(_text, (outlines(), *describing(by_class=run.classes is not None)))),
        _segment_styles(run),
        kind="vector",
        provider="ogr",
    )
    ids = [
        _Layer(
            f"{_ID}_{kind}_{number}",
            f"{scene.name} {kind}",
            f"{folder}/{file}",
            crs,
            _text(labels_pipe(legend.palette, legend.names, _OPACITY)),
            is_shown=is_shown,
            is_expanded=is_shown,
        )
        for kind, file, legend, is_shown in _id_rasters(run)
    ]
    source = imagery_source(scene.path, None if run.address else run.home)
    key = f"{_ID}_imagery_{number}"
    if is_local(scene.path) and not Path(scene.path).exists():
        # Moved together with the run folder, it still lies where the project says.
        source = before.get(key, source)
    imagery = _Layer(key, f"{scene.name} imagery", source, crs, _imagery_style(scene))
    return [segments, *_patches(run, scene, crs, number), *ids, imagery]


def _patches(run: LabelledRun, scene: ShownScene, crs: _System | None, number: int) -> list[_Layer]:
    """List the layer of patches, hidden at first; none in a run of an earlier version."""
    if PATCHES not in scene.labelled.results:
        return []
    if run.classes is None:
        style = cluster_style(run.model.legend, PATCH_LAYER)
    else:
        style = class_style(run.classes, PATCH_LAYER)
    layer = _Layer(
        f"{_ID}_patches_{number}",
        f"{scene.name} patches",
        f"./{scene.name}/{PATCHES}|layername={PATCH_LAYER}",
        crs,
        "".join(map(_text, ET.fromstring(style.qml))),
        kind="vector",
        provider="ogr",
        opacity=_OPACITY,
        is_shown=False,
    )
    return [layer]


def _segment_styles(run: LabelledRun) -> tuple[_NamedStyle, ...]:
    """List the styles of segments, the one that is shown first."""
    shown, *fixed = fixed_styles()
    styles = [cluster_style(run.model.legend), *fixed]
    if run.classes is not None:
        styles.insert(1, class_style(run.classes, LAYER))
    # Without the document type, which is that of the project.
    named = (_NamedStyle(style.name, style.qml.partition("\n")[2]) for style in styles)
    return (_NamedStyle(shown.name), *named)


def _id_rasters(run: LabelledRun) -> list[tuple[str, str, Legend, bool]]:
    """List rasters of ids with their legends; classes, if there are any, are shown over labels."""
    labels = ("labels", LABELS, run.model.legend, run.classes is None)
    return [labels] if run.classes is None else [("classes", CLASSES, run.classes, True), labels]


def imagery_source(path: str, home: Path | None) -> str:
    """Return the name under which a project finds the image of a scene.

    Parameters
    ----------
    path : str
        The scene, absolute for a file.
    home : pathlib.Path or None
        Folder of the project; None in a store.

    Returns
    -------
    str
        A path relative to `home` for a file on the same disk, if it leads to the file whether the
        links in `home` are followed or not; else a path or a name that GDAL takes.
    """
    for protocol, prefix in _PROTOCOLS.items():
        if path.startswith(protocol):
            return prefix + path.removeprefix(protocol)
    if not is_local(path):
        return path
    file = Path(path).absolute()
    relative = None if home is None else _relative(file, home.absolute())
    return relative or file.as_posix()


def _relative(file: Path, folder: Path) -> str | None:
    """Return a path from a folder to a file; None on another disk, or where links lead astray."""
    try:
        if file.stat().st_dev != folder.stat().st_dev:
            return None
        relative = Path(os.path.relpath(file, folder))
        if not (folder.resolve() / relative).samefile(file):
            return None
    except (OSError, ValueError):
        return None
    return relative.as_posix() if relative.parts[0] == ".." else f"./{relative.as_posix()}"


def _sources(project: Path) -> dict[str, str]:
    """Return the sources of the layers of a project by their ids; none if it cannot be read."""
    try:
        with ZipFile(project) as archive:
            root = ET.fromstring(archive.read(_content()))
    except (OSError, BadZipFile, KeyError, ET.ParseError):
        return {}
    return {
        layer.findtext("id", ""): layer.findtext("datasource", "")
        for layer in root.iter("maplayer")
    }


def _imagery_style(scene: ShownScene) -> str:
    """Show the bands that SAM saw, stretched as for it; QGIS decides on single bands and palettes.

    It does so too where a record of an earlier version lacks the limits.
    """
    if scene.stretch is None or (not scene.stretch and len(set(scene.rgb)) == 1):
        return ""
    pipe = ET.Element("pipe")
    names = ("red", "green", "blue")
    bands = {f"{name}Band": str(band) for name, band in zip(names, scene.rgb, strict=True)}
    renderer = ET.SubElement(
        pipe,
        "rasterrenderer",
        {"type": "multibandcolor", "alphaBand": "-1", "opacity": "1", **bands},
    )
    for name, low, high in zip(names, scene.stretch[::2], scene.stretch[1::2], strict=False):
        limits = ET.SubElement(renderer, f"{name}ContrastEnhancement")
        ET.SubElement(limits, "minValue").text = repr(low)
        ET.SubElement(limits, "maxValue").text = repr(high)
        ET.SubElement(limits, "algorithm").text = "StretchToMinimumMaximum"
    return _text(pipe)


def _place(path: Path) -> _Place:
    """Find the place of a scene by its raster of segments."""
    with opened(str(path)) as raster:
        transform = map_transform(raster)
        corners = [transform @ (x, y) for x in (0, raster.width) for y in (0, raster.height)]
        crs = raster.crs
    across, up = zip(*corners, strict=True)
    return _Place(crs, (min(across), min(up), max(across), max(up)))


def _view(places: list[_Place], crs: CRS | None) -> Bounds:
    """Join the bounds of scenes in a CRS, with a margin; scenes of no known place stay out.

    Scenes that are far apart would be dots: the view is of the first alone.
    """
    found = [places[0].bounds]
    for place in places[1:]:
        if (place.crs is None) != (crs is None):
            continue
        try:
            bounds = place.bounds
            if crs is not None:
                bounds = transform_bounds(place.crs, crs, *bounds)
        except CRSError:
            continue
        if all(map(math.isfinite, bounds)):
            found.append(bounds)
    if _side(_joined(found)) > _FAR * sum(map(_side, found)):
        found = found[:1]
    left, bottom, right, top = _joined(found)
    margin = _MARGIN * _side((left, bottom, right, top))
    return left - margin, bottom - margin, right + margin, top + margin


def _joined(bounds: list[Bounds]) -> Bounds:
    lefts, bottoms, rights, tops = zip(*bounds, strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)


def _side(bounds: Bounds) -> float:
    """Return the longer side of bounds."""
    left, bottom, right, top = bounds
    return max(right - left, top - bottom)


def _named(crs: CRS | None) -> _System | None:
    if crs is None:
        return None
    authority = crs.to_authority()
    return _System(None if authority is None else ":".join(authority), crs.to_wkt())


def _text(element: ET.Element) -> str:
    ET.indent(element, " ")
    return ET.tostring(element, encoding="unicode")


def _content() -> str:
    """Return the name of the project inside its archive."""
    return Path(PROJECT).with_suffix(".qgs").name


def _zipped(project: str) -> bytes:
    """Return a project as the only file of an archive, dated 1980 for equal bytes."""
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        entry = ZipInfo(_content())
        entry.compress_type = ZIP_DEFLATED
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, project)
    return buffer.getvalue()
