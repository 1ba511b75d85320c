"""`app.sync`, `task.sync`, `result.sync`: all that there is to be awaited, there is without an event loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import pytest
from support.apps import working
from support.waiting import PATIENCE, eventually

from aioqueue import AioQueue, AsyncResult, Canvas, GroupResult, Task, TaskContext, group
from aioqueue.beat.schedules import Schedules
from aioqueue.beat.sync import SyncSchedules
from aioqueue.control import Control
from aioqueue.control_sync import SyncControl, SyncInspect
from aioqueue.dead_letters import DeadLetters
from aioqueue.inspection import Inspect
from aioqueue.queues import Queues
from aioqueue.result_of_id import ResultOfId
from aioqueue.sync import SyncCanvas, SyncTask
from aioqueue.sync_app import SyncApp, SyncDeadLetters, SyncQueues
from aioqueue.sync_results import SyncGroupResult, SyncResult
from aioqueue.testing import Testing
from aioqueue.testing.clock import Clock
from aioqueue.testing.sync import SyncClock, SyncTesting

PAIRS: dict[type[Any], type[Any]] = {
    AioQueue: SyncApp,
    Task: SyncTask,
    Canvas: SyncCanvas,
    AsyncResult: SyncResult,
    ResultOfId: SyncResult,
    GroupResult: SyncGroupResult,
    DeadLetters: SyncDeadLetters,
    Queues: SyncQueues,
    Inspect: SyncInspect,
    Control: SyncControl,
    Schedules: SyncSchedules,
    Testing: SyncTesting,
    Clock: SyncClock,
}
# What has no place where there is no event loop, and why.
LEFT_OUT = {
    "open": "it connects with the first call",
    "close": "it disconnects with the process",
    "disconnect": "the same",
    "broker": "what is below",
    "run_in_place": "what is below: task.sync.apply",
    "place": "what is below",
}


def _to_be_awaited(kind: type[Any]) -> Iterator[str]:
    for name, value in inspect.getmembers_static(kind):
        function = getattr(value, "__wrapped__", value)
        waits = asyncio.iscoroutinefunction(value) or inspect.iscoroutinefunction(function)
        if not name.startswith("_") and (waits or inspect.isasyncgenfunction(function)):
            yield name


@pytest.mark.parametrize("kind", PAIRS)
def test_each_method_that_is_awaited_has_one_that_waits(kind: type[Any]) -> None:
    names = [name for name in _to_be_awaited(kind) if name not in LEFT_OUT]
    assert names, kind
    found = PAIRS[kind]
    assert [name for name in names if not hasattr(found, name)] == []
    for name in names:
        plain = inspect.getattr_static(found, name)
        if isinstance(plain, property):
            continue
        before, after = (inspect.signature(getattr(one, name)).parameters for one in (kind, found))
        # Celery's words of no effect are known to synchronous programs alone.
        after = [name for name in after if name not in ("interval", "disable_sync_subtasks")]
        assert list(before) == after, f"{found.__name__}.{name} takes other arguments"


def test_each_room_of_an_app_has_one_that_waits() -> None:
    rooms = {name for name, value in vars(AioQueue).items() if isinstance(value, cached_property)} - {"sync"}
    assert rooms == {"control", "dead_letters", "inspect", "queues", "schedules"}
    assert [name for name in rooms if not hasattr(SyncApp, name)] == []


async def test_celerys_properties(app: AioQueue) -> None:
    @app.task(bind=True)
    def work(ctx: TaskContext, fails: bool) -> dict[str, int]:
        ctx.update_state(state="PROGRESS", meta={"current": 1})
        if fails:
            raise ValueError("no")
        return {"current": 2}

    def look() -> None:
        waiting = work.sync.options(countdown=60).send(False)
        assert (waiting.state, waiting.status, waiting.result, waiting.traceback) == ("SENT", "SENT", None, None)
        assert waiting.info == {} and waiting.info.get("current", 0) == 0 and waiting.children == []
        assert waiting.task_info().get("current") is None and "current" not in waiting.task_info()
        assert app.sync.result("never-sent").info is None
        assert waiting.revoke(reason="late")

        good = work.sync.delay(False)
        assert good.get(timeout=PATIENCE) == {"current": 2}
        assert (good.state, good.status, good.result) == ("SUCCESS", "SUCCESS", {"current": 2})
        assert good.info == good.task_info().result == {"current": 2} and good.task_info().name == work.name
        assert good.task_info().get("current", 0) == good.task_info()["current"] == 2
        assert good.ready() and good.successful() and not good.failed()

        bad = work.sync.delay(True)
        with pytest.raises(ValueError, match="no"):
            bad.get(timeout=PATIENCE)
        assert (
            bad.status == "FAILURE" and isinstance(bad.result, ValueError) and "ValueError: no" in (bad.traceback or "")
        )
        assert isinstance(bad.info, ValueError) and bad.task_info().get("current") is None
        with pytest.raises(KeyError):
            bad.task_info()["current"]

        for again in (app.sync.result(good.id), app.sync.AsyncResult(good.id), work.sync.AsyncResult(good.id)):
            assert again == good and again.get() == {"current": 2}
        good.forget()
        assert good.state == "PENDING"
        members = group(work.s(False)).sync.send()
        assert members.get(timeout=PATIENCE) == members.result == [{"current": 2}]
        assert members.status == "SUCCESS" and members.completed_count() == 1

    async with working(app):
        await asyncio.to_thread(look)


async def test_what_waits_and_dropping_it(app: AioQueue) -> None:
    @app.task(queue="email")
    async def mail() -> None: ...

    await mail.send()
    await mail.options(countdown=60).send()
    (email,) = [queue for queue in await app.queues.list() if queue.name == "email"]
    assert (email.waiting, email.running, email.delayed, email.consumers) == (1, 0, 1, 0)
    assert email.oldest is not None

    def look() -> None:
        assert [queue.name for queue in app.sync.queues.list()] == ["email"]
        assert app.sync.queues.purge("email") == 1
        app.sync.revoke_by_stamp("customer", 7)

    await asyncio.to_thread(look)
    async with working(app, queues=["email"]):
        (email,) = await app.queues.list()
        assert (email.waiting, email.consumers) == (0, 1)


async def test_beside_a_loop_it_says_how(app: AioQueue) -> None:
    """As in a view of Flask that an asynchronous test calls."""

    @app.task
    async def add(x: int) -> int:
        return x

    def view() -> str:
        return add.sync.send(1).id

    with pytest.raises(Exception, match=r"await asyncio\.to_thread\(client\.post"):
        view()
    async with app.testing() as t:
        id = await asyncio.to_thread(view)
        await t.drain()
        assert await app.result(id).get() == 1


async def test_progress_is_read_as_with_celery(app: AioQueue) -> None:
    told = threading.Event()

    @app.task(bind=True)
    def work(ctx: TaskContext) -> int:
        ctx.update_state(state="PROGRESS", meta={"current": 1, "total": 2})
        told.wait(PATIENCE)
        return 2

    def look() -> None:
        result = work.sync.delay()
        eventually(lambda: result.state == "PROGRESS")
        assert result.info == result.result == {"current": 1, "total": 2}
        told.set()
        assert result.get(timeout=PATIENCE) == result.info == 2

    async with working(app):
        await asyncio.to_thread(look)


async def test_results_that_tasks_have_returned_wait_too(app: AioQueue) -> None:
    """Wherever a synchronous program meets them; and a plain function may return those it has in its hands."""

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    @app.task
    async def spread(n: int) -> GroupResult[int]:
        return await group(add.s(k, 1) for k in range(n)).send()

    @app.task
    def several() -> Any:
        return {"group": [group(add.s(1, 1)).sync.send()], "task": (add.sync.send(2, 2), 1)}

    @app.task
    def later(result: AsyncResult[int]) -> int:
        return result.sync.get(timeout=PATIENCE) + 1

    def look() -> None:
        sent: Any = spread.sync.send(2)
        members: Any = [
            sent.get(timeout=PATIENCE),
            sent.result,
            sent.info,
            sent.task_info().result,
            list(sent.watch())[-1].result,
            spread.sync.call(2, timeout=PATIENCE),
            spread.s(2).sync.call(timeout=PATIENCE),
            *group(spread.s(2)).sync.send().get(timeout=PATIENCE),
            *(value for _, value in group(spread.s(2)).sync.send().as_completed()),
            *(value for _, value in app.sync.result(group(spread.s(2)).sync.send().id).as_completed()),
        ]
        assert [type(one) for one in members] == [SyncGroupResult] * 10
        assert [one.get(timeout=PATIENCE) for one in members] == [[1, 2]] * 10
        found: Any = several.sync.call(timeout=PATIENCE)
        assert found["group"][0].get(timeout=PATIENCE) == [2] and found["task"][0].get(timeout=PATIENCE) == 4
        assert later.sync.call(found["task"][0], timeout=PATIENCE) == 5

    async with working(app):
        await asyncio.to_thread(look)


def test_what_a_task_returns_in_a_test_waits_too() -> None:
    app = AioQueue("shop", broker="memory://")

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    @app.task
    def sends() -> Any:
        return add.sync.send(1, 1)

    with app.testing() as t:
        sent: Any = t.run(sends)
        t.drain()
        assert sent.get() == 2
    app.portal.close()
