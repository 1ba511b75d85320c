"""What a schedule sends passes the middlewares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.waiting import until

from aioqueue import AioQueue, Middleware, OutgoingMessage, TaskContext, chain, every
from aioqueue.testing import Testing

Next = Callable[[OutgoingMessage], Awaitable[Any]]


class Tasks:
    """Tasks of schedules; what ran of them."""

    def __init__(self, app: AioQueue) -> None:
        self.ran: list[tuple[str, Any, datetime | None]] = []

        @app.task(name="note", bind=True)
        async def note(ctx: TaskContext, x: Any = None) -> None:
            self.ran.append((ctx.headers.get("by", ""), x, ctx.due_at))

        self.note = note


@pytest.fixture
def tasks(app: AioQueue) -> Tasks:
    return Tasks(app)


async def test_it_is_changed_before_it_is_claimed(app: AioQueue, tasks: Tasks, t: Testing) -> None:
    given: list[Any] = []

    class Changing(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            message.headers["by"] = message.headers["schedule"]
            message.args = (*message.args, len(given))
            given.append((await next(message)).id)
            return None

    app.add_middleware(Changing())
    await app.schedules.add("poll", tasks.note.s(), every(60))
    await t.clock.advance(minutes=2)
    await t.drain()
    assert [(by, x) for by, x, _ in tasks.ran] == [("poll", 0), ("poll", 1)]
    first, second = [due for _, _, due in tasks.ran]
    assert first is not None and second is not None and second - first == timedelta(minutes=1)
    assert given == [sent.id for sent in t.sent(tasks.note)]


async def test_one_that_is_refused_stays_due_and_keeps_no_other_back(
    app: AioQueue, tasks: Tasks, t: Testing, caplog: pytest.LogCaptureFixture
) -> None:
    refuses = True

    class Refusing(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            if refuses and message.args == ("bad",):
                raise PermissionError("not now")
            return await next(message)

    app.add_middleware(Refusing())
    await app.schedules.add("bad", tasks.note.s("bad"), every(60))
    await app.schedules.add("good", tasks.note.s("good"), every(60))
    await t.clock.advance(seconds=61)
    await t.drain()
    assert [x for _, x, _ in tasks.ran] == ["good"]
    assert "Schedule bad cannot be fired: PermissionError: not now" in caplog.text
    refuses = False
    await until(lambda: _ran_later(t, tasks))
    assert sorted(x for _, x, _ in tasks.ran)[0] == "bad"


async def _ran_later(t: Testing, tasks: Tasks) -> bool:
    await t.clock.advance(seconds=1)
    await t.drain()
    return "bad" in [x for _, x, _ in tasks.ran]


async def test_one_that_is_answered_for_is_left_out(app: AioQueue, tasks: Tasks, t: Testing) -> None:
    class Answering(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            return "no" if tasks.ran else await next(message)

    app.add_middleware(Answering())
    await app.schedules.add("poll", tasks.note.s(), every(60))
    for _ in range(3):
        await t.clock.advance(seconds=60)
        await t.drain()
    assert len(tasks.ran) == 1
    info = await app.schedules.get("poll")
    assert info is not None and info.next_run_at is not None and info.runs == 1
    assert info.next_run_at > t.clock.now


async def test_of_a_canvas_its_tasks_pass(app: AioQueue, tasks: Tasks, t: Testing) -> None:
    seen: list[str] = []

    class Seeing(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            seen.append(message.name)
            return await next(message)

    app.add_middleware(Seeing())
    await app.schedules.add("poll", chain(tasks.note.si(1), tasks.note.si(2)), every(60))
    await t.clock.advance(seconds=61)
    await t.drain()
    assert [x for _, x, _ in tasks.ran] == [1, 2]
    await app.schedules.trigger("poll")
    assert seen == ["note"] * 4
