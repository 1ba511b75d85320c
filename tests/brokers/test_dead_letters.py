"""Dead letters: what could not be done is kept, up to a number, and can be tried again."""

from __future__ import annotations

import asyncio

from aioqueue.brokers.protocol import Broker, Consumer, Settlement

from .conftest import MakeConsumer
from .steps import counts, end, fetch, fetch_one, ids, message, send, send_and_fetch


async def bury(broker: Broker, worker: Consumer, *names: str) -> None:
    """Let tasks die, one after the other."""
    for name in names:
        delivery = await send_and_fetch(broker, worker, name)
        await end(worker, delivery, b"failed", dead=b"letter of " + name.encode())


async def listed(broker: Broker, limit: int = 100) -> list[str]:
    return [letter.id for letter in await broker.dead_letters(limit=limit)]


async def test_none(broker: Broker) -> None:
    assert await broker.dead_letters(limit=10) == []
    assert await broker.dead_letters(limit=10, id="unknown") == []


async def test_newest_first(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await bury(broker, worker, "b", "c", "a")
    letters = await broker.dead_letters(limit=10)
    assert [(letter.id, letter.data) for letter in letters] == [
        ("a", b"letter of a"),
        ("c", b"letter of c"),
        ("b", b"letter of b"),
    ]
    assert await listed(broker, limit=2) == ["a", "c"]


async def test_newest_first_also_among_those_of_one_step(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    names = ["m", "z", "a", "k"]
    await send(broker, *names)
    await worker.settle([Settlement(one, dead=b"") for one in await fetch(worker)])
    assert await listed(broker) == names[::-1]


async def test_one_by_its_id(broker: Broker, consumer: MakeConsumer) -> None:
    await bury(broker, await consumer(), "a", "b")
    [letter] = await broker.dead_letters(limit=10, id="a")
    assert (letter.id, letter.data) == ("a", b"letter of a")


async def test_the_oldest_are_dropped_beyond_the_limit(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer(dead_letters_max_length=3)
    await bury(broker, worker, "e", "d", "c", "b", "a")
    assert await listed(broker) == ["a", "b", "c"]
    assert await broker.dead_letters(limit=10, id="e") == []


async def test_a_task_that_dies_again_has_one_letter(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await bury(broker, worker, "a", "b")
    delivery = await send_and_fetch(broker, worker, "a")
    await end(worker, delivery, b"failed", dead=b"second letter")
    letters = await broker.dead_letters(limit=10)
    assert [(letter.id, letter.data) for letter in letters] == [("a", b"second letter"), ("b", b"letter of b")]


async def test_another_try(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("q", "other")
    await bury(broker, worker, "a", "b")
    assert await broker.requeue_dead(message("a", queue="other", priority=5, data=b"again")) is True
    assert await listed(broker) == ["b"]
    assert await broker.records(["a", "b"]) == [None, b"failed"]
    delivery = await fetch_one(worker)
    assert (delivery.id, delivery.data, delivery.queue) == ("a", b"again", "other")
    assert (delivery.deliveries, delivery.revoked) == (1, False)
    await end(worker, delivery, b"done")
    assert await broker.records(["a"]) == [b"done"]


async def test_no_other_try_without_a_letter(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await bury(broker, worker, "a")
    assert await broker.requeue_dead(message("unknown")) is False
    assert await broker.requeue_dead(message("a")) is True
    assert await broker.requeue_dead(message("a")) is False
    assert await counts(broker) == (1, 0, 0)


async def test_two_who_requeue_at_once(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await bury(broker, worker, "a")
    tries = await asyncio.gather(*(broker.requeue_dead(message("a")) for _ in range(5)))
    assert sorted(tries) == [False, False, False, False, True]
    assert ids(await fetch(worker)) == ["a"]


async def test_removing(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await bury(broker, worker, "a", "b", "c")
    assert await broker.remove_dead(["a", "unknown", "c"]) == 2
    assert await listed(broker) == ["b"]
    assert await broker.remove_dead(["a"]) == 0
    assert await broker.remove_dead([]) == 0
    assert await broker.requeue_dead(message("a")) is False
    # The record says what became of the task; only the letter is gone.
    assert await broker.records(["a"]) == [b"failed"]
