"""What a running task knows of itself."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import msgspec

from aioqueue.exceptions import AioQueueError, ConfigurationError, Replace, Retry
from aioqueue.kinds import Seconds
from aioqueue.message import Message, State, headers_of, stamps_of
from aioqueue.options import checked_retry, moment

if TYPE_CHECKING:
    from aioqueue.canvas.base import Canvas
    from aioqueue.result import AsyncResult
    from aioqueue.task import Task

_T = TypeVar("_T")

current: ContextVar[TaskContext | None] = ContextVar("aioqueue_task", default=None)


def current_context() -> TaskContext:
    """The context of the task that this code runs in.

    Raises:
        AioQueueError: outside of any task.
    """
    context = current.get()
    if context is None:
        raise AioQueueError("There is no running task here: current_context() works below a task's function.")
    return context


class Runtime(msgspec.Struct, eq=False):
    """What a running task reaches of those who run it: the worker, or nobody when the task is run in place."""

    async def report(self, state: str, meta: Any) -> None:
        """Store a state that is not the end."""

    async def acknowledge(self) -> None:
        """Take the message out of the queue now."""

    def waits(self, subject: str, begins: bool) -> None:
        """It begins to wait for the end of another task, or no longer waits; a subject that ends with a dot is a
        workflow. From any thread."""

    async def add_to_group(self, canvas: Canvas[_T]) -> AsyncResult[_T]:
        """Add a member to the task's group."""
        raise AioQueueError("A task that is run in place is in no group. Nothing was added.")

    def perform(self, action: Coroutine[Any, Any, _T]) -> Awaitable[_T]:
        """Do something asynchronous. From a thread it is done on return, and awaiting it is not needed."""
        action.close()  # nobody listens, and a plain function would not await it
        return Done(cast("_T", None))


class Done(Awaitable[_T]):
    """Something that was awaited already."""

    def __init__(self, value: _T) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, Any, _T]:
        return self._value
        yield


class TaskContext(msgspec.Struct, eq=False, weakref=True):
    """A task while it runs; the first argument of tasks made with `bind=True`.

    Attributes:
        id: the task's id.
        task: the task itself.
        args, kwargs: what it was called with, converted.
        headers: what the sender added.
        hostname: the name of the worker.
        deliveries: how often this message was delivered, this time included: more than one after a worker died.
        is_eager: it runs in the sender's process (`task_always_eager`), or was called as a function.
        state: what the app's `lifespan` yielded in this process.
        children: ids of the tasks that it has sent.
        asked: the last `Retry` or `Replace` that was made of it; to be raised, or the task has failed.
    """

    task: Task[..., Any]
    id: str
    _message: Message
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    _runtime: Runtime
    hostname: str = ""
    deliveries: int = 1
    is_eager: bool = False
    state: Any = None
    children: list[str] = []
    asked: Retry | Replace | None = None

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name

    @property
    def max_retries(self) -> int | None:
        """How often it is retried at most; None is without end."""
        limit = self._message.max_retries
        if limit is None:
            return self.task.retry_limit
        return None if limit < 0 else limit

    @property
    def retries(self) -> int:
        """How often it has been retried; 0 at first."""
        return self._message.retries

    @property
    def queue(self) -> str:
        """The queue that it came from."""
        return self._message.queue

    @property
    def priority(self) -> int:
        """From 0 to 9."""
        return self._message.priority

    @property
    def routing_key(self) -> str | None:
        """As given by the sender."""
        return self._message.routing_key

    @property
    def headers(self) -> dict[str, Any]:
        """What the sender added."""
        return headers_of(self._message)

    @property
    def stamps(self) -> dict[str, Any]:
        """The marks that all tasks of a workflow share."""
        return stamps_of(self._message)

    @property
    def parent_id(self) -> str | None:
        """The task before this one in its workflow, or else the one that sent it."""
        return self._message.parent_id

    @property
    def root_id(self) -> str:
        """The first task of all: this one, when nobody sent it."""
        return self._message.root_id or self.id

    @property
    def group_id(self) -> str | None:
        """The group that it belongs to."""
        return self._message.group_id

    @property
    def eta(self) -> datetime | None:
        """Not to run before."""
        return moment(self._message.eta)

    @property
    def expires(self) -> datetime | None:
        """Not to run after."""
        return moment(self._message.expires)

    @property
    def schedule(self) -> str | None:
        """The name of the schedule that it was sent for, if it was."""
        name = self.headers.get("schedule")
        return name if isinstance(name, str) else None

    @property
    def due_at(self) -> datetime | None:
        """When it was due by its schedule, an aware datetime; `datetime.now` may be later."""
        try:
            moment = datetime.fromisoformat(self.headers.get("due_at", ""))
        except (TypeError, ValueError):  # no schedule's header
            return None
        return moment if moment.tzinfo is not None else None

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that adds `task_id` and `task_name` to its records."""
        return logging.LoggerAdapter(
            logging.getLogger(f"aioqueue.task.{self.name}"),
            {"task_id": self.id, "task_name": self.name, "task_queue": self.queue, "task_retries": self.retries},
        )

    @property
    def request(self) -> Request:
        """The same data under Celery's names."""
        return Request(self)

    def update_state(self, state: str = State.PROGRESS, meta: Any = None) -> Awaitable[None]:
        """Tell those who watch the task how it is. Await it in a coroutine; in a thread it is done on return.

        Args:
            state: a word of yours; not one of the final states.
            meta: plain data.
        """
        if state in ("SUCCESS", "FAILURE", "REVOKED"):
            raise AioQueueError(f"A task cannot set the state {state} itself: return a value, or raise an error.")
        return self._runtime.perform(self._runtime.report(str(state), meta))

    def progress(self, done: float, total: float) -> Awaitable[None]:
        """`update_state` to PROGRESS, with `{"done": done, "total": total}`."""
        return self.update_state(State.PROGRESS, {"done": done, "total": total})

    def ack(self) -> Awaitable[None]:
        """Acknowledge the message now: from here on the task is delivered at most once."""
        return self._runtime.perform(self._runtime.acknowledge())

    def retry(
        self,
        exc: BaseException | None = None,
        countdown: Seconds | None = None,
        eta: datetime | None = None,
        max_retries: int | None = None,
    ) -> Retry:
        """A `Retry` to raise. A task that makes one, raises nothing and returns has failed: nothing else would tell.

        Args:
            exc: what went wrong; the task's exception when its retries are used up.
            countdown: seconds to wait; else the task's backoff or `default_retry_delay`.
            eta: when to run again.
            max_retries: in place of the task's own.

        Raises:
            ConfigurationError: a value that one of them cannot have.
        """
        self.asked = retry = checked_retry(Retry(exc=exc, countdown=countdown, eta=eta, max_retries=max_retries))
        return retry

    def replace(self, canvas: Canvas[Any]) -> Replace:
        """A `Replace` to raise: the canvas goes on in the place of this task.

        Its end is this task's end; whoever waits for this task, comes after it or handles its errors goes on with the
        canvas. It inherits the stamps.

        Raises:
            ConfigurationError: what is given is no canvas.
        """
        self.asked = replace = Replace(_checked(canvas))
        return replace

    def add_to_group(self, canvas: Canvas[_T]) -> Awaitable[AsyncResult[_T]]:
        """Add a member to the group that this task belongs to: it is waited for, and its result comes last.

        It starts when this task has ended well, or was replaced: if it fails, nothing was added. Await it in a
        coroutine.

        Raises:
            AioQueueError: the task is in no group.
        """
        if self.group_id is None and not self.is_eager:
            raise AioQueueError(f"Task {self.name}[{self.id}] belongs to no group. Nothing was added.")
        return self._runtime.perform(self._runtime.add_to_group(_checked(canvas)))

    def __repr__(self) -> str:
        return f"<TaskContext {self.name}[{self.id}]>"


@contextmanager
def waiting_for(subjects: Sequence[str]) -> Generator[None]:
    """The task that this code runs in, if it is one, waits for the end of another; its worker hears of it."""
    context = current.get()
    if context is None:
        yield
        return
    runtime = context._runtime  # pyright: ignore[reportPrivateUsage]
    for subject in subjects:
        runtime.waits(subject, True)
    try:
        yield
    finally:
        for subject in subjects:
            runtime.waits(subject, False)


class Request:
    """A task's context under the names of Celery's `self.request`."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context

    _SAME = ("id", "args", "kwargs", "retries", "hostname", "is_eager", "headers", "stamps", "root_id", "parent_id")
    _OTHER: ClassVar[dict[str, Callable[[TaskContext], Any]]] = {
        "task": lambda context: context.name,
        "group": lambda context: context.group_id,
        "eta": lambda context: context.eta.isoformat() if context.eta else None,
        "expires": lambda context: context.expires.isoformat() if context.expires else None,
        "called_directly": lambda context: context.is_eager and not context.queue,
        "correlation_id": lambda context: context.id,
        "children": lambda context: list(context.children),
        "delivery_info": lambda context: {
            "routing_key": context.routing_key or context.queue,
            "priority": context.priority,
            "redelivered": context.deliveries > 1,
        },
    }

    def __getattr__(self, name: str) -> Any:
        if name in self._SAME:
            return getattr(self._context, name)
        if name in self._OTHER:
            return self._OTHER[name](self._context)
        raise AttributeError(f"ctx.request has no {name!r}; it has {', '.join([*self._SAME, *self._OTHER])}")


def _checked(canvas: Canvas[_T]) -> Canvas[_T]:
    if not hasattr(canvas, "to_dict"):
        hint = " Use task.s(...)." if hasattr(canvas, "function") else ""
        raise ConfigurationError(f"{canvas!r} is no canvas.{hint}")
    return canvas
