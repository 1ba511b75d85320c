"""Records: what became of tasks, for as long as it is kept, and for those who watch."""

from __future__ import annotations

import asyncio

from support.waiting import until, within

from aioqueue.brokers.protocol import Broker, Consumer, Settlement, Verdict

from .conftest import MakeConsumer
from .steps import AN_HOUR, blocks, end, revoke, send_and_fetch, settle

SOON = 200
"""ms; the only time in these tests that passes on the real clock."""


async def record(broker: Broker, worker: Consumer, id: str, data: bytes, *, expires: int = AN_HOUR) -> None:
    """A task's end."""
    delivery = await send_and_fetch(broker, worker, id)
    assert await settle(worker, delivery, record=data, final=True, expires=expires) is Verdict.APPLIED


async def test_there_is_none_of_what_has_not_happened(broker: Broker) -> None:
    assert await broker.records(["unknown"]) == [None]
    assert await broker.records([]) == []


async def test_records_come_in_the_order_of_the_ids(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    for id in "abc":
        await record(broker, worker, id, id.encode() * 2)
    assert await broker.records(["c", "x", "a", "b", "a"]) == [b"cc", None, b"aa", b"bb", b"aa"]


async def test_records_hold_any_bytes(broker: Broker, consumer: MakeConsumer) -> None:
    data = bytes(range(256)) * 1_000
    await record(broker, await consumer(), "task", data)
    assert await broker.records(["task"]) == [data]


async def test_an_empty_record_is_a_record(broker: Broker, consumer: MakeConsumer) -> None:
    await record(broker, await consumer(), "task", b"")
    assert await broker.records(["task"]) == [b""]


async def test_later_news_replace_earlier_ones(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    verdicts = await worker.settle([Settlement(delivery, acknowledge=False, record=b"%d" % n) for n in range(3)])
    assert verdicts == [Verdict.APPLIED] * 3
    assert await broker.records(["task"]) == [b"2"]


async def test_late_news_do_not_hide_an_end(broker: Broker, consumer: MakeConsumer) -> None:
    """A task that was acknowledged early may still say something after its end, or after it was revoked."""
    worker = await consumer()
    for id in ("ended", "revoked"):
        delivery = await send_and_fetch(broker, worker, id)
        assert await settle(worker, delivery, acknowledge=False, early=True) is Verdict.APPLIED
        if id == "revoked":
            await revoke(broker, id)
        await end(worker, delivery, b"done", early=True)
        await settle(worker, delivery, acknowledge=False, record=b"progress", expires=AN_HOUR)
    assert await broker.records(["ended", "revoked"]) == [b"done", b"revoked"]


async def test_forgotten_records_are_gone(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    for id in "abc":
        await record(broker, worker, id, b"done")
    await broker.forget(["a", "c", "unknown"])
    assert await broker.records(["a", "b", "c"]) == [None, b"done", None]


async def test_a_record_expires(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await record(broker, worker, "for ever", b"done", expires=0)
    await record(broker, worker, "long", b"done", expires=AN_HOUR)
    await record(broker, worker, "short", b"done", expires=SOON)

    async def expired() -> bool:
        return await broker.records(["short"]) == [None]

    await until(expired)
    assert await broker.records(["for ever", "long"]) == [b"done", b"done"]


async def test_a_new_record_has_a_new_expiry(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    await settle(worker, delivery, acknowledge=False, record=b"news", expires=SOON)
    assert await settle(worker, delivery, record=b"done", final=True, expires=0) is Verdict.APPLIED
    await record(broker, worker, "canary", b"", expires=SOON)

    async def canary_is_gone() -> bool:
        return await broker.records(["canary"]) == [None]

    await until(canary_is_gone)
    assert await broker.records(["task"]) == [b"done"]


async def test_the_record_of_a_revocation_expires_too(broker: Broker) -> None:
    assert await broker.revoke(["task"], b"revoked", expires=SOON, terminate=False) == [True]

    async def expired() -> bool:
        return await broker.records(["task"]) == [None]

    await until(expired)


async def test_a_watch_shows_what_is_written(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    async with broker.watch("task") as watch:
        for number in range(5):
            await settle(worker, delivery, acknowledge=False, record=b"%d" % number, expires=AN_HOUR)
            assert await within(watch.next()) == b"%d" % number
        await end(worker, delivery)
        assert await within(watch.next()) == b"done"


async def test_a_watch_misses_nothing_while_nobody_looks(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    async with broker.watch("task") as watch:
        first = asyncio.create_task(watch.next())
        await blocks(first)
        for number in range(20):
            await settle(worker, delivery, acknowledge=False, record=b"%d" % number, expires=AN_HOUR)
        await end(worker, delivery)
        seen = [await within(first), *[await within(watch.next()) for _ in range(20)]]
    assert seen == [*(b"%d" % number for number in range(20)), b"done"]


async def test_a_watch_begins_with_what_is_there(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    await settle(worker, delivery, acknowledge=False, record=b"started", expires=AN_HOUR)
    async with broker.watch("task") as watch:
        assert await within(watch.next()) == b"started"
        await end(worker, delivery)
        assert await within(watch.next()) == b"done"
    async with broker.watch("task") as watch:
        assert await within(watch.next()) == b"done"


async def test_a_large_end_is_seen_too(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    large = b"\x00large\xff" * 100_000
    async with broker.watch("task") as watch:
        waiting = asyncio.create_task(watch.next())
        await blocks(waiting)
        await end(worker, delivery, large)
        assert await within(waiting) == large


async def test_a_watch_waits_and_sees_only_its_own_task(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    async with broker.watch("mine") as mine, broker.watch("other") as other:
        waiting = asyncio.create_task(mine.next())
        await record(broker, worker, "other", b"other")
        assert await within(other.next()) == b"other"
        await blocks(waiting)
        await record(broker, worker, "mine", b"mine")
        assert await within(waiting) == b"mine"


async def test_all_who_watch_see_it(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    async with broker.watch("task") as first, broker.watch("task") as second:
        async with broker.watch("task"):
            pass  # one who leaves takes the others' news along?
        await record(broker, worker, "task", b"done")
        assert await within(first.next()) == await within(second.next()) == b"done"


async def test_a_revocation_is_seen(broker: Broker) -> None:
    async with broker.watch("task") as watch:
        waiting = asyncio.create_task(watch.next())
        await blocks(waiting)
        await revoke(broker, "task")
        assert await within(waiting) == b"revoked"


async def test_a_look_that_is_given_up_loses_nothing(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    async with broker.watch("task") as watch:
        looking = asyncio.create_task(watch.next())
        await blocks(looking)
        looking.cancel()
        await asyncio.wait({looking})
        await record(broker, worker, "task", b"done")
        assert await within(watch.next()) == b"done"


async def test_hundreds_of_watches(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    names = [f"{number}" for number in range(300)]

    async def see(name: str) -> bytes:
        async with broker.watch(name) as watch:
            return await watch.next()

    watching = [asyncio.create_task(see(name)) for name in names]
    for name in names[:150]:
        await record(broker, worker, name, name.encode())
    await broker.revoke(names[150:], b"revoked", expires=AN_HOUR, terminate=False)
    seen = await within(asyncio.gather(*watching))
    assert seen == [name.encode() for name in names[:150]] + [b"revoked"] * 150
