"""Every error that aioqueue raises.

A message says what was wrong, with the value; what happened to the task; and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, NoReturn, Self

from aioqueue import other_words


class AioQueueError(Exception):
    """The root of all errors raised by aioqueue.

    Attributes:
        sent: of a `send_many` that could send a part only, the ids of the tasks that were sent before the error.
    """

    sent: tuple[str, ...] = ()

    def after(self, sent: Iterable[str], total: int) -> Self:
        """This error, when so many of `total` tasks were sent before it."""
        if ids := tuple(sent):
            self.sent = ids
            what = str(self).replace("Nothing was sent.", "The others were not sent.")
            self.args = (
                f"{what} The first {len(ids)} of the {total} tasks had been sent before: the error's `sent` has their "
                "ids. Send only the others again.",
            )
        return self


class ConfigurationError(AioQueueError):
    """A setting, a URL or an option has no meaning here."""


class BrokerUnavailable(AioQueueError):
    """The broker gave no usable answer in the time allowed.

    Attributes:
        is_away: it gave none at all, and may yet be there. Else what is wrong does not go away by itself: it lets
            nobody in, say.
    """

    is_away: bool = False


class RoutingError(AioQueueError):
    """No queue is found for a task, or more than one where there can be one only; nothing was sent."""


class QueueFull(AioQueueError):
    """The queue holds `queue_max_length` tasks already, or its own `max_length`; nothing was sent.

    Attributes:
        queue: which queue that is; "" where it is not known.
    """

    queue: str = ""

    @classmethod
    def of(cls, queue: str, most: int | None, *, is_own: bool = False, at_once: int = 0) -> QueueFull:
        """The error for a queue that may hold so many tasks.

        Args:
            queue: its name.
            most: how many it may hold.
            is_own: its `Queue` says so, and not the setting.
            at_once: how many were to be sent at once, if that is more than it ever has room for.
        """
        limit = f"the max_length={most} of its Queue" if is_own else f"its queue_max_length={most} tasks"
        wait = "give its Queue full='wait'" if is_own else "set queue_full='wait'"
        if at_once:
            error = cls(
                f"{at_once} tasks were to be sent to the queue {queue!r} at once, which never fit into {limit}, "
                "however long one waits. Nothing was sent. Send fewer at once, or let it hold more."
            )
        else:
            error = cls(
                f"The queue {queue!r} is full: what was to be sent does not fit into {limit}. Nothing was sent. Send "
                f"later, start more workers, or {wait}."
            )
        error.queue = queue
        return error


class DuplicateTask(AioQueueError):
    """The `task_id` is that of another call, which waits or runs; nothing was sent."""

    @classmethod
    def of(cls, id: str) -> DuplicateTask:
        """The error for that id."""
        return cls(
            f"The task_id {id!r} is taken: a task of that id waits or runs (or was revoked, and its message has not "
            "been met yet), and it is another task or has other arguments. Nothing was sent. Take another id, or wait "
            "for the end of that one: then its id is free."
        )


class ScheduleExists(AioQueueError):
    """There is a schedule of that name already; nothing was changed."""


class NotRegistered(AioQueueError):
    """No task of this name is known to this app."""


class PayloadError(AioQueueError):
    """An argument or a result cannot be encoded, or a message cannot be decoded."""


class ArgumentsError(PayloadError, TypeError):
    """A call doesn't fit the signature of its task; nothing was sent, or its message was moved to the dead letters."""


class PayloadTooLarge(PayloadError):
    """An argument list, a result or a message is larger than `max_payload_size`."""


class TimeoutError(AioQueueError, TimeoutError):
    """A wait ended before the task did. The task goes on."""


class TaskFailed(AioQueueError):
    """A task failed with an exception whose type is not known in this process.

    Attributes:
        exception_type: the original type as `module.qualname`.
        arguments: what the original exception was made of, as far as it could be sent.
    """

    def __init__(self, message: str = "", *, exception_type: str = "", arguments: tuple[Any, ...] = ()) -> None:
        super().__init__(message)
        self.exception_type = exception_type
        self.arguments = arguments


class ResultIgnored(AioQueueError):
    """No result of the task is kept: it was sent with `ignore_result`, and has ended."""


class ResultExpired(AioQueueError):
    """The task has ended, and what was known of it is gone: `result_expires` is over, or it was forgotten."""


class TaskRevoked(AioQueueError):
    """The task was revoked, or expired, before it ended by itself."""


class UpstreamFailed(AioQueueError):
    """A task that this one depends on failed or was revoked; its cause is `__cause__`."""


class ChordError(UpstreamFailed):
    """A task in the header of a chord failed, so its body was not run."""


class WorkerLost(AioQueueError):
    """The process that ran the task died: `max_deliveries` times in a row, or once after an early acknowledgement."""


class LeaseLost(AioQueueError):
    """The worker lost its lease while it ran the task; another worker runs it again."""


class TimeLimitExceeded(AioQueueError):
    """The task ran for longer than its `time_limit` and was ended."""


class SoftTimeLimitExceeded(AioQueueError):
    """Raised inside a task that has run for longer than its `soft_time_limit`; it may clean up and return."""


class MaxRetriesExceeded(AioQueueError):
    """A retry was asked for, and `max_retries` of them have been used."""


class Retry(AioQueueError):
    """Raised by a task, with `raise ctx.retry(...)`, to be run again later.

    Attributes:
        exc: what went wrong; becomes the task's exception when its retries are used up.
        countdown: seconds to wait; None leaves it to the task's own rule.
        eta: when to run again, instead of `countdown`.
        max_retries: replaces the task's own limit for this and later retries.
        new_args, new_kwargs: what it is called with then; None is what it was called with now.
        queue: where it waits for that; None is the queue that it came from.
    """

    def __init__(
        self,
        message: str = "",
        *,
        exc: BaseException | None = None,
        countdown: float | timedelta | None = None,
        eta: datetime | None = None,
        max_retries: int | None = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
    ) -> None:
        super().__init__(message or (f"retry: {exc!r}" if exc is not None else "retry"))
        self.exc = exc
        self.countdown = countdown
        self.eta = eta
        self.max_retries = max_retries
        self.new_args = args
        self.new_kwargs = kwargs
        self.queue = queue


class Reject(AioQueueError):
    """Raised by a task that cannot be done: to the dead letters, or with `requeue=True` back to its queue.

    Attributes:
        reason: kept with the dead letter.
        requeue: run the task again, at once, instead.
    """

    def __init__(self, reason: object = "rejected", *, requeue: bool = False) -> None:
        super().__init__(str(reason))
        self.reason = str(reason)
        self.requeue = requeue


class Replace(AioQueueError):
    """Raised by a task, with `raise ctx.replace(...)`: a canvas goes on in its place.

    Attributes:
        canvas: what goes on.
    """

    def __init__(self, canvas: Any) -> None:
        super().__init__(f"replaced by {canvas!r}")
        self.canvas = canvas


class Ignore(AioQueueError):
    """Raised by a task that wants to end without a result: the state that it set last stays."""


def suggest(name: str, known: Iterable[str]) -> str:
    """A sentence part that names what `name` was probably meant to be, or nothing. (`retires` is less like `expires`
    than like the end of `max_retries`.)"""
    names = {one: one for one in known}
    ends = {one.partition("_")[2]: one for one in names if "_" in one} if "_" not in name else {}
    close = get_close_matches(name, {**ends, **names}, n=1, cutoff=0.6)
    return f" Did you mean {({**ends, **names})[close[0]]!r}?" if close else ""


def __getattr__(name: str) -> NoReturn:
    if (here := other_words.EXCEPTIONS.get(name)) is not None:
        raise ImportError(f"Celery's {name} is {here} here: from aioqueue.exceptions import {here}", name=name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{suggest(name, globals())}")
