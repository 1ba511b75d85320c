"""A worker whose interpreter is held by code in C that does not release it: nothing runs twice, and the log says it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from support.waiting import eventually

from .conftest import SHOP, Process, Shell

HOLDER = (
    SHOP
    + """
import re


@app.task
def match(steps: int) -> bool:
    with Path("matches").open("a") as file:
        file.write("x")
    return re.match("(a+)+b", "a" * steps) is not None
"""
)
_TIMEOUT = 2.0
_STEPS = 26
"""Each more doubles the time that the expression takes: with so many it is 4 s on a good machine."""


def start(aioqueue: Shell, name: str) -> Process:
    worker = aioqueue.start("worker", "shop:app", "-n", name, AIOQUEUE_VISIBILITY_TIMEOUT=str(_TIMEOUT))
    worker.wait_for("is ready")
    return worker


def is_prepared(worker: Process) -> bool:
    """Whether its deputy is connected to the broker: it is at once, where the lease is short."""
    files = [file for child in children(worker) for file in Path(f"/proc/{child}/fd").iterdir()]
    try:
        return sum(str(file.readlink()).startswith("socket:") for file in files) == 2
    except FileNotFoundError:  # closed since it was listed
        return False


def children(worker: Process) -> list[int]:
    return [int(child) for child in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()]


def runs(aioqueue: Shell) -> int:
    file = aioqueue.folder / "matches"
    return len(file.read_text()) if file.exists() else 0


def test_what_holds_the_interpreter_runs_once(aioqueue: Shell) -> None:
    aioqueue.write("shop.py", HOLDER)
    held = start(aioqueue, "held")
    eventually(lambda: is_prepared(held), "its deputy")
    id = aioqueue("call", "shop", "match", str(_STEPS)).out.strip()
    eventually(lambda: runs(aioqueue), "the task to begin")
    other = start(aioqueue, "other")
    held.wait_for("Worker held has not had its interpreter")
    assert 'shop.py", line' in held.err.partition("Stack")[2], "the log says where it is"
    held.wait_for(f"[{id}] succeeded")
    assert runs(aioqueue) == 1
    assert "Took over" not in other.err
    held.wait_for("Worker held has its interpreter again")

    # The kernel says that it does not work: it loses its lease, as any.
    other.signal(signal.SIGTERM)
    assert other.wait() == 0
    aioqueue("call", "shop", "match", str(_STEPS + 8))
    eventually(lambda: held.err.count("has not had its interpreter") == 2, "it to be held again")
    another = start(aioqueue, "another")
    held.signal(signal.SIGSTOP)
    another.wait_for("Took over 1 task")
    eventually(lambda: runs(aioqueue) == 3, "it to run again")


def test_a_deputy_goes_with_its_worker(aioqueue: Shell) -> None:
    worker = aioqueue.worker()
    [deputy] = children(worker)
    worker.signal(signal.SIGKILL)
    worker.wait()
    eventually(lambda: not Path(f"/proc/{deputy}").exists(), "it to end")


def test_a_worker_goes_on_without_its_deputy(aioqueue: Shell) -> None:
    worker = aioqueue.worker()
    [deputy] = children(worker)
    os.kill(deputy, signal.SIGKILL)
    worker.wait_for("has died (signal 9)")
    assert children(worker) == []
    assert aioqueue("call", "shop", "add", "2", "3", "--wait").out.strip() == "5"
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
