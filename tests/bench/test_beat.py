"""How late schedules are: counted from the due time to the start, and nobody gets a figure for what did not fire."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import scenarios
from benchmarks.bench import Bench, Failed, Sizes
from benchmarks.peers import starts
from benchmarks.registry import PEERS
from benchmarks.scenarios import SCENARIOS

IN_WORKER = next(peer for peer in PEERS if peer.name == "aioqueue worker --beat")


class Process:
    """As a scenario sees one."""

    alive = True

    def last_words(self) -> str:
        return "what a quiet night"


class Clock:
    """Sleeping takes no time, and a schedule fires meanwhile: each second, that late in milliseconds, or not at all."""

    def __init__(self, late: dict[int, list[int]]) -> None:
        self.now, self.late = 1000.25, late

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        for due in range(int(self.now) + 1, int(until) + 1):
            for late in self.late.get(due, [5]):
                self.now = due + late / 1000
                starts.began(due)
        self.now = until


@pytest.fixture
def bench(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(IN_WORKER, Path(sys.executable), redis_url, tmp_path, Sizes(beats=10, patience=10))
    monkeypatch.setenv("BENCHMARK_TALLY", str(made.tally_folder))
    yield made
    made.client.close()


def simulated(bench: Bench, monkeypatch: pytest.MonkeyPatch, late: dict[int, list[int]]) -> scenarios.Figures:
    """The figures, where a schedule fires like that; the watched seconds are those from 1003 on."""

    @contextmanager
    def nobody() -> Iterator[list[Any]]:
        yield [Process()]

    def calm(*_: object) -> None:
        clock.sleep(1)

    clock = Clock(late)
    monkeypatch.setattr(bench, "beat", nobody)
    monkeypatch.setattr(scenarios, "_calm", calm)
    monkeypatch.setattr(scenarios, "time", clock)
    monkeypatch.setattr(starts, "time", clock)
    return SCENARIOS["beat"].run(bench, lambda _: None)


def test_late_is_from_the_due_time_to_the_start(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = simulated(bench, monkeypatch, {1004: [40], 1005: [90]})
    assert found == pytest.approx({"beat_p50": 5, "beat_p99": 40, "beat_max": 90, "beat_missed": 0}, abs=0.01)
    assert not bench.repeated


def test_what_did_not_fire_and_what_fired_twice_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = simulated(bench, monkeypatch, {1004: [], 1006: [], 1008: [3, 4], 1001: [3, 4]})
    assert found["beat_missed"] == pytest.approx(20)
    assert bench.repeated == 1


def test_a_schedule_that_never_fires_has_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match="no schedule fired in 10 s: what a quiet night"):
        simulated(bench, monkeypatch, {due: [] for due in range(1000, 1100)})
    with pytest.raises(Failed, match="no schedule fired in 10 s, after the first time"):
        simulated(bench, monkeypatch, {due: [] for due in range(1003, 1100)})


@pytest.mark.parametrize(("now", "due"), [(1000.3, 1000), (1000.99, 1001), (1001.0, 1001), (1000.97, 1000)])
def test_where_a_peer_tells_no_due_time_it_is_the_whole_second(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, now: float, due: int
) -> None:
    clock = Clock({})
    clock.now = now
    monkeypatch.setattr(starts, "time", clock)
    starts.began()
    assert bench.starts() == [(due, now)]


def test_a_worker_with_its_scheduler_is_measured(bench: Bench) -> None:
    bench.sizes = Sizes(beats=2)
    before = time.monotonic()
    found = SCENARIOS["beat"].run(bench, lambda _: None)
    assert found.keys() == {"beat_p50", "beat_p99", "beat_max", "beat_missed"}
    assert 0 < found["beat_p50"] <= found["beat_max"] < (time.monotonic() - before) * 1e3
    assert found["beat_missed"] < 100
