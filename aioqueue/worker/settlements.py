"""What is written of an end: records and dead letters, and the settlements that carry them to the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aioqueue.arguments import arguments_text, calls_text, hidden_words
from aioqueue.brokers.protocol import UNKEPT, Delivery, Outgoing, Settlement
from aioqueue.exceptions import AioQueueError, PayloadError, Retry
from aioqueue.message import DeadLetter, Message, Record, encode_message, encode_record
from aioqueue.payload.codec import encode_call, to_marked
from aioqueue.payload.failure import Failure
from aioqueue.payload.serializers import PICKLE, serializer_of
from aioqueue.routing.addressing import check_queue
from aioqueue.worker.run import Run
from aioqueue.workflow import FailedCall, Step, handler_call, node_of

if TYPE_CHECKING:
    from aioqueue.core import Core


class Settlements:
    """Makes them, for one worker.

    Args:
        app: whose tasks they are.
        hostname: the name of the worker.
    """

    def __init__(self, app: Core, hostname: str) -> None:
        self._app = app
        self._hostname = hostname
        self._keep = int((app.conf.result_expires or 0) * 1000)  # ms; 0 is for ever
        self._hidden = hidden_words(app.conf.hidden_arguments)

    def of(self, delivery: Delivery, message: Message | None, record: Record) -> Settlement:
        """That of an end which no run has come to; `message` is None if it cannot be read."""
        return Settlement(
            delivery,
            record=encode_record(record),
            final=True,
            expires=self._keep,
            step=step_of(delivery, message),
            early=delivery.acknowledged,
            own_id=message is None or message.own_id,  # of what cannot be read nobody knows
        )

    def letter(
        self, delivery: Delivery, message: Message | None, reason: str, failure: Failure | None, now: int
    ) -> bytes:
        """A dead letter, encoded."""
        letter = DeadLetter(
            raw=delivery.data,
            queue=delivery.queue,
            priority=message.priority if message is not None else 0,
            reason=reason,
            deliveries=delivery.deliveries,
            died_at=now,
            failure=failure,
            worker=self._hostname,
        )
        return encode_record(letter)

    def news(self, run: Run, state: str, meta: Any) -> Settlement:
        """The task goes on, and says how it is.

        Raises:
            PayloadError: `meta` cannot be sent.
        """
        record = self.record(run, state)
        try:
            record.meta, record.marked = to_marked(meta)
            data = encode_record(record)
        except Exception as error:
            raise PayloadError(
                f"The meta of {run.task.name} cannot be sent ({error}): use numbers, text, and lists or dicts of them."
            ) from None
        return Settlement(run.delivery, acknowledge=False, record=data, expires=self._keep)

    def early(self, run: Run) -> Settlement:
        """The message is acknowledged before the end: it is not run again, but its end is not there yet."""
        return Settlement(run.delivery, acknowledge=False, early=True, own_id=run.message.own_id)

    def step(self, run: Run) -> Step | None:
        """What its end means for the workflow that it is in."""
        step = step_of(run.delivery, run.message) if run.message.workflow is not None else None
        if step is not None and run.additions:
            step.additions = run.additions
        return step

    def settlement(self, run: Run, record: bytes | None, step: Step | None, *, final: bool = True) -> Settlement:
        """That of a run's end; of one after which the task goes on, if that is not `final`."""
        delivery = run.delivery
        return Settlement(
            delivery,
            record=record,
            final=final,
            expires=self._keep,
            step=step,
            own_id=run.message.own_id,
            early=delivery.acknowledged,
        )

    def failed_call(self, run: Run, error: BaseException) -> FailedCall:
        """The failed task, as its error handlers are to see it."""
        message = run.message
        call = FailedCall(
            id=run.delivery.id,
            task=run.task.name,
            failure=Failure.of(error),
            retries=message.retries,
            message=msgspec.structs.replace(message, body=b""),
            hostname=self._hostname,
        )
        # What came as objects is told as objects: the app accepts them, or it would not have run.
        serializer = PICKLE if serializer_of(message.content) == PICKLE else "msgpack"
        try:
            call.body, call.content = encode_call(
                run.args, run.kwargs, serializer, None, self._app.conf.max_payload_size
            )
        except AioQueueError:  # such as what a thread of the task's own has put into them
            if message.takes is None and not message.handles:
                call.body, call.content = message.body, message.content
        return call

    def unkept(self, run: Run, record: bytes, step: Step | None = None) -> Settlement:
        """The settlement of an end of which no record is kept: those who wait for it by its id hear of it (D8)."""
        settlement = self.settlement(run, record, step or self.step(run))
        settlement.expires = UNKEPT
        return settlement

    def record(
        self, run: Run, state: str, ended: int = 0, result: bytes | None = None, content: str = "msgpack"
    ) -> Record:
        """What is known of a run."""
        message = run.message
        record = Record(
            state=state,
            task=message.task,
            result=result,
            content=content,
            retries=message.retries,
            worker=self._hostname,
            sent=message.sent,
            started=run.started,
            ended=ended,
        )
        if message.spread is not None:
            record.spread = True
        if run.args or run.kwargs:
            names = run.task.parameters.positional_names
            if record.spread:
                record.arguments = calls_text(run.args[0], run.kwargs, names, self._hidden)
            else:
                record.arguments = arguments_text(run.args, run.kwargs, names, self._hidden)
        if run.context is not None and run.context.children:
            record.children = run.context.children
        if message.root_id is not None:
            record.parent_id, record.root_id = message.parent_id, message.root_id
        if message.group_id is not None:
            record.group_id = message.group_id
        return record

    def again(
        self, run: Run, retries: int, delay: int | None, due: int | None, asked: Retry | None = None
    ) -> Settlement:
        """The settlement that puts the message back into its queue, now or for later.

        Raises:
            PayloadError: the arguments that were asked for cannot be sent.
            RoutingError: the queue that was asked for is none of those that there may be.
        """
        message = msgspec.structs.replace(run.message, retries=retries, eta=due)
        if asked is not None and asked.max_retries is not None:
            message.max_retries = asked.max_retries
        if asked is not None and (asked.new_args is not None or asked.new_kwargs is not None):
            self._write(message, run, asked)
        queue = run.delivery.queue
        if asked is not None and asked.queue is not None:
            check_queue(self._app.conf, run.task.name, asked.queue)
            queue = message.queue = asked.queue
        data = encode_message(message)
        settlement = self.settlement(run, None, None, final=False)
        settlement.sends = (
            Outgoing(run.delivery.id, queue, min(9, max(0, message.priority)), data, due, delay or None),
        )
        return settlement

    def _write(self, message: Message, run: Run, asked: Retry) -> None:
        """Put other arguments into a message, in place of those that the run had."""
        conf, task = self._app.conf, run.task
        message.body, message.content = task.parameters.encode(
            run.args if asked.new_args is None else tuple(asked.new_args),
            run.kwargs if asked.new_kwargs is None else dict(asked.new_kwargs),
            serializer=serializer_of(message.content),
            compression=task.compression or conf.task_compression,
            max_size=conf.max_payload_size,
            task_name=task.name,
        )
        message.takes = None  # what came before the arguments is one of them now


def step_of(delivery: Delivery, message: Message | None) -> Step | None:
    """The place in a workflow whose end the end of this delivery is."""
    if message is None:
        place = node_of(delivery.id)
        return Step(*place) if place is not None else None
    if message.workflow is None or message.node is None:
        return None
    return Step(message.workflow, handler_call(delivery.id, message.workflow, message.node) or str(message.node))
