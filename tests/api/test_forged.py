"""Messages that nobody of ours has made, sent through the broker: they harm nobody beside them (D12)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from aioqueue import AioQueue, chain, chord
from aioqueue.brokers.protocol import Outgoing
from aioqueue.message import Message, encode_message

BODY = msgspec.msgpack.encode([[1, 1], {}])


def _forged(wid: str) -> list[Outgoing]:
    """Messages that name a live workflow, or something like one."""
    about: list[dict[str, Any]] = [
        *(
            {"workflow": workflow, "node": node}
            for workflow in (f"{wid}:s", wid, "", "\0" * 36)
            for node in (0, -1, 77)
        ),
        {"workflow": wid},
        {"workflow": wid, "node": 10**18, "takes": 10**18},
        {"workflow": wid, "node": 77, "handles": True},
        {"workflow": wid, "node": 77, "wanted": True, "takes": -5},
        {"workflow": wid, "node": 0, "task": "nothing of the kind"},
        {"workflow": wid, "node": 77, "expires": 1},
        {"spread": "map"},
        {"spread": "sideways"},
        {"takes": 3},
        {"handles": True},
        {"priority": 10**6, "retries": -3, "max_retries": -1},
        {"time_limit": -1.0, "soft_time_limit": float("nan")},
        {"time_limit": float("inf")},
        {"stamps": {"a": {"b": []}}, "headers": {"": None}},
    ]
    ids = [f"{wid}.{n}.77" for n in range(len(about))]
    ids[::2] = [f"forged {n}" for n in range(len(about))][::2]
    return [
        Outgoing(id, "default", 0, encode_message(Message(**{"task": "add", "body": BODY, **fields})))
        for id, fields in zip(ids, about, strict=True)
    ]


async def test_forged_messages_among_workflows(app: AioQueue) -> None:
    @app.task(name="add")
    async def add(x: int, y: int) -> int:
        return x + y

    @app.task(name="total")
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    async with app:
        broker = await app.broker()
        results = [await chain(add.s(n, 1), add.s(1), add.s(1)).send() for n in range(20)]
        results += [await chord([add.s(n, 1) for n in range(5)], total.s()).send() for _ in range(5)]
        for result in results[::4]:
            for message in _forged(result.id.partition(".")[0]):
                await broker.send([message], timeout=5)
        for result, data in zip(results[:20:3], (b"", b"\xc1", b"\x81", BODY), strict=False):
            # The id is that of a task whose turn has not come.
            await broker.send([Outgoing(result.id, "default", 0, data)], timeout=5)
        async with app.worker(concurrency=100):
            found = await asyncio.gather(*[result.get(timeout=20) for result in results])
            assert found == [*(n + 3 for n in range(20)), *[15] * 5]
            async with asyncio.timeout(10):
                while any(queue.waiting or queue.running for queue in await broker.queues()):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert await add.call(1, 1, timeout=10) == 2


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\xff" * 100])
async def test_a_dead_letter_that_is_junk(app: AioQueue, data: bytes) -> None:
    """Shown as what it is; sending it again is refused, and the others go."""
    from aioqueue.brokers.protocol import Settlement, WorkerStatus
    from aioqueue.exceptions import AioQueueError

    async with app:
        broker = await app.broker()
        status = WorkerStatus(id="w", name="w", host="h", pid=1, queues=["default"], concurrency=1, started=0)
        consumer = broker.consumer(status, visibility_timeout=30, dead_letters_max_length=10)
        await consumer.join()
        await broker.send([Outgoing("junk", "default", 0, b"x")], timeout=5)
        [delivery] = await consumer.fetch(1, wait=1)
        await consumer.settle([Settlement(delivery, record=b"\xc1", final=True, dead=data)])
        [letter] = await app.dead_letters.list()
        assert (letter.id, letter.name, letter.raw, letter.args) == ("junk", "", data, ())
        assert "cannot be read" in letter.reason
        with pytest.raises(AioQueueError, match="cannot be sent again"):
            await app.dead_letters.requeue("junk")
        with pytest.raises(AioQueueError, match="cannot be read"):
            await app.result("junk").get(timeout=5)
        assert await app.dead_letters.remove("junk")
        await consumer.leave()
        await consumer.close()
