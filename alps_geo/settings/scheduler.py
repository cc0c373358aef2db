"""Addresses of Dask schedulers, as a user gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from alps_geo.errors import SettingsError
from alps_geo.fields import Between, Rule, setting

_MOST_WORKERS = 1024
_LAST_PORT = 65535


@dataclass(frozen=True)
class SchedulerAddress:
    """A Dask scheduler: one that runs, one that a file tells of, or one to be started here.

    Attributes
    ----------
    url : str or None
        Address of a scheduler that runs.
    file : str or None
        Path of the file in which a scheduler has written its address.
    workers : int
        Number of workers to start on this machine; 0 for a scheduler that runs.
    """

    url: str | None = None
    file: str | None = None
    workers: int = 0

    @classmethod
    def read(cls, text: str) -> SchedulerAddress:
        """Read text such as tcp://10.0.0.1:8786; raise ValueError for text of another form.

        >>> SchedulerAddress.read("local:4")
        SchedulerAddress(url=None, file=None, workers=4)
        """
        if (found := re.fullmatch(r"local:([0-9]{1,4})", text)) is not None:
            if not 1 <= int(found[1]) <= _MOST_WORKERS:
                raise ValueError(text)
            return cls(workers=int(found[1]))
        if "://" in text:
            found = re.fullmatch(r"(?:tcp|tls|ws|wss)://[^/\s]+:([0-9]{1,5})", text)
            if found is None or not 1 <= int(found[1]) <= _LAST_PORT:
                raise ValueError(text)
            return cls(url=text)
        # The likeliest slip: an address without its protocol, which no file is named like.
        if not text or text.startswith("local") or re.fullmatch(r"[^/\\]+:[0-9]{1,5}", text):
            raise ValueError(text)
        return cls(file=text)

    def __str__(self) -> str:
        return self.url or self.file or f"local:{self.workers}"


@dataclass(frozen=True)
class SchedulerRule(Rule):
    """Text that `SchedulerAddress` can be read from, or none."""

    def check(self, name: str, value: Any) -> None:
        """Raise SettingsError for text of another form."""
        try:
            if value is not None:
                SchedulerAddress.read(value)
        except (ValueError, TypeError) as error:
            raise SettingsError(
                f"{name} is {value!r}, expected tcp://HOST:PORT of a Dask scheduler, the path of "
                f"its scheduler file, or local:N for N workers here, 1 to {_MOST_WORKERS}"
            ) from error

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "`tcp://HOST:PORT`, a scheduler file, or `local:N`"


def dask_setting(panel: str, shared: str) -> str | None:
    """Define the field of the scheduler.

    Parameters
    ----------
    panel : str
        Panel of the option.
    shared : str
        Names of all that workers need under the same paths.
    """
    return setting(
        None,
        SchedulerRule(),
        "Let the workers of a Dask scheduler work on tiles, in place of `--workers`: its address "
        "tcp://HOST:PORT, the path of its scheduler file, or local:N for N workers on this "
        "machine.\n\n"
        f"All of them need {shared} under the same paths. Needs `pip install 'alps-geo[dask]'`.",
        panel,
        decides="nothing",
        metavar="ADDRESS",
    )


def wait_setting(panel: str) -> float:
    """Define the field of the time to wait for workers and for the scheduler."""
    return setting(
        60.0,
        Between(0, 86400),
        "Seconds to wait for a worker of `--dask` where there is none, and for its scheduler to "
        "come back.",
        panel,
        decides="nothing",
        metavar="SECONDS",
        shown="60",
    )


def check_workers(workers: int, dask: str | None) -> None:
    """Check that tiles are given to processes here or to a Dask scheduler.

    Raises
    ------
    SettingsError
        If they are given to both.
    """
    if dask is not None and workers != 1:
        raise SettingsError(
            f"workers is {workers} and dask is {dask!r}, expected one of them: leave out "
            "--workers, or start as many workers of Dask"
        )
