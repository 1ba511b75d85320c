"""Random canvases, played by workers, compared with what a plain interpreter says of them."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import pytest
import redis
from faults.conftest import nursery  # noqa: F401
from faults.record import Reader
from faults.tasks import make_app
from faults.workers import WorkerProcess
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.apps import is_empty, outcome
from support.nursery import Nursery
from support.waiting import until

from aioqueue import AioQueue, TaskContext
from aioqueue.ids import short_id

from .drawing import canvases
from .interpreter import Interpreter, check, check_order
from .leftovers import check_ended, is_quiet, sweep
from .plays import Spec, add_tasks, build

PATIENCE = 20.0

Programme = list[tuple[Spec, list[Any]]]
"""Canvases that are sent at once, with arguments."""

programmes: st.SearchStrategy[Programme] = st.lists(
    st.tuples(canvases(), st.sampled_from([[], [], ["sent"]])), min_size=1, max_size=3
)
LENGTHS = [
    pytest.param(False, id="short"),
    pytest.param(True, marks=[pytest.mark.slow, pytest.mark.timeout(900)], id="long"),
]


class House(Protocol):
    """Where plays are played."""

    app: AioQueue

    async def over(self) -> None:
        """Wait until nothing is left to do, and look for what should not be there any more."""

    def told(self) -> dict[str, list[tuple[float, list[Any]]]]:
        """What happened since, by play, with the times."""


def configured(long: bool, *, short: int) -> settings:
    """The short run is the same each time, the long one another one."""
    return settings(
        max_examples=2000 if long else short,
        derandomize=not long,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


async def played(house: House, programme: Programme) -> None:
    """Play it, and compare."""
    plays = {short_id(): Interpreter(spec, args) for spec, args in programme}
    canvases = [build(spec, house.app, play) for play, (spec, _) in zip(plays, programme, strict=True)]
    results = [await canvas.send(*args) for canvas, (_, args) in zip(canvases, programme, strict=True)]
    given = await asyncio.gather(*(outcome(result, timeout=PATIENCE) for result in results))
    await house.over()
    for result in results:
        graph = await result.graph()
        assert graph.ended, graph.nodes
    told = house.told()
    for (play, model), value in zip(plays.items(), given, strict=True):
        lines = told.get(play, [])
        check(model, value, Counter(json.dumps(what) for _, what in lines))
        times: dict[int, list[float]] = defaultdict(list)
        for at, what in lines:
            if isinstance(what[0], int):
                times[what[0]].append(at)
        check_order(model, times)


# In one process


class InProcess:
    """The memory broker, and a worker beside."""

    def __init__(self) -> None:
        self.app = AioQueue("plays", broker="memory://")
        self._told: dict[str, list[tuple[float, list[Any]]]] = defaultdict(list)
        add_tasks(self.app, self._tell)

    def _tell(self, ctx: TaskContext, play: str, what: list[Any]) -> None:
        self._told[play].append((monotonic(), what))

    async def over(self) -> None:
        await until(lambda: is_empty(self.app), what="the queue to be empty")

    def told(self) -> dict[str, list[tuple[float, list[Any]]]]:
        return self._told


@pytest.mark.parametrize("long", LENGTHS)
def test_any_canvas_gives_what_the_interpreter_says_in_one_process(
    long: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aioqueue")  # failures are what is played
    house = InProcess()

    with asyncio.Runner() as runner:
        runner.run(house.app.__aenter__())
        worker = house.app.worker(concurrency=20)
        runner.run(worker.__aenter__())

        @configured(long, short=120)
        @given(programmes)
        def run(programme: Programme) -> None:
            house.told().clear()
            runner.run(played(house, programme))

        try:
            run()
        finally:
            runner.run(worker.__aexit__(None, None, None))
            runner.run(house.app.__aexit__(None, None, None))


# In several processes


class Processes:
    """A real server, and real workers, which write down what they do."""

    def __init__(self, url: str, folder: Path) -> None:
        self.app = make_app(url)
        self.client = redis.Redis.from_url(url)
        self._score = Reader(folder)

    async def over(self) -> None:
        await until(lambda: is_quiet(self.client), PATIENCE, what="the queues to be empty")
        check_ended(self.client)

    def told(self) -> dict[str, list[tuple[float, list[Any]]]]:
        found: dict[str, list[tuple[float, list[Any]]]] = defaultdict(list)
        for line in self._score.select("played"):
            play, what = json.loads(line.note)
            found[play].append((line.at, what))
        self._score.forget()
        return found


@contextmanager
def two_workers(url: str, nursery: Nursery) -> Iterator[Processes]:  # noqa: F811
    """Two processes that work."""
    with tempfile.TemporaryDirectory(prefix="aioqueue-plays-") as name:
        folder = Path(name)
        order: dict[str, Any] = {
            "folder": name,
            "url": url,
            "settings": {},
            "constants": {"faults.tasks.LONGEST_ACT": 0.0},
            "options": {"concurrency": 20},
        }
        workers = [WorkerProcess.begin(nursery, {**order, "log": str(folder / f"worker{n}.log")}) for n in range(2)]
        try:
            yield Processes(url, folder)
        finally:
            for worker in workers:
                worker.terminate()
            codes = [asyncio.run(worker.ended()) for worker in workers]
            logs = "\n".join(worker.log[-2000:] for worker in workers)
        assert codes == [0, 0], logs


@pytest.mark.parametrize("long", LENGTHS)
def test_any_canvas_gives_what_the_interpreter_says_with_two_processes(
    redis_url: str,
    nursery: Nursery,  # noqa: F811
    long: bool,
) -> None:
    with two_workers(redis_url, nursery) as house, asyncio.Runner() as runner:
        runner.run(house.app.__aenter__())

        @configured(long, short=60)
        @given(programmes)
        def run(programme: Programme) -> None:
            sweep(house.client)
            runner.run(played(house, programme))

        try:
            run()
        finally:
            runner.run(house.app.__aexit__(None, None, None))
            house.client.close()
