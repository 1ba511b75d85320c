"""One worker under one identity: from taking out a lease to giving it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from aioqueue.brokers.protocol import Broker, Consumer, WorkerStatus
from aioqueue.exceptions import LeaseLost
from aioqueue.logs import logger
from aioqueue.worker.answering import Answers
from aioqueue.worker.blocking import LoopWatch
from aioqueue.worker.burst import Burst
from aioqueue.worker.caretaker import Promoter, take_over, tidy
from aioqueue.worker.committer import Committer
from aioqueue.worker.departure import Departure
from aioqueue.worker.fetcher import Fetcher
from aioqueue.worker.heartbeat import beat_its_heart
from aioqueue.worker.left_behind import leave_behind
from aioqueue.worker.listening import Listener
from aioqueue.worker.pausing import Pauses
from aioqueue.worker.process import Process
from aioqueue.worker.renewer import Renewer
from aioqueue.worker.resources import stop_when_used_up
from aioqueue.worker.rules import Rules
from aioqueue.worker.run import Cut
from aioqueue.worker.runner import Runner
from aioqueue.worker.stopping import Stopping
from aioqueue.worker.supply import Supply

if TYPE_CHECKING:
    from aioqueue.worker.worker import Worker


class Incarnation:
    """The loops of a worker, all started and stopped here.

    Attributes:
        status: what it says of itself to the broker.
        runner: the tasks in its hands, once it runs.
        now: the broker's clock, ms since the epoch.
        burst: when it is to stop, if it is to stop when there is nothing left to do.
        lease_lost: it ended because the worker was taken for dead.
    """

    def __init__(
        self,
        worker: Worker,
        broker: Broker,
        status: WorkerStatus,
        process: Process,
        stopping: Stopping,
    ) -> None:
        conf = worker.app.conf
        self._worker = worker
        self.status = status
        self._broker = broker
        self.now = broker.now
        self._process = process
        self._stop = stopping.warm
        self._cold = stopping.cold
        self._timeout = worker.consuming.visibility_timeout
        self._lost = asyncio.Event()
        self._consumer: Consumer = broker.consumer(
            status, visibility_timeout=self._timeout, dead_letters_max_length=conf.dead_letters_max_length
        )
        self.runner: Runner | None = None
        self.burst = Burst(self._consumer, patient=worker.burst != "now") if worker.burst else None
        self.lease_lost = False

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
        elif worker.pool == "processes":
            runner.execution.calls.in_processes()
        if worker.life.silent or worker.pool == "solo":  # run in place, or by a test
            runner.execution.calls.without_processes()
        pauses = Pauses(consumer, runner, runner.withdrawal, self.status.queues, worker.hostname)
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
            supply=Supply(consumer, turns, pauses, runner.changed),
            pauses=pauses,
            max_deliveries=worker.consuming.said("max_deliveries"),
        )
        promoter = Promoter(consumer)
        answers = Answers(worker, consumer, runner, self._broker.now)
        listener = Listener(consumer, runner, promoter, pauses, answers)
        withdraws = self._broker.capabilities.withdraws
        limit = None if worker.stopping.retire is None else worker.app.conf.loop_stall_limit
        watch = LoopWatch(runner.running, runner.withdrawal.withdraw if withdraws else None, limit)
        renewer = Renewer(
            consumer, self._timeout, self._lost.set, runner.start_ready, watch, worker.deputy, worker.hostname
        )
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
            beat_its_heart(worker, runner),
        ]
        departure = Departure(worker, runner, consumer, self._cold)
        try:
            async with asyncio.TaskGroup() as group:
                background = [group.create_task(loop) for loop in loops]
                await listener.look_for_stamps(False)
                ready()
                await self._fetch_until_stopped(group, fetcher)
                clean = await self._depart(departure)
                for task in background:
                    task.cancel()
        except BaseException:
            # Cancelled, or broken: nothing that was started is left to itself.
            await departure.at_once(Cut.HANDED_BACK)
            raise
        finally:
            committing.cancel()
            answers.close()
            await runner.execution.calls.end()
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

    async def _depart(self, departure: Departure) -> bool:
        if not self.lease_lost:
            return await departure.in_order(told=self._stop.is_set())
        await departure.at_once(Cut.LEASE_LOST)
        return False
