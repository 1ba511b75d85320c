"""One worker under one identity: from taking out a lease to giving it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from aioqueue.brokers.protocol import Broker, Consumer, WorkerStatus
from aioqueue.exceptions import LeaseLost
from aioqueue.logs import logger
from aioqueue.worker.caretaker import Promoter, take_over
from aioqueue.worker.committer import Committer
from aioqueue.worker.fetcher import Fetcher
from aioqueue.worker.memory import resident_memory
from aioqueue.worker.outcome import Rules
from aioqueue.worker.renewer import Renewer
from aioqueue.worker.run import Ending
from aioqueue.worker.runner import Runner

if TYPE_CHECKING:
    from aioqueue.worker.worker import Worker

_LOOK_AT_LIMITS = 1.0
_LEAVE_TIMEOUT = 1.5
_LEAVE_TIMEOUT_WHEN_SILENT = 0.2


class Duty:
    """The loops of a worker, all started and stopped here.

    Attributes:
        runner: the tasks in its hands, once it runs.
        lease_lost: it ended because the worker was taken for dead.
    """

    def __init__(
        self,
        worker: Worker,
        broker: Broker,
        status: WorkerStatus,
        state: Any,
        stop: asyncio.Event,
        cold: asyncio.Event,
    ) -> None:
        conf = worker.app.conf
        self._worker = worker
        self._broker = broker
        self._state = state
        self._stop = stop
        self._cold = cold
        self._timeout = conf.visibility_timeout
        self._lost = asyncio.Event()
        self._consumer: Consumer = broker.consumer(
            status, visibility_timeout=self._timeout, dead_letters_max_length=conf.dead_letters_max_length
        )
        self.runner: Runner | None = None
        self.lease_lost = False
        self._silent = False

    async def run(self, ready: Callable[[], None]) -> bool:
        """Work until told to stop, or until the lease is lost; `ready` is called when it has begun.

        Returns:
            Whether every task that ran has ended.
        """
        worker, consumer = self._worker, self._consumer
        committer = Committer(consumer)
        rules = Rules(worker.app, worker.hostname, retry_now=worker.retry_now)
        runner = self.runner = Runner(
            worker.app,
            rules,
            committer,
            consumer,
            concurrency=worker.concurrency,
            hostname=worker.hostname,
            is_eager=worker.is_eager,
            now=self._broker.now,
            state=self._state,
        )
        fetcher = Fetcher(
            worker.app,
            self._broker,
            consumer,
            runner,
            concurrency=worker.concurrency,
            prefetch=worker.app.conf.worker_prefetch,
            hostname=worker.hostname,
            burst=worker.burst,
        )
        promoter = Promoter(consumer)
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
            take_over(consumer, renewer, self._timeout),
            self._listen(runner, promoter),
            self._look_at_limits(runner),
        ]
        try:
            async with asyncio.TaskGroup() as group:
                background = [group.create_task(loop) for loop in loops]
                await self._look_for_stamps(runner, False)
                ready()
                await self._fetch_until_stopped(group, fetcher)
                clean = await self._wind_down(runner)
                for task in background:
                    task.cancel()
        except BaseException:
            # Cancelled, or broken: nothing that was started is left to itself.
            runner.accepting = False
            runner.drop_ready()
            runner.cancel_all(Ending.HANDED_BACK)
            await self._until_ended(runner, 2.0, cold=False)
            await self._leave(runner)
            raise
        finally:
            committing.cancel()
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
        if self.lease_lost:
            runner.drop_ready()
            runner.cancel_all(Ending.LEASE_LOST)
            await self._until_ended(runner, 2.0)
            await self._leave(runner)
            return False
        if dropped := runner.drop_ready():
            logger.info("%d tasks that had not started go back to their queues", dropped)
        await self._try(self._consumer.hand_back(runner.held()), "hand back what had not started")
        clean = await self._until_ended(runner, self._worker.shutdown_timeout)
        if not clean:
            logger.warning("%d tasks are still running; they are cancelled and handed back", len(runner.running))
            runner.cancel_all(Ending.HANDED_BACK)
            await self._until_ended(runner, 2.0, cold=False)
        await self._leave(runner)
        return clean

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

    async def _leave(self, runner: Runner) -> None:
        await self._try(runner.until_settled(), "settle what has ended")
        await self._try(self._consumer.leave(), "hand back the rest")

    async def _try(self, action: Coroutine[Any, Any, Any], what: str) -> None:
        """Not for ever: the broker may be away, and what is not handed back comes back when the lease ends."""
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT_WHEN_SILENT if self._silent else _LEAVE_TIMEOUT):
                await action
        except TimeoutError:
            self._silent = True
            logger.warning("Worker %s could not %s: the broker does not answer", self._worker.hostname, what)
        except Exception as error:
            logger.warning("Worker %s could not %s: %s", self._worker.hostname, what, error or type(error).__name__)

    async def _listen(self, runner: Runner, promoter: Promoter) -> None:
        """Do what the broker's notices ask for, until cancelled."""
        while True:
            try:
                async for notice in self._consumer.notices():
                    if notice.kind == "due":
                        promoter.wake()
                    elif notice.kind == "revoked":
                        runner.revoke(notice.ids, notice.terminate)
                    elif notice.kind == "stamp":
                        await self._look_for_stamps(runner, notice.terminate)
                    elif notice.kind == "connected":
                        promoter.wake()
                        await self._look_for_stamps(runner, False)
                        await self._look_for_revoked(runner)
            except Exception as error:  # anybody may publish anything
                logger.warning("A notice could not be understood (%s); listening again", error)
                await asyncio.sleep(1.0)

    async def _look_for_stamps(self, runner: Runner, terminate: bool) -> None:
        """Which stamps were revoked."""
        try:
            runner.revoke_stamps(await self._consumer.stamps(), terminate)
        except Exception as error:
            logger.debug("Revoked stamps could not be looked for: %s", error)

    async def _look_for_revoked(self, runner: Runner) -> None:
        """What was revoked while nobody listened."""
        ids = [delivery.id for delivery in runner.ready()]
        if ids:
            try:
                flags = await self._consumer.revoked(ids)
            except Exception as error:
                logger.debug("Revoked tasks could not be looked for: %s", error)
                return
            runner.revoke(tuple(id for id, flag in zip(ids, flags, strict=True) if flag), False)

    async def _look_at_limits(self, runner: Runner) -> None:
        """Stop the worker when it has run as many tasks, or taken as much memory, as it may; until cancelled."""
        conf = self._worker.app.conf
        if conf.worker_max_tasks is None and conf.worker_max_memory is None:
            return
        while not self._stop.is_set():
            if conf.worker_max_tasks is not None and runner.started >= conf.worker_max_tasks:
                logger.info("Worker %s has run %d tasks, its limit; it stops", self._worker.hostname, runner.started)
                self._stop.set()
            if conf.worker_max_memory is not None and (memory := resident_memory()) > conf.worker_max_memory:
                logger.info("Worker %s has %d bytes of memory, over its limit; it stops", self._worker.hostname, memory)
                self._stop.set()
            await asyncio.sleep(_LOOK_AT_LIMITS)
