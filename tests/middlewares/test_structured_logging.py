"""The fields of a task in what is logged while it runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from support.apps import working

from aioqueue import AioQueue, TaskContext
from aioqueue.exceptions import ConfigurationError
from aioqueue.middlewares import StructuredLogging, TaskFields

log = logging.getLogger("shop.orders")
FIELDS = ("task_id", "task", "queue", "attempt")


class Records(logging.Handler):
    """Keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of(self, message: str) -> dict[str, Any]:
        """The fields of the record with that message."""
        (found,) = [vars(record) for record in self.records if record.getMessage() == message]
        return {name: found[name] for name in (*FIELDS, "worker", "tenant") if name in found}


@pytest.fixture
def records() -> Iterator[Records]:
    """All that is logged from INFO on."""
    root, handler = logging.getLogger(), Records()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


async def test_whatever_logs_in_a_task_tells_which(app: AioQueue, records: Records) -> None:
    app.add_middleware(StructuredLogging())

    @app.task(name="inline", queue="high")
    async def inline() -> None:
        log.info("in the loop")

    @app.task(name="in_thread", bind=True, max_retries=1)
    def in_thread(ctx: TaskContext) -> None:
        logging.getLogger("else.where").warning("in a thread %d", ctx.retries)
        if not ctx.retries:
            raise ctx.retry(countdown=0)

    async with working(app):
        first, second = await inline.send(), await in_thread.send()
        await first.get(timeout=20)
        await second.get(timeout=20)
        log.info("outside")
    assert records.of("in the loop") == {"task_id": first.id, "task": "inline", "queue": "high", "attempt": 1}
    expected = {"task_id": second.id, "task": "in_thread", "queue": "default"}
    assert records.of("in a thread 0") == {**expected, "attempt": 1}
    assert records.of("in a thread 1") == {**expected, "attempt": 2}
    assert records.of("outside") == {}


async def test_what_aioqueue_says_of_its_end_has_them_too(app: AioQueue, records: Records) -> None:
    app.add_middleware(StructuredLogging())

    @app.task(name="inline")
    async def inline() -> None: ...

    async with working(app):
        result = await inline.send()
        await result.get(timeout=20)
    (end,) = [record for record in records.records if "succeeded" in record.getMessage()]
    assert vars(end)["task_id"] == result.id


async def test_fields_of_a_record_itself_are_left_alone(app: AioQueue, records: Records) -> None:
    app.add_middleware(StructuredLogging())

    @app.task(name="inline", bind=True)
    async def inline(ctx: TaskContext) -> None:
        log.info("own", extra={"queue": "of people", "task_id": 7})
        ctx.logger.info("by its context")

    async with app.testing() as t:
        await t.run(inline)
    assert records.of("own") == {"task_id": 7, "task": "inline", "queue": "of people", "attempt": 1}
    assert records.of("by its context")["task"] == "inline"


async def test_chosen_fields_and_headers(app: AioQueue, records: Records) -> None:
    app.add_middleware(StructuredLogging(["task", "worker"], headers=["tenant", "absent"]))

    @app.task(name="inline", middleware=[StructuredLogging(["attempt"])])
    async def inline() -> None:
        log.info("inside")

    async with working(app, hostname="w1"):
        await (await inline.options(headers={"tenant": "a"}).send()).get(timeout=20)
    assert records.of("inside") == {"task": "inline", "worker": "w1", "tenant": "a", "attempt": 1}


async def test_a_handler_that_comes_later_has_the_filter_from_its_own_setup(app: AioQueue) -> None:
    app.add_middleware(StructuredLogging())
    handler = Records()
    handler.addFilter(TaskFields())
    own = logging.getLogger("own.handler")
    own.propagate = False

    @app.task(name="inline")
    async def inline() -> None:
        own.addHandler(handler)
        own.warning("later")

    async with app.testing() as t:
        await t.run(inline)
    own.removeHandler(handler)
    assert handler.of("later")["task"] == "inline"


def test_what_it_takes() -> None:
    with pytest.raises(ConfigurationError, match=r"no field 'taskid'. Did you mean 'task_id'"):
        StructuredLogging(["taskid"])
    with pytest.raises(ConfigurationError, match="fields"):
        StructuredLogging("task_id")
