"""Answering what is asked over the broker, beside the running tasks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from aioqueue.brokers.protocol import LARGEST_ANSWER, Answer, Consumer, Question
from aioqueue.exceptions import AioQueueError, suggest
from aioqueue.logs import logger
from aioqueue.questions import is_meant
from aioqueue.worker.looking_in import LOOKS
from aioqueue.worker.runner import Runner

if TYPE_CHECKING:
    from aioqueue.worker.worker import Worker

# Who asks more at once is not answered, and names this worker as silent.
_AT_ONCE = 50
# A question whose publication was repeated, for its answer was lost, is answered once.
_REMEMBERED = 1000


class Answers:
    """A worker's answers.

    Args:
        worker, runner: of whom.
        consumer: takes the answers.
        now: the broker's clock, ms since the epoch.
    """

    def __init__(self, worker: Worker, consumer: Consumer, runner: Runner, now: Callable[[], int]) -> None:
        self._worker = worker
        self._consumer = consumer
        self._runner = runner
        self._now = now
        self._heard: deque[str] = deque(maxlen=_REMEMBERED)
        self._under_way: set[asyncio.Task[None]] = set()

    def hear(self, question: Question) -> None:
        """Answer it soon, if it is for this worker and somebody still waits for the answer."""
        if self._worker.is_eager or question.until < self._now() or not is_meant(self._worker.hostname, question.to):
            return
        if question.id in self._heard or len(self._under_way) >= _AT_ONCE:
            return
        self._heard.append(question.id)
        answering = asyncio.get_running_loop().create_task(self._answer(question), name=f"aioqueue {question.name}")
        self._under_way.add(answering)
        answering.add_done_callback(self._under_way.discard)

    def close(self) -> None:
        """Answer no more."""
        for answering in self._under_way:
            answering.cancel()

    async def _answer(self, question: Question) -> None:
        try:
            async with asyncio.timeout(max(0, question.until - self._now()) / 1000):
                answer = await self._answer_to(question)
                await self._consumer.answer(question.id, answer)
        except Exception as error:  # who asks hears nothing, and names this worker as silent
            logger.debug("Worker %s could not answer %r: %s", self._worker.hostname, question.name, error)

    async def _answer_to(self, question: Question) -> Answer:
        data, error = b"", ""
        try:
            data = msgspec.msgpack.encode(await self._said(question))
            if len(data) > LARGEST_ANSWER:
                data, error = b"", f"its answer has {len(data)} bytes, more than {LARGEST_ANSWER}"
        except (AioQueueError, msgspec.MsgspecError) as why:
            error = str(why)
        except Exception as why:
            logger.exception("Worker %s failed to answer %r", self._worker.hostname, question.name)
            error = f"{type(why).__name__}: {why}"
        return Answer(worker=self._worker.id, name=self._worker.hostname, data=data, error=error)

    async def _said(self, question: Question) -> Any:
        name = question.name
        looks = None if question.steers else LOOKS.get(name)
        if looks is None:
            raise AioQueueError(f"it does not know {name!r}.{suggest(name, LOOKS)} It may be of another version.")
        kind, look = looks
        return look(self._worker, self._runner, msgspec.msgpack.decode(question.arguments, type=kind))
