"""Several worker processes under one: started, told to stop, and replaced when they end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from aioqueue.stop_signals import QUIT, Wish, Wishes, on_stop_signals
from aioqueue.wording import counted
from aioqueue.worker.showing import SHOW

_logger = logging.getLogger("aioqueue.worker")

# A process that ends sooner than this, in seconds, is replaced after a pause that grows.
_SOON = 5.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
# So many in a row, and it is of no use to go on: within a minute and a half, by these pauses.
_VAIN = 8
MISUSE = 2
"""The exit code of one that cannot be started as it is told to: no other one could."""
LEFT = 3
"""The exit code of a burst that has left something."""


class Supervisor:
    """Keeps so many processes of a command alive, until it is told to stop.

    What ends by itself is replaced, whether it was killed or had reached one of its limits (`worker_max_tasks`,
    `worker_max_memory`). One that ends as soon as it has begun, again and again, ends the supervisor with all of them:
    whoever started it has to know. When the supervisor dies, however that happens, the processes notice it by the end
    of their standard input (`stop_with_parent`) and stop in good order.

    Args:
        command: the words of the command of each, from its number (from 1 on).
        count: how many.
        once: one that has ended well is not replaced.
        patience: seconds after which one that was told to stop is killed.

    Attributes:
        wishes: what the signals that came have asked for. They go on to the processes once, as what they ask for.
    """

    def __init__(
        self, command: Callable[[int], list[str]], count: int, *, once: bool = False, patience: float = 60.0
    ) -> None:
        self._command = command
        self._count = count
        self._once = once
        self._patience = patience
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._stop = asyncio.Event()
        self.wishes = Wishes()

    async def run(self) -> int:
        """Supervise; returns the exit code: 0 if all processes ended well."""
        loop = asyncio.get_running_loop()
        if SHOW is not None:
            loop.add_signal_handler(SHOW, self._pass_on_to_all, SHOW)
        with on_stop_signals(self._signalled):
            return max(await asyncio.gather(*[self._keep(number) for number in range(1, self._count + 1)]))

    async def _keep(self, number: int) -> int:
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            # A group of its own: Ctrl-C comes to this process only, and goes on to them once.
            process = self._processes[number] = await asyncio.create_subprocess_exec(
                *self._command(number), stdin=asyncio.subprocess.PIPE, process_group=0
            )
            started = loop.time()
            if self._stop.is_set():
                self._pass_on(process, signal.SIGTERM)
            code = await self._ended(process)
            del self._processes[number]
            if code == MISUSE:
                self._stop_all(signal.SIGTERM)
                return 1
            if self._stop.is_set() or (self._once and code in (0, LEFT)):
                return code if code >= 0 else 1
            failures = failures + 1 if loop.time() - started < _SOON else 0
            if failures >= _VAIN and code != 0:
                self._give_up(number, process.pid, code)
                return 1
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (failures - 1)) if failures else 0.0
            _logger.warning(
                "Worker process %d (pid %d) ended with %s; another one takes its place%s",
                number,
                process.pid,
                _how(code),
                f" in {pause:g} s" if pause else "",
            )
            try:
                async with asyncio.timeout(pause):
                    await self._stop.wait()
                return 0
            except TimeoutError:
                pass

    def _give_up(self, number: int, pid: int, code: int) -> None:
        _logger.error(
            "Worker process %d (pid %d) ended with %s. %d in a row have ended so within %g s of their start, and no "
            "other one is started: what they have logged says why. The others stop, and so does this command, with "
            "code 1.",
            number,
            pid,
            _how(code),
            _VAIN,
            _SOON,
        )
        self._stop_all(signal.SIGTERM)

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Wait for its end, and not for ever once it was told to stop."""
        waiting = asyncio.ensure_future(process.wait())
        told = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({waiting, told}, return_when=asyncio.FIRST_COMPLETED)
            if not (await asyncio.wait({waiting}, timeout=self._patience))[0]:
                _logger.error("Worker process %d has not stopped in %g s; it is killed", process.pid, self._patience)
                self._pass_on(process, signal.SIGKILL)
            return await waiting
        finally:
            waiting.cancel()
            told.cancel()

    def _signalled(self, number: signal.Signals) -> None:
        wish = self.wishes.of(number)
        if wish is None:
            return
        if wish is Wish.COLD:
            self._stop_all(QUIT or number)
        elif not self._stop.is_set():
            processes = counted(len(self._processes), "worker process", "worker processes")
            _logger.info("%s: it tells %s to stop", number.name, processes)
            self._stop_all(signal.SIGTERM)

    def _stop_all(self, number: signal.Signals) -> None:
        self._stop.set()
        self._pass_on_to_all(number)

    def _pass_on_to_all(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            self._pass_on(process, number)

    @staticmethod
    def _pass_on(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
        # Not by its own `send_signal`, which takes the exit code of one that has just ended, and nobody is told of it.
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"


def stop_with_parent() -> None:
    """Send SIGTERM to this process when its standard input ends, which its supervisor holds the other side of."""

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock the interpreter wants when it ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="aioqueue-parent", daemon=True).start()
