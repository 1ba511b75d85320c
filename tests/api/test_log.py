"""What a worker says to the log: of the ends of tasks, and of itself."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.apps import Gate, ended, is_empty, lengths, outcome, working
from support.server import Server
from support.waiting import PATIENCE, until, within

from aioqueue import AioQueue, Ignore, Reject, TaskContext
from aioqueue.exceptions import BrokerUnavailable
from aioqueue.stop_signals import Wish, Wishes, stop_signals
from aioqueue.task_logger import TaskFields
from aioqueue.wording import counted, few, span

FIELDS = ("task_id", "task", "queue", "attempt", "outcome", "duration")


@pytest.fixture
def app() -> AioQueue:
    """In memory: what is said of an end is the same on each broker."""
    return AioQueue("tests", broker="memory://")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[logging.LogRecord]]:
    """The records that have a text in them."""
    caplog.set_level(logging.INFO, logger="aioqueue")
    return lambda text: [record for record in caplog.records if text in record.getMessage()]


Said = Callable[[str], list[logging.LogRecord]]


async def test_the_lines_of_ends(app: AioQueue, said: Said) -> None:
    requeued: list[int] = []

    @app.task(name="work", queue="slow", bind=True, max_retries=2)
    async def work(ctx: TaskContext, how: str) -> None:
        match how:
            case "retry":
                raise ctx.retry(exc=ConnectionError("line is down\nfor good"), countdown=0.002)
            case "retry later" if not ctx.retries:
                raise ctx.retry(countdown=0.01, max_retries=9)
            case "fail":
                raise ValueError("no such user")
            case "reject":
                raise Reject("not mine")
            case "requeue" if not requeued:
                requeued.append(1)
                raise Reject("not now", requeue=True)
            case "ignore":
                raise Ignore
            case "replace":
                raise ctx.replace(work.si("succeed"))
            case _:
                pass

    async with working(app, queues=["slow"]):
        kinds = ("succeed", "retry", "retry later", "fail", "reject", "requeue", "ignore", "replace")
        ids = {how: (await work.send(how)).id for how in kinds}
        for id in ids.values():
            await outcome(app.result(id))
        await until(lambda: is_empty(app, "slow"))

    def lines(how: str) -> list[str]:
        texts = [record.getMessage().removeprefix(f"Task work[{ids[how]}] ") for record in said(ids[how])]
        return [re.sub(r"(<1|\d+(\.\d)?) (ms|s)\b", "TIME", text) for text in texts]

    down = "ConnectionError: line is down"
    assert {how: lines(how) for how in kinds} == {
        "succeed": ["succeeded in TIME"],
        "retry": [
            f"is retried, 1 of 2, in TIME: {down}",
            f"is retried, 2 of 2, in TIME: {down}",
            f"failed after 2 retries, TIME: {down}; kept in the dead letters",
        ],
        "retry later": ["is retried, 1 of 9, in TIME", "succeeded in TIME"],
        "fail": ["failed in TIME: ValueError: no such user"],
        "reject": ["was rejected: not mine; kept in the dead letters"],
        "requeue": ["goes back to its queue, as it asked for: not now", "succeeded in TIME"],
        "ignore": ["is ignored, as it asked for: no result of it is kept"],
        "replace": ["was replaced by work('succeed')", "succeeded in TIME"],
    }
    *_, failed = said(ids["retry"])
    assert failed.exc_info is not None and isinstance(failed.exc_info[1], ConnectionError)
    text = logging.Formatter().format(failed)
    assert "dead letters\nTraceback" in text and text.endswith("\nConnectionError: line is down\nfor good")
    below = logging.Formatter().format(said(ids["fail"])[0]).partition("\n")[2]
    assert below.startswith("Traceback") and below.endswith("ValueError: no such user")
    fields: Any = {name: vars(failed)[name] for name in FIELDS}
    assert fields.pop("duration") >= 0
    assert fields == {"task_id": ids["retry"], "task": "work", "queue": "slow", "attempt": 3, "outcome": "failure"}
    outcomes = {how: vars(said(ids[how])[0])["outcome"] for how in kinds}
    assert outcomes == {
        "succeed": "success",
        "retry": "retry",
        "retry later": "retry",
        "fail": "failure",
        "reject": "failure",
        "requeue": "requeued",
        "ignore": "ignored",
        "replace": "replaced",
    }


async def test_fields_that_a_programs_records_have_anyway_are_no_error(app: AioQueue, said: Said) -> None:
    before = logging.getLogRecordFactory()

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        vars(record).update(task_id="mine", queue="mine")
        return record

    @app.task(name="work")
    async def work() -> None: ...

    logging.setLogRecordFactory(make)
    try:
        async with working(app):
            result = await work.send()
            await ended(result)
            await until(lambda: is_empty(app))
    finally:
        logging.setLogRecordFactory(before)
    [line] = said("succeeded")
    assert vars(line)["task_id"] == result.id and said("could not be told") == []


async def test_records_of_a_task_know_it(app: AioQueue) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    handler.addFilter(TaskFields(outside="-"))
    log = logging.getLogger("of.the.program")
    log.addHandler(handler)

    @app.task(name="work")
    def work() -> None:
        log.warning("inside")

    try:
        async with working(app):
            result = await work.send()
            await result.get(timeout=PATIENCE)
        log.warning("outside")
    finally:
        log.removeHandler(handler)
    found = [{name: vars(record)[name] for name in FIELDS[:4]} for record in records]
    assert found == [
        {"task_id": result.id, "task": "work", "queue": "default", "attempt": 1},
        dict.fromkeys(FIELDS[:4], "-"),
    ]


# Of the worker itself


@pytest.fixture
def ctrl_c() -> Iterator[list[int]]:
    """What the program does on Ctrl-C: it notes that, and ends itself with the second one, as `asyncio.run` does."""
    heard: list[int] = []

    def note(number: int, frame: object) -> None:
        heard.append(number)
        if len(heard) > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    yield heard
    signal.signal(signal.SIGINT, before)


async def test_a_worker_in_a_program_is_heard(app: AioQueue, said: Said, ctrl_c: list[int]) -> None:
    """Ready, what it waits for and for how long, and that Ctrl-C ends the wait; the program hears of that, too."""
    gate = Gate()

    @app.task(name="hold")
    async def hold() -> None:
        await gate.wait()

    theirs = signal.getsignal(signal.SIGINT)

    async def press() -> None:
        await until(lambda: said("50 s to end"))
        signal.raise_signal(signal.SIGINT)

    async with app:
        signal.raise_signal(signal.SIGINT)
        async with app.worker(hostname="w1", shutdown_timeout=50.0):
            assert said("Worker w1 is ready")
            result = await hold.send()
            await until(lambda: gate.came)
            pressing = asyncio.create_task(press())
        await pressing
        assert ctrl_c == [signal.SIGINT] * 2 and signal.getsignal(signal.SIGINT) is theirs
        [stops] = said("w1 stops")
        assert stops.getMessage().startswith(f"Worker w1 stops; 1 task has 50 s to end: hold[{result.id}] (Ctrl-C:")
        assert stops.levelno == logging.WARNING
        assert said("Worker w1: SIGINT, it leaves now and hands its tasks back")
        assert said(f"Worker w1 cancels and hands back what has not ended, 1 task: hold[{result.id}]")
        assert said("Worker w1 has stopped")
        assert await lengths(app) == (1, 0, 0)
        async with app.worker(hostname="w2"):
            gate.open()
            await result.get(timeout=PATIENCE)
    assert said("w2 stops") == [], "it waits for nothing"


async def test_who_is_in_a_hurry_has_all_workers_of_a_program_in_mind(
    app: AioQueue, said: Said, ctrl_c: list[int]
) -> None:
    """One Ctrl-C for the program, and one for the wait of all of them, however many there are."""
    gate = Gate()

    @app.task(name="hold")
    async def hold() -> None:
        await gate.wait()

    async def press() -> None:
        await until(lambda: said("50 s to end"))
        signal.raise_signal(signal.SIGINT)

    async with app:
        signal.raise_signal(signal.SIGINT)
        waits: dict[str, Any] = {"shutdown_timeout": 50.0, "concurrency": 1}
        async with app.worker(hostname="w1", **waits), app.worker(hostname="w2", **waits):
            await app.send_many([hold.s(), hold.s()])
            await until(lambda: len(gate.came) == 2)
            pressing = asyncio.create_task(press())
        await pressing
        assert ctrl_c == [signal.SIGINT] * 2
        for name in ("w1", "w2"):
            assert said(f"Worker {name}: SIGINT, it leaves now and hands its tasks back")
        assert await lengths(app) == (2, 0, 0)
        gate.open()


async def test_a_program_without_logging_is_told_what_ctrl_c_waits_for(
    app: AioQueue, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()

    @app.task(name="hold")
    async def hold() -> None:
        await gate.wait()

    logging.getLogger("aioqueue").setLevel(logging.WARNING)
    working = asyncio.create_task(app.worker(hostname="w1", shutdown_timeout=50.0).run())
    async with app:
        await hold.send()
        await until(lambda: gate.came)
        signal.raise_signal(signal.SIGINT)
        await until(lambda: said("Worker w1: SIGINT, it stops; 1 task has 50 s to end: hold"))
        gate.open()
        assert await within(working) == 0


async def test_it_waits_for_its_broker(said: Said, ctrl_c: list[int], tmp_path: Path) -> None:
    server = Server(tmp_path)
    app = AioQueue("tests", broker=server.url, send_timeout=0.1)
    starting = asyncio.create_task(app.worker(hostname="w1").run(install_signals=False))
    await until(lambda: said("Worker w1 goes on waiting: No answer from redis://127.0.0.1"))
    starting.cancel()

    async def press() -> None:
        await until(lambda: said("Worker w2 goes on waiting"))
        signal.raise_signal(signal.SIGINT)

    pressing = asyncio.create_task(press())
    with pytest.raises(BrokerUnavailable, match=r"Worker w2 was told to stop before the broker .* was there"):
        async with app.worker(hostname="w2"):
            pass
    await pressing
    assert ctrl_c == [signal.SIGINT]

    worker = app.worker(hostname="w3")
    starting = asyncio.create_task(worker.run(install_signals=False))
    await until(lambda: said("Worker w3 goes on waiting"))
    server.launch()
    try:
        await until(lambda: said("Worker w3 is ready"))
        assert said("Worker w3: the broker is there, after")
        worker.stop()
        assert await within(starting) == 0
        # What does not go away by itself is told at once.
        wrong = AioQueue("tests", broker=server.url.replace("//", "//nobody:s3cret@"))
        with pytest.raises(BrokerUnavailable, match="does not let us in"):
            await within(wrong.worker().run(install_signals=False))
    finally:
        server.kill()
    # Nor is it waited for by a burst, or where the setting says so.
    with pytest.raises(BrokerUnavailable, match="No answer"):
        await within(app.worker(burst=True).run(install_signals=False))
    app.conf.broker_connection_retry_on_startup = False
    with pytest.raises(BrokerUnavailable, match="No answer"):
        await within(app.worker().run(install_signals=False))


def test_the_end_of_a_terminal_is_a_stop_unless_it_is_ignored() -> None:
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert signal.SIGHUP in stop_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        assert stop_signals() == [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_signals_ask_for() -> None:
    def asked(*numbers: signal.Signals) -> list[Wish | None]:
        wishes = Wishes()
        return [wishes.of(number) for number in numbers]

    assert asked(signal.SIGTERM, signal.SIGTERM) == [Wish.WARM, None], "it was passed on twice"
    assert asked(signal.SIGTERM, signal.SIGHUP) == [Wish.WARM, None]
    assert asked(signal.SIGTERM, signal.SIGQUIT) == [Wish.WARM, Wish.COLD]
    assert asked(signal.SIGQUIT, signal.SIGQUIT) == [Wish.COLD, Wish.COLD]
    assert asked(signal.SIGHUP, signal.SIGHUP, signal.SIGTERM) == [Wish.WARM, None, Wish.WARM]


# Amounts


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, "0 ms"),
        (0.0004, "0 ms"),
        (0.04, "40 ms"),
        (0.9996, "1 s"),
        (2.34, "2.3 s"),
        (30.0, "30 s"),
        (59.96, "1 min"),
        (95.0, "1 min 35 s"),
        (3599.7, "1 h"),
        (7800.0, "2 h 10 min"),
        (86_400.0, "1 d"),
        (100_000.0, "1 d 4 h"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_counts_and_names() -> None:
    assert [counted(number, "task") for number in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]
    assert [counted(number, "retry", "retries") for number in (1, 2)] == ["1 retry", "2 retries"]
    assert few(["a", "b"]) == "a, b"
    assert few([str(number) for number in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
