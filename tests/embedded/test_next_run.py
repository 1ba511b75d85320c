"""A program on the private server that was killed: the next one goes on with its tasks, however short it is."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from aioqueue import AioQueue

from .conftest import Folders, wait_for

PROGRAM = """
import asyncio, sys
from aioqueue import AioQueue, TaskContext

app = AioQueue("app")

@app.task(bind=True, name="work")
async def work(ctx: TaskContext, seconds: float) -> int:
    print("started", ctx.id, flush=True)
    await asyncio.sleep(seconds)
    return ctx.deliveries

async def main() -> None:
    async with app, app.worker():
        await asyncio.gather(*[(await work.send(60)).get() for _ in range(3)])

asyncio.run(main())
"""


def make_app() -> AioQueue:
    app = AioQueue("app")

    @app.task(name="work")
    async def work(seconds: float) -> str:
        return "done by the next"

    return app


@pytest.fixture
def program(folders: Folders) -> Callable[[], tuple[subprocess.Popen[str], list[str]]]:
    """A program whose three tasks run; and their ids."""

    def run() -> tuple[subprocess.Popen[str], list[str]]:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return process, [process.stdout.readline().split()[1] for _ in range(3)]

    return run


async def test_the_next_program_runs_them_at_once(
    folders: Folders, program: Callable[[], tuple[subprocess.Popen[str], list[str]]]
) -> None:
    process, ids = program()
    process.kill()
    process.communicate()
    app = make_app()
    async with app, asyncio.timeout(10), app.worker():  # a visibility timeout is 30 s
        assert [await app.result(id).get() for id in ids] == ["done by the next"] * 3


async def test_also_when_it_comes_before_the_server_stops(
    folders: Folders, program: Callable[[], tuple[subprocess.Popen[str], list[str]]]
) -> None:
    process, ids = program()
    supervisors = folders.supervisors()
    for pid in supervisors:  # so it cannot notice that its last user is gone
        os.kill(pid, signal.SIGSTOP)
    process.kill()
    process.communicate()
    again = threading.Timer(0.5, lambda: [os.kill(pid, signal.SIGCONT) for pid in supervisors])
    again.start()
    app = make_app()
    async with app, asyncio.timeout(10), app.worker():
        assert [await app.result(id).get() for id in ids] == ["done by the next"] * 3
    again.join()


async def test_also_when_the_server_has_stopped_before(
    folders: Folders, program: Callable[[], tuple[subprocess.Popen[str], list[str]]]
) -> None:
    process, ids = program()
    process.kill()
    process.communicate()
    wait_for(lambda: not folders.servers(), "the end of the server")
    app = make_app()
    async with app:  # only a client at first
        assert [worker.name for worker in await (await app.broker()).workers()] == []
        async with asyncio.timeout(10), app.worker():
            assert [await app.result(id).get() for id in ids] == ["done by the next"] * 3


async def test_not_while_the_program_lives(
    folders: Folders, program: Callable[[], tuple[subprocess.Popen[str], list[str]]]
) -> None:
    """Its server is killed, and its supervisor: the next program starts a new one, and takes nothing over (D3)."""
    process, ids = program()
    try:
        for pid in [*folders.supervisors(), *folders.servers()]:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not folders.servers(), "the end of the server")
        app = make_app()
        async with app:
            broker = await app.broker()
            async with app.worker():
                for _ in range(10):
                    await asyncio.sleep(0.1)
                    assert await broker.records(ids) == [None] * 3
    finally:
        process.kill()
        process.communicate()


async def test_also_while_another_process_keeps_the_server(
    folders: Folders,
    user: Callable[[str], subprocess.Popen[str]],
    program: Callable[[], tuple[subprocess.Popen[str], list[str]]],
) -> None:
    other = user("app")
    assert other.stdout is not None
    other.stdout.readline()
    process, ids = program()
    app = make_app()
    async with app:
        broker = await app.broker()
        process.send_signal(signal.SIGSTOP)
        assert [worker.pid for worker in await broker.workers()] == [process.pid]  # a frozen one is not gone
        process.kill()
        process.communicate()
        assert await broker.workers() == []
        async with asyncio.timeout(10):
            assert await app.worker(burst="now").run(install_signals=False) == 0
            assert [await app.result(id).get() for id in ids] == ["done by the next"] * 3


async def test_a_worker_that_runs_sees_it(
    folders: Folders, program: Callable[[], tuple[subprocess.Popen[str], list[str]]]
) -> None:
    process, ids = program()
    app = make_app()
    async with app, app.worker(), asyncio.timeout(10):
        process.kill()
        process.communicate()
        assert [await app.result(id).get() for id in ids] == ["done by the next"] * 3


async def test_what_leaves_in_good_order_is_not_taken_over(folders: Folders, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()
    async with app:
        for _ in range(2):
            result = await app.send_task("work", [0])
            await app.worker(burst=True).run(install_signals=False)
            assert await result.get(timeout=5) == "done by the next"
    assert not list(folders.data.glob("*/workers/*/*"))
    assert "Took over" not in caplog.text
