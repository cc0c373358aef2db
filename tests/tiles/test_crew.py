"""Workers that come, go, differ or die: who is given tasks, and when a run waits or gives up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from alps_geo.errors import DiskError, RunError
from alps_geo.tiles import crew as crew_module
from alps_geo.tiles.crew import (
    Crew,
    CrewRules,
    DiedError,
    Failed,
    MissedError,
    SchedulerLostError,
    WorkerInfo,
)
from alps_geo.tiles.feed import Feed, InOrder
from alps_geo.tiles.shipped import UnfitWorkerError, WorkError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

Given = tuple[Any, frozenset[str], bool]


def plain(name: str, *, gpu: bool = False) -> WorkerInfo:
    return WorkerInfo(name, is_running=True, has_gpu=gpu)


def unfit(address: str) -> UnfitWorkerError:
    error = UnfitWorkerError(f"worker {address} does not see the run folder")
    error.address = address
    return error


@dataclass
class Scripted:
    """A scheduler whose workers come and go from look to look, and answer by a function."""

    looks: list[dict[str, WorkerInfo]]
    answer: Callable[[Any, frozenset[str]], Any] = lambda item, _: item * 10
    loads: dict[str, Any] = field(default_factory=dict)
    given: list[Given] = field(default_factory=list)
    withdrawn: list[int] = field(default_factory=list)
    ready: list[tuple[int, Any]] = field(default_factory=list)
    numbers: count[int] = field(default_factory=count)

    def workers(self) -> Mapping[str, WorkerInfo]:
        if not self.looks:
            raise SchedulerLostError
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def load(self, address: str) -> int:
        return self._answered(self.loads.get(address, address))

    def give(self, item: object, workers: Collection[str], *, on_gpu: bool) -> int:
        self.given.append((item, frozenset(workers), on_gpu))
        return self._answered(self.answer(item, frozenset(workers)))

    def _answered(self, result: Any) -> int:
        number = next(self.numbers)
        if result is not None:
            self.ready.append((number, result))
        return number

    def ended(self) -> list[tuple[int, Any]]:
        found, self.ready = self.ready, []
        return found

    def withdraw(self, tickets: Collection[int]) -> None:
        self.withdrawn += tickets


def results(
    link: Scripted, items: int, notes: list[str] | None = None, **rules: Any
) -> dict[int, Any]:
    told = [] if notes is None else notes
    given = CrewRules(**{"wait": 0.2, "tell": told.append, **rules})
    return dict(Crew(link, given).results(Feed(range(items)), lambda: None))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew_module, "_SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(crew_module, "_SECONDS_BETWEEN_RESULTS", 0.001)


def test_all_items_are_worked_on() -> None:
    link = Scripted([{"a": plain("a"), "b": plain("b")}])
    assert results(link, 50) == {n: n * 10 for n in range(50)}


def test_a_scheduler_has_few_tasks_at_a_time() -> None:
    looks = [{"a": plain("a"), "b": plain("b")}] * 9 + [{}]
    link = Scripted(looks, answer=lambda item, _: None)
    with pytest.raises(RunError):
        results(link, 100_000)
    assert len(link.given) == 6


def test_a_run_waits_for_the_first_worker_and_says_so() -> None:
    notes: list[str] = []
    link = Scripted([{}, {}, {"late": plain("late")}])
    assert len(results(link, 3, notes, wait=60)) == 3
    assert notes == ["no Dask worker is there: waiting up to 60 s for one"]


def test_without_any_worker_a_run_ends_with_one_line() -> None:
    with pytest.raises(RunError, match=r"no Dask worker came within 0.2 s: start some.*--wait"):
        results(Scripted([{}]), 3)


def test_an_unfit_worker_ends_a_run_that_has_not_begun() -> None:
    link = Scripted([{"a": plain("a"), "b": plain("b")}], loads={"b": unfit("b")})
    with pytest.raises(RunError, match="worker b does not see the run folder, or stop"):
        results(link, 3, is_strict=True)
    assert not link.given


def test_an_unfit_worker_that_comes_later_is_told_of_and_left_out() -> None:
    notes: list[str] = []
    both = {"a": plain("a"), "b": plain("b")}
    looks = [{"a": plain("a")}] * 3 + [both]
    link = Scripted(looks, loads={"b": unfit("b")})
    assert len(results(link, 200, notes, is_strict=True)) == 200
    assert notes == ["worker b does not see the run folder; it is given no tiles"]
    assert link.given[-1][1] == {"a"}


def test_a_task_that_reaches_an_unfit_worker_goes_to_another() -> None:
    notes: list[str] = []
    link = Scripted(
        [{"a": plain("a"), "b": plain("b")}],
        answer=lambda item, workers: item if workers == {"a"} else unfit("b"),
    )
    assert results(link, 9, notes) == {n: n for n in range(9)}
    assert len(notes) == 1


def test_tasks_whose_workers_are_gone_are_given_again() -> None:
    both = {"a": plain("a"), "b": plain("b")}
    # b is unfit, so that tasks are for a alone; a goes without an answer, and c comes.
    looks = [both, both, both, {"b": plain("b")}, {"b": plain("b"), "c": plain("c")}]
    link = Scripted(
        looks,
        loads={"b": unfit("b")},
        answer=lambda item, workers: item if workers == {"c"} else None,
    )
    assert results(link, 3, wait=60) == {0: 0, 1: 1, 2: 2}
    assert len(link.withdrawn) == 3


def test_tasks_go_to_workers_with_gpus_where_there_are_some() -> None:
    link = Scripted([{"a": plain("a"), "g": plain("g", gpu=True)}])
    results(link, 3, on_gpu=True)
    assert {on_gpu for _, _, on_gpu in link.given} == {True}
    assert next(link.numbers) == 1 + 3  # one worker has loaded
    link = Scripted([{"a": plain("a"), "g": plain("g", gpu=True)}])
    results(link, 3)
    assert {on_gpu for _, _, on_gpu in link.given} == {False}


def test_workers_that_end_while_they_load_are_no_reason_to_wait_forever() -> None:
    looks = [{str(n): plain(str(n))} for n in range(9)]
    link = Scripted(looks, loads={str(n): None for n in range(9)} | {"0": MissedError()})
    link.load = lambda address: link._answered(None)  # type: ignore[method-assign]
    with pytest.raises(RunError, match="3 Dask workers ended while they loaded the models"):
        results(link, 3, wait=60)


def test_unexpected_errors_are_failed_items_and_known_errors_end_the_run() -> None:
    there = [{"a": plain("a")}]
    found = results(Scripted(there, lambda item, _: WorkError("KeyError: 'x'", "Traceback")), 1)
    assert found == {0: Failed("KeyError: 'x'", "Traceback")}
    with pytest.raises(DiskError, match="full"):
        results(Scripted(there, lambda item, _: DiskError("full")), 1)


def test_an_item_that_kills_its_workers_fails_and_those_that_lay_next_to_it_do_not() -> None:
    died = DiedError("4 workers died")
    link = Scripted([{"a": plain("a"), "b": plain("b")}])
    blamed = {1, 2, 3}

    def answer(item: int, workers: frozenset[str]) -> Any:
        if item == 2 or item in blamed:
            blamed.discard(item)
            return died
        return item

    link.answer = answer
    assert results(link, 6) == {0: 0, 1: 1, 2: Failed("4 workers died"), 3: 3, 4: 4, 5: 5}
    assert [item for item, _, _ in link.given].count(2) == 2


def test_results_that_are_lost_on_their_way_are_asked_for_again_but_not_forever() -> None:
    lost = iter([MissedError(), MissedError(), 7])
    there = [{"a": plain("a")}]
    assert results(Scripted(there, lambda item, _: next(lost)), 1) == {0: 7}
    found = results(Scripted(there, lambda item, _: MissedError("withdrawn")), 1)
    assert found == {0: Failed("withdrawn")}


def test_what_workers_had_when_the_scheduler_went_is_given_again() -> None:
    link = Scripted([{"a": plain("a")}], answer=lambda item, _: None)
    crew = Crew(link, CrewRules(60, lambda _: None))
    feed = Feed("xyzv")
    original = link.workers
    calls = count()

    def workers() -> Mapping[str, WorkerInfo]:
        if next(calls) > 5:
            raise SchedulerLostError
        return original()

    link.workers = workers  # type: ignore[method-assign]
    with pytest.raises(SchedulerLostError):
        list(crew.results(feed, lambda: None))
    feed.put_back(crew.left())
    taken = [feed.take() for _ in range(4)]
    assert taken == [(0, "x"), (1, "y"), (2, "z"), (3, "v")]
    assert feed.take() is None
    assert not feed


def test_results_are_handed_on_in_order() -> None:
    ordered = InOrder[str]()
    found = [list(ordered.add(*each)) for each in [(1, "b"), (0, "a"), (3, "d"), (2, "c")]]
    assert found == [[], ["a", "b"], [], ["c", "d"]]
    feed = Feed("abc")
    assert [feed.take(1), feed.take(1), feed.take(2)] == [(0, "a"), None, (1, "b")]


def test_workers_are_told_of_while_they_are_there() -> None:
    told: list[dict[str, Any]] = []
    idle = {"a": plain("a"), "b": plain("b"), "c": plain("c")}
    busy = {**idle, "b": replace(plain("b"), item=7)}
    gone = {name: busy[name] for name in ("a", "c")}
    link = Scripted([idle, busy, gone], loads={"c": unfit("c")})
    results(link, 50, working=lambda now: told.append(dict(now)))
    # An unfit one may be at others' work.
    assert told[:3] == [{}, {"a": None, "b": 7}, {"a": None}]
    assert told[-1] == {"a": None}
