"""What signals do to a worker, to several under one, and to beat."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from contextlib import closing

import pytest
from support.waiting import eventually

from .conftest import Shell

_IN_A_TERMINAL = """
import fcntl, runpy, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv[1:] = ["worker", "shop:app"]
runpy._run_module_as_main("aioqueue")
"""

_SUPERVISED = ("--max-tasks-per-child", "100")


def runs(aioqueue: Shell) -> str:
    """The id of a task that runs, until there is a file `wake`."""
    id = aioqueue("call", "shop", "sleep", "1000").out.strip()
    eventually((aioqueue.folder / "sleeps").exists, "the task runs")
    return id


def change(aioqueue: Shell) -> None:
    """Another version of the code, which has one task more."""
    text = (aioqueue.folder / "shop.py").read_text()
    aioqueue.write("shop.py", f"{text}\n\n@app.task\ndef new() -> int:\n    return 17\n")


def test_a_service_begins_again_with_the_code_of_now(aioqueue: Shell) -> None:
    worker = aioqueue.worker("-n", "w")
    id = runs(aioqueue)
    change(aioqueue)
    worker.signal(signal.SIGHUP)
    worker.wait_for("SIGHUP, it stops; 1 task has 30 s to end")
    worker.signal(signal.SIGHUP)  # they come in numbers, and are no haste
    (aioqueue.folder / "wake").touch()
    worker.wait_for(f"It begins again, with the code and the settings of now, as process {worker.pid}")
    assert aioqueue("call", "shop", "new", "--wait").out.strip() == "17"
    assert aioqueue("result", "shop:app", id, "--json").json["result"] == "slept"
    assert [(one["name"], one["pid"]) for one in aioqueue("workers", "shop", "--json").json] == [("w", worker.pid)]
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert "Traceback" not in worker.err


def test_a_stop_while_it_is_about_to_begin_again(aioqueue: Shell) -> None:
    worker = aioqueue.worker()
    id = runs(aioqueue)
    worker.signal(signal.SIGHUP)
    worker.wait_for("SIGHUP, it stops")
    worker.signal(signal.SIGTERM)
    worker.wait_for("SIGTERM, it stops, and does not begin again")
    (aioqueue.folder / "wake").touch()
    assert worker.wait() == 0
    assert "It begins again" not in worker.err
    assert aioqueue("result", "shop:app", id, "--json").json["result"] == "slept", "the second signal was no haste"


def test_the_end_of_its_terminal_is_a_stop(aioqueue: Shell) -> None:
    master, slave = pty.openpty()
    with closing(os.fdopen(master, "rb", buffering=0)), closing(os.fdopen(slave, "wb", buffering=0)) as terminal:
        log = aioqueue.folder / "log"
        with log.open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-c", _IN_A_TERMINAL],
                cwd=aioqueue.folder,
                env=aioqueue.environment,
                stdin=terminal,
                stderr=err,
                start_new_session=True,
            )
        try:
            eventually(lambda: "is ready" in log.read_text(), "it is ready")
            id = runs(aioqueue)
            terminal.close()
        except BaseException:
            process.kill()
            raise
    # Both ends are closed: the terminal is gone.
    eventually(lambda: f"SIGHUP, it stops; 1 task has 30 s to end: shop.sleep[{id}]" in log.read_text(), "it stops")
    (aioqueue.folder / "wake").touch()
    assert process.wait(timeout=40) == 0
    assert "It begins again" not in log.read_text()
    assert aioqueue("result", "shop:app", id, "--json").json["result"] == "slept"


@pytest.mark.parametrize("words", [(), _SUPERVISED], ids=["one", "supervised"])
def test_sigquit_leaves_now(aioqueue: Shell, words: tuple[str, ...]) -> None:
    worker = aioqueue.worker(*words)
    id = runs(aioqueue)
    worker.signal(signal.SIGQUIT)
    assert worker.wait() == 1
    assert "SIGQUIT, it leaves now and hands its tasks back" in worker.err
    assert f"cancels and hands back what has not ended, 1 task: shop.sleep[{id}]" in worker.err
    [queue] = [queue for queue in aioqueue("queues", "shop", "--json").json if queue["queue"] == "slow"]
    assert (queue["waiting"], queue["running"]) == (1, 0)


def test_a_supervisor_begins_again_with_its_processes(aioqueue: Shell) -> None:
    worker = aioqueue.worker(*_SUPERVISED, "-n", "w")
    runs(aioqueue)
    change(aioqueue)
    worker.signal(signal.SIGHUP)
    worker.wait_for("SIGHUP: it tells 1 worker process to stop")
    worker.signal(signal.SIGHUP)
    (aioqueue.folder / "wake").touch()
    worker.wait_for(f"as process {worker.pid}")
    assert aioqueue("call", "shop", "new", "--wait").out.strip() == "17"
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert "takes its place" not in worker.err, "none was taken for dead"


def test_a_second_signal_goes_on_to_the_processes(aioqueue: Shell) -> None:
    worker = aioqueue.worker(*_SUPERVISED)
    id = runs(aioqueue)
    worker.signal(signal.SIGTERM)
    worker.wait_for(f"SIGTERM, it stops; 1 task has 30 s to end: shop.sleep[{id}]")
    eventually(lambda: (worker.signal(signal.SIGTERM), "leaves now" in worker.err)[1], "the second one")
    assert worker.wait() == 1
    assert worker.err.count("SIGTERM: it tells 1 worker process to stop") == 1


def test_beat_begins_again_with_the_schedules_of_now(aioqueue: Shell) -> None:
    beat = aioqueue.start("beat", "shop")
    beat.wait_for("with 0 schedules")
    text = (aioqueue.folder / "shop.py").read_text()
    aioqueue.write("shop.py", f"{text}\nfrom aioqueue import every\n\napp.periodic(every(60), args=(1, 2))(add)\n")
    beat.signal(signal.SIGHUP)
    beat.wait_for("with 1 schedule")
    beat.signal(signal.SIGTERM)
    assert beat.wait() == 0


_BUSY = """
import asyncio, time
from pathlib import Path

from aioqueue import AioQueue

app = AioQueue("shop")


def wait_for_wake(name: str) -> None:
    Path(name).touch()
    while not Path("wake").exists():
        time.sleep(0.02)


@app.task
async def waits() -> None:
    Path("waits").touch()
    await inner()


async def inner() -> None:
    while not Path("wake").exists():
        await asyncio.sleep(0.02)


@app.task
def thread() -> None:
    wait_for_wake("thread")


@app.task(pool="process")
def process() -> None:
    wait_for_wake("process")


@app.task
async def blocks() -> None:
    wait_for_wake("blocks")
"""


def test_sigusr1_says_what_runs_and_where(aioqueue: Shell) -> None:
    aioqueue.write("shop.py", _BUSY)
    worker = aioqueue.worker()
    ids = {name: aioqueue("call", "shop", name).out.strip() for name in ("waits", "thread", "process")}
    eventually(lambda: all((aioqueue.folder / name).exists() for name in ids), "all run")
    worker.signal(signal.SIGUSR1)
    eventually(lambda: worker.err.count("in wait_for_wake") == 2, "the thread and the process say where they are")
    said = worker.err.partition("SIGUSR1, 3 tasks run, 0 are ready")[2].split(" WARNING ")[1:]
    [waits] = [one for one in said if f"shop.waits[{ids['waits']}]" in one]
    assert "on the event loop" in waits
    assert "in inner\n" in waits
    [thread] = [one for one in said if f"shop.thread[{ids['thread']}]" in one]
    assert "in a thread. It is here" in thread
    assert 'wait_for_wake("thread")' in thread
    asked, process = (one for one in said if f"shop.process[{ids['process']}]" in one)
    assert "is asked where it is" in asked
    assert 'wait_for_wake("process")' in process
    assert "aioqueue/" not in process + thread + waits, "what is in every stack is left out"
    (aioqueue.folder / "wake").touch()
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0


def test_sigusr1_says_what_blocks_the_event_loop(aioqueue: Shell) -> None:
    aioqueue.write("shop.py", _BUSY)
    worker = aioqueue.worker(*_SUPERVISED)
    id = aioqueue("call", "shop", "blocks").out.strip()
    eventually((aioqueue.folder / "blocks").exists, "it blocks")
    worker.signal(signal.SIGUSR1)
    worker.wait_for(f"shop.blocks[{id}] has been running for")
    said = worker.err.partition(f"shop.blocks[{id}]")[2]
    assert "in the event loop's thread, now" in said
    assert "in wait_for_wake" in said
    (aioqueue.folder / "wake").touch()
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
