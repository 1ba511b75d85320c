"""Each end is told once, in one place: of what ran, and of what a worker did not run at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from support.apps import Gate, ended, is_empty, lengths, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, AsyncResult, Ignore, Reject, Task, TaskContext
from aioqueue.brokers.protocol import Outgoing
from aioqueue.message import Message, encode_message
from aioqueue.worker.telling import Telling

from .steps import Fault

SHORT = 0.05
Heard = list[tuple[str, str, str, bool, bool]]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[str], Heard]:
    """What was told of a task, by its id: the state, why, its name, whether it was admitted, and is a dead letter."""
    caplog.set_level(logging.INFO, logger="aioqueue")  # of what went well nothing is told where nobody reads it
    everything: dict[str, Heard] = {}
    tell = Telling.tell

    def listen(self: Telling, outcome: Any, run: Any) -> None:
        name = outcome.message.task if outcome.message is not None else ""
        entry = (outcome.state, outcome.why, name, run is not None, outcome.settlement.dead is not None)
        everything.setdefault(outcome.settlement.delivery.id, []).append(entry)
        tell(self, outcome, run)

    monkeypatch.setattr(Telling, "tell", listen)
    return lambda id: everything.get(id, [])


async def test_each_end_of_a_run(app: AioQueue, heard: Callable[[str], Heard]) -> None:
    @app.task(name="work", bind=True, default_retry_delay=0.0, max_retries=1, time_limit=PATIENCE)
    async def work(ctx: TaskContext, how: str) -> int:
        match how:
            case "retry" if ctx.retries == 0:
                raise ctx.retry()
            case "use up":
                raise ctx.retry(exc=Fault("again"))
            case "fail":
                raise Fault
            case "ignore":
                raise Ignore
            case "reject":
                raise Reject("not mine")
            case "requeue" if not requeued:
                requeued.append(1)
                raise Reject(requeue=True)
            case "replace":
                raise ctx.replace(work.s("succeed"))
            case "too long":
                await asyncio.sleep(PATIENCE)
            case _:
                return 1
        return 0

    requeued: list[int] = []
    success, replaced = ("SUCCESS", "", "work", True, False), ("REPLACED", "", "work", True, False)
    expected: dict[str, Heard] = {
        "succeed": [success],
        "retry": [("RETRY", "", "work", True, False), success],
        "use up": [
            ("RETRY", "", "work", True, False),
            ("FAILURE", "failed after 1 retry: api.steps.Fault: again", "work", True, True),
        ],
        "fail": [("FAILURE", "", "work", True, False)],
        "ignore": [("IGNORED", "", "work", True, False)],
        "reject": [("FAILURE", "not mine", "work", True, True)],
        "requeue": [("REQUEUED", "", "work", True, False), success],
        "replace": [replaced, success],
        "too long": [("FAILURE", "", "work", True, False)],
    }
    async with working(app):
        sent = {
            how: await (work.options(time_limit=SHORT) if how == "too long" else work).send(how) for how in expected
        }
        for result in sent.values():
            await outcome(result)
        await until(lambda: is_empty(app))
    found = {how: heard(result.id) for how, result in sent.items()}
    assert found == expected


async def test_what_is_not_run_at_all(
    app: AioQueue, heard: Callable[[str], Heard], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aioqueue")

    @app.task(name="work")
    async def work(x: int) -> None: ...

    async with app:
        revoked = await work.send(1)
        await revoked.revoke()
        expired = await work.options(expires=0).send(1)
        forged = {
            "unknown": Message(task="unknown", queue="default"),
            "unfit": Message(task="work", queue="default", body=b"\x92\x90\x80"),
        }
        messages = {**{id: encode_message(message) for id, message in forged.items()}, "junk": b"\xc1"}
        broker = await app.broker()
        await broker.send([Outgoing(id, "default", 0, data) for id, data in messages.items()], timeout=PATIENCE)
        results = {"revoked": revoked, "expired": expired, **{id: app.result(id) for id in messages}}
        async with app.worker():
            for result in results.values():
                await outcome(result)
            await until(lambda: is_empty(app))
    found = {kind: heard(result.id) for kind, result in results.items()}
    assert {kind: len(told) for kind, told in found.items()} == dict.fromkeys(found, 1)
    assert found["revoked"] == [("REVOKED", "revoked", "work", False, False)]
    assert found["expired"] == [("REVOKED", "expired", "work", False, False)]
    for kind, name, why in (("unknown", "unknown", "unknown"), ("unfit", "work", "missing"), ("junk", "", "read")):
        [(state, reason, *others)] = found[kind]
        assert (state, others) == ("BURIED", [name, False, True])
        assert why in reason
    for text in (
        f"Task work[{revoked.id}] was revoked before it started",
        f"Task work[{expired.id}] expired before it started",
        "Task unknown[unknown] goes to the dead letters",
        "Task work[unfit] goes to the dead letters",
        "Task ?[junk] goes to the dead letters",
    ):
        assert caplog.text.count(text) == 1


@pytest.mark.parametrize("how", ["id", "stamp"])
async def test_what_was_revoked_while_a_worker_held_it(
    app: AioQueue, heard: Callable[[str], Heard], caplog: pytest.LogCaptureFixture, how: str
) -> None:
    gate, ran = Gate(), list[Any]()
    caplog.set_level(logging.INFO, "aioqueue")
    app.conf.worker_prefetch = 5

    @app.task(name="hold")
    async def hold() -> None:
        await gate.wait()

    @app.task(name="note")
    async def note() -> None:
        ran.append(1)

    async with working(app, concurrency=1) as worker:
        await hold.send()
        await until(lambda: gate.came)
        result = await note.s().stamp(job="a").send()
        await until(lambda: _running(app, 2))
        assert worker.incarnation is not None and worker.incarnation.runner is not None
        runner = worker.incarnation.runner
        if how == "id":
            await result.revoke()
            await until(lambda: any(delivery.revoked for delivery in runner.ready()), what="the worker has heard of it")
        else:
            await app.revoke_by_stamp("job", "a")
            await until(
                lambda: runner.revocations.stamps.cover(runner.ready_runs()[0].message),
                what="the worker has heard of it",
            )
        gate.open()
        assert (await ended(result)).state == "REVOKED"
        await until(lambda: is_empty(app))
    why = "revoked" if how == "id" else "its stamp was revoked"
    assert (heard(result.id), ran) == ([("REVOKED", why, "note", True, False)], [])
    assert caplog.text.count(f"Task note[{result.id}] was revoked before it started") == 1


@pytest.mark.parametrize("stubborn", ["body", "hook"])
async def test_one_that_is_given_up_is_told_of_once(
    app: AioQueue, heard: Callable[[str], Heard], stubborn: str
) -> None:
    """At once, and not again when it ends after all."""
    leave, left = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        while not leave.is_set():
            try:
                await leave.wait()
            except asyncio.CancelledError:
                pass
        left.set()

    class Stubborn(Task[..., Any]):
        async def on_success(self, *given: Any) -> None:
            await wait()

    @app.task(name="work", base=Stubborn, time_limit=SHORT)
    async def work() -> int:
        if stubborn == "body":
            await wait()
        return 1

    async with working(app) as worker:
        result: AsyncResult[Any] = await work.send()
        value = await outcome(result)
        state = "FAILURE" if stubborn == "body" else "SUCCESS"
        told = heard(result.id)
        assert (told, value == 1) == ([(state, "", "work", True, False)], stubborn == "hook")
        leave.set()
        await left.wait()
        assert worker.incarnation is not None and worker.incarnation.runner is not None
        runner = worker.incarnation.runner
        await until(lambda: not runner.stuck)
        assert heard(result.id) == told


async def test_a_telling_that_fails_does_not_keep_an_end_from_being_settled(
    app: AioQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*given: Any) -> None:
        raise RuntimeError("of our own")

    @app.task(name="work")
    async def work(x: int) -> int:
        return x

    caplog.set_level(logging.INFO, logger="aioqueue")
    monkeypatch.setattr(Telling, "tell", fail)
    async with working(app):
        stranger = await app.send_task("unknown")
        assert await work.call(2, timeout=PATIENCE) == 2
        assert (await ended(stranger)).state == "FAILURE"
        await until(lambda: is_empty(app))
    assert caplog.text.count("could not be told") == 2


async def _running(app: AioQueue, count: int) -> bool:
    return (await lengths(app))[1] == count
