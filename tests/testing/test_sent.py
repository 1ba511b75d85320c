"""`sent`, `assert_sent` and `assert_not_sent`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import ANY

import pytest

from aioqueue import AioQueue
from aioqueue.exceptions import NotRegistered
from aioqueue.testing import Testing


@dataclass
class Order:
    number: int
    tags: tuple[str, ...] = ()


@pytest.fixture
def kind() -> str:
    return "memory"


async def test_calls_are_equal_by_position_and_by_keyword(app: AioQueue, t: Testing) -> None:
    @app.task
    async def mail(to: str, subject: str = "hello", *, cc: list[str] | None = None) -> None: ...

    await mail.send("a@b.c")
    for args, kwargs in [(("a@b.c",), {}), ((), {"to": "a@b.c"}), (("a@b.c", "hello"), {"cc": None}), ((ANY,), {})]:
        assert t.assert_sent(mail, *args, **kwargs).task == mail.name
    with pytest.raises(AssertionError, match="was sent"):
        t.assert_not_sent(mail, to="a@b.c")
    t.assert_not_sent(mail, "x@y.z")
    t.assert_not_sent(mail, "a@b.c", cc=["d"])


async def test_a_failure_lists_what_was_sent(app: AioQueue, t: Testing) -> None:
    @app.task(name="shop.add")
    async def add(x: int, y: int) -> int:
        return x + y

    with pytest.raises(AssertionError, match=r"shop.add\(2, 4\) was not sent. What was sent, in order:\n  nothing"):
        t.assert_sent(add, 2, 4)
    await add.send(2, 3)
    await add.options(queue="high", priority=3, countdown=5, headers={"tenant": "a"}).send(4, y=5)
    with pytest.raises(AssertionError) as caught:
        t.assert_sent(add, 2, 4)
    assert str(caught.value).splitlines() == [
        "shop.add(2, 4) was not sent. What was sent, in order:",
        "  1. shop.add(2, 3), queue 'default'",
        "  2. shop.add(4, y=5), queue 'high', priority 3, countdown 5, headers {'tenant': 'a'}",
    ]
    t.clear()
    assert t.sent() == []
    t.assert_not_sent(add)


async def test_options(app: AioQueue, t: Testing) -> None:
    @app.task(priority=2)
    async def add(x: int, y: int) -> int:
        return x + y

    eta = t.clock.now + timedelta(hours=1)
    await add.options(queue="high", countdown=10, expires=60, headers={"a": 1, "b": 2}, task_id="me").send(2, 3)
    t.assert_sent(add, 2, 3, queue="high", countdown=10, expires=60, headers={"a": 1}, task_id="me", priority=2)
    t.assert_sent(add, queue="high")
    t.assert_sent(add.options(queue="high"), 2, 3)
    for option in ({"queue": "low"}, {"countdown": 11}, {"countdown": None}, {"headers": {"a": 2}}, {"expires": 61}):
        t.assert_not_sent(add, 2, 3, **option)
    t.assert_not_sent(add.options(queue="low"), 2, 3)
    await add.options(eta=eta).send(7, 7)
    t.assert_sent(add, 7, 7, eta=eta, queue="default", expires=None)
    sent = t.sent(add)[1]
    assert sent.eta is not None
    assert abs(sent.eta - eta) < timedelta(milliseconds=1)
    assert (sent.countdown, sent.priority, sent.queue) == (None, 2, "default")


async def test_a_parameter_of_that_name_is_an_argument(app: AioQueue, t: Testing) -> None:
    @app.task
    async def move(queue: str) -> None: ...

    @app.task
    async def free(**words: Any) -> None: ...

    await move.send(queue="x")
    t.assert_sent(move, queue="x")
    t.assert_not_sent(move, queue="default")
    await free.options(priority=3).send(queue="x")
    t.assert_sent(free, queue="x")
    t.assert_sent(free, queue="default")
    t.assert_not_sent(free, queue="y", word=1)
    t.assert_not_sent(free, queue="y")


async def test_a_call_that_cannot_be(app: AioQueue, t: Testing) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    with pytest.raises(TypeError, match="Did you mean 'queue'"):
        t.assert_sent(add, 2, 3, quue="high")
    with pytest.raises(TypeError, match="does not fit"):
        t.assert_not_sent(add, 2)


async def test_arguments_are_shown_as_the_task_gets_them(app: AioQueue, t: Testing) -> None:
    @app.task
    async def ship(order: Order, to: tuple[str, int]) -> None: ...

    order = Order(1, ("a",))
    await ship.send(order, ("b", 2))
    order.number = 2
    assert t.sent(ship)[0].args == (Order(1, ("a",)), ("b", 2))
    t.assert_sent(ship, Order(1, ("a",)), to=["b", 2])
    t.assert_not_sent(ship, order, ("b", 2))

    @app.task
    async def untyped(value: Any) -> None: ...

    await untyped.send(Order(3))
    t.assert_sent(untyped, Order(3))
    t.assert_sent(untyped, {"number": 3, "tags": []})


async def test_tasks_by_name_and_many_at_once(app: AioQueue, t: Testing) -> None:
    @app.task(name="known")
    async def known(x: int) -> None: ...

    await app.send_task("elsewhere", (1,), {"y": 2}, queue="far")
    t.assert_sent("elsewhere", 1, y=2, queue="far")
    t.assert_not_sent("elsewhere", 2)
    await app.send_many([known.s(n) for n in range(3)])
    assert [sent.args for sent in t.sent("known")] == [(0,), (1,), (2,)]
    t.assert_sent("known", x=2)
    assert [sent.task for sent in t.sent()] == ["elsewhere", "known", "known", "known"]


async def test_names_that_the_app_has_not(app: AioQueue, t: Testing) -> None:
    """Of a misspelt one it would always be so that it was not sent."""

    @app.task(name="shop.add")
    async def add(x: int) -> int:
        return x

    for ask in (t.assert_not_sent, t.sent):
        with pytest.raises(NotRegistered, match=r"Did you mean 'shop\.add'"):
            ask("shop.ad")
    t.assert_not_sent("shop.add")
    await app.send_task("elsewhere.pay", (1,))
    assert len(t.sent("elsewhere.pay")) == 1
    t.assert_not_sent("elsewhere.pay", 2)
