"""The share of a process in a job array, by the variables that schedulers set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.errors import SettingsError
from alps_geo.tiles.shares import Share

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHARD = re.compile(r"(auto|\d+)/(\d+)")

_KINDS = "SLURM_ARRAY_TASK_ID, AWS_BATCH_JOB_ARRAY_INDEX nor JOB_COMPLETION_INDEX"

ALL = Share(1, 1)
"""The share of a process that works on everything."""


MOST_SHARES = 100_000
"""Shares of a run, at most; schedulers take arrays of some ten thousand jobs."""


@dataclass(frozen=True)
class _Place:
    """Place of a process in a job array: its index from 0 on, the size if known, its variable."""

    index: int
    size: int | None
    variable: str


def share_of(text: str | None, variables: Mapping[str, str]) -> Share:
    """Decide the share of a process.

    Parameters
    ----------
    text : str or None
        As typed: "3/16"; "auto/16" for the place in a job array, of 16 parts; or None for that
        place and the size of the array, and for everything outside of one.
    variables : mapping of str to str
        Variables of the environment.

    Raises
    ------
    SettingsError
        If the text or the variables give no share.
    """
    if text is None:
        place = _place(variables)
        if place is None:
            return ALL
        if place.size is None:
            raise SettingsError(
                f"{place.variable} is set and nothing says how many there are; give --shard auto/N "
                "with N the completions of the job, or --shard 1/1 for all tiles"
            )
        return _share(place.index, place.size, place.variable)
    matched = _SHARD.fullmatch(text.strip())
    if matched is None:
        raise SettingsError(
            f"shard is {text!r}, expected I/N such as 3/16, from 1/16 to 16/16, or auto/16"
        )
    number, count = matched[1], int(matched[2])
    if number != "auto":
        return _share(int(number) - 1, count, "shard")
    place = _place(variables)
    if place is None:
        raise SettingsError(
            f"shard is {text!r}, and neither {_KINDS} is set; give the number, such as 1/{count}"
        )
    return _share(place.index, count, place.variable)


def _share(index: int, count: int, source: str) -> Share:
    if count > MOST_SHARES:
        raise SettingsError(f"shard is one of {count}, expected {MOST_SHARES} of them at most")
    if 0 <= index < count:
        return Share(index + 1, count)
    expected = f"expected 1/{count} to {count}/{count}" if count else "expected 1/1 at least"
    found = f"shard is {index + 1}/{count}"
    if source == "shard":
        raise SettingsError(f"{found}, {expected}")
    raise SettingsError(
        f"{found} by {source}, {expected}: the array has gaps, or its size is another; give "
        "--shard I/N, or --shard auto/N with a larger N"
    )


def _place(variables: Mapping[str, str]) -> _Place | None:
    """Find the place in an array of Slurm, AWS Batch or Kubernetes; None outside of one."""
    if "SLURM_ARRAY_TASK_ID" in variables:
        names = ("ID", "MIN", "STEP", "COUNT")
        task, first, step, size = (
            _number(variables, f"SLURM_ARRAY_TASK_{name}", default)
            for name, default in zip(names, (None, 0, 1, None), strict=True)
        )
        return _Place((task - first) // max(step, 1), size, "SLURM_ARRAY_TASK_ID")
    if "AWS_BATCH_JOB_ARRAY_INDEX" in variables:
        index = _number(variables, "AWS_BATCH_JOB_ARRAY_INDEX")
        size = _number(variables, "AWS_BATCH_JOB_ARRAY_SIZE")
        return _Place(index, size, "AWS_BATCH_JOB_ARRAY_INDEX")
    if "JOB_COMPLETION_INDEX" in variables:
        index = _number(variables, "JOB_COMPLETION_INDEX")
        return _Place(index, None, "JOB_COMPLETION_INDEX")
    return None


def _number(variables: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = variables.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isdecimal():
        found = "not set" if text is None else repr(text)
        raise SettingsError(
            f"{name} is {found}, expected a number, as schedulers set it for a job array; give "
            "--shard I/N"
        )
    return int(text)
