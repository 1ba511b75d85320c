"""`aioqueue worker --reload`."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from support.waiting import eventually

from .conftest import Shell

pytest.importorskip("watchfiles")


def test_it_begins_again_with_each_change_and_stays_up_while_there_is_an_error(aioqueue: Shell) -> None:
    text = (aioqueue.folder / "shop.py").read_text()
    worker = aioqueue.start("worker", "shop", "--reload", "--shutdown-timeout", "60", "-n", "w")
    worker.wait_for("Worker w is ready")
    assert aioqueue("call", "shop", "sleep", "1000").code == 0
    eventually((aioqueue.folder / "sleeps").exists, "the task runs")
    aioqueue.write("shop.py", text + "\nraise RuntimeError('not yet')\n")
    worker.wait_for("Changed: shop.py")
    worker.wait_for("RuntimeError: not yet")
    worker.wait_for("it begins again at the next change")
    assert "SIGQUIT, it leaves now and hands its tasks back" in worker.err, "what runs has a moment only"
    aioqueue.write("shop.py", text.replace("x + y", "x * y"))
    eventually(lambda: worker.err.count("Worker w is ready") == 2, "another one")
    assert aioqueue("call", "shop", "add", "3", "4", "--wait").out.strip() == "12"
    (aioqueue.folder / "wake").touch()
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert aioqueue("workers", "shop", "--json").json == []


def test_without_the_extra_it_says_what_to_install(folder_shell: Shell) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, "worker", "shop", "--reload"],
        cwd=folder_shell.folder,
        env=folder_shell.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "pip install 'aioqueue[reload]'" in done.stderr) == (2, True)


_WITHOUT = """
import sys
sys.modules["watchfiles"] = None
from aioqueue.cli import main
sys.exit(main(sys.argv[1:]))
"""
