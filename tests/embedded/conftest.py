"""Each test has folders of its own, and ends whatever server it left there, by its process id."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from support.waiting import eventually

from aioqueue.embedded.record import ServerRecord, read_record

wait_for = partial(eventually, seconds=15.0)

USER = """
import sys
from aioqueue.embedded import acquire
server = acquire(sys.argv[1])
print(server.started_here, flush=True)
sys.stdin.read()
"""
"""A user of the server named by its argument: tells that it has a share, and keeps it until its stdin ends."""


class Folders:
    """The folders of a test, and what runs in them."""

    def __init__(self, root: Path) -> None:
        self.runtime = root / "run"
        self.data = root / "data"

    def records(self) -> list[ServerRecord]:
        folders = [*self.runtime.glob("*"), *self.data.glob("*")]
        return [record for folder in folders if (record := read_record(folder)) is not None]

    def record(self) -> ServerRecord:
        """The one that is running."""
        (found,) = (record for folder in self.runtime.glob("*") if (record := read_record(folder)) is not None)
        return found

    def servers(self) -> list[int]:
        """The process ids of all servers whose data are here, by the kernel's list of processes."""
        return self._processes(lambda command, _: command[0].endswith((b"valkey-server", b"redis-server")))

    def supervisors(self) -> list[int]:
        return self._processes(lambda command, _: any(word.endswith(b"embedded/supervisor.py") for word in command))

    def _processes(self, wanted: Callable[[list[bytes], int], bool]) -> list[int]:
        found: list[int] = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().replace(b" ", b"\0").split(b"\0")
                here = any(os.fsencode(self.runtime.resolve()) in word for word in command)
                if here and wanted(command, int(folder.name)):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Folders]:
    root = Path(tempfile.mkdtemp(prefix="aq-"))  # short: a socket's path may have about 100 characters
    found = Folders(root)
    monkeypatch.setenv("AIOQUEUE_RUNTIME_DIR", str(found.runtime))
    monkeypatch.setenv("AIOQUEUE_DATA_DIR", str(found.data))
    monkeypatch.delenv("AIOQUEUE_SERVER_BINARY", raising=False)
    try:
        yield found
    finally:
        # Supervisors first, or they would restart their servers.
        for pid in [*found.supervisors(), *found.servers()]:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not found.servers() and not found.supervisors(), "the end of what the test left")
        shutil.rmtree(root)


@pytest.fixture
def user(folders: Folders) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts another process that uses the server; it is ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def launch(name: str = "app") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", USER, name]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.communicate()
