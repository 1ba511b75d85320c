"""Several worker processes under one: started, told to stop, and replaced when they end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from functools import partial

from aioqueue.stop_signals import QUIT, Wish, Wishes, on_stop_signals, pass_on
from aioqueue.wording import counted
from aioqueue.worker.showing import SHOW
from aioqueue.worker.supervised import LEFT, MISUSE, Child

_logger = logging.getLogger("aioqueue.worker")

# A process that ends sooner than this, in seconds, is replaced after a pause that grows.
_SOON = 5.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
# So many in a row, and it is of no use to go on: within a minute and a half, by these pauses.
_VAIN = 8


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
        on_ready: called when all of them work for the first time.

    Attributes:
        wishes: what the signals that came have asked for. They go on to the processes once, as what they ask for.
    """

    def __init__(
        self,
        command: Callable[[int], list[str]],
        count: int,
        *,
        once: bool = False,
        patience: float = 60.0,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        self._command = command
        self._count = count
        self._once = once
        self._patience = patience
        self._on_ready = on_ready
        self._awaited = set(range(1, count + 1))
        self._children: set[Child] = set()
        self._leaving: set[asyncio.Task[int | None]] = set()
        self._stop = asyncio.Event()
        self.wishes = Wishes()

    async def run(self) -> int:
        """Supervise; returns the exit code: 0 if all processes ended well."""
        loop = asyncio.get_running_loop()
        if SHOW is not None:
            loop.add_signal_handler(SHOW, self._pass_on_to_all, SHOW)
        with on_stop_signals(self._signalled):
            code = max(await asyncio.gather(*[self._keep(number) for number in range(1, self._count + 1)]))
            await asyncio.gather(*self._leaving)
            return code

    async def _keep(self, number: int) -> int:
        loop, failures = asyncio.get_running_loop(), 0
        child = await self._start(number)
        while True:
            over, code = child, await self._ended(child, child.is_full)
            if code is None:
                # It goes on until the next one is ready, so that none of its tasks waits for that.
                over = await self._start(number)
                code = await self._ended(over, over.is_ready)
                if code is None:
                    self._see_off(child)
                    child, failures = over, 0
                    continue
            if code == MISUSE:
                self._stop_all(signal.SIGTERM)
                return 1
            if self._stop.is_set() or (self._once and over is child and code in (0, LEFT)):
                rest = 0 if over is child else await self._ended(child)
                return max(1 if one is None or one < 0 else one for one in (code, rest))
            failures = failures + 1 if loop.time() - over.started < _SOON else 0
            if failures >= _VAIN and code != 0:
                self._give_up(number, over.process.pid, code)
                return 1
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (failures - 1)) if failures else 0.0
            _logger.warning(
                "Worker process %d (pid %d) ended with %s; another one takes its place%s",
                number,
                over.process.pid,
                _how(code),
                f" in {pause:g} s" if pause else "",
            )
            try:
                async with asyncio.timeout(pause):
                    await self._stop.wait()
                return 0
            except TimeoutError:
                pass
            if over is child:
                child = await self._start(number)

    async def _start(self, number: int) -> Child:
        ours, theirs = socket.socketpair()
        with theirs:
            # A group of its own: Ctrl-C comes to this process only, and goes on to them once.
            process = await asyncio.create_subprocess_exec(
                *self._command(number), stdin=theirs.fileno(), process_group=0
            )
        child = Child(process, ours, partial(self._works, number))
        self._children.add(child)
        if self._stop.is_set():
            pass_on(process, signal.SIGTERM)
        return child

    def _works(self, number: int) -> None:
        if number in self._awaited:
            self._awaited.remove(number)
            if not self._awaited and self._on_ready is not None:
                self._on_ready()

    def _see_off(self, child: Child) -> None:
        """Its successor is ready."""
        _logger.info("Worker process %d has reached a limit, and stops; another one takes its place", child.process.pid)
        pass_on(child.process, signal.SIGTERM)
        leaving = asyncio.get_running_loop().create_task(self._until_ended(child))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

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

    async def _ended(self, child: Child, unless: asyncio.Event | None = None) -> int | None:
        """Wait for its end, and not for ever once it was told to stop; gives its exit code, or None if something else
        has happened before."""
        events = [asyncio.ensure_future(event.wait()) for event in (self._stop, unless) if event is not None]
        waiting = asyncio.ensure_future(child.process.wait())
        try:
            await asyncio.wait({waiting, *events}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done() and not self._stop.is_set():
                return None
        finally:
            for one in (waiting, *events):
                one.cancel()
        return await self._until_ended(child)

    async def _until_ended(self, child: Child) -> int:
        process = child.process
        try:
            async with asyncio.timeout(self._patience):
                await process.wait()
        except TimeoutError:
            _logger.error("Worker process %d has not stopped in %g s; it is killed", process.pid, self._patience)
            pass_on(process, signal.SIGKILL)
        code = await process.wait()
        self._children.discard(child)
        child.close()
        return code

    def _signalled(self, number: signal.Signals) -> None:
        wish = self.wishes.of(number)
        if wish is None:
            return
        if wish is Wish.COLD:
            self._stop_all(QUIT or number)
        elif not self._stop.is_set():
            processes = counted(len(self._children), "worker process", "worker processes")
            _logger.info("%s: it tells %s to stop", number.name, processes)
            self._stop_all(signal.SIGTERM)

    def _stop_all(self, number: signal.Signals) -> None:
        self._stop.set()
        self._pass_on_to_all(number)

    def _pass_on_to_all(self, number: signal.Signals) -> None:
        for child in self._children:
            pass_on(child.process, number)


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"
