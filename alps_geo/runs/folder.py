"""Paths and names in a run folder.

::

    DIR/run.json                              the record of the finished run; moved into place last
    DIR/clusters.npz                          the cluster model
    DIR/overrides.json                        clusters that a person gave segments; see
                                              `alps_geo.runs.overrides`
    DIR/gallery.html, suggest.png             pictures of the clusters, where they were asked for
    DIR/report.html                           the page of the run, where it was asked for
    DIR/classes.npz                           the model of classes, where segments were classified
    DIR/suggested.gpkg, suggested.html        segments to label next, and a page that shows them
    DIR/similar.gpkg                          segments most like one, where they were asked for
    DIR/<scene>/labels.tif, ...               the results
    DIR/<scene>/classes.tif, ...              the results of classes
    DIR/.run.json.partial/                    all results and the record, until all are written
    DIR/.tiles/run.json                       the plan of the run, from the first moment on
    DIR/.tiles/address                        the address of the run, if it is kept in a store
    DIR/.tiles/lock                           held while a run is at work here
    DIR/.tiles/workers/                       notes of the processes at work on tiles, until the run
                                              has finished: see `alps_geo.runs.workers`
    DIR/.tiles/<scene>.<key>/                 the tiles:
        0003_0007.outlines.npz                the outlines of tile row 3, column 7, which is done
        0003_0007.embeddings.npz              its embeddings
        0003_0007.probabilities.npz           the probabilities of its classes, in a prediction
        0003_0007.json                        why that tile failed
    DIR/.tiles/<scene>.segments/              the segments: see `alps_geo.segments.table`, and
                                              `alps_geo.segments.painting` while a run is at work
    DIR/.tiles/change.json                    a change of the clusters, until it is made
    DIR/.tiles/change.npz                     the cluster model that this leads to
    DIR/.tiles/classify/                      a change of the classes, until it is made:
        change.json                           its command, written last
        classes.npz                           the model of classes that it leads to
        <scene>.scene.npz                     classes of the segments, see `alps_geo.runs.classes`
    DIR/.tiles/<scene>.classes/               the classes of the segments, as they were written
    DIR/.tiles/polygons.json                  the contents of the polygons, as they were written

A run in an object store has the same files under its address. There tiles, notes of failures and
the plan are put as they are made; all else is made in a folder of this machine, and put at the end.

The files of the tiles are those of `alps_geo.runs.tile_store`. Modules next to this one work on the
folder: `reading` reads the small files, `lock` and `claim` keep others out, `writing` puts results
into their places and `journal` notes changes of the clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.files.storage import LocalStorage
from alps_geo.outputs.names import CLASS_MODEL, MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.files.storage import ObjectStore, Storage

RECORD, TILES = "run.json", ".tiles"
"""Names of the record, and of the folder of all that is no result."""

OVERRIDES = "overrides.json"
"""Name of the file of clusters that a person gave segments."""

OUTLINES, EMBEDDINGS = "outlines.npz", "embeddings.npz"
"""Endings of the names of a tile's files, after its row and column; outlines are written last."""

PROBABILITIES = "probabilities.npz"
"""Ending of the name of a tile's file in a prediction."""

_KEY_DIGITS = 16


@dataclass(frozen=True)
class RunFolder:
    """Paths in a run folder; a value that reads and writes nothing.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    store : ObjectStore or None
        The object store that the run is kept in, if it is: then the folder is that in which its
        results are made.
    """

    path: Path
    store: ObjectStore | None = None

    @property
    def record_path(self) -> Path:
        """Path of the record of a finished run."""
        return self.path / RECORD

    @property
    def model_path(self) -> Path:
        """Path of the cluster model."""
        return self.path / MODEL

    @property
    def overrides_path(self) -> Path:
        """Path of the clusters that a person gave segments."""
        return self.path / OVERRIDES

    @property
    def tiles_path(self) -> Path:
        """Folder of all that is no result."""
        return self.path / TILES

    @property
    def plan_path(self) -> Path:
        """Path of the plan."""
        return self.tiles_path / "run.json"

    @property
    def address_path(self) -> Path:
        """Path of the note of the store that the run is kept in."""
        return self.tiles_path / "address"

    @property
    def lock_path(self) -> Path:
        """Path of the file that is locked while a process is at work here."""
        return self.tiles_path / "lock"

    @property
    def workers_path(self) -> Path:
        """Folder of the notes of the processes that work on tiles."""
        return self.tiles_path / "workers"

    @property
    def change_path(self) -> Path:
        """Path of the note of a change of the clusters, until it is made."""
        return self.tiles_path / "change.json"

    @property
    def changed_model_path(self) -> Path:
        """Path of the cluster model that a change leads to, until it is in its place."""
        return self.tiles_path / "change.npz"

    @property
    def class_model_path(self) -> Path:
        """Path of the model of classes."""
        return self.path / CLASS_MODEL

    @property
    def class_change_path(self) -> Path:
        """Path of the note of a change of the classes, until it is made."""
        return self.tiles_path / "classify" / "change.json"

    @property
    def polygons_path(self) -> Path:
        """Path of the note of the contents of all polygons, as the run wrote them."""
        return self.tiles_path / "polygons.json"

    def scene_folder(self, scene: str) -> Path:
        """Return the folder of the results of a scene."""
        return self.path / scene

    def segments_folder(self, scene: str) -> Path:
        """Return the folder of the segments of a scene, by the name of that of its results."""
        return self.tiles_path / f"{scene}.segments"

    def classes_folder(self, scene: str) -> Path:
        """Return the folder of the classes of the segments of a scene."""
        return self.tiles_path / f"{scene}.classes"

    def tiles_folder(self, scene: str, key: str) -> Path:
        """Return the folder of the tiles of a scene that depend on a fingerprint `key`."""
        return self.tiles_path / f"{scene}.{key[:_KEY_DIGITS]}"

    @property
    def results(self) -> Storage:
        """Storage of the results of a finished run."""
        return LocalStorage(self.path) if self.store is None else self.store

    def tile_storage(self, name: str) -> Storage:
        """Return the storage of tiles, by the name of their folder."""
        if self.store is None:
            return LocalStorage(self.tiles_path / name)
        return self.store.within(f"{TILES}/{name}")
