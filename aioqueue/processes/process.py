"""One child, as its worker sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from aioqueue.processes.frames import HEAD, Frame, Leave, Show, ToWorker, decode_for_worker, length, packed

_FOLDER: Final = str(Path(__file__).parents[2])
_CODE: Final = (
    "import sys; sys.path.insert(0, {folder!r}); from aioqueue.processes.child import main; main({descriptor}) "
    "# of {worker}"
)


class Process(asyncio.Protocol):
    """A child process. It has a group of its own: what comes from a terminal comes to the worker only, and what a task
    has started in it ends with it when it is killed.

    Args:
        worker: the name of the worker, to be seen in lists of processes.
        heard: called with it and each frame that it says.
        died: called with it, once nothing of it is left, and all that it has said was heard.

    Attributes:
        job: what it does; None when it is idle.
        is_ready: it has imported the app, and is not to leave.
        is_last: what it does is the last that it was given, for it has reached a limit.
        count: calls that it was given.
        killed: it was killed by its worker.
        code: its exit code when it has ended, as `subprocess` gives it.
    """

    def __init__(
        self, worker: str, heard: Callable[[Process, ToWorker], None], died: Callable[[Process], None]
    ) -> None:
        self._heard = heard
        self._died = died
        self._loop = asyncio.get_running_loop()
        self._data = bytearray()
        self._transport: Any = None
        self._unsent: list[bytes] = []
        self._eof = False
        self.job: Any = None
        self.is_ready = self.is_last = False
        self.count = 0
        self.killed = False
        self.code: int | None = None
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            code = _CODE.format(folder=_FOLDER, descriptor=theirs.fileno(), worker=worker)
            inner: Any = subprocess
            flags: list[str] = inner._args_from_interpreter_flags()
            self._process = subprocess.Popen(
                [sys.executable, *flags, "-c", code],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                process_group=0,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._connecting = self._loop.create_task(self._connect(ours))
        threading.Thread(target=self._wait, name=f"aioqueue-child-{self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def how(self) -> str:
        """How it has ended, for a person."""
        code = self.code or 0
        if code >= 0:
            return f"it left with exit code {code}"
        try:
            return f"it was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"it was killed by signal {-code}"

    def say(self, frame: Frame) -> None:
        """Say something to it."""
        data = packed(frame)
        if self._transport is None:
            self._unsent.append(data)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def show(self, head: str) -> None:
        """Have it say to the log where its function is, after these words."""
        if self.job is not None:
            self.say(Show(head))

    def leave(self) -> None:
        """It is to end when it is through with what it does."""
        self.is_ready, self.is_last = False, True
        self.say(Leave())

    def kill(self) -> None:
        """End it now, with all that was started in it."""
        self.is_ready, self.killed = False, True
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    # The connection

    async def _connect(self, ours: socket.socket) -> None:
        try:
            transport, _ = await self._loop.create_unix_connection(lambda: self, sock=ours)
        except BaseException:
            ours.close()
            self.kill()
            raise
        self._transport = transport
        for data in self._unsent:
            self._transport.write(data)
        self._unsent.clear()

    def data_received(self, data: bytes) -> None:
        """It has said something."""
        self._data += data
        at = 0
        with memoryview(self._data) as view:
            while len(view) - at >= HEAD and len(view) - at - HEAD >= (size := length(view[at : at + HEAD])):
                end = at + HEAD + size
                self._heard(self, decode_for_worker(view[at + HEAD : end]))
                at = end
        if at:
            del self._data[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        """It has closed its end: it has ended, or nothing more is to be had of it."""
        self._eof = True
        if self.code is not None:
            self._died(self)
        else:
            self.kill()

    def _wait(self) -> None:
        """In a thread of its own, so that it is reaped at once, whatever kind of loop this is."""
        code = self._process.wait()
        with suppress(RuntimeError):  # the loop is closed: the worker has left
            self._loop.call_soon_threadsafe(self._ended, code)

    def _ended(self, code: int) -> None:
        self.code = code
        if self._eof:
            self._died(self)
        elif self._transport is None:  # it did not even come to that
            self._connecting.add_done_callback(lambda _: self._hung_up())
        else:
            self._loop.call_later(_A_MOMENT, self._hung_up)

    def _hung_up(self) -> None:
        """Its end is open though it is gone: a process that a task has started holds it."""
        if self._transport is not None and not self._eof:
            self._transport.abort()
        elif not self._eof:
            self._eof = True
            self._died(self)


_A_MOMENT: Final = 0.1
