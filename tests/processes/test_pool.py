"""Tasks in processes: what they give, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.apps import ended, outcome, working
from support.waiting import LONG, eventually, until

from aioqueue import AioQueue, AsyncResult, Depends, chord
from aioqueue.exceptions import (
    AioQueueError,
    ConfigurationError,
    PayloadError,
    TaskRevoked,
    TimeLimitExceeded,
    WorkerLost,
)

from . import work


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def children() -> set[int]:
    """Processes that this one has started and not reaped."""
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(word) for one in found for word in one.read_text().split()}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest_asyncio.fixture
async def at_work() -> AsyncIterator[None]:
    before = children()
    open_before = descriptors()
    async with working(work.app, queues=["default", "slow"]):
        yield
    await until(lambda: children() <= before, what="the children to be gone")
    await until(lambda: descriptors() <= open_before + 2, what="their sockets to be closed")


@pytest.mark.usefixtures("at_work")
async def test_values_and_errors_cross() -> None:
    first = await work.pid.call(timeout=LONG)
    assert first != os.getpid()
    assert await work.pid.call(timeout=LONG) == first, "it is used again"
    assert await work.plain.call(timeout=LONG) == os.getpid()
    assert await work.move.call(work.Point(1, 2), by=3, timeout=LONG) == work.Point(4, 2)
    given, there = await work.depends.call(timeout=LONG)
    assert given == f"opened in {there}"
    assert there != os.getpid()
    result = await chord([work.total.s([n, n]) for n in range(5)], work.total.s()).send()
    assert await result.get(timeout=LONG) == 20
    assert await work.fails.call("retry", timeout=LONG) == "after 2 in slow"

    odd = await ended(await work.fails.send("odd"))
    assert odd.retries == 2, "autoretry_for knows its class"
    assert "raise Odd" in (odd.traceback or "")
    assert isinstance(odd.exception, work.Odd)
    assert odd.exception.args == ("no", 5)
    for kind, error, text in (
        ("reject", AioQueueError, "not this"),
        ("exit", AioQueueError, "SystemExit"),
        ("forgotten", ConfigurationError, "did not raise"),
    ):
        with pytest.raises(error, match=text):
            await work.fails.call(kind, timeout=LONG)
    with pytest.raises(PayloadError, match="can't be sent"):
        await work.unsendable.call(timeout=LONG)
    with pytest.raises(AioQueueError, match="in the memory of its worker"):
        await work.sends.call(timeout=LONG)


@pytest.mark.usefixtures("at_work")
async def test_what_it_says_of_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    work.tenant.set("a")
    file = tmp_path / "go"
    result = await work.speaks.send(str(file))
    info = await until(lambda: _in_progress(result), LONG)
    assert info.meta == {"done": 1, "total": 2}
    file.touch()
    assert await result.get(timeout=LONG) == "a", "the context variable came along"
    (record,) = [one for one in caplog.records if one.name == "shop"]
    assert record.getMessage() == "half of it"
    assert (vars(record)["colour"], vars(record)["task_id"]) == ("red", result.id)


async def _in_progress(result: AsyncResult[Any]) -> Any:
    info = await result.info()
    return info if info.state == "PROGRESS" else None


@pytest.mark.usefixtures("at_work")
async def test_a_death_is_the_end_of_one_task(tmp_path: Path) -> None:
    long = await work.long.send(str(tmp_path / "long"))
    await until((tmp_path / "long").exists, LONG)
    for how, text in (("exit", "exit code 7"), ("kill", "SIGKILL")):
        with pytest.raises(WorkerLost, match=text):
            await work.dies.call(how, timeout=LONG)
    assert await work.dies_once.call(str(tmp_path / "once"), timeout=LONG) == "the second time"
    assert (await long.info()).state != "FAILURE"
    there = int((tmp_path / "long").read_text())
    await long.revoke(terminate=True)
    assert isinstance(await outcome(long), TaskRevoked)
    await until(lambda: not is_there(there))


@pytest.mark.usefixtures("at_work")
async def test_limits(tmp_path: Path) -> None:
    assert await work.soft.call(timeout=LONG) == "soft_time_limit=0.2 s", "also inside of a call of C"
    with pytest.raises(TimeLimitExceeded):
        await work.hard.call(str(tmp_path / "hard"), timeout=LONG)
    there = int((tmp_path / "hard").read_text())
    await until(lambda: not is_there(there))
    # Those that wait for a process do not use up their time.
    results = [await work.soft.send() for _ in range(6)]
    assert {await result.get(timeout=LONG) for result in results} == {"soft_time_limit=0.2 s"}


async def test_plain_functions_run_there_if_the_worker_says_so() -> None:
    async with working(work.app, pool="prefork"):
        assert await work.plain.call(timeout=LONG) != os.getpid()
    async with work.app.testing() as t:
        assert await t.run(work.pid) == os.getpid(), "a test needs no processes"


@pytest.mark.usefixtures("at_work")
@pytest.mark.parametrize(("limit", "most"), [({"worker_max_tasks": 2}, 2), ({"worker_max_memory": "10MB"}, 1)])
async def test_processes_are_replaced_at_their_limits(limit: dict[str, Any], most: int) -> None:
    before = {name: getattr(work.app.conf, name) for name in limit}
    work.app.conf.update(limit)  # the worker, which has begun, is no matter of this
    try:
        results = await work.app.send_many([work.pid.s() for _ in range(6)])
        calls = Counter([await result.get(timeout=LONG) for result in results])
        assert max(calls.values()) == most, "a process takes no more than it may"
        assert calls.total() == 6, "and every call has its answer"
        await until(lambda: not any(is_there(pid) for pid, many in calls.items() if many == most), what="them to leave")
    finally:
        work.app.conf.update(before)


def test_children_die_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "long"
    folder = Path(work.__file__).parent
    worker = subprocess.Popen([sys.executable, work.__file__, str(file)], cwd=folder)
    try:
        eventually(file.exists)
        child = int(file.read_text())
        assert is_there(child)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    eventually(lambda: not is_there(child), "the child to die")


def test_what_cannot_run_there_is_an_error() -> None:
    app = AioQueue("wrong", broker="memory://")

    def local() -> None: ...

    async def coroutine() -> None: ...

    async def asynchronous() -> int:
        return 1

    def needs(value: int = Depends(asynchronous)) -> None: ...

    needs.__qualname__ = "needs"
    with pytest.raises(ConfigurationError, match="inside of another function"):
        app.task(pool="process")(local)
    with pytest.raises(ConfigurationError, match="is a coroutine"):
        app.task(pool="process")(coroutine)
    with pytest.raises(ConfigurationError, match="asynchronous has to be awaited"):
        app.task(pool="process")(needs)
    with pytest.raises(ConfigurationError, match="worker_process_concurrency"):
        AioQueue("wrong", worker_process_concurrency=0)


_PROGRAM = """
import asyncio, os
from pathlib import Path
{app}
Path("begun").open("a").write(f"{{os.getpid()}}\\n")

async def main() -> None:
    async with app, app.worker(concurrency=2):
        print(await one.call(timeout=60))

asyncio.run(main())
"""
_APP = """
from aioqueue import AioQueue

app = AioQueue("unguarded")

@app.task(name="one", pool="process")
def one() -> int:
    return 1
"""


@pytest.mark.parametrize("is_apart", [True, False])
def test_a_program_that_begins_as_it_is_imported(tmp_path: Path, redis_url: str, is_apart: bool) -> None:
    """Without `if __name__ == "__main__"` it is not begun again in each process, which would have processes of its own:
    where the app is in another module that is imported alone, and else it is an error."""
    (tmp_path / "shop.py").write_text(_APP)
    app = "from shop import app, one" if is_apart else _APP
    (tmp_path / "program.py").write_text(_PROGRAM.format(app=app))
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "AIOQUEUE_BROKER": redis_url, "AIOQUEUE_NAMESPACE": f"apart-{is_apart}"},
        capture_output=True,
        text=True,
        timeout=90,
    )
    begun = (tmp_path / "begun").read_text().split()
    if is_apart:
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
        assert len(begun) == 1
    else:
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("aioqueue.exceptions")][-1:]
        assert "No process could be started for it" in line and "under `if __name__ == '__main__':`" in line
        assert len(set(begun)) <= 1 + 2 * 3, "the program, and those that were begun in vain"
