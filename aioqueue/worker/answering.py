"""Answering what is asked over the broker, beside the running tasks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from aioqueue.brokers.protocol import LARGEST_ANSWER, Answer, Consumer, Question
from aioqueue.exceptions import AioQueueError, suggest
from aioqueue.logs import logger
from aioqueue.questions import is_meant
from aioqueue.worker.looking_in import LOOKS
from aioqueue.worker.runner import Runner
from aioqueue.worker.steering import STEERS, Done

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
                answer, then = self._answer_to(question)
                try:
                    await self._consumer.answer(question.id, answer)
                finally:  # it is done, whether anybody hears of it or not
                    if then is not None:
                        then()
        except Exception as error:  # who asks hears nothing, and names this worker as silent
            logger.debug("Worker %s could not answer %r: %s", self._worker.hostname, question.name, error)

    def _answer_to(self, question: Question) -> tuple[Answer, Callable[[], object] | None]:
        data, error, then = b"", "", None
        try:
            said, then = self._done(question)
            data = msgspec.msgpack.encode(said)
            if len(data) > LARGEST_ANSWER:
                data, error = b"", f"its answer has {len(data)} bytes, more than {LARGEST_ANSWER}"
        except (AioQueueError, msgspec.MsgspecError) as why:
            error = str(why)
        except Exception as why:
            logger.exception("Worker %s failed to answer %r", self._worker.hostname, question.name)
            error = f"{type(why).__name__}: {why}"
        return Answer(worker=self._worker.id, name=self._worker.hostname, data=data, error=error), then

    def _done(self, question: Question) -> Done:
        name, arguments = question.name, question.arguments
        if question.steers and (steers := STEERS.get(name)) is not None:
            kind, steer = steers
            return steer(self._worker, msgspec.msgpack.decode(arguments, type=kind))
        if not question.steers and (looks := LOOKS.get(name)) is not None:
            kind, look = looks
            return Done(look(self._worker, self._runner, msgspec.msgpack.decode(arguments, type=kind)))
        known = STEERS if question.steers else LOOKS
        raise AioQueueError(f"it does not know {name!r}.{suggest(name, known)} It may be of another version.")
