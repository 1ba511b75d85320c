"""The worker's side of a deputy."""

from __future__ import annotations

import faulthandler
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic
from typing import Any, Final

from aioqueue.brokers.protocol import Proxy
from aioqueue.deputy.kernel import STACK_SIGNAL
from aioqueue.logs import logger

_FOLDER: Final = str(Path(__file__).parents[2])
_CODE: Final = (
    "import sys; sys.path.insert(0, {folder!r}); from aioqueue.deputy.deputy import main; "
    "main({connection}, {stacks}, {parent}) # of {worker!r}"
)
_BEATS: Final = 8
"""So many in each visibility timeout."""
_TOO_SOON: Final = 60.0


class Deputy:
    """Another process that renews this one's lease while nothing else can. Each process has one interpreter, and so one
    deputy at most.

    Args:
        logging: the function that sets up the logging, as `module:name`, and its arguments, which are plain data.
    """

    def __init__(self, *logging: Any) -> None:
        self._logging = logging
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._stacks = -1
        self._worker = ""
        self._lease = b""
        self._begun_at = 0.0
        self._beat_every = 0.0
        self._beat_at = float("-inf")

    @staticmethod
    def is_possible() -> bool:
        """Whether the kernel of this system says enough of a process."""
        return sys.platform == "linux" and hasattr(faulthandler, "register")

    def hold(self, worker: str, timeout: float, proxy: Proxy, limit: float | None) -> None:
        """Tell it of a lease that was taken out.

        Args:
            worker: the name of the worker, for the log.
            timeout: seconds that the lease holds for.
            proxy: how another process renews it.
            limit: seconds after which it kills this process, if that gets no interpreter; None: never.
        """
        said = {
            "worker": worker,
            "timeout": timeout,
            "limit": limit,
            "maker": proxy.maker,
            "about": proxy.about,
            "path": [entry for entry in sys.path if isinstance(entry, str)],  # pyright: ignore[reportUnnecessaryIsInstance]
            "logging": self._logging,
        }
        with self._lock:
            self._worker = worker
            self._beat_every = timeout / _BEATS
            self._lease = json.dumps(said).encode() + b"\n"
            self._begin() if self._connection is None else self._say(self._lease)

    def beat(self) -> None:
        """The thread that renews is there; called by it all the time."""
        now = monotonic()
        if now - self._beat_at >= self._beat_every:
            self._beat_at = now
            with self._lock:
                self._say(b"\n")

    def release(self) -> None:
        """There is no lease any more."""
        with self._lock:
            self._say(b"{}\n")
            self._lease = b""

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._lease = b""
            self._end()

    def _say(self, data: bytes) -> None:
        if self._connection is None:
            return
        try:
            self._connection.sendall(data)
        except BlockingIOError:  # it was stopped, or gets no CPU: it will have heard enough
            pass
        except OSError:
            code, again = self._end(), monotonic() - self._begun_at > _TOO_SOON
            logger.warning(
                "The process that would keep the lease alive while something holds this interpreter has died (%s)%s",
                f"signal {-code}" if code < 0 else f"exit code {code}",
                "; it is begun again" if again else ", soon after its start: there is none from now on",
            )
            if again and self._lease:
                self._begin()

    def _begin(self) -> None:
        try:
            self._start()
        except OSError as error:
            logger.warning(
                "No process could be started to keep the lease alive, should something hold this interpreter: %s", error
            )

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        reads, stacks = os.pipe()
        try:
            code = _CODE.format(
                folder=_FOLDER, connection=theirs.fileno(), stacks=reads, parent=os.getpid(), worker=self._worker
            )
            os.set_blocking(stacks, False)
            ours.sendall(self._lease)
            ours.setblocking(False)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", code],
                pass_fds=[theirs.fileno(), reads],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,
            )
        except BaseException:
            ours.close()
            os.close(stacks)
            raise
        finally:
            theirs.close()
            os.close(reads)
        self._connection, self._stacks, self._begun_at = ours, stacks, monotonic()
        # In C: it needs no interpreter, and shows the thread that the signal has come to.
        faulthandler.register(STACK_SIGNAL, stacks, all_threads=False)

    def _end(self) -> int:
        """Returns its exit code."""
        if self._connection is None or self._process is None:
            return 0
        faulthandler.unregister(STACK_SIGNAL)
        self._connection.close()
        os.close(self._stacks)
        self._connection = None
        self._process.kill()
        return self._process.wait()
