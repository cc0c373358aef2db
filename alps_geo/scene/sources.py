"""The files behind a scene, and a digest that changes when one of them does.

A scene is every file that GDAL lists for it: the raster with its world file and masks, the sources
of a VRT and theirs, the rasters of a tile index, the archive that a raster lies in. Local files are
told apart by size and time of change, remote ones by size and ETag or Last-Modified. Two kinds of
files are not, for programs write them when somebody only looks at a scene:

- ``.aux.xml``, by its content apart from statistics and histograms;
- ``.ovr`` not at all: pixels come from the scene itself, and where overviews lead to other limits
  of the stretch these are part of its identity.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import parse_qs, quote, unquote, urlparse
from urllib.request import Request, url2pathname, urlopen
from xml.etree import ElementTree as ET

from alps_geo.errors import SceneError
from alps_geo.scene.raster import is_local, opened
from alps_geo.scene.tile_index import index_file, next_to, read_index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader

_SECONDS = 20
_REQUESTS = 8

_ARCHIVE = re.compile(r"/vsi(zip|tar|gzip|7z|rar|subfile|sparse|cached|crypt)/(?P<rest>.*)", re.S)
_CURL = re.compile(r"/vsicurl(?:_streaming)?/(?P<url>.*)", re.S)
_URL = re.compile(r"https?://")
_REMOTE_ARCHIVE = re.compile(r".*?\.(?:zip|kmz|tar|tgz|tar\.gz|gz|7z|rar)(?=/|$)", re.S)
_PART = re.compile(r"[A-Za-z][A-Za-z0-9_]+:(?!//)(?P<rest>.*)", re.S)

# Rasters that are one file, so that a mosaic of very many need not be opened one by one.
_PLAIN = (".tif", ".tiff", ".jp2", ".jpg", ".jpeg", ".png")

_AUX = ".aux.xml"
_STATISTICS = "STATISTICS_"


@dataclass(frozen=True)
class SourceFiles:
    """All files behind a scene.

    Attributes
    ----------
    sha256 : str
        Digest of their names, sizes and times.
    unknown : tuple of str
        Files without a known size and time.
    """

    sha256: str
    unknown: tuple[str, ...]


def source_files(dataset: DatasetReader, path: str) -> SourceFiles:
    """Find all files behind an open dataset, and digest their identity.

    Parameters
    ----------
    dataset : rasterio.io.DatasetReader
        The scene.
    path : str
        The scene, as it was given.
    """
    names = sorted({_base(name) for name in _listed(dataset, path, set())})
    with ThreadPoolExecutor(_REQUESTS) as pool:
        remote = [name for name in names if _URL.match(name)]
        answers = dict(zip(remote, pool.map(_asked, remote), strict=True))
    facts = {
        name: answers[name] if name in answers else _local_facts(name)
        for name in names
        if not name.lower().endswith(".ovr")
    }
    known = {name: fact for name, fact in facts.items() if fact != _NOTHING}
    digest = sha256(repr(sorted(known.items())).encode()).hexdigest()
    return SourceFiles(digest, tuple(name for name, fact in facts.items() if fact is None))


_NOTHING = ""
"""Identity of a file without relevant content, the same as of an absent one."""


def _listed(dataset: DatasetReader, path: str, seen: set[str]) -> Iterator[str]:
    """List the files of a dataset, and those of its sources in turn."""
    names = [str(name) for name in dataset.files] or [path]
    seen.add(path)
    if dataset.driver == "GTI":
        names += _indexed(names[0])
    yield from names
    if dataset.driver not in ("VRT", "GTI"):
        return
    for name in names:
        if name.lower().endswith(_PLAIN):
            yield from _sidecars(name)
        elif name not in seen:
            seen.add(name)
            # One that cannot be read is reported with the pixels that it lacks.
            with suppress(SceneError), opened(name) as source:
                yield from _listed(source, name, seen)


def _indexed(name: str) -> Iterator[str]:
    """List the table of a tile index, and its rasters: all text in it that may name a file."""
    index = index_file(name)
    if index is None:
        return
    yield index
    table = read_index(index)
    if table is None:
        return
    for column in table.drop(columns=table.geometry.name).select_dtypes(exclude="number"):
        for value in table[column].dropna().astype(str):
            yield next_to(index, value)


def _sidecars(name: str) -> Iterator[str]:
    """List the files that GDAL reads with a local raster that is not the scene itself."""
    path = Path(name)
    kind = path.suffix[1:]
    worlds = {kind[:1] + kind[-1:] + "w", kind + "w", "wld"} if kind else set()
    candidates = [f"{name}.msk", f"{name}{_AUX}"]
    candidates += [str(path.with_suffix(f".{ending}")) for ending in (*worlds, "aux", "hdr", "prj")]
    yield from (candidate for candidate in candidates if _exists(candidate))


def _base(name: str) -> str:
    """Find the file or URL that a GDAL name leads to; the name itself if there is none."""
    if _exists(name):
        return str(Path(name).resolve())
    if name.startswith("file://"):
        return _base(url2pathname(unquote(urlparse(name).path)))
    if name.startswith("/vsicurl?"):
        return parse_qs(name.removeprefix("/vsicurl?")).get("url", [name])[0]
    if (curl := _CURL.fullmatch(name)) is not None:
        return curl["url"]
    if (archive := _ARCHIVE.fullmatch(name)) is not None:
        return _archive(archive["rest"]) or name
    if _URL.match(name) is None and (part := _PART.fullmatch(name)) is not None:
        return _container(part["rest"]) or name
    return name


def _archive(rest: str) -> str | None:
    """Find the archive in a path after /vsizip/ and the like."""
    inner = rest.partition(",")[2] if re.match(r"\d+_\d+,", rest) else rest
    inner = inner[1:].partition("}")[0] if inner.startswith("{") else inner
    if re.match(r"/?vsi", inner):
        inner = "/" + inner.lstrip("/")
    for candidate in (Path(inner), *Path(inner).parents):
        if candidate.is_file():
            return str(candidate.resolve())
    base = _base(inner)
    if base == inner:
        return None
    remote = _REMOTE_ARCHIVE.match(base)
    return base if remote is None else remote[0]


def _container(rest: str) -> str | None:
    """Find the file in a name such as NETCDF:"sea.nc":sst, its prefix left out."""
    quoted = re.search(r'"([^"]+)"', rest)
    pieces = rest.split(":")
    spans = [
        ":".join(pieces[start:stop])
        for start in range(len(pieces))
        for stop in range(len(pieces), start, -1)
    ]
    for candidate in [quoted[1]] if quoted is not None else spans:
        if candidate and (base := _base(candidate)) != candidate:
            return base
        if candidate and Path(candidate).is_absolute() and _exists(candidate):
            return candidate
    return None


def _exists(name: str) -> bool:
    # Unlike a path's own method, which raises on a name that is too long to be one.
    return os.path.exists(name)  # noqa: PTH110


def _local_facts(name: str) -> str | None:
    """Return the identity of a local file; None if the name is of no local file."""
    if not _exists(name):
        return "absent" if is_local(name) else None
    path = Path(name)
    if name.endswith(_AUX):
        return _content(path)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return repr([(stat.st_size, stat.st_mtime_ns) for stat in (file.stat() for file in files)])


def _content(path: Path) -> str:
    """Digest an .aux.xml, apart from statistics and histograms; `_NOTHING` if it has no more."""
    data = path.read_bytes()
    try:
        root = ET.fromstring(data)
    except ET.ParseError:
        return sha256(data).hexdigest()
    for parent in list(root.iter()):
        for child in list(parent):
            key = child.get("key", "")
            if child.tag == "Histograms" or (child.tag == "MDI" and key.startswith(_STATISTICS)):
                parent.remove(child)
    text = [
        (element.tag, sorted(element.attrib.items()), (element.text or "").strip())
        for element in root.iter()
        if len(element) or (element.text or "").strip()
    ]
    says = any(words for *_, words in text)
    return sha256(repr(text).encode()).hexdigest() if says else _NOTHING


def _asked(url: str) -> str | None:
    """Ask a server for size and ETag or Last-Modified of a file; None if it doesn't say."""
    quoted = quote(url, safe="%/:=&?~#+!$,;'@()*[]")
    # Links that are signed for reading forbid HEAD.
    for request in (
        Request(quoted, method="HEAD"),
        Request(quoted, headers={"Range": "bytes=0-0"}),
    ):
        try:
            with urlopen(request, timeout=_SECONDS) as answer:
                headers = answer.headers
        except HTTPError as error:
            error.close()
            continue
        except (HTTPException, OSError, ValueError):
            return None
        total = headers.get("Content-Range", "").rpartition("/")[2]
        size = total or headers.get("Content-Length")
        version = headers.get("ETag") or headers.get("Last-Modified")
        return None if version is None else repr((size, version))
    return None
