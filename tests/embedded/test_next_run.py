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
from aioqueue.embedded import acquire

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


def test_who_is_first(folders: Folders, user: Callable[[str], subprocess.Popen[str]]) -> None:
    with acquire("app") as server:
        assert server.is_first
        with acquire("app") as again:
            assert not again.is_first
    with acquire("other") as server:
        assert server.is_first
    one = user("app")
    assert one.stdout is not None
    one.stdout.readline()
    with acquire("app") as joined:
        assert not joined.is_first
    for pid in [*folders.supervisors(), *folders.servers()]:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not folders.servers(), "the end of the server")
    with acquire("app") as restarted:
        assert restarted.started_here and not restarted.is_first
    one.kill()
    one.wait()
    wait_for(lambda: not folders.servers(), "the end of the server")
    with acquire("app") as server:
        assert server.is_first
