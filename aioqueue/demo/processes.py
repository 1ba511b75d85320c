"""The workers of the demo: processes, started by the command that anybody would type."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from aioqueue.demo.figures import WorkerFigures
from aioqueue.demo.ledger import Ledger
from aioqueue.demo.tasks import app

_LOOK_AGAIN = 0.02


class WorkerProcess:
    """A worker in a process of its own.

    It is in a session of its own, so that Ctrl-C reaches the demo alone, which then stops it; and it stops by itself
    when its stdin ends, which it does with the demo.

    Attributes:
        name, pid: which one.
        end: how it ended: "killed", "stopped", "failed"; "" while it works.
    """

    def __init__(self, name: str, *, concurrency: int, folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.end = ""
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "aioqueue", "worker", "aioqueue.demo.tasks:app"),
                    *("-n", name),
                    *("--concurrency", str(concurrency)),
                    # Failures are shown by the demo, and their tracebacks lie in the dead letters.
                    *("--loglevel", "critical"),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        if self._process.poll() is None:
            return True
        self.end = self.end or "failed"
        return False

    @property
    def exit_code(self) -> int | None:
        """As Python says it: negative for a signal; None while it lives."""
        return self._process.poll()

    def pause(self) -> None:
        """Stop it in the middle of whatever it does; on return it has stopped, in all its threads."""
        self._process.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):  # it has just ended
            self._process.returncode = os.waitstatus_to_exitcode(status)

    def go_on(self) -> None:
        """The reverse."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """`kill -9`."""
        self.end = self.end or "killed"
        self._process.kill()

    def stop(self) -> None:
        """SIGTERM, if it lives."""
        if self.alive:
            self.end = "stopped"
            self._process.terminate()

    async def wait(self, seconds: float) -> bool:
        """Wait for its end; False: it goes on."""
        deadline = monotonic() + seconds
        while self.alive:
            if monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_AGAIN)
        if self._process.stdin is not None:
            self._process.stdin.close()
        return True

    def last_words(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text(errors="replace")[-1500:].strip()

    def figures(self, ledger: Ledger) -> WorkerFigures:
        """What can be said of it."""
        return WorkerFigures(
            name=self.name,
            pid=self.pid,
            runs=ledger.by_pid[self.pid],
            running=len(ledger.running_in(self.pid)),
            end=self.end,
            exit_code=self.exit_code,
        )


def environment(**more: str) -> dict[str, str]:
    """The environment of a worker: this one's, with the broker that the demo uses."""
    own = {**os.environ, **more, "PYTHONUNBUFFERED": "1"}
    if app.conf.broker is not None:
        own["AIOQUEUE_BROKER"] = app.conf.broker  # not in the arguments, where everybody could read its password
    return own


async def end_all(workers: list[WorkerProcess], *, patience: float) -> list[str]:
    """End the workers, by force those that take too long; returns which are left even so."""
    for worker in workers:
        worker.stop()
    left: list[str] = []
    for worker in workers:
        if await worker.wait(patience):
            continue
        worker.kill()
        if not await worker.wait(5.0):
            left.append(f"{worker.name} (process {worker.pid})")
    return left
