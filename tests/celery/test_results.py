"""Results, as Celery's documents ask for them; and as values of tasks."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from support.apps import working

from aioqueue import AioQueue, AsyncResult, GroupResult, TaskContext, chain, chord, group
from aioqueue.exceptions import PayloadError
from aioqueue.payload import decode


async def test_what_is_known_by_attributes(app: AioQueue) -> None:
    @app.task(bind=True)
    async def long_running(self: TaskContext, fails: bool = False) -> str:
        await self.update_state(state="PROGRESS", meta={"current": 50})
        if fails:
            raise ValueError("as asked")
        return "completed"

    async with working(app):
        result = await long_running.delay()
        assert await result.get(timeout=10) == "completed"
        assert (await result.status, await result.result, await result.traceback) == ("SUCCESS", "completed", None)
        assert (await result.state, await result.ready) == ("SUCCESS", True)  # type: ignore[misc]  # pyright: ignore
        failed = await long_running.delay(True)
        error: Any = await failed.get(timeout=10, propagate=False)
        assert repr(error) == "ValueError('as asked')"
        assert await app.result(failed.id).get(timeout=10, propagate=False) is not None
        assert (await failed.status, repr(await failed.result)) == ("FAILURE", "ValueError('as asked')")
        assert "ValueError: as asked" in (await failed.traceback or "")
        both: Any = await (await group(long_running.s(), long_running.s(True)).send()).get(timeout=10, propagate=False)
        assert both[0] == "completed" and isinstance(both[1], ValueError)


async def test_attributes_without_an_await(app: AioQueue) -> None:
    result = app.result("some-id")
    for take in (
        lambda: result.status == "SUCCESS",
        lambda: bool(result.result),
        lambda: {result.traceback},
    ):
        with pytest.raises(TypeError, match=r"write `await result\.\w+`, or `await result\.info\(\)`"):
            take()
    assert "write `await result.status`" in repr(result.status)


async def test_children(app: AioQueue) -> None:
    @app.task
    async def one(n: int = 1, *more: Any) -> int:
        return n

    @app.task
    async def sends() -> str:
        await one.delay(1)
        await group(one.s(2), one.s(3)).delay()
        return "sent"

    async with working(app):
        grouped = await group(one.s(n) for n in range(3)).apply_async()
        assert [await child.get(timeout=10) for child in grouped.children] == [0, 1, 2]
        assert [child.id for child in await app.result(grouped.id).children] == [one.id for one in grouped]
        joined = await chord([one.s(1), one.s(2)], one.si(5)).send()
        await joined.get(timeout=10)
        assert joined.children == [] and await joined.children == []
        assert [child.id for child in joined.parent.children] == [one.id for one in joined.parent]
        sender = await sends.delay()
        assert await sender.get(timeout=10) == "sent"
        assert sender.children == []
        assert [await child.get(timeout=10) for child in await sender.children] == [1, [2, 3]]
        assert len(await app.result(sender.id).children) == 2


@pytest.mark.parametrize("serializer", ["msgpack", "json", "pickle"])
async def test_a_task_returns_what_it_has_sent(serializer: str) -> None:
    app = AioQueue(
        "campaign", broker="memory://", task_serializer=serializer, accept_content=["msgpack", "json", "pickle"]
    )

    @app.task
    async def send_email(to: str) -> str:
        return f"sent to {to}"

    @app.task
    async def send_campaign(users: list[str]) -> GroupResult[str]:
        return await group(send_email.s(user) for user in users).apply_async()

    @app.task
    async def send_one(user: str) -> dict[str, Any]:
        return {"first": await send_email.delay(user), "$r": "text"}

    @app.task
    async def total(sent: AsyncResult[list[str]]) -> int:
        return len(await sent.get(timeout=10))

    async with working(app):
        job = await (await send_campaign.delay(["a", "b"])).get(timeout=10)
        assert isinstance(job, GroupResult)
        assert (await job.get(timeout=10), len(job.results)) == (["sent to a", "sent to b"], 2)
        found = await send_one.call("c", timeout=10)
        assert isinstance(found["first"], AsyncResult) and found["$r"] == "text"
        assert (found["first"].name, await found["first"].get(timeout=10)) == (send_email.name, "sent to c")
        # The next step of a chain, and any task, gets it as what it is.
        assert await chain(send_campaign.s(["a", "b"]), total.s()).call(timeout=10) == 2
        assert await total.call(job, timeout=10) == 2
        assert await app.result(job.id).get(timeout=10) == ["sent to a", "sent to b"]


async def test_a_result_that_is_kept_elsewhere(app: AioQueue) -> None:
    """Pickled, copied, or written into a canvas' data, it stands for the same task."""

    @app.task
    async def one() -> int:
        return 1

    @app.task
    async def value_of(sent: Any) -> Any:
        return await sent.get(timeout=10)

    async with working(app):
        sent, several = await one.delay(), await group(one.s(), one.s()).delay()
        for again in (pickle.loads(pickle.dumps(sent)), copy.copy(sent), copy.deepcopy(sent)):
            assert again == sent and await again.get(timeout=10) == 1
        assert await pickle.loads(pickle.dumps(several)).get(timeout=10) == [1, 1]
        assert await app.signature(value_of.s(several).to_dict()).call(timeout=10) == [1, 1]


async def test_a_result_of_another_app(app: AioQueue) -> None:
    """It is of the app that it came through, also in a program that has several."""
    other = AioQueue("other", broker="memory://")

    @app.task
    async def one() -> int:
        return 1

    @app.task
    async def sends() -> AsyncResult[int]:
        return await one.delay()

    @other.task
    async def asks(id: str) -> int:
        return await (await app.result(id).get(timeout=10)).get(timeout=10)

    async with working(app), working(other):
        sent = await sends.delay()
        assert (await sent.get(timeout=10)).app is app
        assert await asks.call(sent.id, timeout=10) == 1


def test_what_is_no_result() -> None:
    for names in (5, [], ["id"], ["id", "name", "members"], ["id", "name", [["id"]]], ["id", "name", None, 4]):
        payload = json.dumps(["$r", *names] if isinstance(names, list) else {"x": ["$r", names]}).encode()
        with pytest.raises(PayloadError, match="the result of a task that was sent, which cannot be read"):
            decode(payload, "json+types", max_size=1000)
