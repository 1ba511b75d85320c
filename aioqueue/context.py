"""What a running task knows of itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec

from aioqueue.awaiting import Done
from aioqueue.exceptions import AioQueueError, ConfigurationError, Replace, Retry, suggest
from aioqueue.kinds import Seconds
from aioqueue.message import Message, State
from aioqueue.options import checked_retry, moment, retry_refused
from aioqueue.other_words import OF_CONTEXTS, instead
from aioqueue.request import OfMessage, Request

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    from aioqueue.around.scopes import WorkerScope
    from aioqueue.canvas.base import Canvas
    from aioqueue.core import Core
    from aioqueue.result import AsyncResult
    from aioqueue.task import Task

    T_co = TypeVarWithDefault("T_co", bound=Task[..., Any], default=Task[..., Any], covariant=True)
else:
    T_co = TypeVar("T_co", covariant=True)

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

    def thread(self) -> int | None:
        """The thread that its function is in, by the number that `threading.get_ident` gives; None for the loop's."""
        return None

    @property
    def is_over(self) -> bool:
        """It is settled how the run has ended: nothing that is said from now on is heard."""
        return False

    def ended(self) -> Runtime:
        """The same for those who are called when that is so."""
        return self

    async def add_to_group(self, canvas: Canvas[_T]) -> AsyncResult[_T]:
        """Add a member to the task's group."""
        raise AioQueueError("A task that is run in place is in no group. Nothing was added.")

    @property
    def scope(self) -> WorkerScope | None:
        """What the tasks of the process share, where that can be awaited here."""
        return None

    async def in_thread(self, call: Callable[[], Any], variables: Context) -> Any:
        """Call a function in a thread."""
        return await asyncio.to_thread(variables.run, call)

    def perform(self, action: Coroutine[Any, Any, _T]) -> Awaitable[_T]:
        """Do something asynchronous. From a thread it is done on return, and awaiting it is not needed."""
        action.close()  # nobody listens, and a plain function would not await it
        return Done(cast("_T", None))


class _OfTask(logging.LoggerAdapter[logging.Logger]):
    """Adds what it was given to the caller's `extra`; a `LoggerAdapter` replaces that, but for Python 3.13's option."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class TaskContext(OfMessage, msgspec.Struct, Generic[T_co], eq=False, weakref=True):
    """A task while it runs; the first argument of tasks made with `bind=True`.

    What it has no word for itself is asked of the task, so that `ctx.db` is the `db` of one's own class of tasks, and
    `ctx.send(...)` sends the task again. To type checkers that is `ctx.task.db`, where the context is annotated as
    `TaskContext[DatabaseTask]`.

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
        refused: what `retry` has raised since its retries are used up.
    """

    task: T_co
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
    refused: BaseException | None = None

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name

    @property
    def app(self) -> Core:
        """The app that the task belongs to."""
        return self.task.app

    @property
    def max_retries(self) -> int | None:
        """How often it is retried at most; None is without end."""
        limit = self._message.max_retries
        if limit is None:
            return self.task.retry_limit
        return None if limit < 0 else limit

    @property
    def default_retry_delay(self) -> float:
        """Seconds between its retries where there is no backoff."""
        return self.task.in_force("default_retry_delay")

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
        """A logger that adds `task_id` and `task_name` to its records, beside an `extra` of the caller's."""
        return _OfTask(
            logging.getLogger(f"aioqueue.task.{self.name}"),
            {"task_id": self.id, "task_name": self.name, "task_queue": self.queue, "task_retries": self.retries},
        )

    @property
    def request(self) -> Request:
        """The same data under Celery's names."""
        return Request(
            self.id,
            self._message,
            self.args,
            self.kwargs,
            hostname=self.hostname,
            deliveries=self.deliveries,
            is_eager=self.is_eager,
            children=self.children,
        )

    def update_state(
        self, state: str = State.PROGRESS, meta: Any = None, *, task_id: str | None = None
    ) -> Awaitable[None]:
        """Tell those who watch the task how it is. Await it in a coroutine; in a thread it is done on return.

        Args:
            state: a word of yours; not one of the final states.
            meta: plain data.
            task_id: Celery's word; its own id, for a task tells of itself.

        Raises:
            AioQueueError: such a state, the id of another task, or this one has ended.
        """
        if task_id is not None and task_id != self.id:
            raise AioQueueError(
                f"{self._run} cannot tell of another task, {task_id}: leave task_id out. What others are to know of it "
                "goes into its own state, or to where they look. Nothing was told."
            )
        self._check_goes_on("ctx.update_state()", "What is to be kept of a task is what it returns.")
        if state in ("SUCCESS", "FAILURE", "REVOKED"):
            raise AioQueueError(f"A task cannot set the state {state} itself: return a value, or raise an error.")
        return self._runtime.perform(self._runtime.report(str(state), meta))

    def progress(self, done: float, total: float) -> Awaitable[None]:
        """`update_state` to PROGRESS, with `{"done": done, "total": total}`."""
        return self.update_state(State.PROGRESS, {"done": done, "total": total})

    def ack(self) -> Awaitable[None]:
        """Acknowledge the message now: from here on the task is delivered at most once."""
        self._check_goes_on("ctx.ack()")
        return self._runtime.perform(self._runtime.acknowledge())

    def retry(
        self,
        exc: BaseException | None = None,
        countdown: Seconds | None = None,
        eta: datetime | None = None,
        max_retries: int | None = None,
        *,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
        throw: bool = True,
    ) -> Retry:
        """A `Retry` to raise. A task that makes one, raises nothing and returns has failed: nothing else would tell.

        Args:
            exc: what went wrong; the task's exception when its retries are used up.
            countdown: seconds to wait; else the task's backoff or `default_retry_delay`.
            eta: when to run again.
            max_retries: in place of the task's own.
            args, kwargs: all that it is called with then, in place of what it was called with now; a result that a
                workflow put before its arguments is one of them.
            queue: where it waits for that, and for later retries, in place of the queue that it came from.
            throw: Celery's word; it is raised by you, in any case.

        Raises:
            MaxRetriesExceeded: the retries are used up, and no `exc` was given. The task may catch it and end well.
            BaseException: `exc`, if it was given and the retries are used up.
            ConfigurationError: a value that one of them cannot have.
            ArgumentsError: the arguments do not fit the task.
            AioQueueError: the task has ended.
        """
        self._check_goes_on("ctx.retry()", "To run the task anew, send it: `await self.send(...)`.")
        asked = Retry(
            exc=exc, countdown=countdown, eta=eta, max_retries=max_retries, args=args, kwargs=kwargs, queue=queue
        )
        retry = checked_retry(asked)
        if args is not None or kwargs is not None:
            self._check_again(retry)
        limit = self.max_retries if retry.max_retries is None else retry.max_retries
        refused = retry_refused(self.name, self.id, retries=self.retries, limit=limit, cause=retry.exc)
        if refused is not None:
            self.refused = refused
            raise refused
        self.asked = retry
        return retry

    def _check_again(self, retry: Retry) -> None:
        """Whether it can be called with other arguments."""
        if self._message.spread is not None or self._message.handles:
            what = "an error handler" if self._message.handles else f"a {self._message.spread}"
            raise ConfigurationError(
                f"{self.name}[{self.id}] runs as {what}, whose arguments a retry cannot change: leave args and kwargs "
                "out of ctx.retry()."
            )
        args = self.args if retry.new_args is None else tuple(retry.new_args)
        kwargs = self.kwargs if retry.new_kwargs is None else dict(retry.new_kwargs)
        self.task.parameters.check(args, kwargs, task_name=self.name)

    def replace(self, canvas: Canvas[Any]) -> Replace:
        """A `Replace` to raise: the canvas goes on in the place of this task.

        Its end is this task's end; whoever waits for this task, comes after it or handles its errors goes on with the
        canvas. It inherits the stamps.

        Raises:
            ConfigurationError: what is given is no canvas.
            AioQueueError: the task has ended.
        """
        self._check_goes_on("ctx.replace()", "To go on with something else, send that.")
        self.asked = replace = Replace(_checked(canvas))
        return replace

    def add_to_group(self, canvas: Canvas[_T]) -> Awaitable[AsyncResult[_T]]:
        """Add a member to the group that this task belongs to: it is waited for, and its result comes last.

        It starts when this task has ended well, or was replaced: if it fails, nothing was added. Await it in a
        coroutine.

        Raises:
            AioQueueError: the task is in no group, or has ended.
        """
        self._check_goes_on("ctx.add_to_group()")
        if self.group_id is None and not self.is_eager:
            raise AioQueueError(f"{self._run} belongs to no group. Nothing was added.")
        return self._runtime.perform(self._runtime.add_to_group(_checked(canvas)))

    def _check_goes_on(self, call: str, instead: str = "") -> None:
        """Whether the run still goes on, for what changes how it ends."""
        if self._runtime.is_over:
            raise AioQueueError(
                f"{self._run} has ended, and {call} changes nothing any more: it was called in a hook, or by who hears "
                f"of the end.{f' {instead}' if instead else ''}"
            )

    @property
    def _run(self) -> str:
        return f"Task {self.name}[{self.id}]"

    def __repr__(self) -> str:
        return f"<TaskContext {self.name}[{self.id}]>"


class BoundContext(TaskContext[T_co]):
    """A context that knows what its task's class defines: of tasks that take one, or have a class of their own.

    It is a class by itself because each look at an object with a `__getattr__` takes longer.
    """

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__") or name in type(self).__struct_fields__:
                raise AttributeError(name)
            try:
                return getattr(self.task, name)
            except AttributeError as error:
                if getattr(error, "name", name) != name:
                    raise  # of a property's own code
                known = [one for one in (*dir(TaskContext), *dir(self.task)) if one[:1] != "_"]
                hint = instead(OF_CONTEXTS, name) or suggest(name, known)
                raise AttributeError(
                    f"Neither the context nor the class of the task {self.name} has {name!r}.{hint}"
                ) from error

        def __setattr__(self, name: str, value: Any) -> None:
            if name in type(self).__struct_fields__ or name.startswith("__"):
                super().__setattr__(name, value)
            elif isinstance(getattr(TaskContext, name, None), property):
                raise AttributeError(f"{name!r} of a running task cannot be set.")
            elif hasattr(self.task, name):
                setattr(self.task, name, value)
            else:
                raise AttributeError(
                    f"The class of the task {self.name} has no {name!r} that could be set: give it one, {name} = None."
                )


def context_of(task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> TaskContext:
    """The context of a task that is called as a function: that of its run if this is one, else one of its own."""
    context = current.get()
    if context is not None and context.task is task:
        return context
    return task.context_kind(task, "", Message(task=task.name, queue=""), args, kwargs, Runtime(), is_eager=True)


def after_the_end(context: TaskContext) -> TaskContext:
    """The context of a run as those see it who are called when it is settled how that has ended."""
    runtime = context._runtime.ended()  # pyright: ignore[reportPrivateUsage]
    return msgspec.structs.replace(context, _runtime=runtime)


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


def _checked(canvas: Canvas[_T]) -> Canvas[_T]:
    if not hasattr(canvas, "to_dict"):
        hint = " Use task.s(...)." if hasattr(canvas, "function") else ""
        raise ConfigurationError(f"{canvas!r} is no canvas.{hint}")
    return canvas
