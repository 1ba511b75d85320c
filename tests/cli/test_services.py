"""What a service manager is told of a worker, and by which file others know it."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from support.waiting import eventually

from .conftest import Shell

_BLOCKS = """

@app.task
async def blocks() -> None:
    import time
    Path("blocks").touch()
    while not Path("wake").exists():
        time.sleep(0.02)
"""


class Manager:
    """A socket as systemd has it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def said(self, text: str) -> bool:
        """Whether a line has been said, of those that have not been asked for yet."""
        self.listen()
        for number, line in enumerate(self.heard):
            if line.startswith(text):
                del self.heard[: number + 1]
                return True
        return False

    def listen(self) -> None:
        try:
            while data := self._socket.recv(4096):
                self.heard += data.decode().splitlines()
        except BlockingIOError:
            pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["abstract", "path"])
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    with tempfile.TemporaryDirectory() as folder:
        manager = Manager(f"@aioqueue-{uuid4()}" if request.param == "abstract" else f"{folder}/notify")
        yield manager
        manager.close()


@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
def test_a_worker_tells_that_it_is_ready_and_well_begins_again_and_stops(aioqueue: Shell, manager: Manager) -> None:
    text = (aioqueue.folder / "shop.py").read_text()
    aioqueue.write("shop.py", text + _BLOCKS)
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
    worker = aioqueue.start("worker", "shop", "-n", "w", **environment)
    eventually(lambda: manager.said("READY=1"), "it is ready")
    eventually(lambda: manager.said("WATCHDOG=1"), "it is well")
    eventually(lambda: manager.said("STATUS=w: 0 tasks run, 0 tasks have ended"), "how it is")
    assert aioqueue("call", "shop", "blocks").code == 0
    eventually((aioqueue.folder / "blocks").exists, "the loop is blocked")
    manager.listen()
    manager.heard.clear()
    worker.wait_for("The event loop has not turned for")
    assert not manager.said("WATCHDOG=1"), "a blocked loop is not well"
    (aioqueue.folder / "wake").touch()
    eventually(lambda: manager.said("WATCHDOG=1"), "it is well again")
    worker.signal(signal.SIGHUP)
    eventually(lambda: manager.said("RELOADING=1"), "it begins again")
    eventually(lambda: manager.said("MONOTONIC_USEC="), "when")
    eventually(lambda: manager.said("READY=1"), "it is ready again")
    worker.signal(signal.SIGTERM)
    eventually(lambda: manager.said("STOPPING=1"), "it stops")
    assert worker.wait() == 0


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_beat_and_a_supervisor_tell_it_as_well(aioqueue: Shell, manager: Manager) -> None:
    for words in (["beat", "shop"], ["worker", "shop", "--processes", "2", "-n", "w"]):
        process = aioqueue.start(*words, NOTIFY_SOCKET=manager.address)
        eventually(lambda: manager.said("READY=1"), f"{words} is ready")
        if words[0] == "worker":
            assert len(aioqueue("workers", "shop", "--json").json) == 2, "all of its processes work"
            assert not manager.said("READY=1"), "its processes do not speak for it"
        process.signal(signal.SIGTERM)
        eventually(lambda: manager.said("STOPPING=1"), "it stops")
        assert process.wait() == 0


def test_a_start_that_waits_for_its_broker_is_no_failure(folder_shell: Shell) -> None:
    with tempfile.TemporaryDirectory() as folder:
        manager = Manager(f"{folder}/notify")
        try:
            worker = folder_shell.start("worker", "shop", "-b", "redis://127.0.0.1:1", NOTIFY_SOCKET=manager.address)
            eventually(lambda: manager.said("EXTEND_TIMEOUT_USEC="), "it asks for more time")
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0
            assert not manager.said("READY=1")
        finally:
            manager.close()


def test_a_pid_file_is_of_one_living_process(aioqueue: Shell) -> None:
    file = aioqueue.folder / "w.pid"
    file.write_text("999999\n")
    worker = aioqueue.worker("--pidfile", "w.pid")
    assert "was left behind by process 999999" in worker.err
    assert file.read_text() == f"{worker.pid}\n"
    second = aioqueue("worker", "shop", "--pidfile", "w.pid", "--burst")
    assert second.code == 1
    assert f"is that of process {worker.pid}, which is alive. Nothing was started" in second.err
    assert "Traceback" not in second.err
    worker.signal(signal.SIGHUP)
    worker.wait_for("It begins again")
    assert file.read_text() == f"{worker.pid}\n"
    eventually(lambda: worker.err.count("is ready") == 2, "it is there again")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert not file.exists()


def test_a_pid_file_that_cannot_be_written(folder_shell: Shell) -> None:
    found = folder_shell("beat", "shop", "--pidfile", os.fspath(Path("none") / "beat.pid"))
    assert (found.code, "cannot be written: No such file or directory" in found.err) == (1, True)


def test_prefetch_is_said_in_one_way(aioqueue: Shell) -> None:
    both = aioqueue("worker", "shop", "--prefetch", "1", "--prefetch-multiplier", "2")
    assert both.code == 2
    assert "give one of them" in both.err
