"""One worker under one identity: from taking out a lease to giving it back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from aioqueue.brokers.protocol import Broker, Consumer, WorkerStatus
from aioqueue.exceptions import LeaseLost
from aioqueue.logs import logger
from aioqueue.wording import counted
from aioqueue.worker.burst import Burst
from aioqueue.worker.caretaker import Promoter, take_over, tidy
from aioqueue.worker.committer import Committer
from aioqueue.worker.fetcher import Fetcher
from aioqueue.worker.left_behind import leave_behind
from aioqueue.worker.listening import Listener
from aioqueue.worker.process import Process
from aioqueue.worker.renewer import Renewer
from aioqueue.worker.resources import stop_when_used_up
from aioqueue.worker.rules import Rules
from aioqueue.worker.run import Cut
from aioqueue.worker.runner import Runner

if TYPE_CHECKING:
    from aioqueue.worker.worker import Worker

_LEAVE_TIMEOUT = 1.5
_LEAVE_TIMEOUT_WHEN_SILENT = 0.2


class Incarnation:
    """The loops of a worker, all started and stopped here.

    Attributes:
        runner: the tasks in its hands, once it runs.
        burst: when it is to stop, if it is to stop when there is nothing left to do.
        lease_lost: it ended because the worker was taken for dead.
    """

    def __init__(
        self,
        worker: Worker,
        broker: Broker,
        status: WorkerStatus,
        process: Process,
        stop: asyncio.Event,
        cold: asyncio.Event,
    ) -> None:
        conf = worker.app.conf
        self._worker = worker
        self._broker = broker
        self._process = process
        self._stop = stop
        self._cold = cold
        self._timeout = worker.consuming.visibility_timeout
        self._lost = asyncio.Event()
        self._consumer: Consumer = broker.consumer(
            status, visibility_timeout=self._timeout, dead_letters_max_length=conf.dead_letters_max_length
        )
        self.runner: Runner | None = None
        self.burst = Burst(self._consumer, patient=worker.burst != "now") if worker.burst else None
        self.lease_lost = False
        self._silent = False

    async def run(self, ready: Callable[[], None]) -> bool:
        """Work until told to stop, or until the lease is lost; `ready` is called when it has begun.

        Returns:
            Whether every task that ran has ended.
        """
        worker, consumer = self._worker, self._consumer
        committer = Committer(consumer)
        rules = Rules(worker.app, worker.hostname, retry_now=worker.retry_now, keeps_all=worker.is_eager)
        runner = self.runner = Runner(
            worker.app,
            rules,
            committer,
            consumer,
            concurrency=worker.concurrency,
            hostname=worker.hostname,
            is_eager=worker.is_eager,
            now=self._broker.now,
            process=self._process,
        )
        turns = None if worker.is_eager else worker.consuming.turns(runner)
        if turns is not None:
            runner.standstill.limits = turns.limits
        if worker.pool == "solo":
            runner.execution.calls.in_the_loop()
        fetcher = Fetcher(
            worker.app,
            self._broker,
            consumer,
            rules,
            runner,
            concurrency=worker.concurrency,
            prefetch=worker.prefetch,
            hostname=worker.hostname,
            burst=self.burst,
            turns=turns,
            max_deliveries=worker.consuming.said("max_deliveries"),
        )
        promoter = Promoter(consumer)
        listener = Listener(consumer, runner, promoter)
        renewer = Renewer(consumer, self._timeout, self._lost.set, runner.start_ready)
        runner.may_start = renewer.stands
        if not await self._join():
            await consumer.close()
            return True
        renewer.start()
        # Beside the group, not in it: when that is cancelled there are still ends to settle.
        committing = asyncio.create_task(committer.run())
        loops: list[Coroutine[Any, Any, None]] = [
            promoter.run(),
            take_over(consumer, renewer, self._timeout, look_within=worker.consuming.shortest_timeout),
            tidy(consumer),
            listener.run(),
            stop_when_used_up(worker, runner, self._stop),
        ]
        try:
            async with asyncio.TaskGroup() as group:
                background = [group.create_task(loop) for loop in loops]
                await listener.look_for_stamps(False)
                ready()
                await self._fetch_until_stopped(group, fetcher)
                clean = await self._wind_down(runner)
                for task in background:
                    task.cancel()
        except BaseException:
            # Cancelled, or broken: nothing that was started is left to itself.
            runner.accepting = False
            runner.drop_ready()
            runner.cancel_all(Cut.HANDED_BACK)
            await self._until_ended(runner, 2.0, cold=False)
            await self._leave(runner)
            raise
        finally:
            committing.cancel()
            leave_behind(self._worker.hostname, runner.stuck)
            runner.close()
            await renewer.close()
            await consumer.close()
        return clean

    async def _join(self) -> bool:
        """Take out the lease; the broker may be away for now. False: told to stop before that."""
        failures = 0
        while not self._stop.is_set():
            try:
                await self._consumer.join()
                return True
            except Exception as error:
                failures += 1
                if failures in (1, 10) or failures % 60 == 0:
                    logger.warning("Worker %s cannot begin (%s); it goes on trying", self._worker.hostname, error)
                await asyncio.sleep(min(2.0, 0.05 * 2 ** min(failures, 6)))
        return False

    async def _fetch_until_stopped(self, group: asyncio.TaskGroup, fetcher: Fetcher) -> None:
        fetching = asyncio.ensure_future(fetcher.run())
        waits = [fetching, *[group.create_task(event.wait()) for event in (self._stop, self._lost)]]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        try:
            await fetching
        except asyncio.CancelledError:
            pass
        except LeaseLost:
            self._lost.set()
        self.lease_lost = self._lost.is_set()

    async def _wind_down(self, runner: Runner) -> bool:
        """Everything that ends is settled, everything else is handed back."""
        runner.accepting = False
        worker, until = self._worker, asyncio.get_running_loop().time() + self._worker.shutdown_timeout
        if self.lease_lost:
            runner.drop_ready()
            runner.cancel_all(Cut.LEASE_LOST)
            await self._until_ended(runner, 2.0)
            await self._leave(runner)
            return False
        if self._stop.is_set():
            worker.life.stops()
        worker.life.tell("worker_shutting_down")
        if dropped := runner.drop_ready():
            worker.life.say(" hands back what had not started: %s", counted(dropped, "task"))
        await self._try(self._consumer.hand_back(runner.held()), "hand back what had not started")
        clean = await self._until_ended(runner, self._worker.shutdown_timeout)
        if not clean:
            worker.life.hands_back(runner.running)
            runner.cancel_all(Cut.HANDED_BACK)
            await self._until_ended(runner, 2.0, cold=False)
        await self._leave(runner, until)
        return clean and not runner.stuck

    async def _until_ended(self, runner: Runner, timeout: float, *, cold: bool = True) -> bool:
        """Wait until nothing runs: for `timeout` seconds at most, and not when told to leave now."""
        leave_now = asyncio.ensure_future(self._cold.wait())
        try:
            async with asyncio.timeout(timeout):
                while runner.running and not (cold and self._cold.is_set()):
                    runner.changed.clear()
                    changed = asyncio.ensure_future(runner.changed.wait())
                    waits = {changed, leave_now} if cold else {changed}
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    changed.cancel()
        except TimeoutError:
            pass
        finally:
            leave_now.cancel()
        return not runner.running

    async def _leave(self, runner: Runner, until: float = 0.0) -> None:
        """What has ended waits for the broker `until` then, in the loop's time: unsettled, it would run again (D3)."""
        settled = asyncio.ensure_future(runner.until_settled())
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
        await self._until_told(runner, until)
        await self._try(self._consumer.leave(), "hand back the rest")

    async def _until_told(self, runner: Runner, until: float) -> None:
        """What is called of what has ended has until then, and a moment more."""
        if not len(runner.beside):
            return
        told = asyncio.ensure_future(runner.beside.until_quiet())
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
