"""A worker's process ends when it is told to, whatever its tasks do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from support.waiting import eventually

from .conftest import Shell

SHOP = """
import asyncio, atexit, threading, time
from pathlib import Path

from aioqueue import AioQueue

app = AioQueue("shop", worker_shutdown_timeout=0.3)


@app.task
async def stubborn() -> None:
    Path(f"began-{time.monotonic_ns()}").touch()
    while True:
        try:
            await asyncio.sleep(3600)
        except BaseException:
            pass


@app.task
async def children() -> None:
    app.child = asyncio.create_task(stubborn.function(), name="a child of mine")
    await asyncio.sleep(3600)


@app.task
def thread() -> None:
    Path("began").touch()
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            pass


@app.task
async def left_thread() -> None:
    threading.Thread(target=time.sleep, args=(3600,), name="left over").start()
    await asyncio.get_running_loop().run_in_executor(None, thread.function)


@app.task
async def hook() -> None:
    atexit.register(time.sleep, 3600)
    Path("began").touch()


@app.task
async def blocks() -> None:
    Path("began").touch()
    while True:
        time.sleep(0.1)


@app.task(time_limit=0.1)
async def limited() -> None:
    await stubborn.function()
"""


@pytest.fixture
def shell(aioqueue: Shell) -> Shell:
    aioqueue.write("shop.py", SHOP)
    return aioqueue


def began(shell: Shell, count: int = 1) -> None:
    eventually(lambda: len(list(shell.folder.glob("began*"))) >= count, "the start")


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("stubborn", "leaves 1 task behind, which did not end when told to: shop.stubborn["),
        ("children", "a child of mine"),
        ("thread", "leaves 1 task behind, which did not end when told to: shop.thread["),
        ("left_thread", "left over"),
        ("hook", ""),
    ],
)
def test_it_leaves_whatever_goes_on(shell: Shell, task: str, says: str) -> None:
    worker = shell.worker()
    assert shell("call", "shop", task).code == 0
    began(shell)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == (0 if task == "hook" else 1), worker.err
    assert says in worker.err
    if task in ("stubborn", "thread"):
        queues = shell("queues", "shop", "--json").json
        assert [(queue["waiting"], queue["running"]) for queue in queues] == [(1, 0)], "it was handed back"


def test_it_leaves_though_the_event_loop_is_blocked(shell: Shell) -> None:
    worker = shell.worker()
    assert shell("call", "shop", "blocks").code == 0
    began(shell)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 1
    assert "something" in worker.err or "coroutines" in worker.err


def test_a_burst_leaves_behind_what_was_given_up(shell: Shell) -> None:
    id = shell("call", "shop", "limited").out.strip()
    run = shell("worker", "shop", "--burst")
    assert run.code == 1, run.err
    assert f"shop.limited[{id}]" in run.err.split("leaves 1 task behind")[1]
    shown = shell("result", id, "-A", "shop")
    assert "TimeLimitExceeded" in shown.out + shown.err


def test_processes_leave_and_are_replaced(shell: Shell) -> None:
    worker = shell.start(
        "worker", "shop", "--processes", "2", AIOQUEUE_WORKER_MAX_TASKS="1", AIOQUEUE_WORKER_PREFETCH="0"
    )
    worker.wait_for("is ready")
    assert shell("call", "shop", "stubborn").code == 0
    worker.wait_for("another one takes its place")
    began(shell, 2)  # the same task, handed back
    worker.signal(signal.SIGTERM)
    worker.wait()
    assert "SIGTERM: it tells " in worker.err


def test_asyncio_run_ends_as_well(shell: Shell) -> None:
    shell.write(
        "program.py",
        "import asyncio, shop\n"
        "async def main():\n"
        "    async with shop.app:\n"
        "        await shop.stubborn.send()\n"
        "        worker = shop.app.worker()\n"
        "        async with worker:\n"
        "            while not worker.incarnation.runner.running: await asyncio.sleep(0.01)\n"
        "            await asyncio.sleep(0.1)\n"
        "        print('left', worker.left_behind)\n"
        "asyncio.run(main())\n"
        "print('over')\n",
    )
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=shell.folder,
        env={**shell.environment, "PYTHONPATH": os.fspath(shell.folder)},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "left ['shop.stubborn[" in done.stdout
    assert "over" in done.stdout
