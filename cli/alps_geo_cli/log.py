"""The log of a run over a folder of images."""

from __future__ import annotations

import logging
import shlex
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from alps_geo.errors import AlpsGeoError, StoreError
from alps_geo.files import run_errors
from alps_geo.runs.address import RunAddress, store_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alps_geo.events import Event
    from alps_geo.runs.record import RunRecord


class RunLog:
    """Lines of a run, with their times; the file is made with the first of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handler: logging.FileHandler | None = None
        self._now = ""

    def listener(self, show: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return a listener that logs stages and notes, and hands all events on."""

        def listen(event: Event) -> None:
            if event.note:
                self.write(f"note: {event.noted}")
            # Each split when the run comes to it, and not each image.
            elif (now := f"{event.stage} {event.scene}".strip()) != self._now:
                self._now = now
                self.write(now)
            show(event)

        return listen

    def end(self, record: RunRecord) -> None:
        """Log the results of a run."""
        for each in record.failed:
            self.write(f"failed: {each}")
        images = sum(split.images or 0 for split in record.scenes)
        self.write(
            f"finished: {images} images, {record.segments} segments, "
            f"{len(record.clusters)} clusters, {len(record.failed)} failed"
        )

    def write(self, text: str) -> None:
        """Add a line.

        Raises
        ------
        RunError
            If the file cannot be written.
        """
        with run_errors(self._path):
            if self._handler is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._handler = logging.FileHandler(self._path, encoding="utf-8")
                self._handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
                self.write(f"alps-geo {shlex.join(sys.argv[1:])}")
            self._handler.emit(logging.makeLogRecord({"msg": text}))

    def close(self) -> None:
        """Close the file."""
        if self._handler is not None:
            self._handler.close()


@contextmanager
def logged(place: Path | RunAddress, name: str) -> Iterator[RunLog]:
    """Log a run; an error that ends it is its last line, if anything was logged before.

    Parameters
    ----------
    place : pathlib.Path or RunAddress
        Folder of the results. The log of a run in a store is put there when the run ends.
    name : str
        Path of the log in it.
    """
    if not isinstance(place, RunAddress):
        with _logged(place / name) as log:
            yield log
        return
    with TemporaryDirectory() as folder:
        path = Path(folder, "log")
        try:
            with _logged(path) as log:
                yield log
        except StoreError:
            # The log would not get there either.
            raise
        except AlpsGeoError:
            with suppress(StoreError):
                _add(place, name, path)
            raise
        _add(place, name, path)


def _add(place: RunAddress, name: str, path: Path) -> None:
    """Add the lines of a file to the log in a store."""
    if path.exists():
        store = store_at(str(place))
        store.put(name, (store.read(name) or b"") + path.read_bytes())


@contextmanager
def _logged(path: Path) -> Iterator[RunLog]:
    log = RunLog(path)
    try:
        yield log
    except AlpsGeoError as error:
        if path.exists():
            log.write(f"error: {error}")
        raise
    finally:
        log.close()
