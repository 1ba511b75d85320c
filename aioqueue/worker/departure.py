"""How a worker leaves: what ends is settled and told, everything else is handed back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from aioqueue.brokers.protocol import Consumer
from aioqueue.logs import logger
from aioqueue.wording import counted
from aioqueue.worker.run import Cut
from aioqueue.worker.runner import Runner

if TYPE_CHECKING:
    from aioqueue.worker.worker import Worker

_LEAVE_TIMEOUT = 1.5
_LEAVE_TIMEOUT_WHEN_SILENT = 0.2
_MOMENT = 2.0  # seconds in which what was cancelled has ended, or is given up


class Departure:
    """The end of one incarnation.

    Args:
        cold: set when it is not to wait.
    """

    def __init__(self, worker: Worker, runner: Runner, consumer: Consumer, cold: asyncio.Event) -> None:
        self._worker = worker
        self._runner = runner
        self._consumer = consumer
        self._cold = cold
        self._silent = False

    async def in_order(self, *, told: bool) -> bool:
        """Let end what runs, for as long as the shutdown timeout allows, and hand back the rest.

        Args:
            told: it was told to stop, rather than having nothing left to do.

        Returns:
            Whether every task that ran has ended.
        """
        worker, runner = self._worker, self._runner
        runner.accepting = False
        until = asyncio.get_running_loop().time() + worker.shutdown_timeout
        if told:
            worker.life.stops()
        worker.life.tell("worker_shutting_down")
        if dropped := runner.drop_ready():
            worker.life.say(" hands back what had not started: %s", counted(dropped, "task"))
        await self._try(self._consumer.hand_back(runner.held()), "hand back what had not started")
        clean = await self._until_ended(worker.shutdown_timeout)
        if not clean:
            worker.life.hands_back(runner.running)
            await self._cancel(Cut.HANDED_BACK)
        await self._leave(until)
        return clean and not runner.stuck

    async def at_once(self, cut: Cut) -> None:
        """End what runs, for this reason."""
        self._runner.accepting = False
        self._runner.drop_ready()
        await self._cancel(cut)
        await self._leave()

    async def _cancel(self, cut: Cut) -> None:
        for run in list(self._runner.running):
            self._runner.limits.cancel(run, cut)
        await self._until_ended(_MOMENT, cold=cut is Cut.LEASE_LOST)

    async def _until_ended(self, timeout: float, *, cold: bool = True) -> bool:
        """Wait until nothing runs: for `timeout` seconds at most, and not when told to leave now."""
        leave_now = asyncio.ensure_future(self._cold.wait())
        try:
            async with asyncio.timeout(timeout):
                while self._runner.running and not (cold and self._cold.is_set()):
                    self._runner.changed.clear()
                    changed = asyncio.ensure_future(self._runner.changed.wait())
                    waits = {changed, leave_now} if cold else {changed}
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    changed.cancel()
        except TimeoutError:
            pass
        finally:
            leave_now.cancel()
        return not self._runner.running

    async def _leave(self, until: float = 0.0) -> None:
        """What has ended waits for the broker `until` then, in the loop's time: unsettled, it would run again (D3)."""
        settled = asyncio.ensure_future(self._runner.until_settled())
        leave_now = asyncio.ensure_future(self._cold.wait())
        patience = max(0.0, until - asyncio.get_running_loop().time())
        try:
            await asyncio.wait({settled, leave_now}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            settled.cancel()
            raise
        finally:
            leave_now.cancel()
        if settled.done():
            self._silent = False
        await self._try(settled, "settle what has ended")
        await self._until_told(until)
        await self._try(self._consumer.leave(), "hand back the rest")

    async def _until_told(self, until: float) -> None:
        """What is called of what has ended has until then, and a moment more."""
        if not len(self._runner.beside):
            return
        told = asyncio.ensure_future(self._runner.beside.until_quiet())
        leave_now = asyncio.ensure_future(self._cold.wait())
        patience = max(_LEAVE_TIMEOUT, until - asyncio.get_running_loop().time())
        try:
            await asyncio.wait({told, leave_now}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            leave_now.cancel()

    async def _try(self, action: Awaitable[Any], what: str) -> None:
        """Not for ever: the broker may be away, and what is not handed back comes back when the lease ends."""
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT_WHEN_SILENT if self._silent else _LEAVE_TIMEOUT):
                await action
        except TimeoutError:
            self._silent = True
            logger.warning("Worker %s could not %s: the broker does not answer", self._worker.hostname, what)
        except Exception as error:
            logger.warning("Worker %s could not %s: %s", self._worker.hostname, what, error or type(error).__name__)
