"""What is called and not awaited is told, and what is asked in place of its answer raises."""

from __future__ import annotations

import asyncio
import collections.abc
import gc
import inspect
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.background import BackgroundTask
from support.apps import MakeApp, working
from support.waiting import PATIENCE

from aioqueue import AioQueue, chain, chord, group
from aioqueue.result import AsyncResult


@pytest.fixture
def app() -> AioQueue:
    """In memory: nothing here reaches a broker."""
    return AioQueue("shop", broker="memory://")


@pytest.fixture
def add(app: AioQueue) -> Any:
    @app.task(name="shop.add")
    async def add(x: int, y: int) -> int:
        return x + y

    return add


def _errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    gc.collect()
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_each_way_to_send(app: AioQueue, add: Any, caplog: pytest.LogCaptureFixture) -> None:
    add.delay(1, 2)
    add.send(1, 2)
    add.apply_async((1, 2))
    add.call(1, 2)
    add.apply((1, 2))
    add.options(priority=3).send(1, 2)
    add.s(1).send(2)
    chain(add.s(1, 2), add.s(3)).delay()
    group(add.s(1, 2)).apply_async()
    app.send_many([add.s(1, 2)])
    app.send_task("shop.add", (1, 2))
    errors = _errors(caplog)
    assert [error.partition(" was not awaited")[0] for error in errors] == [
        "add.delay(...)",
        "add.send(...)",
        "add.apply_async(...)",
        "add.call(...)",
        "add.apply(...)",
        "add.send(...)",
        "add.s(...).send(...)",
        "chain(...).delay(...)",
        "group(...).apply_async(...)",
        "app.send_many(...)",
        "app.send_task(...)",
    ]
    assert "nothing was sent (task shop.add)" in errors[0]
    assert "Write `await add.delay(...)`, or, where there is no event loop, `add.sync.delay(...)`." in errors[0]
    assert f"{__file__}:" in errors[0], "where it was"
    assert Path(caplog.records[0].pathname) == Path(__file__)


def test_what_else_an_app_and_a_result_do(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    result = app.result("an-id")
    for call in (
        result.get,
        result.state,
        result.info,
        result.ready,
        result.revoke,
        result.forget,
        result.group,
        app.dead_letters.list,
        lambda: app.dead_letters.requeue("an-id"),
        app.schedules.list,
        lambda: app.queues.purge("default"),
        lambda: app.revoke_by_stamp("customer", 7),
    ):
        caplog.clear()
        call()
        (error,) = _errors(caplog)
        assert "was not awaited" in error and "nothing was" in error


def test_one_that_is_kept_is_told_when_it_is_let_go(add: Any, caplog: pytest.LogCaptureFixture) -> None:
    def view() -> int:
        result = add.delay(1, 2)
        assert result is not None
        return 202

    assert view() == 202
    (error,) = _errors(caplog)
    assert error.startswith("add.delay(...) was not awaited: nothing was sent")


def test_a_chord_that_got_its_body_and_was_not_sent(add: Any, caplog: pytest.LogCaptureFixture) -> None:
    chord([add.s(1, 2)])(add.s(3))
    (error,) = _errors(caplog)
    assert error.startswith(f"chord(header)(body) was not awaited at {__file__}:")
    assert (
        "nothing was sent" in error and "or, where there is no event loop, `chord(header, body).sync.send()`" in error
    )
    assert Path(caplog.records[0].pathname) == Path(__file__)


async def test_a_chord_that_is_used_tells_nothing(app: AioQueue, add: Any, caplog: pytest.LogCaptureFixture) -> None:
    @app.task
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    def made() -> Any:
        return chord([add.s(1, 2)])(total.s())

    for kept in (
        chain(made(), add.s(1)),
        made() | add.s(1),
        add.s(1, 2) | made(),
        group(made() for _ in range(2)).tasks,
        chord(made(), made()),
        add.s(1, 2).link(made()),
        made().to_dict(),
        made().clone(),
        made().set(queue="high"),
    ):
        assert kept is not None
        del kept
    async with app.testing():
        await made()
        await made().delay()
    assert _errors(caplog) == []
    assert type(made().used()) is chord


@pytest.mark.parametrize(
    "name", ["task_id", "wait", "successful", "failed", "children", "traceback", "forget", "parent", "results"]
)
def test_what_results_have_and_an_unawaited_call_has_not(add: Any, name: str) -> None:
    with pytest.raises(AttributeError, match=rf"has no '{name}': add\.delay\(\.\.\.\) was not awaited"):
        getattr(add.delay(1, 2), name)


def test_what_nothing_has_is_said_without_names_of_ours(add: Any) -> None:
    call: Any = add.delay(1, 2)
    with pytest.raises(AttributeError, match="'coroutine' object has no attribute 'color'"):
        _ = call.color
    with pytest.raises(TypeError, match="'coroutine' object is not iterable"):
        list(call)
    call.close()


def test_what_an_unawaited_call_is_taken_for(add: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AttributeError, match=r"has no 'id': add\.delay\(\.\.\.\) was not awaited.*`await add\.delay"):
        _ = add.delay(1, 2).id
    caplog.clear()
    with pytest.raises(TypeError, match=r"add\.call\(\.\.\.\) was not awaited"):
        _ = add.call(1, 2) == 3
    with pytest.raises(TypeError, match=r"add\.send\(\.\.\.\) was not awaited"):
        assert add.send(1, 2)
    assert _errors(caplog) == [], "it has been told"


async def test_a_task_of_asyncios_that_makes_it_can_be_shown(add: Any, caplog: pytest.LogCaptureFixture) -> None:
    running = asyncio.create_task(add.send(1, 2))
    assert repr(running).startswith("<Task pending")
    result = await running
    assert repr(running).startswith("<Task finished") and result.id
    assert _errors(caplog) == []


async def test_a_method_in_the_place_of_its_answer(app: AioQueue, add: Any) -> None:
    result = await add.send(1, 2)
    for ask in (
        lambda: bool(result.ready),
        lambda: not result.successful,
        lambda: bool(result.failed),
        lambda: result.state == "SUCCESS",
        lambda: result.state != "SUCCESS",
        lambda: result.state in ("FAILURE", "SUCCESS"),
        lambda: result.state in {"FAILURE", "SUCCESS"},
    ):
        with pytest.raises(TypeError, match=r"is a method, and not its answer: write `await result\.\w+\(\)`"):
            ask()
    with pytest.raises(TypeError, match=r"write `await result\.ready\(\)`|was not awaited"):
        assert result.ready()
    with pytest.raises(AttributeError, match=r"write `await result\.info\(\)`"):
        _ = result.info.meta
    attribute: Any = result.result
    for ask in (
        lambda: attribute["x"],
        lambda: attribute + 1,
        lambda: 1 - attribute,
        lambda: attribute < 2,
        lambda: list(attribute),
        lambda: len(attribute),
    ):
        with pytest.raises(TypeError, match=r"write `await result\.result`"):
            ask()
    with pytest.raises(AttributeError, match=r"write `await result\.result`"):
        _ = attribute.get
    method: Any = result.info
    with pytest.raises(TypeError, match=r"write `await result\.info\(\)`"):
        _ = method["current"]
    assert "await result.state()" in repr(result.state)
    assert await result.ready() is False and await result.state() == "SENT"
    assert result.ready == result.ready and inspect.ismethod(result.ready)
    assert str(inspect.signature(result.ready)) == "() -> 'bool'"

    plain = result.sync
    for ask in (lambda: bool(plain.ready), lambda: not plain.successful, lambda: plain.failed == False):  # noqa: E712
        with pytest.raises(TypeError, match=r"write `result\.\w+\(\)`"):
            ask()


def test_every_result_asks_and_tells(app: AioQueue) -> None:
    """Also those that have methods of their own in the places of these."""
    kinds = [AsyncResult, *AsyncResult.__subclasses__()]
    assert len(kinds) >= 3
    for kind in kinds:
        for name, method in vars(kind).items():
            # By its code: what is awaited may be marked as a coroutine function, from Python 3.12 on.
            code = getattr(method, "__code__", None)
            if name.startswith("_") or code is None or not code.co_flags & inspect.CO_COROUTINE:
                continue
            pytest.fail(f"{kind.__name__}.{name} is neither @awaited nor @asked")


# It passes for a coroutine


async def test_all_that_takes_coroutines(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()

    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    call = add.send(1, 2)
    assert isinstance(call, collections.abc.Coroutine)
    assert inspect.isawaitable(call) and inspect.iscoroutine(call) and asyncio.iscoroutine(call)
    assert asyncio.iscoroutinefunction(add.send) and asyncio.iscoroutinefunction(add.options(priority=1).delay)
    assert "add.send" in repr(call)
    async with working(app):
        results = [
            await call,
            await asyncio.create_task(add.send(1, 2)),
            await asyncio.wait_for(add.send(1, 2), PATIENCE),
            await asyncio.shield(add.send(1, 2)),
            *await asyncio.gather(add.send(1, 2), add.delay(1, 2)),
        ]
        async with asyncio.TaskGroup() as tasks:
            results.append(await tasks.create_task(add.send(1, 2)))
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(add.send, 1, 2)
        await BackgroundTask(add.send, 1, 2)()
        assert await asyncio.gather(*(result.get(timeout=PATIENCE) for result in results)) == [3] * 7
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await call

        cancelled = asyncio.create_task(add.send(1, 2))
        cancelled.cancel()
        await asyncio.wait({cancelled})
        given_up = add.send(1, 2)
        given_up.close()
        del cancelled, given_up
        gc.collect()
    assert not [record for record in caplog.records if "was not awaited" in record.getMessage()]


def test_a_loop_for_one_call(add: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert asyncio.run(add.send(1, 2)).id
    with asyncio.Runner() as runner:
        assert runner.get_loop().run_until_complete(add.delay(1, 2)).id
    assert _errors(caplog) == []


_PROGRAM = """
from aioqueue import AioQueue
app = AioQueue("shop", broker="memory://")

@app.task
def add(x, y):
    return x + y

add.delay(1, 2)
kept = add.delay(3, 4)
"""


def test_in_a_program_without_logging(tmp_path: Path) -> None:
    """One that is kept until the interpreter ends is told as well."""
    (tmp_path / "program.py").write_text(_PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py"], capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path, check=False
    )
    assert done.returncode == 0
    assert done.stderr.count("add.delay(...) was not awaited") == 2
    assert "Traceback" not in done.stderr and "never awaited" not in done.stderr
