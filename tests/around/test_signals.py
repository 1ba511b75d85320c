"""Signals: what is told of tasks, when, in which order; and what a handler cannot do."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest
from support.apps import MakeApp, ended, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Ignore, Reject, Task, TaskContext, chain, clock, group
from aioqueue.around import calling
from aioqueue.around.calling import Handler
from aioqueue.around.events import END_MOMENTS, MOMENTS, TaskEvent
from aioqueue.brokers.protocol import Outgoing, Settlement, Verdict
from aioqueue.exceptions import ConfigurationError, QueueFull
from aioqueue.message import Message, encode_message

Events = list[TaskEvent]
marked: ContextVar[str] = ContextVar("marked", default="")


class Fault(Exception):
    """Something is wrong."""


def listening(app: AioQueue, *names: str) -> Events:
    """What is told from now on of these moments; of all that come with a run or after an end, if none is given."""
    seen: Events = []
    for name in names or ("task_prerun", *sorted(END_MOMENTS)):
        app.on(name)(seen.append)
    return seen


def names(events: Events, id: str | None = None) -> list[str]:
    """The moments, of one task."""
    return [event.name for event in events if id is None or event.task_id == id]


async def test_each_end_of_a_run_and_its_moments(app: AioQueue) -> None:
    @app.task(name="work", bind=True, max_retries=1)
    async def work(ctx: TaskContext, how: str) -> int:
        match how:
            case "retry" if ctx.retries == 0:
                raise ctx.retry(exc=Fault("again"), countdown=0)
            case "fail":
                raise Fault("for good")
            case "ignore":
                raise Ignore
            case "reject":
                raise Reject("not mine")
            case "replace":
                raise ctx.replace(work.s("succeed"))
            case _:
                return 7

    events = listening(app)
    success = ["task_prerun", "task_success", "task_postrun"]
    expected = {
        "succeed": success,
        "retry": ["task_prerun", "task_retry", "task_postrun", *success],
        "fail": ["task_prerun", "task_failure", "task_postrun"],
        "ignore": ["task_prerun", "task_postrun"],
        "reject": ["task_prerun", "task_rejected", "task_dead", "task_postrun"],
        "replace": ["task_prerun", "task_postrun", *success],  # that has the id of this one
    }
    async with app.testing() as t:
        sent = {how: await work.options(headers={"how": how}).send(how) for how in expected}
        await t.drain()
    assert {how: names(events, result.id) for how, result in sent.items()} == expected
    (succeeded,) = [one for one in events if one.name == "task_success" and one.task_id == sent["succeed"].id]
    assert (succeeded.task, succeeded.args, succeeded.result, succeeded.state) == ("work", ("succeed",), 7, "SUCCESS")
    assert succeeded.headers == {"how": "succeed"} and succeeded.worker == "testing" and succeeded.queue == "default"
    assert succeeded.runtime is not None and 0 <= succeeded.runtime < PATIENCE and succeeded.exception is None
    (failed,) = [one for one in events if one.name == "task_failure"]
    assert isinstance(failed.exception, Fault) and failed.exception.__traceback__ is None
    assert failed.traceback is not None and "for good" in failed.traceback and failed.result is None
    (retried,) = [one for one in events if one.name == "task_retry"]
    assert isinstance(retried.exception, Fault) and retried.retries == 0
    (dead,) = [one for one in events if one.name == "task_dead"]
    assert dead.reason == "not mine"


async def test_ends_of_what_has_not_run(app: AioQueue) -> None:
    @app.task(name="work")
    async def work(x: int) -> None: ...

    events = listening(app)
    async with app:
        revoked = await work.send(1)
        await revoked.revoke()
        expired = await work.options(expires=0).send(2)
        forged = {
            "unknown": encode_message(Message(task="unknown", queue="default")),
            "unfit": encode_message(Message(task="work", queue="default", body=b"\x92\x90\x80")),
            "junk": b"\xc1",
        }
        broker = await app.broker()
        await broker.send([Outgoing(id, "default", 0, data) for id, data in forged.items()], timeout=PATIENCE)
        async with app.worker():
            for id in (revoked.id, expired.id, *forged):
                await outcome(app.result(id))
    assert names(events, revoked.id) == ["task_revoked"]
    (expiry,) = [one for one in events if one.task_id == expired.id]
    assert (expiry.name, expiry.reason, expiry.args, expiry.runtime) == ("task_revoked", "expired", (2,), None)
    for id, task in {"unknown": "unknown", "unfit": "work", "junk": ""}.items():
        failed, dead = [one for one in events if one.task_id == id]
        assert (failed.name, dead.name, failed.task, failed.state) == ("task_failure", "task_dead", task, "FAILURE")
        assert failed.exception is not None and dead.reason == str(failed.exception)


async def test_one_that_is_revoked_while_it_runs(app: AioQueue) -> None:
    started = asyncio.Event()

    @app.task
    async def work() -> None:
        started.set()
        await asyncio.sleep(PATIENCE)

    events = listening(app)
    async with working(app):
        result = await work.send()
        await started.wait()
        await result.revoke(terminate=True)
        await until(lambda: "task_postrun" in names(events))
    assert names(events) == ["task_prerun", "task_revoked", "task_postrun"]
    assert events[1].state == "REVOKED" and events[1].reason == "revoked"


async def test_the_end_is_settled_before_anybody_hears_of_it(app: AioQueue) -> None:
    states: list[str] = []

    class Hooked(Task[..., Any]):
        async def on_success(self, result: Any, task_id: str, *given: Any) -> None:
            states.append(await app.result(task_id).state())

    @app.task(base=Hooked)
    async def work() -> int:
        return 1

    @app.on("task_success")
    async def look(event: TaskEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        states.append(await app.result(event.task_id).state())

    async with app.testing() as t:
        await work.send()
        await t.drain()
    assert states == ["SUCCESS", "SUCCESS"]


async def test_nobody_is_told_of_an_end_that_counts_for_nothing(
    app: AioQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hooked(Task[..., Any]):
        def on_success(self, *given: Any) -> None:
            hooks.append("on_success")

        def after_return(self, *given: Any) -> None:
            hooks.append("after_return")

    hooks: list[str] = []

    @app.task(base=Hooked)
    async def work(x: int) -> int:
        return x

    events = listening(app)
    async with working(app) as worker:
        assert worker.incarnation is not None and worker.incarnation.runner is not None
        consumer, runner = worker.incarnation._consumer, worker.incarnation.runner
        settle = consumer.settle

        async def late(settlements: Sequence[Settlement]) -> list[Verdict]:
            """As the broker does for a worker whose tasks others have by now."""
            monkeypatch.setattr(consumer, "settle", settle)
            return [Verdict.FENCED for _ in settlements]

        monkeypatch.setattr(consumer, "settle", late)
        lost = await work.send(1)
        await until(lambda: "counts for nothing" in caplog.text)
        kept = await work.send(2)
        await until(lambda: "task_postrun" in names(events))
        await until(lambda: len(runner.beside) == 0)
    assert names(events, lost.id) == ["task_prerun"]
    assert names(events, kept.id) == ["task_prerun", "task_success", "task_postrun"]
    assert hooks == ["on_success", "after_return"]


async def test_the_order_around_a_run(app: AioQueue) -> None:
    seen: list[str] = []

    class Hooked(Task[..., Any]):
        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            seen.append("before_start")

        async def on_success(self, *given: Any) -> None:
            seen.append("on_success")

        def after_return(self, *given: Any) -> None:
            seen.append("after_return")

    @app.task(base=Hooked)
    async def work() -> None:
        seen.append("body")

    for name in ("task_prerun", "task_success", "task_postrun"):
        app.on(name)(lambda event: seen.append(event.name))
    async with app.testing() as t:
        await t.run(work)
    assert seen == [
        *("task_prerun", "before_start", "body"),
        *("on_success", "after_return", "task_success", "task_postrun"),
    ]


async def test_a_retry_is_told_of_before_the_next_run_begins(app: AioQueue) -> None:
    seen: list[str] = []

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> None:
        seen.append("run")
        if ctx.retries < 2:
            raise ctx.retry(countdown=0)

    @app.on("task_retry")
    async def slow(event: TaskEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        await asyncio.sleep(0.02)
        seen.append("retry")

    async with working(app):
        await ended(await work.send())
    assert seen == ["run", "retry", "run", "retry", "run"]


async def test_a_handler_of_one_task_hears_of_no_other(app: AioQueue) -> None:
    @app.task
    async def mine() -> None: ...

    @app.task
    async def other() -> None: ...

    seen: list[tuple[str, str]] = []
    app.on("task_success", task=mine)(lambda event: seen.append(("task", event.task)))
    app.on("task_success", task=other.name)(lambda event: seen.append(("name", event.task)))
    async with app.testing() as t:
        await mine.send()
        await other.send()
        await t.drain()
    assert sorted(seen) == [("name", other.name), ("task", mine.name)]


async def test_one_that_comes_later_hears_of_tasks_that_were_there(app: AioQueue) -> None:
    @app.task
    async def work() -> None: ...

    async with app.testing() as t:
        await t.run(work)
        events = listening(app, "task_success")
        await t.run(work)
    assert len(events) == 1


@pytest.mark.parametrize("moment", ["task_prerun", "task_success", "task_postrun"])
@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_a_handler_that_fails_is_reported_and_changes_nothing(
    app: AioQueue, moment: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    async def work() -> int:
        return 1

    async def fails(event: TaskEvent) -> None:
        raise SystemExit("in the handler")

    def also(event: TaskEvent) -> None:
        raise SystemExit("in the handler")

    app.on(moment)(fails if kind == "coroutine" else also)
    events = listening(app, moment)
    async with app.testing() as t:
        assert await t.run(work) == 1
    assert names(events) == [moment], "those behind it hear"
    assert f"{moment} of {work.name}" in caplog.text and "in the handler" in caplog.text


@pytest.mark.parametrize("kind", ["coroutine", "stubborn", "function"])
async def test_a_handler_that_hangs_is_reported_and_left(
    make_app: MakeApp, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(signal_timeout=0.05)
    leave, left = asyncio.Event(), threading.Event()

    @app.task
    async def work() -> int:
        return 1

    async def hangs(event: TaskEvent) -> None:
        await leave.wait()

    async def stubborn(event: TaskEvent) -> None:
        while not leave.is_set():
            try:
                await leave.wait()
            except asyncio.CancelledError:
                pass

    def in_thread(event: TaskEvent) -> None:
        left.wait(PATIENCE)

    for moment in ("task_prerun", "task_success"):
        app.on(moment)({"coroutine": hangs, "stubborn": stubborn, "function": in_thread}[kind])
    events = listening(app, "task_postrun")
    async with working(app, concurrency=1) as worker:
        result = await work.send()
        assert await result.get(timeout=PATIENCE) == 1
        await until(lambda: events)
        assert worker.incarnation is not None and worker.incarnation.runner is not None
        assert not worker.incarnation.runner.running
    leave.set()
    left.set()
    assert caplog.text.count("did not end within 0.05 s") == 2


async def test_a_handler_that_hangs_holds_no_slot(app: AioQueue) -> None:
    leave = asyncio.Event()

    @app.task
    async def work(x: int) -> int:
        return x

    @app.on("task_success")
    async def hangs(event: TaskEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        if event.args == (0,):
            await leave.wait()

    async with working(app, concurrency=1):
        assert [await work.call(x, timeout=PATIENCE) for x in range(5)] == [0, 1, 2, 3, 4]
        leave.set()


async def test_one_that_is_late_again_and_again_is_left_out(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, calls = make_app(signal_timeout=0.01), list[int]()

    @app.task
    async def work() -> None: ...

    @app.on("task_success")
    async def hangs(event: TaskEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        calls.append(1)
        await asyncio.sleep(PATIENCE)

    minute = calling._LEFT_OUT
    async with app.testing() as t:
        for _ in range(8):
            await t.run(work)
        assert len(calls) == 5 and f"left out for {minute:g} s" in caplog.text
        later = SimpleNamespace(seconds=lambda: clock.seconds() + minute)
        monkeypatch.setattr(calling, "clock", later)
        await t.run(work)
    assert len(calls) == 6
    assert "hangs is called again; while it was left out it missed 3 calls" in caplog.text


async def test_calls_at_one_time_that_are_late_are_late_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "_GRACE", 0.01)

    async def hangs(event: object) -> None:
        await asyncio.sleep(PATIENCE)

    handler = Handler(hangs)
    await asyncio.gather(*(handler.call("it", None, within=0.05) for _ in range(20)))
    assert caplog.text.count("did not end within") == 20 and "left out" not in caplog.text
    for _ in range(4):
        await handler.call("it", None, within=0.01)
    assert caplog.text.count("left out") == 1


async def test_one_that_cancels_itself_has_failed(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    @app.task
    async def work() -> int:
        return 1

    @app.on("task_success")
    async def gives_up(event: TaskEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        me = asyncio.current_task()
        assert me is not None
        me.cancel()
        await asyncio.sleep(0)

    async with app.testing() as t:
        assert await t.run(work) == 1
    assert "gives_up, called for" in caplog.text and "failed; nothing else changes" in caplog.text


async def test_a_hook_of_a_class_is_never_left_out(make_app: MakeApp) -> None:
    app, calls = make_app(signal_timeout=0.01), list[int]()

    class Slow(Task[..., Any]):
        async def on_success(self, *given: Any) -> None:
            calls.append(1)
            await asyncio.sleep(PATIENCE)

    @app.task(base=Slow)
    async def work() -> None: ...

    async with app.testing() as t:
        for _ in range(8):
            await t.run(work)
    assert len(calls) == 8


async def test_what_a_handler_before_the_run_sets_is_seen_by_the_body(app: AioQueue) -> None:
    @app.on("task_prerun")
    def mark(event: TaskEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        marked.set(f"{marked.get()}function ")

    @app.on("task_prerun")
    async def mark_too(event: TaskEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        marked.set(f"{marked.get()}coroutine")

    @app.task
    def work() -> str:
        return marked.get()

    async with app.testing() as t:
        assert await t.run(work) == "function coroutine"
    assert marked.get() == ""


async def test_a_stopping_worker_waits_for_what_is_called(app: AioQueue) -> None:
    events: Events = []

    @app.task
    async def work() -> None: ...

    @app.on("task_success")
    async def slow(event: TaskEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        await asyncio.sleep(0.2)
        events.append(event)

    async with working(app):
        await (await work.send()).get(timeout=PATIENCE)
        assert not events
    assert len(events) == 1


async def test_a_burst_stays_for_what_a_handler_sends(app: AioQueue) -> None:
    ran: list[int] = []

    @app.task
    async def first() -> None: ...

    @app.task
    async def second() -> None:
        ran.append(1)

    @app.on("task_success", task=first)
    async def send(event: TaskEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        await asyncio.sleep(0.1)
        await second.send()

    async with app:
        await first.send()
        await app.worker(burst="now").run(install_signals=False)
    assert ran == [1]


@pytest.mark.parametrize(
    ("spelt", "meant"),
    [
        ("task-failed", "task_failure"),
        ("task_succeeded", "task_success"),
        ("task-retried", "task_retry"),
        ("task-started", "task_prerun"),
        ("task-revoked", "task_revoked"),
        ("after_task_publish", "task_sent"),
        ("worker-online", "worker_ready"),
    ],
)
def test_celerys_spellings(app: AioQueue, spelt: str, meant: str) -> None:
    app.on(spelt)(print)
    assert app.signals.heard == {meant}


def _of_celery(sender: Any = None, **given: Any) -> None: ...


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        (lambda app: app.on("task_failed_"), "task_failed"),
        (lambda app: app.on("task_falure"), "task_failure"),
        (lambda app: app.on("before_task_publish"), "around_send"),
        (lambda app: app.on(5), "5"),
        (lambda app: app.on("worker_ready", task="work")(print), "no moment of a task"),
        (lambda app: app.on("task_failure")("alert"), "takes a function"),
        (lambda app: app.on("task_failure")(_of_celery), r"_of_celery\(sender=None, \*\*.* a handler of Celery's"),
        (lambda app: app.on("task_failure")(lambda **given: None), "cannot be called with one event"),
        (lambda app: app.on("task_failure")(lambda: None), "cannot be called with one event"),
        (lambda app: app.on("task_failure")(lambda event, other: None), r"def handler\(event\)"),
        (lambda app: app.on("task_failure", task=_of_celery), "takes a task, .* not <function"),
        (lambda app: app.on("task_failure", task=Task()), r"takes a task, .* not one made by Task\(\)"),
        (lambda app: app.on("task_failure", task=Task), "takes a task, .* not <class"),
        (lambda app: app.on("task_failure", task=AioQueue("other").task(name="elsewhere")(print)), "elsewhere"),
    ],
)
def test_what_is_refused(app: AioQueue, listen: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        listen(app)
    assert "The handler hears of nothing." in str(caught.value)
    assert app.signals.heard == frozenset()


def test_the_handler_stays_what_it_was(app: AioQueue) -> None:
    def alert(event: TaskEvent) -> None: ...

    assert app.on("task_failure")(alert) is alert
    assert len(MOMENTS) == len(set(MOMENTS))


async def test_nobody_listens_nothing_is_called(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "aioqueue")

    @app.task
    async def work() -> None: ...

    async with working(app) as worker:
        await (await work.send()).get(timeout=PATIENCE)
        assert worker.incarnation is not None and worker.incarnation.runner is not None
        assert len(worker.incarnation.runner.beside) == 0
    assert work.surroundings is None and not app.signals.hears_ends and caplog.text == ""


# What is sent and received


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_what_is_sent(app: AioQueue, kind: str) -> None:
    events: Events = []

    async def hear(event: TaskEvent) -> None:
        events.append(event)

    @app.task(name="work")
    async def work(x: int) -> int:
        return x

    app.on("task_sent")(hear if kind == "coroutine" else events.append)
    async with app.testing() as t:
        one = await work.options(queue="other", headers={"tenant": "a"}).send(1)
        many = await app.send_many([work.s(x) for x in range(3)])
        named = await app.send_task("elsewhere", args=(5,))
        await chain(work.s(7), work.s()).send()
        await t.drain()
    first = events[0]
    assert (first.task_id, first.task, first.args, first.queue) == (one.id, "work", (1,), "other")
    assert first.headers == {"tenant": "a"}
    assert [event.task_id for event in events[1:5]] == [*[result.id for result in many], named.id]
    assert [event.args for event in events[5:]] == [(7,), ()], "of a canvas all, with it"


@pytest.mark.parametrize("in_testing", [False, True])
async def test_of_a_canvas_each_task_is_told(app: AioQueue, in_testing: bool) -> None:
    events = listening(app, "task_sent")

    @app.task(name="work", bind=True)
    async def work(ctx: TaskContext, *args: int) -> int:
        if args == (13,):
            raise ctx.replace(work.s(14))
        return args[0]

    async with app.testing() if in_testing else app:
        result = await chain(work.s(1), work.si(2)).send()
        await group(work.s(number) for number in range(3, 6)).send()
        await work.options(link=work.si(7), link_error=work.si(8)).send(6)
        assert [event.args for event in events] == [(1,), (2,), (3,), (4,), (5,), (6,), (7,)]
        assert events[1].task_id == result.id and {event.queue for event in events} == {"default"}
        events.clear()
        replaced = await work.send(13)
        async with app.worker():
            assert await replaced.get(timeout=PATIENCE) == 14
    assert [event.args for event in events] == [(13,), (14,)]
    assert not events[0].worker and events[1].worker, "what stands in its place is sent by the worker"


async def test_what_a_task_puts_in_its_place_or_adds_is_told_when_that_begins(app: AioQueue) -> None:
    events = listening(app, "task_sent")

    @app.task(name="work")
    async def work(x: int) -> int:
        return x

    @app.task(name="grows", bind=True, max_retries=1)
    async def grows(ctx: TaskContext, how: str) -> int:
        await ctx.add_to_group(work.s(ctx.retries))
        match how:
            case "fail":
                raise Fault
            case "retry" if not ctx.retries:
                raise ctx.retry(countdown=0)
            case "replace":
                raise ctx.replace(group(work.s(7), work.s(8)))
            case _:
                return 0

    found: dict[str, list[Any]] = {}
    async with app.testing() as t:
        for how in ("return", "fail", "retry", "replace"):
            await group(grows.s(how)).send()
            await t.drain()
            found[how] = [(event.task, *event.args) for event in events]
            events.clear()
    assert found == {
        "return": [("grows", "return"), ("work", 0)],
        "fail": [("grows", "fail")],
        "retry": [("grows", "retry"), ("work", 1)],
        "replace": [("grows", "replace"), ("work", 0), ("work", 7), ("work", 8)],
    }


async def test_of_a_canvas_that_runs_where_it_is_sent_each_task_is_told(make_app: MakeApp) -> None:
    app = make_app(task_always_eager=True)
    events = listening(app, "task_sent")

    @app.task
    async def work(x: int) -> int:
        return x

    async with app:
        assert await (await chain(work.s(1), work.si(2)).send()).get() == 2
    assert [event.args for event in events] == [(1,), (2,)]


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_what_a_handler_of_it_sends_is_not_told(make_app: MakeApp, kind: str) -> None:
    app = make_app(signal_timeout=PATIENCE)

    @app.task(name="work")
    async def work(x: int) -> None: ...

    @app.task(name="audit")
    async def audit(x: int) -> None: ...

    events: Events = []
    audits: list[str] = []

    async def note(event: TaskEvent) -> None:
        events.append(event)
        if len(events) <= 4:  # for without its end the test would have none either
            audits.append((await audit.send(event.args[0])).id)
            await chain(audit.si(1), audit.si(2)).send()

    def note_in_a_thread(event: TaskEvent) -> None:
        events.append(event)
        if len(events) <= 4:
            audits.append(audit.sync.send(event.args[0]).id)

    app.on("task_sent")(note if kind == "coroutine" else note_in_a_thread)
    async with app:
        await work.send(1)
        await app.send_many([work.s(2), work.s(3)])
    assert [(event.task, event.args) for event in events] == [("work", (1,)), ("work", (2,)), ("work", (3,))]
    assert len(audits) == 3


async def test_nothing_is_told_of_what_is_not_sent(make_app: MakeApp) -> None:
    app = make_app(queue_max_length=1, queue_full="raise")
    events = listening(app, "task_sent")

    @app.task
    async def work() -> None: ...

    async with app:
        await work.send()
        with pytest.raises(QueueFull):
            await work.send()
    assert len(events) == 1


async def test_a_handler_that_hangs_does_not_hold_up_send_for_long(make_app: MakeApp) -> None:
    app = make_app(signal_timeout=0.05)

    @app.task
    async def work(x: int) -> None: ...

    @app.on("task_sent")
    async def hangs(event: TaskEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        await asyncio.sleep(PATIENCE)

    async with app, asyncio.timeout(PATIENCE / 2):
        assert len(await app.send_many([work.s(x) for x in range(100)])) == 100


async def test_what_is_received_is_told_before_it_runs(app: AioQueue) -> None:
    seen: list[str] = []

    @app.task
    async def work(x: int) -> None:
        seen.append(f"run {x}")

    @app.on("task_received")
    async def hear(event: TaskEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        await asyncio.sleep(0.02)
        seen.append(f"received {event.args[0]}")

    async with working(app, concurrency=2):
        for result in [await work.send(x) for x in range(3)]:
            await ended(result)
    for x in range(3):
        assert seen.index(f"received {x}") < seen.index(f"run {x}")


async def test_what_is_not_to_be_run_is_not_received(app: AioQueue) -> None:
    events = listening(app, "task_received", "task_revoked")

    @app.task
    async def work() -> None: ...

    async with app.testing() as t:
        await work.options(expires=0).send()
        await t.drain()
    assert names(events) == ["task_revoked"]
