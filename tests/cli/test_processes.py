"""`aioqueue worker --processes`: several processes under one."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest
from support.waiting import eventually

from aioqueue.worker import supervisor

from .conftest import SHOP, Process, Shell


def workers(aioqueue: Shell, count: int) -> dict[str, int]:
    """The worker processes, when there are so many: pids by name."""
    found: dict[str, int] = {}

    def there() -> bool:
        found.clear()
        found.update({one["name"]: one["pid"] for one in aioqueue("workers", "shop", "--json").json})
        return len(found) == count

    eventually(there, f"{count} workers")
    return found


def start(aioqueue: Shell, *words: str) -> Process:
    worker = aioqueue.start("worker", "shop", "--processes", "2", "-n", "w", *words)
    worker.wait_for("2 worker processes")
    return worker


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_processes_work_and_stop_together(aioqueue: Shell) -> None:
    worker = start(aioqueue, "-c", "7", "-Q", "default,slow")
    pids = workers(aioqueue, 2)
    assert set(pids) == {"w/1", "w/2"}
    about = aioqueue("workers", "shop", "--json").json
    assert {(one["concurrency"], *one["queues"]) for one in about} == {(7, "default", "slow")}
    assert aioqueue("call", "shop", "add", "2", "3", "--wait").out.strip() == "5"
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert not [pid for pid in pids.values() if is_alive(pid)]
    assert aioqueue("workers", "shop", "--json").json == [], "they left in good order"


def test_a_process_that_is_killed_is_replaced(aioqueue: Shell) -> None:
    worker = start(aioqueue)
    before = workers(aioqueue, 2)
    os.kill(before["w/1"], signal.SIGKILL)
    worker.wait_for("ended with signal 9; another one takes its place")
    eventually(
        lambda: any(
            one["name"] == "w/1" and one["pid"] != before["w/1"] for one in aioqueue("workers", "shop", "--json").json
        ),
        "another one",
    )
    assert is_alive(before["w/2"])
    worker.signal(signal.SIGINT)
    assert worker.wait() == 0


def test_processes_stop_with_the_one_above_them(aioqueue: Shell) -> None:
    worker = start(aioqueue)
    pids = workers(aioqueue, 2)
    worker.signal(signal.SIGKILL)
    worker.wait()
    eventually(lambda: not [pid for pid in pids.values() if is_alive(pid)], "the processes to stop")
    assert aioqueue("workers", "shop", "--json").json == [], "they left in good order"


def test_a_burst_of_processes_ends(aioqueue: Shell) -> None:
    ids = [aioqueue("call", "shop", "add", str(n), "1").out.strip() for n in range(3)]
    run = aioqueue("worker", "shop", "--processes", "2", "--burst")
    assert run.code == 0, run.err
    for id in ids:
        assert re.search(rf"Task shop\.add\[{id}\] succeeded", run.err)


def test_processes_that_could_not_work_are_not_replaced(aioqueue: Shell) -> None:
    run = aioqueue("worker", "shop", "--processes", "2", AIOQUEUE_WORKER_MAX_MEMORY="200000")
    assert run.code == 1
    assert "before its first task" in run.err
    assert "takes its place" not in run.err


def test_what_ends_again_and_again_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE", 0.001)
    commands = {1: ["sh", "-c", "exit 7"], 2: ["sleep", "60"]}
    code = asyncio.run(supervisor.Supervisor(commands.__getitem__, 2).run())
    assert code == 1
    (error,) = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert "Worker process 1" in error
    assert "code 7. 8 in a row" in error
    assert sum("another one takes its place" in one.getMessage() for one in caplog.records) == 7


def test_what_is_odd_about_queues_is_said_once(aioqueue: Shell) -> None:
    worker = aioqueue.start("worker", "shop:app", "--processes", "2", "-Q", "slwo:2,default:1", "-X", "default")
    eventually(lambda: len(aioqueue("workers", "shop", "--json").json) == 2, "both to work")
    assert [one["queues"] for one in aioqueue("workers", "shop", "--json").json] == [["slwo"]] * 2
    assert worker.err.count("consumes the queue 'slwo'") == 1
    assert "Did you mean 'slow'?" in worker.err


def test_one_at_its_limit_works_until_the_next_is_ready(aioqueue: Shell) -> None:
    """Its successor does not begin: the tasks go on."""
    broken = aioqueue.folder / "broken"
    aioqueue.write("shop.py", SHOP + f"\nif Path({str(broken)!r}).exists():\n    raise SystemExit(9)\n")
    worker = aioqueue.start("worker", "shop", "--max-tasks-per-child", "1")
    worker.wait_for("is ready")
    [first] = workers(aioqueue, 1).values()
    id = aioqueue("call", "shop", "add", "2", "3").out.strip()
    worker.wait_for(f"[{id}] succeeded")
    broken.touch()
    worker.wait_for("its limit; it stops when the next one is ready")
    worker.wait_for("ended with code 9; another one takes its place")
    broken.unlink()
    worker.wait_for(f"Worker process {first} has reached a limit, and stops")
    eventually(lambda: not is_alive(first), "it to stop")
    [second] = workers(aioqueue, 1).values()
    assert second != first
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
