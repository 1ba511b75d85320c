"""A worker whose event loop is blocked: it says by what, and others run what it has not started."""

from __future__ import annotations

import pytest
from support.waiting import eventually

from .conftest import SHOP, Shell

BLOCKER = (
    SHOP
    + """

@app.task
async def block() -> str:
    import time

    with Path("blocks").open("a") as file:
        file.write("x")
    while not Path("free").exists():
        time.sleep(0.05)
    return "free"
"""
)


def test_a_blocked_process_is_replaced_at_the_limit(aioqueue: Shell) -> None:
    aioqueue.write("shop.py", BLOCKER)
    environment = {"AIOQUEUE_LOOP_STALL_LIMIT": "2", "AIOQUEUE_VISIBILITY_TIMEOUT": "1"}
    worker = aioqueue.start("worker", "shop:app", **environment)
    worker.wait_for("is ready")
    id = send(aioqueue, "block")
    worker.wait_for("and loop_stall_limit=2: this process is killed")
    (aioqueue.folder / "free").touch()
    assert f"The task shop.block[{id}] blocks the loop" in worker.err
    worker.wait_for("ended with signal 9; another one takes its place")
    worker.wait_for(f"[{id}] succeeded")
    assert (aioqueue.folder / "blocks").read_text() == "xx"


def send(aioqueue: Shell, *words: str) -> str:
    return aioqueue("call", "shop", *words).out.strip()


@pytest.mark.parametrize("fetched", ["with it", "after it"])
def test_what_is_behind_a_blocker_runs_elsewhere(aioqueue: Shell, fetched: str) -> None:
    aioqueue.write("shop.py", BLOCKER)
    blocker = send(aioqueue, "block")
    others = [send(aioqueue, "add", str(n), "1") for n in range(3)] if fetched == "with it" else []
    words = ["-c", "1", "--prefetch-multiplier", "10"] if fetched == "with it" else ["-c", "10"]
    blocked = aioqueue.worker("-n", "blocked", *words)
    eventually((aioqueue.folder / "blocks").exists, "the blocker to run")
    idle = aioqueue.worker("-n", "idle")
    others = others or [send(aioqueue, "add", str(n), "1") for n in range(3)]
    eventually(lambda: all(f"[{id}] succeeded" in idle.err for id in others), "the others to run elsewhere")
    blocked.wait_for("The event loop has not turned for")
    assert f"the task shop.block[{blocker}] blocks it" in blocked.err
    assert "time.sleep(0.05)" in blocked.err
    if fetched == "with it":
        blocked.wait_for("Worker blocked hands back 3 tasks that it has not started")
    (aioqueue.folder / "free").touch()
    blocked.wait_for(f"[{blocker}] succeeded")
    blocked.wait_for("The event loop turns again")
    assert (aioqueue.folder / "blocks").read_text() == "x", "it ran once"
    last = send(aioqueue, "add", "2", "2")
    eventually(lambda: f"[{last}] succeeded" in blocked.err + idle.err, "tasks to go on")
