"""Dead letters: tasks that cannot be run, kept until somebody decides."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from aioqueue.brokers.protocol import Outgoing, StoredLetter
from aioqueue.exceptions import AioQueueError, PayloadError
from aioqueue.message import DeadLetter, Message, decode_dead_letter, decode_message, encode_message
from aioqueue.options import moment
from aioqueue.payload.signature import unpack
from aioqueue.workflow import handler_call

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

_ALL = 1_000_000


class DeadTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task among the dead letters.

    Attributes:
        id: its id.
        name: the task's name; "" when the message cannot be read.
        args, kwargs: its arguments; empty when they cannot be read.
        queue: where it came from.
        reason: why it is here.
        exception: what it raised, if it ran.
        traceback: where, as text.
        deliveries: how often it was delivered.
        died_at: when it came here.
        worker: who put it here.
        raw: the message as it arrived.
    """

    id: str
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    queue: str
    reason: str
    exception: BaseException | None
    traceback: str | None
    deliveries: int
    died_at: datetime | None
    worker: str
    raw: bytes


class DeadLetters:
    """`app.dead_letters`."""

    def __init__(self, app: AioQueue) -> None:
        self._app = app

    async def list(self, queue: str | None = None, limit: int = 100) -> list[DeadTask]:
        """The newest dead letters, of one queue or of all."""
        broker = await self._app.broker()
        stored = await broker.dead_letters(limit=limit if queue is None else _ALL)
        found = [self._read(letter) for letter in stored]
        return [dead for dead in found if queue is None or dead.queue == queue][:limit]

    async def get(self, id: str) -> DeadTask | None:
        """The dead letter of a task, or None."""
        stored = await (await self._app.broker()).dead_letters(limit=1, id=id)
        return self._read(stored[0]) if stored else None

    async def requeue(self, id: str) -> bool:
        """Send the task again, as if it had never run. False: there is no such dead letter.

        In a workflow, what was to come after it runs again as well.

        Raises:
            AioQueueError: its message cannot be read, so that sending it would only bring it back.
        """
        broker = await self._app.broker()
        stored = await broker.dead_letters(limit=1, id=id)
        if not stored:
            return False
        letter = decode_dead_letter(stored[0].data)
        message = _message(letter)
        if message is None:
            raise AioQueueError(
                f"The dead letter {id} cannot be sent again: {letter.reason}. It stays: look at its `raw`, or drop it."
            )
        is_handler = handler_call(id, message.workflow, message.node) is not None
        if message.workflow is not None and message.node is not None and not is_handler:
            return await broker.resume(message.workflow, message.node) > 0
        # A new start: its retries, its eta and its expiry are over.
        message.retries, message.eta, message.expires = 0, None, None
        # To where it was met, whatever somebody else may have written into it.
        message.queue, message.priority = letter.queue, min(9, max(0, message.priority))
        return await broker.requeue_dead(Outgoing(id, message.queue, message.priority, encode_message(message)))

    async def remove(self, id: str) -> bool:
        """Drop a dead letter. False: there is none."""
        return await (await self._app.broker()).remove_dead([id]) > 0

    async def purge(self, queue: str | None = None) -> int:
        """Drop all dead letters, or those of one queue; returns how many."""
        ids = [dead.id for dead in await self.list(queue, _ALL)]
        return await (await self._app.broker()).remove_dead(ids) if ids else 0

    def _read(self, stored: StoredLetter) -> DeadTask:
        letter = decode_dead_letter(stored.data)
        message = _message(letter)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        if message is not None:
            try:
                args, kwargs = unpack(message.body, message.content, max_size=self._app.conf.max_payload_size)
            except PayloadError:
                pass
        return DeadTask(
            id=stored.id,
            name=message.task if message is not None else "",
            args=tuple(args),
            kwargs=kwargs,
            queue=letter.queue,
            reason=letter.reason,
            exception=letter.failure.rebuild() if letter.failure else None,
            traceback=letter.failure.report() if letter.failure else None,
            deliveries=letter.deliveries,
            died_at=moment(letter.died_at),
            worker=letter.worker,
            raw=letter.raw,
        )


def _message(letter: DeadLetter) -> Message | None:
    try:
        return decode_message(letter.raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return None
