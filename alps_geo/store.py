"""The run folder: one file per tile, written whole or not at all, and what is already done.

::

    DIR/run.json                        what was run on what; written last
    DIR/clusters.npz                    the cluster model
    DIR/<scene>/labels.tif, ...         the results
    DIR/.tiles/run.json                 what is being run, from the first moment on
    DIR/.tiles/<scene>/0003_0007.npz    the fragments of tile row 3, column 7
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass, fields
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from alps_geo.errors import RunError
from alps_geo.features import RegionSums
from alps_geo.files import write_bytes
from alps_geo.fragments import Fragments

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.grid import Tile

SUMS = tuple(field.name for field in fields(RegionSums))


def fingerprint(value: Any) -> str:
    """SHA-256 of a value of plain types: equal for equal values, on every machine."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds the results of one run and the tiles they come from."""

    path: Path

    @property
    def record_path(self) -> Path:
        """Where the record of a finished run lies."""
        return self.path / "run.json"

    @property
    def model_path(self) -> Path:
        """Where the cluster model lies."""
        return self.path / "clusters.npz"

    @property
    def _begun_path(self) -> Path:
        return self.path / ".tiles" / "run.json"

    def scene_folder(self, scene: str) -> Path:
        """Where the results of a scene lie."""
        return self.path / scene

    def begin(self, identity: dict[str, Any], *, overwrite: bool) -> None:
        """Claim the folder for the run of this identity.

        Raises
        ------
        RunError
            If the folder holds another run and `overwrite` is False, or cannot be written.
        """
        found, wanted = self._claim(), fingerprint(identity)
        if found not in (None, wanted) and not overwrite:
            raise RunError(
                f"{self.path} holds another run (other scenes, settings or version); "
                "choose another --out, or replace it with --overwrite"
            )
        if found != wanted:
            # The old record would describe results that are about to be replaced.
            self.record_path.unlink(missing_ok=True)
        write_bytes(self._begun_path, json.dumps({"run": wanted}).encode())

    def finished_record(self, identity: dict[str, Any]) -> dict[str, Any] | None:
        """Return the record of the run of this identity if it has finished here, and is whole."""
        if self._claim() != fingerprint(identity) or not self.record_path.exists():
            return None
        try:
            record: dict[str, Any] = json.loads(self.record_path.read_bytes())
            whole = all((self.path / name).exists() for name in record["files"])
        except (ValueError, KeyError, TypeError):
            return None
        return record if whole else None

    def load_tile(self, scene: str, tile: Tile, key: str) -> Fragments | None:
        """Return a tile's fragments, or None if they are absent, damaged or of another `key`."""
        path = self._tile_path(scene, tile)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            with np.load(BytesIO(data), allow_pickle=False) as arrays:
                if str(arrays["key"]) != key:
                    return None
                sums = RegionSums(**{name: arrays[name] for name in SUMS})
                return Fragments(
                    arrays["labels"], sums, arrays["touching"], int(arrays["valid_pixels"])
                )
        except (BadZipFile, KeyError, ValueError, EOFError, zlib.error):
            return None

    def save_tile(self, scene: str, tile: Tile, key: str, fragments: Fragments) -> None:
        """Keep a tile's fragments under `key`.

        Raises
        ------
        RunError
            If the folder cannot be written; the tile is then absent, never half there.
        """
        buffer = BytesIO()
        np.savez_compressed(
            buffer,
            key=np.array(key),
            labels=fragments.labels,
            touching=fragments.touching,
            valid_pixels=np.array(fragments.valid_pixels),
            **fragments.sums.arrays(),
        )
        write_bytes(self._tile_path(scene, tile), buffer.getvalue())

    def _tile_path(self, scene: str, tile: Tile) -> Path:
        return self.path / ".tiles" / scene / f"{tile.row:04d}_{tile.col:04d}.npz"

    def _claim(self) -> str | None:
        """Fingerprint of the run that the folder holds; None for none."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file, expected a folder; choose another --out")
        try:
            return str(json.loads(self._begun_path.read_bytes())["run"])
        except FileNotFoundError:
            return "unknown" if self.record_path.exists() else None
        except (ValueError, KeyError, TypeError):
            return "unknown"
