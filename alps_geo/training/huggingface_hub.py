"""The Hugging Face Hub, from which weights are downloaded: asked once whether it can be reached."""

from __future__ import annotations

import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.error import HTTPError

from huggingface_hub import constants

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 5.0
"""Time in which the Hub has to answer."""


@contextmanager
def without_retries() -> Iterator[None]:
    """Let downloads fail at once where the Hub cannot be reached.

    The library asks again and again for each file, half a minute in all. Files that it has
    downloaded before are found without the Hub.

    Raises
    ------
    ConnectionError
        If it cannot be reached, and a file was not downloaded before.
    """
    if constants.HF_HUB_OFFLINE or _is_reached():
        yield
        return
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    except OSError:
        # The library's own error advises to unset a variable that nobody has set.
        raise ConnectionError(f"{constants.ENDPOINT} cannot be reached") from None
    finally:
        constants.HF_HUB_OFFLINE = False


def _is_reached() -> bool:
    """Ask the Hub once, by the proxy of the environment if there is one."""
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=SECONDS).close()
    except HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True
