"""Dead letters: tasks that cannot be run, kept until somebody decides."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from aioqueue.awaiting import Spoken, awaited
from aioqueue.brokers.protocol import Outgoing, StoredLetter
from aioqueue.exceptions import AioQueueError, PayloadError
from aioqueue.message import DeadLetter, decode_dead_letter, encode_message, readable_message
from aioqueue.options import moment
from aioqueue.payload.calls import call_digest
from aioqueue.payload.codec import decode_call
from aioqueue.workflow import handler_call

if TYPE_CHECKING:
    from aioqueue.core import Core

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

    def __repr__(self) -> str:
        # Without its arguments, which may be secret, and large.
        return f"<DeadTask {self.id} of {self.name or '?'} from {self.queue!r}: {self.reason}>"

    def __rich_repr__(self) -> list[Any]:
        return [self.id, ("name", self.name), ("queue", self.queue), ("reason", self.reason)]


class DeadLetters:
    """`app.dead_letters`."""

    def __init__(self, app: Core) -> None:
        self._app = app

    @awaited
    async def list(self, queue: str | None = None, limit: int = 100) -> list[DeadTask]:
        """The newest dead letters, of one queue or of all."""
        broker = await self._app.broker()
        stored = await broker.dead_letters(limit=limit if queue is None else _ALL)
        found = [self._read(letter) for letter in stored]
        return [dead for dead in found if queue is None or dead.queue == queue][:limit]

    @awaited
    async def get(self, id: str) -> DeadTask | None:
        """The dead letter of a task, or None."""
        stored = await (await self._app.broker()).dead_letters(limit=1, id=id)
        return self._read(stored[0]) if stored else None

    @awaited
    async def requeue(self, id: str) -> bool:
        """Send the task again, as if it had never run. False: there is no such dead letter.

        In a workflow, what was to come after it runs again as well.

        Raises:
            AioQueueError: its message cannot be read, so that sending it would only bring it back.
            DuplicateTask: you chose its id, and have sent another task under it, which waits or runs.
        """
        broker = await self._app.broker()
        stored = await broker.dead_letters(limit=1, id=id)
        if not stored:
            return False
        letter = _letter(stored[0])
        message = readable_message(letter.raw)
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
        call = ""
        if message.own_id:
            task = self._app.tasks.get(message.task)
            names = () if task is None else task.parameters.positional_names
            call = call_digest(
                message.task, message.body, message.content, names, own=self._app.accepts(message.content)
            )
        data = encode_message(message)
        return await self._app.out.again(
            Outgoing(id, message.queue, message.priority, data, once=message.own_id, call=call)
        )

    @awaited
    async def remove(self, id: str) -> bool:
        """Drop a dead letter. False: there is none."""
        return await (await self._app.broker()).remove_dead([id]) > 0

    @awaited
    async def purge(self, queue: str | None = None) -> int:
        """Drop all dead letters, or those of one queue; returns how many."""
        ids = [dead.id for dead in await self.list(queue, _ALL)]
        return await (await self._app.broker()).remove_dead(ids) if ids else 0

    def _spoken(self) -> Spoken:
        return Spoken(f"app {self._app.name!r}", "app.dead_letters", "app.sync.dead_letters")

    def _read(self, stored: StoredLetter) -> DeadTask:
        letter = _letter(stored)
        message = readable_message(letter.raw)
        args: tuple[Any, ...] = ()
        kwargs: dict[str, Any] = {}
        if message is not None:
            try:
                args, kwargs = decode_call(
                    message.body,
                    message.content,
                    self._app.conf.max_payload_size,
                    self._app.accepts(message.content),
                )
            except PayloadError:
                pass
        return DeadTask(
            id=stored.id,
            name=message.task if message is not None else "",
            args=args,
            kwargs=kwargs,
            queue=letter.queue,
            reason=letter.reason,
            exception=letter.failure.rebuild() if letter.failure else None,
            traceback=letter.failure.report() if letter.failure else None,
            deliveries=letter.deliveries,
            died_at=moment(letter.died_at or None),
            worker=letter.worker,
            raw=letter.raw,
        )


def _letter(stored: StoredLetter) -> DeadLetter:
    """What is kept of it; if that is none of ours, a letter that says so."""
    try:
        return decode_dead_letter(stored.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = f"what is kept of this dead letter cannot be read ({error})"
        return DeadLetter(raw=stored.data, queue="", reason=reason, deliveries=0, died_at=0)
