"""Processes of Python programs that begin at once, for they are forked from one that has everything imported."""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import TimeoutExpired
from time import monotonic
from typing import IO

TESTS = Path(__file__).parents[1]
_SHAPING = ("PYTHON", "LC_", "LANG")


class Nursery:
    """Where they come from (`fork_server`): each does what `python -m MODULE` does, in a session of its own.

    Args:
        modules: what it has imported.
    """

    def __init__(self, *modules: str) -> None:
        self._environment = _shaping(os.environ)
        self._lock = threading.Lock()
        self._orders, theirs = socket.socketpair()
        # Not in the terminal's process group: Ctrl-C is for pytest.
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.fork_server", str(theirs.fileno()), *modules],
                cwd=TESTS,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def can(self, environment: Mapping[str, str]) -> bool:
        """Whether a process with this environment can be had here: not if it has other variables that the interpreter
        reads when it starts."""
        return _shaping(environment) == self._environment

    def start(
        self,
        module: str,
        words: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        stdin: IO[bytes] | int,
        stdout: IO[bytes] | int,
        stderr: IO[bytes] | int,
    ) -> Child:
        """A process that has just begun."""
        assert self.can(environment), "it needs an interpreter of its own"
        order = {"module": module, "words": words, "folder": str(folder), "environment": dict(environment)}
        said, pipe = os.pipe()
        try:
            with tempfile.TemporaryFile() as file:
                file.write(json.dumps(order).encode())
                file.seek(0)
                streams = [stream if isinstance(stream, int) else stream.fileno() for stream in (stdin, stdout, stderr)]
                with self._lock:
                    socket.send_fds(self._orders, [b"!"], [file.fileno(), pipe, *streams])
        finally:
            os.close(pipe)
        return Child(said, [module, *words])

    def run(
        self,
        module: str,
        words: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        text: str,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        """A process until its end, with `text` to read.

        Raises:
            TimeoutExpired: it had not ended after `timeout` seconds.
        """
        (stdin, writes), (reads_out, stdout), (reads_err, stderr) = os.pipe(), os.pipe(), os.pipe()
        try:
            child = self.start(
                module, words, folder=folder, environment=environment, stdin=stdin, stdout=stdout, stderr=stderr
            )
        finally:
            for file in (stdin, stdout, stderr):
                os.close(file)
        try:
            written = _exchange({writes: text.encode()}, [reads_out, reads_err], timeout)
            code = child.wait(timeout)
        except TimeoutError:
            child.kill()
            raise TimeoutExpired(child.args, timeout) from None
        out, err = (written[file].decode() for file in (reads_out, reads_err))
        return subprocess.CompletedProcess(child.args, code, out, err)

    def close(self) -> None:
        """End it, and with it all that it made."""
        self._orders.close()
        self._process.wait(timeout=30)


class Child:
    """A process, to be used as one of `subprocess`.

    Attributes:
        args: its module and its words.
        pid: the process.
        returncode: None while it runs, as far as is known; negative when a signal ended it.
    """

    def __init__(self, said: int, args: list[str]) -> None:
        self.args = args
        self.returncode: int | None = None
        self._said = said
        self._close = weakref.finalize(self, os.close, said)
        self._rest = b""
        self.pid = int(self._next(30))

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        if self.returncode is None:
            try:
                self.wait(0)
            except TimeoutExpired:
                pass
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended.

        Raises:
            TimeoutExpired: it has not after so many seconds.
        """
        if self.returncode is None:
            self.returncode = int(self._next(timeout))
            self._close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _next(self, timeout: float | None) -> bytes:
        """The next number that is said of it."""
        while b"\n" not in self._rest:
            waits = select.poll()
            waits.register(self._said, select.POLLIN)
            if not waits.poll(None if timeout is None else timeout * 1000):
                raise TimeoutExpired(self.args, timeout or 0)
            read = os.read(self._said, 4096)
            assert read, "the process that makes them is gone"
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return line.split()[1]


def _exchange(gives: dict[int, bytes], takes: list[int], timeout: float) -> dict[int, bytes]:
    """Write what is given and read all the others to their ends, at once; all of them are closed.

    Raises:
        TimeoutError: it took longer, in seconds.
    """
    end = monotonic() + timeout
    found = dict.fromkeys(takes, b"")
    with selectors.DefaultSelector() as selector:
        for file in gives:
            os.set_blocking(file, False)
            selector.register(file, selectors.EVENT_WRITE)
        for file in takes:
            selector.register(file, selectors.EVENT_READ)
        try:
            while selector.get_map():
                ready = selector.select(max(0, end - monotonic()))
                if not ready:
                    raise TimeoutError
                for key, _ in ready:
                    file = key.fd
                    if file in gives:
                        try:
                            gives[file] = gives[file][os.write(file, gives[file]) :]
                        except BrokenPipeError:
                            gives[file] = b""
                        over = not gives[file]
                    else:
                        read = os.read(file, 65536)
                        found[file] += read
                        over = not read
                    if over:
                        selector.unregister(file)
                        os.close(file)
        finally:
            for file in list(selector.get_map()):
                os.close(file)
    return found


def _shaping(environment: Mapping[str, str]) -> dict[str, str]:
    """Of an environment, what an interpreter reads when it starts."""
    return {name: value for name, value in environment.items() if name.startswith(_SHAPING)}
