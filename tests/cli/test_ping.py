"""`aioqueue workers ping`: a probe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import eventually

from .conftest import Shell

_WHAT_IT_IMPORTS = """
import sys
from aioqueue.cli import main
code = main(["workers", "ping", "--self", "--namespace", "shop"])
print(code, len(sys.modules), {"asyncio", "redis", "ssl", "shop", "aioqueue.app"} & {*sys.modules})
"""
_QUICK = ("--namespace", "shop")


@pytest.mark.parametrize("whose", [_QUICK, ("shop:app",)], ids=["quick", "by the app"])
def test_who_answers(aioqueue: Shell, whose: tuple[str, ...]) -> None:
    nobody = aioqueue("workers", "ping", *whose)
    assert (nobody.code, nobody.out) == (69, "")
    assert "No worker is alive" in nobody.err
    worker = aioqueue.worker("-n", "w1")
    for words in ((), ("--self",)):
        found = aioqueue("workers", "ping", *whose, *words)
        assert (found.code, found.out, found.err) == (0, "w1: OK\n", "")
    assert aioqueue("workers", "ping", *whose, "--json").json == {"w1": {"ok": "pong"}}
    worker.signal(signal.SIGSTOP)
    silent = aioqueue("workers", "ping", *whose, "--timeout", "100ms")
    assert (silent.code, silent.out) == (69, "")
    assert "No answer within 100 ms from w1" in silent.err
    worker.signal(signal.SIGCONT)


def test_only_those_of_this_host(aioqueue: Shell) -> None:
    aioqueue.write("sitecustomize.py", "import socket\nsocket.gethostname = lambda: 'elsewhere'\n")
    path = {"PYTHONPATH": os.fspath(aioqueue.folder)}
    worker = aioqueue.start("worker", "shop", "-n", "far", **path)
    worker.wait_for("is ready")
    assert aioqueue("workers", "ping", *_QUICK).code == 0
    found = aioqueue("workers", "ping", "--self", *_QUICK)
    assert found.code == 69
    assert "No worker of the host" in found.err


def test_a_broker_that_is_away(aioqueue: Shell) -> None:
    found = aioqueue("workers", "ping", *_QUICK, "-b", "redis://:s3cret@127.0.0.1:1")
    assert (found.code, found.out) == (69, "")
    assert "redis://:***@127.0.0.1:1 cannot be asked" in found.err


def test_it_imports_little(aioqueue: Shell, tmp_path: Path) -> None:
    aioqueue.worker()
    run = subprocess.run(
        [sys.executable, "-c", _WHAT_IT_IMPORTS],
        cwd=tmp_path,
        env={**aioqueue.environment, "AIOQUEUE_APP": "shop:app"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    code, modules, heavy = run.stdout.splitlines()[-1].split(" ", 2)
    assert (code, heavy) == ("0", "set()")
    assert int(modules) < 250


def test_a_user_who_may_not_ask_is_told(aioqueue: Shell) -> None:
    aioqueue.worker()
    for url in ("redis://nobody:wrong@", "redis://:wrong@"):
        away = aioqueue(
            "workers", "ping", *_QUICK, "-b", aioqueue.environment["AIOQUEUE_BROKER"].replace("redis://", url)
        )
        assert "wrong" not in away.out + away.err
    eventually(lambda: aioqueue("workers", "ping", *_QUICK).code == 0, "with the right one")
