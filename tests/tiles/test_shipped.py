"""Work that is shipped is checked on the worker, and its errors name the worker."""

from __future__ import annotations

import pickle
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from alps_geo.errors import DiskError, ModelError, SceneError
from alps_geo.files.storage import LocalStorage
from alps_geo.tiles import shipped
from alps_geo.tiles.shipped import (
    PreparedLater,
    Shipment,
    ShippedWork,
    UnfitWorkerError,
    WorkError,
    nothing_needed,
    shown_token,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def prepare() -> Callable[[Any], Any]:
    return double


def double(item: int) -> int:
    return item * 2


def raise_given(error: Exception) -> Any:
    raise error


def arrived(shipment: Shipment) -> ShippedWork:
    """Send work on its way, and have it arrive on a worker."""
    work: ShippedWork = pickle.loads(pickle.dumps(ShippedWork(pickle.dumps(shipment))))
    work.begin("n7", "tcp://10.0.0.7:4000")
    return work


def test_work_is_loaded_once_and_names_its_worker() -> None:
    work = arrived(Shipment(prepare, nothing_needed))
    assert work.load() == "n7"
    assert [work.do(item) for item in (1, 2)] == [("n7", 2), ("n7", 4)]


def test_a_worker_that_sees_another_folder_is_unfit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "_SECONDS_TO_APPEAR", 0.0)
    with shown_token(LocalStorage(tmp_path / "run" / ".tiles")) as token:
        arrived(Shipment(prepare, nothing_needed, token)).load()
        token.storage.put(token.name, b"of another run")
        with pytest.raises(
            UnfitWorkerError, match=r"^worker n7 does not see the run folder.*mount"
        ):
            arrived(Shipment(prepare, nothing_needed, token)).load()
    assert not [*(tmp_path / "run" / ".tiles").iterdir()]
    with pytest.raises(UnfitWorkerError) as caught:
        arrived(Shipment(prepare, nothing_needed, token)).load()
    # A scheduler sends exceptions on.
    assert pickle.loads(pickle.dumps(caught.value)).address == "tcp://10.0.0.7:4000"


def test_a_file_that_a_shared_file_system_shows_late_is_waited_for(tmp_path: Path) -> None:
    with shown_token(LocalStorage(tmp_path)) as token:
        token.storage.remove([token.name])
        timer = threading.Timer(0.7, token.storage.put, [token.name, token.text.encode()])
        timer.start()
        token.check()
        timer.join()


@pytest.mark.parametrize("error", [SceneError("x.tif: no such file"), ModelError("no weights")])
def test_a_worker_without_inputs_or_weights_is_unfit(error: Exception) -> None:
    work = arrived(Shipment(prepare, partial(raise_given, error)))
    with pytest.raises(UnfitWorkerError, match=f"worker n7 cannot do this work: {error}"):
        work.load()


def test_other_versions_make_a_worker_unfit(monkeypatch: pytest.MonkeyPatch) -> None:
    work = arrived(Shipment(prepare, nothing_needed))
    there = tuple((name, "9.9") if name == "GDAL" else (name, v) for name, v in shipped.versions())
    monkeypatch.setattr(shipped, "versions", lambda: there)
    with pytest.raises(UnfitWorkerError, match=r"worker n7 has GDAL 9.9 \(here .*\): .*install"):
        work.load()


def test_builds_of_one_torch_for_other_devices_are_one_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shipped.versions.cache_clear()
    monkeypatch.setattr(shipped, "version", lambda name: "2.6.0+cu124")
    assert ("torch", "2.6.0") in shipped.versions()
    shipped.versions.cache_clear()


def test_work_that_cannot_be_read_there_makes_a_worker_unfit() -> None:
    work = ShippedWork(b"of a later program")
    work.begin("n7", "tcp://10.0.0.7:4000")
    with pytest.raises(UnfitWorkerError, match="worker n7 cannot load this work"):
        work.load()


def test_errors_of_work_name_the_worker_and_keep_their_kind() -> None:
    work = arrived(
        Shipment(partial(PreparedLater, partial(raise_given, DiskError("full"))), nothing_needed)
    )
    with pytest.raises(DiskError, match=r"full \(on worker n7\)"):
        work.do(1)
    work = arrived(Shipment(prepare, nothing_needed))
    with pytest.raises(WorkError) as caught:
        work.do(None)
    reason, details = pickle.loads(pickle.dumps(caught.value)).args
    assert reason.startswith("TypeError: ")
    assert reason.endswith("(on worker n7)")
    assert "in double" in details


def test_a_process_works_on_one_item_at_a_time() -> None:
    at_work, most = [0], [0]
    started = threading.Barrier(3)

    def count(item: int) -> int:
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        threading.Event().wait(0.05)
        at_work[0] -= 1
        return item

    work = ShippedWork(b"")
    work.begin("n7", "")
    work._function = count

    def do(item: int) -> None:
        started.wait()
        work.do(item)

    threads = [threading.Thread(target=do, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
