"""Doing what the broker's notices ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aioqueue.brokers.protocol import Asked, Connected, Consumer, Due, Notice, QueuesPaused, StampRevoked, TasksRevoked
from aioqueue.logs import logger
from aioqueue.worker.answering import Answers
from aioqueue.worker.caretaker import Promoter
from aioqueue.worker.pausing import Pauses
from aioqueue.worker.runner import Runner


class Listener:
    """Hears of revocations, of tasks that are due, of queues that are paused, and of what is asked."""

    def __init__(
        self, consumer: Consumer, runner: Runner, promoter: Promoter, pauses: Pauses, answers: Answers
    ) -> None:
        self._consumer = consumer
        self._runner = runner
        self._promoter = promoter
        self._pauses = pauses
        self._answers = answers
        self._does: dict[type[Notice], Callable[[Any], Awaitable[None]]] = {
            Connected: self._connected,
            Due: self._due,
            TasksRevoked: self._tasks_revoked,
            StampRevoked: self._stamp_revoked,
            QueuesPaused: self._queues_paused,
            Asked: self._asked,
        }

    async def run(self) -> None:
        """Do what the broker's notices ask for, until cancelled."""
        while True:
            try:
                async for notice in self._consumer.notices():
                    await self._does[type(notice)](notice)
            except Exception as error:  # anybody may publish anything
                logger.warning("A notice could not be understood (%s); listening again", error)
                await asyncio.sleep(1.0)

    async def _connected(self, _: Connected) -> None:
        self._promoter.wake()
        await self._look_for_paused()
        await self.look_for_stamps(False)
        await self._look_for_revoked()

    async def _due(self, _: Due) -> None:
        self._promoter.wake()

    async def _tasks_revoked(self, notice: TasksRevoked) -> None:
        self._runner.revocations.revoke(notice.ids, notice.terminate)

    async def _stamp_revoked(self, notice: StampRevoked) -> None:
        await self.look_for_stamps(notice.terminate)

    async def _queues_paused(self, _: QueuesPaused) -> None:
        await self._look_for_paused()

    async def _asked(self, notice: Asked) -> None:
        self._answers.hear(notice.question)

    async def _look_for_paused(self) -> None:
        try:
            await self._pauses.look()
        except Exception as error:  # the fetcher tries again, and fetches nothing before
            logger.debug("Paused queues could not be looked for: %s", error)

    async def look_for_stamps(self, terminate: bool) -> None:
        """Which stamps were revoked."""
        try:
            self._runner.revocations.revoke_stamps(await self._consumer.stamps(), terminate)
        except Exception as error:
            logger.debug("Revoked stamps could not be looked for: %s", error)

    async def _look_for_revoked(self) -> None:
        """What was revoked while nobody listened."""
        ids = [delivery.id for delivery in self._runner.ready()]
        if ids:
            try:
                flags = await self._consumer.revoked(ids)
            except Exception as error:
                logger.debug("Revoked tasks could not be looked for: %s", error)
                return
            self._runner.revocations.revoke(tuple(id for id, flag in zip(ids, flags, strict=True) if flag), False)
