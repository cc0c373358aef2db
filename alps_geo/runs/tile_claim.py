"""Claim of a process that works on tiles of a run folder next to others, and changes nothing else.

The plan is written by the first of them. Whoever comes with another plan is turned away: only a run
that has the folder for itself may clear it.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.files import put_bytes
from alps_geo.outputs.provenance import current_date
from alps_geo.runs.claim import check_claim
from alps_geo.runs.lock import BusyError, held, held_together
from alps_geo.runs.reading import plan_damage, read_plan
from alps_geo.runs.store import join_in_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.plan import Plan


@contextmanager
def claimed_together(folder: RunFolder, plan: Plan, inputs: Sequence[str] = ()) -> Iterator[None]:
    """Hold a folder for work on the tiles of a run, as other processes may at the same time.

    Nothing in the folder is removed. An object store is not held: it has no locks.

    Parameters
    ----------
    folder : RunFolder
        The folder.
    plan : Plan
        The run; written if none was in the folder.
    inputs : sequence of str
        Files that the run reads, and that must not be replaced by its results.

    Raises
    ------
    RunError
        If the folder holds another run or results that would be lost, if a process holds it alone,
        or if it cannot be written.
    """
    if folder.store is not None:
        join_in_store(folder.store, plan)
        yield
        return
    if _planned(folder) is None:
        # Held by others already, the first of them has written the plan in the meantime.
        with suppress(BusyError), held(folder):
            _begin(folder, plan, inputs)
    with held_together(folder):
        found = _planned(folder)
        if found is None or found.fingerprint != plan.fingerprint:
            option = "--work" if plan.is_fit else "--out"
            raise RunError(
                f"{folder.path} holds another run (other scenes, settings or version), whose tiles "
                f"stay; choose another {option}, or give the command once without --only tiles and "
                "with --overwrite, which keeps tiles that still fit"
            )
        yield


def _begin(folder: RunFolder, plan: Plan, inputs: Sequence[str]) -> None:
    """Write the plan of a run into a folder, held alone, that has none."""
    if _planned(folder) is None:
        check_claim(folder, plan, inputs, overwrite=False, force=False)
        dated = replace(plan, date=current_date())
        put_bytes(folder.plan_path, json.dumps(dated.to_json()).encode())


def _planned(folder: RunFolder) -> Plan | None:
    """Read the plan of a folder; None without one."""
    if (damage := plan_damage(folder)) is not None:
        raise RunError(
            f"{damage}; give the command of that run once without --only tiles and with "
            "--overwrite: tiles that still fit are kept"
        )
    return read_plan(folder)
