"""What is left in Redis of workflows that have ended: what expires by itself, and what is there always."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio

from aioqueue import AioQueue, TaskContext, chain, chord, group

from .stage import Stage

NS = "{tests:0}:"
CONSTANT = re.compile(r"(queues|q:.*|epoch|leases|workers|fallen|revoked|revoked:stamps|dead|dead:data)")
"""Whose number does not depend on how many workflows there were; messages are in `q:`, and are looked at apart."""


class Keys:
    """What the server holds of the namespace."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def endless(self) -> list[str]:
        """Keys that neither expire nor are there always."""
        found: list[str] = []
        for key in await self.client.keys("*"):
            name = key.decode()
            assert name.startswith(NS)
            if await self.client.pttl(key) == -1 and not CONSTANT.fullmatch(name.removeprefix(NS)):
                found.append(name.removeprefix(NS))
        return sorted(found)

    async def messages(self) -> int:
        """All that streams hold."""
        return sum([await self.client.xlen(key) for key in await self.client.keys(f"{NS}q:*")])

    async def values(self, id: str) -> int:
        """How many values a workflow keeps."""
        return await self.client.hlen(f"{NS}wf:{id.partition('.')[0]}:v")

    async def workflows(self) -> list[str]:
        return sorted({key.decode() for key in await self.client.keys(f"{NS}wf:*")})


@pytest_asyncio.fixture
async def keys(redis_url: str) -> AsyncIterator[Keys]:
    client = redis.asyncio.Redis.from_url(redis_url)
    yield Keys(client)
    await client.aclose()


@pytest.fixture
def on_redis(redis_url: str) -> Stage:
    return Stage(AioQueue("tests", broker=redis_url))


async def nothing_stays(keys: Keys) -> None:
    assert await keys.endless() == []
    assert await keys.messages() == 0


def _linked(canvas: Any, link: Any) -> Any:
    canvas.link(link)
    return canvas


ENDINGS: dict[str, Any] = {
    "a chain": lambda s: chain(s.same.s(1), s.add.s(1), s.add.s(2)),
    "a group": lambda s: group(s.same.s(1), s.same.s(2)),
    "an empty group": lambda s: chain(s.same.s(1), group(), s.tsum.s()),
    "a chord": lambda s: chord([s.same.s(n) for n in range(20)], s.tsum.s()),
    "ids of one's own": lambda s: chain(s.same.s(1).set(task_id="a"), group(s.same.s(), task_id="b"), s.same.s()),
    "links": lambda s: _linked(chain(_linked(s.same.s(1), s.echo.s()), s.same.s()), chain(s.echo.s(), s.echo.s())),
    "a delay": lambda s: chain(s.same.s(1).set(countdown=0.02), s.same.s().set(countdown=0.02)),
    "retries": lambda s: chain(s.again.s(1, 3), s.same.s()),
    "results that are not kept": lambda s: chain(s.same.s(1), s.add.s(1)).set(ignore_result=True),
    "a failure": lambda s: chain(s.fail.s(), s.same.s(), group(s.same.s(), s.same.s()), s.same.s()),
    "a failure with handlers": lambda s: s.fail.s().on_error(s.told.s()).on_error(s.failing_handler.s()),
    "failures in a header": lambda s: chord([s.fail.s(), s.same.s(1), s.fail.s()], s.tsum.s()).on_error(s.told.s()),
    "failures that are allowed": lambda s: chord([s.fail.s(), s.same.s(1)], s.kinds.s(), allow_failures=True),
    "an own id that fails": lambda s: chain(s.fail.s().set(task_id="a"), s.same.s().set(task_id="b")),
    "replacements": lambda s: chain(s.count_down.s(1, 5), s.replaced.s(2), s.same.s()),
    "a replacement that fails": lambda s: chain(s.same.s(1), s.becomes_failure.s(), s.same.s()),
    "a replacement by nothing": lambda s: chain(s.becomes_nothing.s(), s.same.s()),
    "a replacement by a chord": lambda s: s.becomes_chord.s([1, 2, 3], 1),
    "members that join": lambda s: chord([s.grow.s([1, 2], 1), s.grow_by_chord.s([3], 1)], s.xsum.s()),
    "members that would have joined": lambda s: chord([s.grow_then_fail.s(), s.same.s(1)], s.tsum.s()),
    "more than one part": lambda s: chain(s.same.s(1), group(s.same.s() for _ in range(1200)), s.tsum.s()),
    "a failure before more than one part": lambda s: s.fail.s() | group(s.same.s() for _ in range(1200)),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDINGS)
async def test_nothing_stays(on_redis: Stage, keys: Keys, name: str) -> None:
    """However it has ended, all that is left of it has its time to live."""
    async with on_redis.working():
        result = await ENDINGS[name](on_redis).send()
        await on_redis.outcome(result)
        await on_redis.until(lambda: _is_over(keys))
    await nothing_stays(keys)


async def _is_over(keys: Keys) -> bool:
    """Callbacks and work that was left over come after the result."""
    return await keys.messages() == 0 and await keys.endless() == []


@pytest.mark.parametrize("name", ENDINGS)
async def test_nothing_at_all_stays_when_results_have_expired(redis_url: str, keys: Keys, name: str) -> None:
    stage = Stage(AioQueue("tests", broker=redis_url, result_expires=0.5))
    async with stage.working():
        canvas = ENDINGS[name](stage)
        canvas.link(stage.echo.si("linked"))
        canvas.link_error(stage.told.s())
        await canvas.send()

        async def gone() -> bool:
            return await keys.workflows() == [] and await _is_over(keys)

        await stage.until(gone)
        await stage.until(lambda: _no_records(keys))


async def _no_records(keys: Keys) -> bool:
    return await keys.client.keys(f"{NS}r:*") == []


async def test_what_was_revoked_does_not_stay(on_redis: Stage, keys: Keys) -> None:
    canvas = chain(
        on_redis.patient.s(1), group(on_redis.echo.s().set(task_id="own"), on_redis.echo.s()), on_redis.tsum.s()
    )
    async with on_redis.working():
        waiting = await canvas.set(countdown=3600).send()
        assert await waiting.revoke()
        running = await canvas.set(countdown=0).send()
        await on_redis.until(lambda: on_redis.gate.came)
        assert await running.revoke(terminate=True)
        await on_redis.until(lambda: _is_over(keys))
    await nothing_stays(keys)


async def test_what_was_resumed_does_not_stay(on_redis: Stage, keys: Keys) -> None:
    """While it runs again it has no end to its life; then it has one again."""
    async with on_redis.working():
        header = [on_redis.once.s(1), on_redis.same.s(2)]
        result = await chain(chord(header, on_redis.tsum.s()), on_redis.patient.s()).send()
        await on_redis.outcome(result)
        await on_redis.until(lambda: _is_over(keys))
        on_redis.mended = True
        await result.resume()
        await on_redis.until(lambda: on_redis.gate.came)
        records = [f"{NS}r:{result.id.partition('.')[0]}.{node}" for node in (2, 3, 4)]  # with it, those that it has
        assert await keys.endless() == [name.removeprefix(NS) for name in [*records, *await keys.workflows()]]
        on_redis.gate.open()
        assert await result.get(timeout=10) == 3
        await on_redis.until(lambda: _is_over(keys))
        assert await keys.values(result.id) == 0
    await nothing_stays(keys)


async def test_values_go_when_all_went_well(on_redis: Stage, keys: Keys) -> None:
    """Nobody will take them any more. While somebody may, they are there."""
    async with on_redis.working():
        header = [on_redis.same.s("x" * 20_000) for _ in range(5)]
        result = await chain(chord(header, on_redis.patient.s()), on_redis.kinds.s()).send()
        await on_redis.until(lambda: on_redis.gate.came)
        assert await keys.values(result.id) == 5
        on_redis.gate.open()
        await on_redis.outcome(result)
        assert await keys.values(result.id) == 0


async def test_values_stay_when_something_failed(on_redis: Stage, keys: Keys) -> None:
    """A resumed workflow needs them."""
    async with on_redis.working():
        result = await chord([on_redis.same.s(1), on_redis.fail.s()], on_redis.tsum.s()).send()
        await on_redis.outcome(result)
        assert await keys.values(result.id) > 0
    await nothing_stays(keys)


async def test_many_workflows_leave_as_many_constant_keys_as_one(on_redis: Stage, keys: Keys) -> None:
    async def constant() -> list[str]:
        found = [key.decode() for key in await keys.client.keys("*") if await keys.client.pttl(key) == -1]
        return sorted(name for name in found if CONSTANT.fullmatch(name.removeprefix(NS)))

    async with on_redis.working():
        canvas = chain(on_redis.same.s(1), group(on_redis.same.s(), on_redis.fail.s()), on_redis.tsum.s())
        await on_redis.outcome(await canvas.send())
        before = await constant()
        for _ in range(20):
            await on_redis.outcome(await canvas.send())
        assert await constant() == before


async def _sizes(keys: Keys, stage: Stage, name: str, canvas: Any) -> list[int]:
    """Of the messages that wait when it has been sent and, one after the other, when a step has ended."""
    sizes: list[int] = []

    @stage.app.task(name=name, bind=True)
    async def look(ctx: TaskContext, x: Any = None) -> Any:
        for key in await keys.client.keys(f"{NS}q:*"):
            sizes.extend(len(fields[b"m"]) for _, fields in await keys.client.xrange(key))
        return 1

    async with stage.working(concurrency=1):
        await stage.outcome(await canvas().send())
    return sizes


async def test_a_message_does_not_grow_with_the_workflow(on_redis: Stage, keys: Keys) -> None:
    """It holds its own task, and numbers; what comes later, and its arguments, are in the record."""

    def look(name: str) -> Any:
        return on_redis.app.signature(name)

    text = "x" * 1000
    short = await _sizes(keys, on_redis, "look-1", lambda: chain(look("look-1"), group(look("look-1"), look("look-1"))))
    long = await _sizes(
        keys,
        on_redis,
        "look-2",
        lambda: chain(
            *(look("look-2") for _ in range(50)),
            group(look("look-2") for _ in range(50)),
            on_redis.same.si(text),
        ).on_error(on_redis.told.s(text)),
    )
    assert len(long) >= 50
    assert max(long) <= max(short) + 20, "some numbers have more digits"
