"""Errors that GDAL reports and then reads on past, such as a missing file of a tile index."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of all that rasterio does, only its log tells of errors inside a call that ended well.
_LOG = logging.getLogger("rasterio._err")
_ABOVE = logging.getLogger("rasterio")

_heard = threading.local()


def _listen(record: logging.LogRecord) -> bool:
    """Keep an error of this thread, and pass on only records above the level of the log."""
    if _is_error(record) and getattr(_heard, "messages", None) is not None:
        _heard.messages.append(_text(record))
    return _ABOVE.isEnabledFor(record.levelno)


def _is_error(record: logging.LogRecord) -> bool:
    """Return False for warnings, such as one on a server that was asked again."""
    return record.levelno >= logging.ERROR or str(record.msg).startswith("GDAL signalled an error")


def _text(record: logging.LogRecord) -> str:
    # The arguments are GDAL's number of the error and its words.
    if isinstance(record.args, tuple) and record.args:
        return str(record.args[-1])
    return record.getMessage()


@contextmanager
def heard_errors() -> Iterator[list[str]]:
    """Collect the errors that GDAL reports in this thread, also where a call goes on past them.

    Yields
    ------
    list of str
        GDAL's messages, complete at the end of the block.
    """
    if _listen not in _LOG.filters:
        _LOG.addFilter(_listen)
    if not _LOG.isEnabledFor(logging.INFO):
        _LOG.setLevel(logging.INFO)
    messages: list[str] = []
    outer = getattr(_heard, "messages", None)
    _heard.messages = messages
    try:
        yield messages
    finally:
        _heard.messages = outer
