"""Results: states, what is known of a task, watching, waiting, forgetting."""

from __future__ import annotations

import asyncio
import builtins
import json
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as aioredis
from support.apps import Gate, MakeApp, ended, is_empty, lengths, outcome, registered, working
from support.waiting import A_MOMENT, PATIENCE, until

from aioqueue import AioQueue, AsyncResult, Ignore, TaskContext, TaskInfo, waiting
from aioqueue.exceptions import AioQueueError, BrokerUnavailable, PayloadError, TaskFailed, TaskRevoked, TimeoutError

from .steps import Fault, Other, WithCode


@pytest.fixture
def gate() -> Gate:
    return Gate()


# States


async def test_the_states_of_a_success(app: AioQueue, gate: Gate) -> None:
    @app.task(bind=True, track_started=True)
    async def work(ctx: TaskContext) -> int:
        await gate.wait()
        await ctx.progress(1, 2)
        await ctx.update_state("COOKING", {"pan": "hot"})
        return 5

    async with app:
        result = await work.send()
        assert await result.state() == "SENT"
        assert await app.result(result.id).state() == "PENDING", "this process does not know that it was sent"
        assert await result.ready() is await result.successful() is await result.failed() is False
        async with app.worker():
            await until(lambda: gate.came)
            await until(lambda: _is(result, "STARTED"))
            assert await result.ready() is False
            gate.open()
            assert await result.get(timeout=PATIENCE) == 5
        assert await result.state() == "SUCCESS"
        assert await result.ready() is await result.successful() is True
        assert await result.failed() is False


async def _is(result: AsyncResult[Any], state: str) -> bool:
    return await result.state() == state


async def test_the_states_of_a_failure(app: AioQueue) -> None:
    @app.task
    async def fail() -> None:
        raise Fault("why")

    async with working(app):
        result = await fail.send()
        await outcome(result)
        assert await result.state() == "FAILURE"
        assert await result.ready() is await result.failed() is True
        assert await result.successful() is False


async def test_started_is_not_recorded_unless_asked_for(app: AioQueue, gate: Gate) -> None:
    @app.task
    async def work() -> None:
        await gate.wait()

    async with working(app):
        result = await work.send()
        await until(lambda: gate.came)
        assert await result.state() == "SENT"
        gate.open()


async def test_started_is_recorded_when_the_setting_says_so(make_app: MakeApp, gate: Gate) -> None:
    app = make_app(task_track_started=True)

    @app.task
    async def work() -> None:
        await gate.wait()

    async with working(app):
        result = await work.send()
        await until(lambda: _is(result, "STARTED"))
        gate.open()


async def test_a_task_may_say_that_its_start_is_not_recorded(make_app: MakeApp, gate: Gate) -> None:
    app = make_app(task_track_started=True)

    @app.task(track_started=False)
    async def work() -> None:
        await gate.wait()

    @app.task
    async def after() -> None:
        await gate.wait()

    async with working(app):
        result = await work.send()
        await until(lambda: gate.came)
        other = await after.send()
        await until(lambda: _is(other, "STARTED"))
        assert await result.state() == "SENT"
        gate.open()


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REVOKED"])
async def test_a_task_cannot_set_a_final_state(app: AioQueue, state: str) -> None:
    @app.task(bind=True)
    async def work(ctx: TaskContext) -> None:
        await ctx.update_state(state)

    async with working(app):
        error = await outcome(await work.send())
        assert isinstance(error, AioQueueError) and state in str(error)


async def test_a_task_tells_of_itself_alone(app: AioQueue, gate: Gate) -> None:
    @app.task(bind=True)
    async def work(self: TaskContext, other: str | None) -> None:
        await self.update_state(task_id=other or self.request.id, state="COOKING", meta={"n": 1})
        await gate.wait()

    async with working(app):
        result = await work.send(None)
        await until(lambda: gate.came)
        info = await result.info()
        assert (info.state, info.meta) == ("COOKING", {"n": 1})
        gate.open()
        assert await outcome(result) is None
        error = await outcome(await work.send(result.id))
        assert f"cannot tell of another task, {result.id}: leave task_id out" in str(error)


async def test_an_ignored_end_leaves_the_last_state(app: AioQueue) -> None:
    @app.task(bind=True)
    async def work(ctx: TaskContext) -> None:
        await ctx.update_state("HALFWAY", {"n": 1})
        raise Ignore

    async with working(app):
        result = await work.send()
        await until(lambda: _is(result, "HALFWAY"))
        await until(lambda: is_empty(app))
        info = await result.info()
        assert (info.state, info.meta, info.ready) == ("HALFWAY", {"n": 1}, False)


# All that is known


async def test_info_of_a_success(app: AioQueue) -> None:
    @app.task(name="child")
    async def child() -> None: ...

    @app.task(name="work", bind=True)
    async def work(ctx: TaskContext, x: int, password: str, *, y: str = "") -> dict[str, int]:
        await child.send()
        await asyncio.sleep(0.02)
        return {"x": x}

    before = datetime.now(UTC) - timedelta(milliseconds=2)
    async with working(app, hostname="w1@here"):
        result = await work.send(1, "very secret", y="b")
        assert await result.info() == TaskInfo(id=result.id, state="SENT", name="work")
        assert await result.get(timeout=PATIENCE) == {"x": 1}
        info = await result.info()
    after = datetime.now(UTC) + timedelta(milliseconds=2)
    assert isinstance(info, TaskInfo)
    assert (info.id, info.state, info.name, info.worker) == (result.id, "SUCCESS", "work", "w1@here")
    assert (info.result, info.exception, info.traceback, info.meta) == ({"x": 1}, None, None, None)
    assert (info.retries, info.reason, info.dead, info.group_id) == (0, None, False, None)
    assert info.args == "1, ***, y='b'"
    assert len(info.children) == 1
    assert info.ready
    timings = info.timings
    assert timings.sent is not None and timings.started is not None and timings.ended is not None
    assert before <= timings.sent <= timings.started <= timings.ended <= after
    assert timings.sent.tzinfo is UTC
    assert timings.wait == (timings.started - timings.sent).total_seconds()
    assert timings.run == (timings.ended - timings.started).total_seconds()
    assert timings.run >= 0.019


async def test_info_of_a_failure(app: AioQueue) -> None:
    @app.task(bind=True, autoretry_for=(Fault,), default_retry_delay=0, max_retries=2)
    async def fail(ctx: TaskContext) -> None:
        raise Fault("why", ctx.retries)

    async with working(app):
        info = await ended(await fail.send())
    assert (info.state, info.result, info.retries) == ("FAILURE", None, 2)
    assert isinstance(info.exception, Fault) and info.exception.args == ("why", 2)
    assert 'raise Fault("why", ctx.retries)' in info.traceback
    assert "Fault: " in info.traceback
    assert "runner.py" not in info.traceback, "the frames of the machinery help nobody"


async def test_info_of_an_unknown_task(app: AioQueue) -> None:
    async with app:
        assert await app.result("never-sent").info() == TaskInfo(id="never-sent", state="PENDING")
        assert await app.result("never-sent").ready() is False


async def test_info_of_a_retry(app: AioQueue) -> None:
    @app.task(bind=True)
    async def again(ctx: TaskContext) -> None:
        raise ctx.retry(exc=Fault("busy"), countdown=60)

    async with working(app):
        result = await again.send()
        await until(lambda: _is(result, "RETRY"))
        info = await result.info()
        assert isinstance(info.exception, Fault) and info.retries == 0 and not info.ready
        assert await result.ready() is await result.failed() is False


@dataclass
class Photo:
    path: Path
    taken: datetime


async def test_what_is_known_as_plain_data(app: AioQueue) -> None:
    @app.task(name="photo")
    async def photo(path: Path) -> Photo:
        return Photo(path, datetime(2026, 5, 1, tzinfo=UTC))

    @app.task(name="broken")
    async def broken() -> None:
        raise Fault("why")

    async with working(app):
        result, failed = await photo.send(Path("a.png")), await broken.send()
        await result.get(timeout=PATIENCE)
        await ended(failed)
        told, of_failure = (await result.info()).to_dict(), (await failed.info()).to_dict()
        later = (await photo.options(countdown=60).send(Path("b.png"))).id
        of_waiting = (await app.result(later).info()).to_dict()
    assert told["result"] == {"path": "a.png", "taken": "2026-05-01T00:00:00Z"}
    assert (told["name"], told["state"], told["ready"], told["exception"]) == ("photo", "SUCCESS", True, None)
    assert datetime.fromisoformat(told["timings"]["ended"]).tzinfo is not None and told["timings"]["run"] >= 0
    assert of_failure["exception"] == {"type": f"{Fault.__module__}.Fault", "message": "why"}
    assert "Fault: why" in of_failure["traceback"] and of_failure["ready"]
    assert (of_waiting["id"], of_waiting["state"], of_waiting["ready"]) == (later, "PENDING", False)
    json.dumps([told, of_failure, of_waiting], allow_nan=False)


# Watching


async def test_watch_sees_every_change_until_the_end(app: AioQueue, gate: Gate) -> None:
    @app.task(bind=True)
    async def work(ctx: TaskContext) -> str:
        await gate.wait()
        for done in range(3):
            await ctx.progress(done, 3)
        return "done"

    async with working(app):
        result = await work.send()
        seen: list[TaskInfo] = []

        async def watch() -> None:
            seen.extend([info async for info in result.watch()])

        watching = asyncio.ensure_future(watch())
        await until(lambda: gate.came)
        await registered(app)
        gate.open()
        async with asyncio.timeout(PATIENCE):
            await watching
    assert [(info.state, info.meta) for info in seen] == [
        ("SENT", None),
        *[("PROGRESS", {"done": done, "total": 3}) for done in range(3)],
        ("SUCCESS", None),
    ]
    assert seen[-1].result == "done"


async def test_watching_a_task_that_has_ended(app: AioQueue) -> None:
    @app.task
    async def one() -> int:
        return 1

    async with working(app):
        result = await one.send()
        await result.get(timeout=PATIENCE)
        assert [(info.state, info.result) async for info in result.watch()] == [("SUCCESS", 1)]
        assert [info.state async for info in app.result(result.id).watch()] == ["SUCCESS"]


async def test_watching_begins_at_once_with_how_it_is(
    app: AioQueue, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "A_MOMENT", 3600.0)

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> int:
        await ctx.progress(1, 2)
        await gate.wait()
        return 1

    async with app:
        result = await work.send()
        async with asyncio.timeout(PATIENCE):
            async with aclosing(result.watch()) as changes:
                assert (await anext(changes)).state == "SENT"
            async with app.worker():
                await until(lambda: gate.came)
                for _ in range(2):  # and so the next one begins where another has stopped
                    async with aclosing(result.watch(timeout=PATIENCE)) as changes:
                        assert (await anext(changes)).meta == {"done": 1, "total": 2}
                gate.open()


async def test_several_watch_and_wait_for_one_task(app: AioQueue, gate: Gate) -> None:
    @app.task
    async def work() -> int:
        await gate.wait()
        return 7

    async with working(app):
        result = await work.send()
        waits = [asyncio.ensure_future(app.result(result.id).get(timeout=PATIENCE)) for _ in range(20)]
        gone = waits.pop()
        await until(lambda: gate.came)
        gone.cancel()
        gate.open()
        assert await asyncio.gather(*waits) == [7] * 19


# Waiting


async def test_get_times_out_and_the_task_goes_on(app: AioQueue, gate: Gate) -> None:
    @app.task(name="slow")
    async def slow() -> int:
        await gate.wait()
        return 1

    async with working(app):
        result = await slow.send()
        with pytest.raises(TimeoutError) as caught:
            await result.get(timeout=0.03)
        assert isinstance(caught.value, builtins.TimeoutError)
        assert isinstance(caught.value, AioQueueError)
        for part in (result.id, "slow", "0.03 s", "goes on", "the queue 'default', which 1 living worker consumes"):
            assert part in str(caught.value)
        with pytest.raises(TimeoutError):
            await result.get(timeout=0)
        gate.open()
        assert await result.get(timeout=PATIENCE) == 1
        assert await result.get(timeout=0.5) == 1, "as often as one likes"


async def test_a_timeout_of_the_task_is_not_a_timeout_of_get(app: AioQueue) -> None:
    @app.task
    async def slow() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(PATIENCE)

    async with working(app):
        result = await slow.send()
        with pytest.raises(builtins.TimeoutError) as caught:
            await result.get(timeout=PATIENCE)
        assert not isinstance(caught.value, AioQueueError)
        assert await result.failed()


async def test_awaiting_a_result(app: AioQueue) -> None:
    @app.task
    async def one() -> int:
        return 1

    @app.task
    async def fail() -> int:
        raise Fault

    async with working(app):
        assert await (await one.send()) == 1
        with pytest.raises(Fault):
            await (await fail.send())
        assert await asyncio.gather(*[await one.send() for _ in range(3)]) == [1, 1, 1]


async def test_waiting_while_the_app_is_closed(redis_url: str) -> None:
    """Nobody would tell those who wait any more: they hear of that instead."""
    app = AioQueue("tests", broker=redis_url)

    @app.task(name="never")
    async def never() -> None: ...

    async with app:
        result = await never.send()
        waiting = [asyncio.create_task(result.get()) for _ in range(3)]
        await asyncio.wait(waiting, timeout=A_MOMENT)
    for wait in waiting:
        with pytest.raises(BrokerUnavailable, match=r"was closed.*The task goes on"):
            async with asyncio.timeout(PATIENCE):
                await wait
    async with app:
        assert await lengths(app) == (1, 0, 0)


async def test_the_result_of_an_id(app: AioQueue) -> None:
    @app.task
    async def when() -> datetime:
        return datetime(2030, 1, 2, tzinfo=UTC)

    async with working(app):
        result = await when.send()
        assert await app.result(result.id).get(timeout=PATIENCE) == datetime(2030, 1, 2, tzinfo=UTC)


async def test_waits_are_pushed_not_polled(make_app: MakeApp, redis_url: str, gate: Gate) -> None:
    app = make_app()

    @app.task
    async def slow(x: int) -> int:
        await gate.wait()
        return x

    async with working(app, concurrency=100), aioredis.from_url(redis_url) as client:
        results = await app.send_many([slow.s(x) for x in range(50)])
        waits = [asyncio.ensure_future(result.get(timeout=PATIENCE)) for result in results]
        await until(lambda: len(gate.came) == 50)
        await asyncio.sleep(0.2)  # settled, and measured for a while
        before = (await client.info("commandstats")) if "redis" in repr(app.conf.broker) else {}
        await asyncio.sleep(0.5)
        after = (await client.info("commandstats")) if before else {}
        read = sum(
            _calls(after, name) - _calls(before, name) for name in ("get", "mget", "evalsha", "hgetall", "exists")
        )
        assert read <= 4, "somebody asks again and again"
        gate.open()
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert await asyncio.gather(*waits) == list(range(50))
        assert loop.time() - started < 1.0, "the next look would have come seconds later"


def _calls(stats: dict[str, Any], command: str) -> int:
    return stats.get(f"cmdstat_{command}", {}).get("calls", 0)


# Equality


def test_results_are_equal_by_id(app: AioQueue) -> None:
    one, again, other = app.result("1"), app.result("1"), app.result("2")
    assert one == again and hash(one) == hash(again)
    assert one != other
    assert one != "1"
    assert {one, again, other} == {one, other}
    assert "1" in repr(one)


# Forgetting and expiring


async def test_forget(app: AioQueue) -> None:
    @app.task
    async def one() -> int:
        return 1

    async with working(app):
        result = await one.send()
        await result.get(timeout=PATIENCE)
        await result.forget()
        assert await app.result(result.id).state() == "PENDING"
        await result.forget()


async def test_results_expire(make_app: MakeApp) -> None:
    app = make_app(result_expires=60)

    @app.task
    async def one() -> int:
        return 1

    async with working(app):
        result = await one.send()
        assert await result.get(timeout=PATIENCE) == 1
        broker = await app.broker()
        from aioqueue.brokers.redis import RedisBroker

        if isinstance(broker, RedisBroker):
            async with aioredis.from_url(broker._server.url) as client:  # type: ignore[attr-defined]
                (key,) = await client.keys(f"*:r:{result.id}")
                assert 50_000 < await client.pttl(key) <= 60_000
        else:
            broker.shift_clock(59_000)
            assert await result.state() == "SUCCESS"
            broker.shift_clock(61_000)
            assert await app.result(result.id).state() == "PENDING"


async def test_results_that_expire_at_once_still_reach_who_waits(make_app: MakeApp, gate: Gate) -> None:
    app = make_app(result_expires=0.01)

    @app.task
    async def one() -> int:
        await gate.wait()
        return 1

    async with working(app):
        result = await one.send()
        wait = asyncio.ensure_future(result.get(timeout=PATIENCE))
        await until(lambda: gate.came)
        await registered(app)
        gate.open()
        assert await wait == 1
        await until(lambda: _is(app.result(result.id), "PENDING"))


@pytest.mark.parametrize("expires", [None, 0])
async def test_results_for_ever(make_app: MakeApp, expires: float | None) -> None:
    app = make_app(result_expires=expires)

    @app.task
    async def one() -> int:
        return 1

    async with working(app):
        result = await one.send()
        assert await result.get(timeout=PATIENCE) == 1
        assert await app.result(result.id).state() == "SUCCESS"
        broker = await app.broker()
        from aioqueue.brokers.redis import RedisBroker

        if isinstance(broker, RedisBroker):
            async with aioredis.from_url(broker._server.url) as client:  # type: ignore[attr-defined]
                (key,) = await client.keys(f"*:r:{result.id}")
                assert await client.pttl(key) == -1


# Ignored


async def test_ignored_results(app: AioQueue) -> None:
    @app.task(ignore_result=True)
    async def quiet(fail: bool) -> int:
        if fail:
            raise Fault
        return 1

    async with working(app):
        for fail in (False, True):
            result = await quiet.send(fail)
            assert await result.get(timeout=PATIENCE) is None
            await until(lambda: is_empty(app))
            assert await app.result(result.id).state() == "PENDING", "no record is written"
        assert await quiet.options(ignore_result=False).call(False, timeout=PATIENCE) == 1


async def test_who_waits_by_id_hears_of_an_end_without_a_record(app: AioQueue, gate: Gate) -> None:
    @app.task(ignore_result=True, track_started=True)
    async def quiet(how: str) -> int:
        await gate.wait()
        if how == "fails":
            raise Fault
        if how == "is ignored":
            raise Ignore
        return 1

    async with working(app):
        watches = [app.result((await quiet.send(how)).id).watch() for how in ("returns", "is ignored", "fails")]
        for watch in watches:
            while (await anext(watch)).state != "STARTED":
                pass  # at first nothing was known of it
        gate.open()
        ends = [await anext(watch) for watch in watches]
        assert [(end.state, type(end.exception)) for end in ends] == [
            ("SUCCESS", type(None)),
            ("SUCCESS", type(None)),
            ("FAILURE", Fault),
        ]
        assert [await app.result(end.id).state() for end in ends] == ["STARTED"] * 3, "no record of it is written"


@pytest.mark.parametrize("where", ["task", "setting"])
async def test_errors_are_stored_even_if_ignored(make_app: MakeApp, where: str) -> None:
    app = make_app(
        **({"task_ignore_result": True, "task_store_errors_even_if_ignored": True} if where == "setting" else {})
    )
    options: Any = {"ignore_result": True, "store_errors_even_if_ignored": True} if where == "task" else {}

    @app.task(**options)
    async def quiet(fail: bool) -> int:
        if fail:
            raise Fault("heard")
        return 1

    async with working(app):
        fine, failed = await quiet.send(False), await quiet.send(True)
        info = await until(lambda: _final(app, failed.id))
        assert info.state == "FAILURE" and isinstance(info.exception, Fault)
        await until(lambda: is_empty(app))
        assert await app.result(fine.id).state() == "PENDING"


async def _final(app: AioQueue, id: str) -> TaskInfo | None:
    info = await app.result(id).info()
    return info if info.ready else None


# What get raises


async def test_exceptions_keep_their_type(app: AioQueue) -> None:
    @app.task
    async def fail(kind: str) -> None:
        if kind == "code":
            raise WithCode(404, "not here")
        if kind == "cause":
            try:
                raise KeyError("inner")
            except KeyError as error:
                raise Fault("outer") from error
        if kind == "group":
            raise ExceptionGroup("several", [Fault("one"), Other("two")])
        raise ValueError("plain", 3)

    async with working(app):
        error = await outcome(await fail.send("code"))
        assert type(error) is WithCode and error.code == 404 and error.args == (404, "not here")
        error = await outcome(await fail.send("cause"))
        assert type(error) is Fault and isinstance(error.__cause__, KeyError)
        error = await outcome(await fail.send("group"))
        assert type(error) is ExceptionGroup
        assert [type(member) for member in error.exceptions] == [Fault, Other]
        error = await outcome(await fail.send("plain"))
        assert type(error) is ValueError and error.args == ("plain", 3)
        assert any("raise ValueError" in note for note in error.__notes__), "the remote traceback is a note"


async def test_an_exception_that_is_not_known_here(app: AioQueue) -> None:
    class Local(Exception):
        pass

    Local.__module__ = "elsewhere.errors"
    Local.__qualname__ = "Local"

    @app.task
    async def fail() -> None:
        raise Local("why", 3)

    async with working(app):
        error = await outcome(await fail.send())
        assert type(error) is TaskFailed
        assert error.exception_type == "elsewhere.errors.Local"
        assert error.arguments == ("why", 3)
        assert "elsewhere.errors.Local" in str(error) and "why" in str(error)


@pytest.mark.parametrize("kind", ["coroutine", "function"])
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, StopIteration, GeneratorExit])
async def test_exceptions_that_end_programs_end_only_the_task(
    app: AioQueue, kind: str, error: type[BaseException]
) -> None:
    async def coroutine() -> None:
        raise error("please")

    def function() -> None:
        raise error("please")

    fail = app.task(name="fail")(coroutine if kind == "coroutine" else function)

    @app.task
    async def fine() -> int:
        return 1

    async with working(app):
        result = await fail.send()
        async with asyncio.timeout(PATIENCE):
            states = [info.state async for info in result.watch()]
        assert states[-1] == "FAILURE"
        assert await fine.call(timeout=PATIENCE) == 1


async def test_a_revoked_task(app: AioQueue) -> None:
    @app.task(name="never")
    async def never() -> None: ...

    async with app:
        result = await never.options(countdown=60).send()
        await result.revoke(reason="not needed")
        with pytest.raises(TaskRevoked, match=r"never.*was revoked: not needed"):
            await result.get(timeout=PATIENCE)


async def test_a_result_that_cannot_be_sent(app: AioQueue) -> None:
    ran: list[int] = []

    @app.task(name="odd")
    async def odd() -> Any:
        ran.append(1)
        return object()

    async with working(app):
        result = await odd.send()
        error = await outcome(result)
        assert isinstance(error, PayloadError)
        for part in ("result of odd", "object", "It ran, and is not run again"):
            assert part in str(error)
        await until(lambda: is_empty(app))
        assert ran == [1]
        assert await result.state() == "FAILURE"
