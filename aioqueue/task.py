"""Tasks: functions that can be sent."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from aioqueue.context import Line, TaskContext, current
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.message import Message
from aioqueue.options import SendOptions, check_name, overlaid
from aioqueue.payload.signature import Parameters
from aioqueue.sending import each_item

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.canvas import Signature, chunks
    from aioqueue.result import AsyncResult
    from aioqueue.sync import SyncTask

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Pool = Literal["thread"]


class TaskOptions(TypedDict, total=False):
    """What `@app.task(...)` takes beside `bind`.

    Attributes:
        name: how the task is called in messages; by default `module.function`.
        base: a subclass of `Task`, with hooks or other defaults.
        queue: where it waits.
        priority: from 0 to 9, higher runs first.
        max_retries: None is no limit.
        default_retry_delay: seconds between retries without a backoff.
        autoretry_for: exceptions that are retried without being asked.
        dont_autoretry_for: exceptions among those that are not.
        retry_backoff: True for 1, 2, 4, … seconds, a number for multiples of it, False for `default_retry_delay`.
        retry_backoff_max: seconds; the longest backoff.
        retry_jitter: draw each backoff between 0 and its full length.
        soft_time_limit: seconds, after which `SoftTimeLimitExceeded` is raised inside the task.
        time_limit: seconds, after which it is ended.
        acks_late: acknowledge at the end (at least once) or before the start (at most once).
        ignore_result: keep no result.
        store_errors_even_if_ignored: but keep failures.
        track_started: record when it starts.
        expires: seconds after sending within which it must start.
        serializer: "msgpack" or "json".
        compression: "zlib" or "zstd".
        pool: "thread" for plain functions, which is what they have anyway.
    """

    name: str | None
    base: type[Task[..., Any]] | None
    queue: str | None
    priority: int | None
    max_retries: int | None
    default_retry_delay: float | None
    autoretry_for: Iterable[type[BaseException]]
    dont_autoretry_for: Iterable[type[BaseException]]
    retry_backoff: bool | float
    retry_backoff_max: float
    retry_jitter: bool
    soft_time_limit: float | None
    time_limit: float | None
    acks_late: bool | None
    ignore_result: bool | None
    store_errors_even_if_ignored: bool | None
    track_started: bool | None
    expires: float | None
    serializer: str | None
    compression: str | None
    pool: Pool | None


class Task(Generic[P, R]):
    """A function that can be sent to a worker; made by `@app.task`.

    Subclasses may set other defaults and define hooks, which are called in the worker, with Celery's arguments, and
    may be coroutines: `before_start(task_id, args, kwargs)`, `on_success(result, task_id, args, kwargs)`,
    `on_failure(exception, task_id, args, kwargs, traceback)`, `on_retry(exception, task_id, args, kwargs, traceback)`
    and `after_return(state, result_or_exception, task_id, args, kwargs, traceback)`.
    """

    queue: str | None = None
    priority: int | None = None
    max_retries: int | Literal["default"] | None = "default"
    default_retry_delay: float | None = None
    autoretry_for: tuple[type[BaseException], ...] = ()
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    retry_backoff: bool | float = False
    retry_backoff_max: float = 600.0
    retry_jitter: bool = True
    soft_time_limit: float | None = None
    time_limit: float | None = None
    acks_late: bool | None = None
    ignore_result: bool | None = None
    store_errors_even_if_ignored: bool | None = None
    track_started: bool | None = None
    expires: float | None = None
    serializer: str | None = None
    compression: str | None = None
    pool: Pool | None = None

    def __init__(
        self, app: AioQueue | None, function: Callable[..., Any], name: str, bind: bool, options: Mapping[str, Any]
    ) -> None:
        self._app = app
        self.name = name
        self.function = function
        self.bind = bind
        self.is_coroutine = inspect.iscoroutinefunction(function)
        self.parameters = Parameters(function, skip_first=bind)
        self.sending: dict[str, Any] = {}
        for option, value in options.items():
            self._set(option, value)
        self.__name__ = getattr(function, "__name__", name)
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function
        # Whether the worker has to ask for them at all.
        self.hooks = frozenset(hook for hook in HOOKS if getattr(type(self), hook) is not getattr(Task, hook))

    def _set(self, option: str, value: Any) -> None:
        if option not in _OPTIONS:
            raise ConfigurationError(
                f"@app.task has no option {option!r} (task {self.name}).{suggest(option, _OPTIONS)}"
            )
        if option in ("autoretry_for", "dont_autoretry_for"):
            value = tuple(value)
        if option == "queue" and value is not None:
            check_name("name of a queue", value)
        if option == "priority" and value is not None and (not isinstance(value, int) or not 0 <= value <= 9):
            raise ConfigurationError(f"The priority of {self.name} must be from 0 to 9, not {value!r}.")
        if option in ("soft_time_limit", "time_limit", "expires") and value is not None and value <= 0:
            raise ConfigurationError(f"The {option} of {self.name} must be more than 0 seconds, not {value!r}.")
        if option == "pool" and value is not None and self.is_coroutine:
            raise ConfigurationError(f"{self.name} is a coroutine: it runs on the event loop, not in a pool.")
        if option == "pool" and value not in (None, "thread"):
            raise ConfigurationError(f"The pool of {self.name} can be 'thread', not {value!r}.")
        setattr(self, option, value)

    @property
    def app(self) -> AioQueue:
        """The app that the task belongs to.

        Raises:
            ConfigurationError: a shared task, and no app has been made yet.
        """
        if self._app is None:
            raise ConfigurationError(
                f"The shared task {self.name} belongs to no app yet: make one, app = AioQueue(...), before it is used."
            )
        return self._app

    @property
    def retry_limit(self) -> int | None:
        """How often the task is retried at most; None is without end."""
        return self.app.conf.task_max_retries if self.max_retries == "default" else self.max_retries

    def bound_to(self, app: AioQueue) -> Task[P, R]:
        """The same task of another app."""
        other = copy.copy(self)
        other._app = app
        return other

    def bind_first(self, app: AioQueue) -> None:
        """Give a shared task its app, if it has none."""
        if self._app is None:
            self._app = app

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the function here and now, as if it had never been decorated."""
        if self.bind:
            context = current.get()
            if context is None or context.task is not self:
                message = Message(task=self.name, queue="")
                context = TaskContext(self, "", message, args, kwargs, line=Line(), is_eager=True)
            return self.function(context, *args, **kwargs)
        return self.function(*args, **kwargs)

    async def send(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send the task to its queue.

        Returns:
            What stands for its result. When this returns, the task is in the broker.

        Raises:
            PayloadError: an argument cannot be sent, or the call does not fit the function. Nothing was sent.
            QueueFull: the queue has its `queue_max_length`. Nothing was sent.
            BrokerUnavailable: no answer within `send_timeout` seconds.
        """
        return await self.app.post(self, args, kwargs, self.sending)

    delay = send

    async def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> AsyncResult[R]:
        """Celery's way to send with options; `options(...).send(...)` is the typed one."""
        sending = overlaid(self.sending, options)
        return await self.app.post(self, tuple(args or ()), dict(kwargs or {}), sending)

    async def call(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> R:
        """Send the task and wait for its result, for up to `timeout` seconds.

        Python's types cannot put `timeout` beside a function's own arguments, so these are checked when it is sent.
        """
        result = await self.app.post(self, args, kwargs, self.sending)
        return await result.get(timeout=timeout)

    def options(self, **options: Unpack[SendOptions]) -> Task[P, R]:
        """This task, to be sent with these options."""
        other = copy.copy(self)
        other.sending = overlaid(self.sending, options)
        return other

    def s(self, *args: Any, **kwargs: Any) -> Signature[R]:
        """A call to be sent later, perhaps with more arguments put before these."""
        return self.app.make_signature(self, args, kwargs, self.sending, immutable=False)

    def si(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R]:
        """A call to be sent later as it is: no result of another task is put before its arguments."""
        self.parameters.check(args, kwargs, task_name=self.name)
        return self.app.make_signature(self, args, kwargs, self.sending, immutable=True)

    def signature(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        **options: Unpack[SendOptions],
    ) -> Signature[R]:
        """A call to be sent later, with options."""
        sending = overlaid(self.sending, options)
        return self.app.make_signature(self, tuple(args or ()), dict(kwargs or {}), sending, immutable=immutable)

    def map(self, items: Iterable[Any] | None = None) -> Signature[list[R]]:
        """One message in which the function is called for each item; its result is the list of what they give.

        Args:
            items: one argument each; None takes the result of what comes before it in a chain.

        Raises:
            ConfigurationError: the items are no list or the like.
        """
        return self._spread("map", items)

    def starmap(self, items: Iterable[Iterable[Any]] | None = None) -> Signature[list[R]]:
        """`map` with the items as the arguments of each call.

        Raises:
            ConfigurationError: the items are no list of tuples or the like.
        """
        return self._spread("starmap", items)

    def _spread(self, kind: str, items: Iterable[Any] | None) -> Signature[Any]:
        args: tuple[Any, ...] = ()
        if items is not None:
            each = each_item(items, task=self.name, kind=kind)
            args = ([tuple(item) for item in each] if kind == "starmap" else list(each),)
        signature = self.app.make_signature(self, args, {}, self.sending, immutable=False)
        signature.spread = kind
        signature.immutable = items is not None
        return signature

    def chunks(self, items: Iterable[Iterable[Any]], size: int) -> chunks[R]:
        """Many calls, so many in a message: a group of `starmap`s; see `aioqueue.chunks`."""
        from aioqueue.canvas import chunks

        return chunks(self, items, size)

    @property
    def sync(self) -> SyncTask[P, R]:
        """The same for threads and programs without an event loop: `task.sync.send(2, 3).get(timeout=10)`."""
        from aioqueue.sync import SyncTask

        return SyncTask(self)

    def __repr__(self) -> str:
        return f"<Task {self.name}{self.parameters.text}>"

    # Hooks, for subclasses.

    def before_start(self, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Called before the function."""

    def on_success(self, result: Any, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Called when the function has returned."""

    def on_failure(
        self, exception: BaseException, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any], traceback: str
    ) -> Any:
        """Called when the task has failed for good."""

    def on_retry(
        self, exception: BaseException, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any], traceback: str
    ) -> Any:
        """Called when the task is to be run again."""

    def after_return(
        self, state: str, result: Any, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any], traceback: str
    ) -> Any:
        """Called after each of the three before."""


HOOKS = ("before_start", "on_success", "on_failure", "on_retry", "after_return")
_OPTIONS = frozenset(TaskOptions.__annotations__) - {"name", "base"}


if TYPE_CHECKING:

    class CoroutineTask(Task[P, R]):
        """What the types say of a task made of a coroutine function."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]: ...

    class FunctionTask(Task[P, R]):
        """What the types say of a task made of a plain function."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


class Decorator(Protocol):
    """`@app.task(...)`."""

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> CoroutineTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> FunctionTask[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        """The task that is made of the function."""
        ...


class BoundDecorator(Protocol):
    """`@app.task(bind=True, ...)`: the function takes its context first, which is not asked for in `send`."""

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[Concatenate[TaskContext, P], Coroutine[Any, Any, R]], /
    ) -> CoroutineTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[TaskContext, P], R], /) -> FunctionTask[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        """The task that is made of the function."""
        ...
