"""Which queues a worker consumes, and in which order."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from typing import Any

import pytest
from support.apps import MakeApp, outcome, working
from support.waiting import A_MOMENT, PATIENCE, until

from aioqueue import AioQueue, Queue, TaskContext
from aioqueue.exceptions import ConfigurationError


def noting(app: AioQueue) -> tuple[Any, list[str]]:
    """A task, and the queues from which it ran, in order."""
    ran: list[str] = []

    @app.task(bind=True, name="note")
    async def note(ctx: TaskContext) -> None:
        ran.append(ctx.queue)

    return note, ran


async def send(app: AioQueue, note: Any, **count: int) -> None:
    await app.send_many([note.s().set(queue=queue) for queue, many in count.items() for _ in range(many)])


ONE_BY_ONE = {"concurrency": 1}


# The order


async def test_by_weight_each_has_its_share(make_app: MakeApp) -> None:
    app = make_app(worker_prefetch=0)
    note, ran = noting(app)
    async with app:
        await send(app, note, low=40, high=200)
        async with app.worker(queues={"high": 5, "low": 1}, **ONE_BY_ONE):
            await until(lambda: len(ran) == 240)
    assert Counter(ran[:60]) == {"high": 50, "low": 10}
    assert Counter(ran[60:120]) == {"high": 50, "low": 10}
    assert max(len(run) for run in re.findall("h+", "".join(queue[0] for queue in ran[:200]))) <= 6


async def test_by_weight_many_at_once(make_app: MakeApp) -> None:
    """However much is fetched at once, the shares are the same."""
    app = make_app(worker_prefetch=90)
    note, ran = noting(app)
    async with app:
        await send(app, note, low=1000, high=1000)
        async with app.worker(queues="high:3,low:1", concurrency=10):
            await until(lambda: len(ran) >= 1200)
    first = Counter(ran[:1200])
    assert abs(first["high"] - 900) <= 100


async def test_a_low_weight_does_not_starve(make_app: MakeApp) -> None:
    """The other queue never gets empty, and what is in this one runs all the same."""
    app = make_app(worker_prefetch=0)
    ran: list[str] = []

    @app.task(bind=True)
    async def again(ctx: TaskContext) -> None:
        ran.append(ctx.queue)
        if ctx.queue == "high":
            await again.options(queue="high").send()

    async with app:
        await app.send_many([again.s().set(queue=queue) for queue in ["high"] * 5 + ["low"] * 3])
        async with app.worker(queues={"high": 10, "low": 1}, concurrency=2):
            await until(lambda: ran.count("low") == 3)
    assert ran.count("high") <= 100


async def test_strict_order_takes_the_second_when_the_first_is_empty(make_app: MakeApp) -> None:
    app = make_app(worker_prefetch=0)
    note, ran = noting(app)
    async with app:
        await send(app, note, b=10, a=10)
        async with app.worker(queues=["a", "b"], **ONE_BY_ONE):
            await until(lambda: len(ran) == 20)
    assert ran == ["a"] * 10 + ["b"] * 10


async def test_strict_order_comes_before_priority(make_app: MakeApp) -> None:
    app = make_app(worker_prefetch=0)
    note, ran = noting(app)
    async with app:
        await app.send_many([note.s().set(queue="b", priority=9) for _ in range(5)])
        await send(app, note, a=5)
        async with app.worker(queues="a, b", **ONE_BY_ONE):
            await until(lambda: len(ran) == 10)
    assert ran == ["a"] * 5 + ["b"] * 5


async def in_order(make_app: MakeApp, queues: str, prefetch: int, **count: tuple[int, int]) -> str:
    """The first letters of the queues in the order in which their tasks ran, one at a time: so many, of a priority."""
    app = make_app(worker_prefetch=prefetch)
    note, ran = noting(app)
    sent = [note.s().set(queue=queue, priority=of) for queue, (many, of) in count.items() for _ in range(many)]
    async with app:
        await app.send_many(sent)
        async with app.worker(queues=queues, **ONE_BY_ONE):
            await until(lambda: len(ran) == len(sent))
    return "".join(queue[0] for queue in ran)


async def test_strict_order_comes_before_priority_among_what_is_held_ready(make_app: MakeApp) -> None:
    ran = await in_order(make_app, "urgent,bulk", 20, bulk=(60, 5), urgent=(10, 0))
    assert ran == "u" * 10 + "b" * 60


async def test_weights_come_before_priority_among_what_is_held_ready(make_app: MakeApp) -> None:
    ran = await in_order(make_app, "high:1,low:1", 20, high=(200, 5), low=(10, 0))
    assert ran[:60].count("l") == 10, ran


async def test_what_is_urgent_waits_only_for_what_is_held_ready(make_app: MakeApp) -> None:
    """And not for all that is fetched after it, because that has a higher priority."""
    app = make_app(worker_prefetch=20)
    ran: list[str] = []

    @app.task(bind=True)
    async def note(ctx: TaskContext) -> None:
        ran.append(ctx.queue)
        if len(ran) == 50:
            await app.send_many([note.s().set(queue="urgent")] * 5)

    async with app:
        await app.send_many([note.s().set(queue="bulk", priority=5)] * 200)
        async with app.worker(queues="urgent,bulk", **ONE_BY_ONE):
            await until(lambda: len(ran) == 205)
    assert ran[50:].index("urgent") <= 21
    assert "bulk" not in ran[ran.index("urgent") :][:5]


async def test_without_a_word_priority_counts_across_queues_and_equals_take_turns(make_app: MakeApp) -> None:
    app = make_app(worker_prefetch=0, task_queues=["a", "b"], task_default_queue="a")
    note, ran = noting(app)
    async with app:
        await send(app, note, a=6, b=6)
        await note.options(queue="b", priority=5).send()
        async with app.worker(**ONE_BY_ONE):
            await until(lambda: len(ran) == 13)
    assert ran[0] == "b"
    assert Counter(ran[1:7]) == {"a": 3, "b": 3}


async def test_weights_of_task_queues_count_where_no_order_is_given(make_app: MakeApp) -> None:
    app = make_app(worker_prefetch=0, task_queues=[Queue("a", weight=3), Queue("b")], task_default_queue="a")
    note, ran = noting(app)
    async with app:
        await send(app, note, b=20, a=20)
        async with app.worker(**ONE_BY_ONE) as worker:
            assert worker.consuming.text == "a:3, b:1"
            await until(lambda: len(ran) == 40)
        assert Counter(ran[:16]) == {"a": 12, "b": 4}
        ran.clear()
        await send(app, note, b=5, a=5)
        async with app.worker(queues=["b", "a"], **ONE_BY_ONE) as worker:
            assert worker.consuming.text == "b, a"
            await until(lambda: len(ran) == 10)
        assert ran == ["b"] * 5 + ["a"] * 5


async def test_an_idle_worker_is_woken_by_each_of_its_queues(app: AioQueue) -> None:
    note, _ = noting(app)
    for queues in (["a", "b"], {"a": 2, "b": 1}):
        async with working(app, queues=queues):
            for queue in ("b", "a", "b"):
                result = await note.options(queue=queue).send()
                assert await outcome(result) is None


# Which queues


def names(app: AioQueue, **options: Any) -> list[str]:
    return app.worker(**options).queues


def test_task_queues_are_consumed_and_where_tasks_go(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("z", topic="a.#"), "email"], task_routes={"mail.*": "mail"})
    app.task(name="mail.send")(_nothing)
    app.task(name="other", queue="own")(_nothing)
    assert names(app) == ["z", "email", "default", "mail", "own"]
    app.conf.task_create_missing_queues = False
    assert names(app) == ["z", "email"]


async def _nothing() -> None:
    """A task's body."""


def test_each_way_to_say_them(app: AioQueue) -> None:
    for given, text in [
        (["a", "b", "a"], "a, b"),
        ("a,b", "a, b"),
        ("a:5, b:1", "a:5, b:1"),
        ("a:5,b", "a:5, b:1"),
        ("urn:x,b", "urn:x, b"),
        ("urn:x:7,b:2", "urn:x:7, b:2"),
        ({"a": 2, "b": 3}, "a:2, b:3"),
        ({Queue("a"): 5, Queue("b"): 1}, "a:5, b:1"),
        ({Queue("a", weight=9): 5, "b": 1}, "a:5, b:1"),
        ([Queue("a"), "b"], "a, b"),
        ([Queue("a", weight=4), "b"], "a:4, b:1"),
        (Queue("a"), "a"),
        (("a",), "a"),
    ]:
        assert app.worker(queues=given).consuming.text == text, given


def test_all_but(make_app: MakeApp) -> None:
    app = make_app(task_queues=["bulk", "email"])
    assert names(app, exclude="bulk") == ["email", "default"]
    assert names(app, exclude=["bulk", "default"]) == ["email"]
    for none in (None, [], ()):
        assert names(app, exclude=none) == ["bulk", "email", "default"]
    assert names(app, exclude=[Queue("email")]) == ["bulk", "default"]
    assert names(app, queues=["a", "bulk"], exclude=["bulk"]) == ["a"]
    assert app.worker(queues={"a": 2, "bulk": 3, "c": 1}, exclude="bulk").consuming.text == "a:2, c:1"


def test_where_the_list_is_closed_no_other_is_consumed(make_app: MakeApp) -> None:
    app = make_app(task_queues=["bulk", "email"], task_create_missing_queues=False)
    problem = (
        r"'emial', which is not among task_queues \(bulk, email\), and task_create_missing_queues is False.*'email'"
    )
    with pytest.raises(ConfigurationError, match=problem):
        app.worker(queues="bulk,emial")
    assert names(app, queues=["email"]) == ["email"]
    assert names(app, queues=[Queue("own")]) == ["own"]


async def test_an_excluded_queue_is_not_touched(make_app: MakeApp) -> None:
    app = make_app(task_queues=["bulk"])
    note, ran = noting(app)
    async with app:
        await send(app, note, bulk=2, default=2)
        async with app.worker(exclude=["bulk"]):
            await until(lambda: len(ran) == 2)
            await asyncio.sleep(A_MOMENT)
    assert ran == ["default"] * 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"queues": {"a": 0}}, "The weight of the queue 'a'.* from 1 to 1,000, not 0"),
        ({"queues": "a:0"}, "The weight of the queue 'a'.* not 0"),
        ({"queues": "a:-1"}, "The weight of the queue 'a'.* not -1"),
        ({"queues": "a:--5"}, "The weight of the queue 'a'.* is a whole number from 1 to 1,000, not '--5'"),
        ({"queues": "a:5.5"}, "The weight of the queue 'a'.* is a whole number from 1 to 1,000, not '5.5'"),
        ({"queues": "a:" + "9" * 5000}, "The weight of the queue 'a'.* is a whole number"),
        ({"queues": {"a": 1.5}}, "not 1.5"),
        ({"queues": {Queue("a"): 0}}, "The weight of the queue 'a'.* not 0"),
        ({"queues": {"a": True}}, "not True"),
        ({"queues": {"a": None}}, "not None"),
        ({"queues": "a:5,a:1"}, "'a' the weights 5 and 1"),
        ({"queues": {}}, r"list of names, such as \['default'\].* not {}"),
        ({"queues": " , "}, "not ' , '"),
        ({"queues": ["a b"]}, "queues is a name of 1 to 255 .* not 'a b'"),
        ({"exclude": [5]}, "exclude is a name .* not 5"),
        ({"queues": ["a", "b"], "exclude": "b,a"}, r"exclude=\['b', 'a'\] leaves it nothing of the queues a, b"),
    ],
)
def test_what_is_none(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        AioQueue("tests", broker="memory://").worker(**options)


async def test_a_worker_that_is_left_nothing_does_not_start(app: AioQueue) -> None:
    with pytest.raises(ConfigurationError, match="leaves it nothing of the queues default"):
        async with app, app.worker(exclude="default"):
            pass


# What is odd about them


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and "queue" in record.getMessage()
    ]


async def test_a_queue_to_which_no_task_goes_is_told_of_once(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(task_queues=["declared"], task_routes={"mail.*": "email"})
    app.task(name="mail.send")(_nothing)
    app.task(name="other", queue="own")(_nothing)
    async with app, app.worker(queues=["emial", "email", "own", "default", "declared", Queue("new")]):
        pass
    (said,) = complaints(caplog)
    assert "consumes the queue 'emial', to which no task of the app 'tests' goes" in said
    assert "Did you mean 'email'?" in said


async def test_an_exclusion_of_nothing_is_told_of(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(task_queues=["bulk"])
    async with app, app.worker(exclude=["bluk"]):
        pass
    (said,) = complaints(caplog)
    assert "not to consume the queue 'bluk', which it would not consume anyway" in said
    assert "Did you mean 'bulk'?" in said


async def test_nothing_is_told_where_all_is_well(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(task_queues=["bulk"])
    note, _ = noting(app)
    async with app, app.worker(queues="bulk:2,default:1", exclude="bulk"):
        await note.call(timeout=PATIENCE)
    async with app.testing() as t:
        await note.options(queue="unheard").send()
        await t.drain()
    app.conf.task_routes = [lambda name, args, kwargs, options: "anywhere"]  # who knows what it says of others
    async with app, app.worker(queues=["else"]):
        pass
    assert complaints(caplog) == []
