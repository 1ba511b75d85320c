"""Which workers are gone: told by locks that the kernel frees."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from aioqueue.embedded.workers import WorkerLocks

HOLDER = """
import os, sys
from pathlib import Path
from aioqueue.embedded.workers import WorkerLocks
locks = WorkerLocks(Path(sys.argv[1]))
locks.hold("other")
child = os.fork()
if child == 0:
    assert locks.gone() == []
    sys.stdin.read()
    os._exit(0)
print(child, flush=True)
sys.stdin.read()
"""


def test_who_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "workers" / "shop"
    here, there = WorkerLocks(folder), WorkerLocks(folder)
    assert here.gone() == []
    here.hold("a")
    here.hold("a")
    assert here.gone() == there.gone() == []
    here.end("a")
    assert here.gone() == there.gone() == ["a"]
    there.forget(["a", "never"])
    assert here.gone() == []
    here.end("never")


def test_the_process_frees_it_and_its_children_do_not_hold_it(tmp_path: Path) -> None:
    locks = WorkerLocks(tmp_path)
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGSTOP)
        assert locks.gone() == []  # a frozen one may come back
        process.kill()
        process.wait()
        assert locks.gone() == ["other"]
        os.kill(child, 0)  # lives, and holds nothing
    finally:
        process.kill()
        process.communicate()
