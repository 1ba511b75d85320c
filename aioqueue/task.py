"""Tasks: functions that can be sent."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import datetime
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from aioqueue import kinds, other_words
from aioqueue.around.dependencies import Dependencies, dependencies_of
from aioqueue.around.layer import Layer
from aioqueue.attributes import Elsewhere
from aioqueue.awaiting import AwaitedCall, Spoken, awaited, coroutine_function
from aioqueue.context import BoundContext, T_co, TaskContext, context_of, current
from aioqueue.definition import class_around, does_the_same, is_coroutine_function, is_generator
from aioqueue.exceptions import ConfigurationError, Retry, suggest
from aioqueue.hooks import HOOKS, Hooks, hooks_of
from aioqueue.kinds import Seconds
from aioqueue.message import State
from aioqueue.options import (
    NOTHING_SENT,
    OF_TASKS,
    OPTIONS,
    Pool,
    SendOptions,
    arguments,
    check_limits,
    overlaid,
)
from aioqueue.origin import Origin, is_run_again, origin_of
from aioqueue.payload.naming import importable_name
from aioqueue.payload.signature import Parameters
from aioqueue.request import Request
from aioqueue.spread import each_item
from aioqueue.task_classes import check_class

if TYPE_CHECKING:
    from aioqueue.canvas.composites import chunks
    from aioqueue.canvas.signatures import Signature
    from aioqueue.core import Core
    from aioqueue.result import AsyncResult
    from aioqueue.sync import SyncTask

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class _OfCelerys:
    """What Celery's tasks have and these have not; a class of tasks may have it."""


Elsewhere.put(_OfCelerys, {"subtask": "Write task.signature(...).", **other_words.ON_COMMIT})


class Task(Hooks, _OfCelerys, Generic[P, R]):
    """A function that can be sent to a worker; made by `@app.task`.

    Subclasses, as `@app.task(base=...)` and `AioQueue(task_cls=...)` take them, may set other defaults of options, have
    attributes and methods of their own, and a `__call__` around `run`. They may define hooks, which are called in the
    worker, with Celery's arguments, and may be coroutines: `before_start(task_id, args, kwargs)`,
    `on_success(result, task_id, args, kwargs)`, `on_failure(exception, task_id, args, kwargs, traceback)`,
    `on_retry(exception, task_id, args, kwargs, traceback)` and
    `after_return(state, result_or_exception, task_id, args, kwargs, traceback)`. One object is made in each process,
    without arguments; an `__init__` of its own knows its name, its app and its options.

    Attributes:
        name: how it is called in messages.
        abstract: of a class: it is made for others to derive from. To say so is not needed.
    """

    name: str
    abstract: bool = False
    _app: Core | None
    _origin: Origin
    function: Callable[..., Any]
    bind: bool
    is_wrapped: bool
    is_coroutine: bool
    context_kind: type[TaskContext]
    parameters: Parameters
    send_options: dict[str, Any]
    given_options: dict[str, Any]
    hooks: frozenset[str]

    queue: str | None = None
    routing_key: str | None = None
    priority: int | None = None
    max_retries: int | Literal["default"] | None = "default"
    default_retry_delay: float | None = None
    autoretry_for: tuple[type[BaseException], ...] = ()
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    retry_backoff: bool | float = False
    retry_backoff_max: float = 600.0
    retry_jitter: bool = True
    retry_kwargs: Mapping[str, Any] | None = None
    soft_time_limit: float | None = None
    time_limit: float | None = None
    acks_late: bool | None = None
    ignore_result: bool | None = None
    store_errors_even_if_ignored: bool | None = None
    dead_letters_on_failure: bool | None = None
    track_started: bool | None = None
    expires: float | None = None
    serializer: str | None = None
    compression: str | None = None
    middleware: tuple[Layer, ...] = ()
    pool: Pool | None = None
    retry_on_worker_lost: bool = False

    # What is around its runs: a `Surroundings` (`aioqueue.around`), which `Core.surround` makes, or None for nothing.
    surroundings: Any = None
    # What that is made of, beside the app's middlewares and those of its own.
    dependencies: Dependencies | None = None

    def _become(
        self, app: Core | None, function: Callable[..., Any], name: str, bind: bool, options: Mapping[str, Any]
    ) -> None:
        """Be the task of a function. It is no `__init__`, which is the user's."""
        if is_generator(function):
            raise ConfigurationError(
                f"{name} is a generator, so a call of it runs nothing: a task returns its result. Collect what it "
                "yields and return the list; to show what is done so far use ctx.progress(), and to send tasks as it "
                "goes app.send_many()."
            )
        kind: Any = type(self)
        if type(self) is not Task:
            check_class(type(self), Task, name)
        self._app = app
        self._origin = origin_of(function)
        self.name = name
        self.function = function
        self.bind = bind
        # Whether its class has something to do around the function.
        self.is_wrapped = kind.__call__ is not _PLAIN.__call__
        self.is_coroutine = is_coroutine_function(function) or (
            self.is_wrapped and is_coroutine_function(kind.__call__)
        )
        self.context_kind = TaskContext if kind is Task and not bind else BoundContext
        self.dependencies = dependencies_of(function, bind=bind, name=name, context=TaskContext)
        filled = () if self.dependencies is None else self.dependencies.names
        self.parameters = Parameters(function, skip_first=bind, exclude=filled)
        self.send_options = {}
        self.given_options = dict(options)
        own = {option: getattr(self, option) for option in OF_TASKS if _is_redefined(kind, option)}
        for option, value in (own | self.given_options).items():
            self._set(option, value)
        check_limits(self.soft_time_limit, self.time_limit, f" The task {name} was not made.")
        self.__name__ = getattr(function, "__name__", name)
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function
        # The worker asks for each of them with each call, and those of a class take longer to look up.
        for option in OF_TASKS.keys() - vars(self).keys():
            setattr(self, option, getattr(self, option))
        # Whether the worker has to ask for them at all.
        self.hooks = hooks_of(self, name)

    def _set(self, option: str, value: Any) -> None:
        if (kind := OF_TASKS.get(option)) is None:
            if option in other_words.OF_TASKS and other_words.asks_for_nothing(option, value):
                return
            hint = other_words.instead(other_words.OF_TASKS, option) or _of_a_hook(option) or suggest(option, OF_TASKS)
            raise ConfigurationError(f"@app.task has no option {option!r} (task {self.name}).{hint}")
        value = kind.of(f"The option {option} of the task {self.name}", value)
        if option == "pool" and value is not None and self.is_coroutine:
            raise ConfigurationError(f"{self.name} is a coroutine: it runs on the event loop, not in a pool.")
        if option == "pool" and value == "process" and (why := cannot_cross(self)):
            raise ConfigurationError(f"{self.name} has pool='process' and cannot run in another process: {why}.")
        setattr(self, option, value)

    def annotate(self, options: Mapping[str, Any]) -> None:
        """Let options count that the settings say of it (`task_annotations`), before its own.

        Raises:
            ConfigurationError: one is none, or has a wrong value.
        """
        for option, value in options.items():
            self._set(option, value)
        check_limits(self.soft_time_limit, self.time_limit, f" So says task_annotations of the task {self.name}.")

    @property
    def app(self) -> Core:
        """The app that the task belongs to.

        Raises:
            ConfigurationError: a shared task, and no app has been made yet.
        """
        if self._app is None:
            raise ConfigurationError(
                f"The shared task {self.name} belongs to no app yet: make one, app = AioQueue(...), before it is used."
            )
        return self._app

    def says(self, option: str) -> bool:
        """Whether the task has a word of its own for an option."""
        return getattr(self, option) != getattr(Task, option)

    def in_force(self, option: str) -> Any:
        """What an option is where a call says nothing of it: what the task says, else the setting."""
        setting = OPTIONS[option].setting
        return getattr(self, option) if setting is None or self.says(option) else getattr(self.app.conf, setting)

    @property
    def retry_limit(self) -> int | None:
        """How often the task is retried at most; None is without end."""
        return self.in_force("max_retries")

    @property
    def keeps_errors(self) -> bool:
        """Whether its failures are recorded although its results are not."""
        return self.in_force("store_errors_even_if_ignored")

    def bound_to(self, app: Core) -> Task[P, R]:
        """The same task of another app; of the app's own class, if it has none itself."""
        if type(self) is Task and app.task_class is not Task:
            return build(app.task_class, app, self.function, self.name, self.bind, self.given_options)
        if self._app is app:
            return self
        other = copy.copy(self)
        other._app = app
        return other

    def bind_first(self, app: Core) -> None:
        """Give a shared task its app, if it has none."""
        if self._app is None:
            self._app = app

    def lead_to(self, app: Core) -> None:
        """Send a shared task through another app from now on; the one before keeps one of its own."""
        before = self._app
        if before is not None and before is not app and before.tasks.get(self.name) is self:
            before.register(copy.copy(self))
        self._app = app

    def may_replace(self, known: Task[..., Any]) -> bool:
        """Whether it may take the place of a task of its name: if it does the same, or if what declared that one, such
        as its module, has been run again since."""
        return does_the_same(known.function, self.function) or is_run_again(known._origin, self._origin)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the function here and now, as if it had never been decorated.

        What it depends on may be given; what is not is opened for the call, and closed after it.

        A subclass may do something around it, also when a worker calls it: `return self.run(*args, **kwargs)` inside of
        it, in a coroutine `return await self.run(*args, **kwargs)`.
        """
        if self.dependencies is not None and _has_run(type(self)):
            return self._with_dependencies(self.dependencies, args, kwargs)
        return self.run(*args, **kwargs)

    def run(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The function, with its context first if it takes one, and with what it depends on."""
        if self.dependencies is not None:
            return self._with_dependencies(self.dependencies, args, kwargs)
        if self.bind:
            return self.function(context_of(self, args, kwargs), *args, **kwargs)
        return self.function(*args, **kwargs)

    def _with_dependencies(self, dependencies: Dependencies, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        around, context = current.get(), context_of(self, args, kwargs)
        scope = None if around is None else around._runtime.scope  # pyright: ignore[reportPrivateUsage]
        return dependencies.under(self._app.overrides if self._app is not None else ()).called(
            self.function,
            (context, *args) if self.bind else args,
            kwargs,
            context,
            is_coroutine=is_coroutine_function(self.function),
            scope=scope,
        )

    # For the methods and hooks of subclasses: what a bound function asks of its context.

    @property
    def request(self) -> Request:
        """What is known of the run that this code is part of, under Celery's names; outside of one it has no id."""
        return context_of(self, (), {}).request

    def update_state(
        self, state: str = State.PROGRESS, meta: Any = None, *, task_id: str | None = None
    ) -> Awaitable[None]:
        """Tell those who watch the task how it is; see `TaskContext.update_state`."""
        return context_of(self, (), {}).update_state(state, meta, task_id=task_id)

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
        """A `Retry` to raise; see `TaskContext.retry`."""
        return context_of(self, (), {}).retry(
            exc, countdown, eta, max_retries, args=args, kwargs=kwargs, queue=queue, throw=throw
        )

    # Plain functions: with `async def` a call would be one coroutine more.

    @coroutine_function
    def send(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, AsyncResult[R]]:
        """Send the task to its queue.

        Returns:
            What stands for its result. When this returns, the task is in the broker.

        Raises:
            PayloadError: an argument cannot be sent, or the call does not fit the function. Nothing was sent.
            QueueFull: the queue has its `queue_max_length`. Nothing was sent.
            BrokerUnavailable: no answer within `send_timeout` seconds.
        """
        return AwaitedCall(self.app.out.send(self, args, kwargs, self.send_options), self, "send")

    @coroutine_function
    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, AsyncResult[R]]:
        """Celery's word for `send`."""
        return AwaitedCall(self.app.out.send(self, args, kwargs, self.send_options), self, "delay")

    @awaited
    async def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> AsyncResult[R]:
        """Celery's way to send with options; `options(...).send(...)` is the typed one."""
        merged = self._send_options_with(options)
        return await self.app.out.send(self, *arguments(args, kwargs), merged)

    @overload
    async def call(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def call(self, *args: Any, timeout: Seconds | None, **kwargs: Any) -> R: ...
    @awaited
    async def call(self, *args: Any, timeout: Seconds | None = None, **kwargs: Any) -> R:
        """Send the task and wait for its result, for up to `timeout` seconds.

        Python's types cannot put `timeout` beside a function's own arguments: with it, these are checked when it is
        sent.
        """
        from aioqueue.result import value_of

        return await value_of(await self.app.out.send(self, args, kwargs, self.send_options), timeout)

    @awaited
    async def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        throw: bool = False,
        **options: Unpack[SendOptions],
    ) -> AsyncResult[R]:
        """Celery's way to run the task here and now, with its retries at once and its hooks, as a worker would. It is
        not sent; what it sends itself is.

        Args:
            args, kwargs: its arguments.
            throw: raise what it raised.
            options: as of a call; those that say when and where it runs mean nothing.

        Returns:
            Its result, which is there.
        """
        merged = self._send_options_with(options)
        result = await self.app.run_in_place(self, *arguments(args, kwargs), merged)
        if throw:
            await result.get()
        return result

    def AsyncResult(self, id: str) -> AsyncResult[R]:
        """The result of a call of this task, from its id; Celery's word for `app.result(id)`."""
        return self.app.result(id)

    def _send_options_with(self, options: Mapping[str, Any]) -> dict[str, Any]:
        merged = overlaid(self.send_options, options)
        if "soft_time_limit" in options or "time_limit" in options:
            soft, hard = merged.get("soft_time_limit"), merged.get("time_limit")
            check_limits(soft or self.soft_time_limit, hard or self.time_limit, NOTHING_SENT)
        return merged

    def options(self, **options: Unpack[SendOptions]) -> Task[P, R]:
        """This task, to be sent with these options."""
        other = copy.copy(self)
        other.send_options = self._send_options_with(options)
        return other

    def s(self, *args: Any, **kwargs: Any) -> Signature[R]:
        """A call to be sent later, perhaps with more arguments put before these."""
        return self.app.make_signature(self.name, args, kwargs, self.send_options, immutable=False)

    def si(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R]:
        """A call to be sent later as it is: no result of another task is put before its arguments."""
        self.parameters.check(args, kwargs, task_name=self.name)
        return self.app.make_signature(self.name, args, kwargs, self.send_options, immutable=True)

    def signature(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        **options: Unpack[SendOptions],
    ) -> Signature[R]:
        """A call to be sent later, with options."""
        merged = self._send_options_with(options)
        return self.app.make_signature(self.name, *arguments(args, kwargs), merged, immutable=immutable)

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
        signature = self.app.make_signature(self.name, args, {}, self.send_options, immutable=False)
        signature.spread = kind
        signature.immutable = items is not None
        return signature

    def chunks(
        self,
        items: Iterable[Iterable[Any]] | None = None,
        size: int | None = None,
        *,
        it: Iterable[Iterable[Any]] | None = None,
        n: int | None = None,
    ) -> chunks[R]:
        """Many calls, so many in a message: a group of `starmap`s; see `aioqueue.chunks`.

        Args:
            items: the arguments of each call, as tuples.
            size: how many calls go into one message.
            it, n: Celery's words for these.
        """
        from aioqueue.canvas.composites import chunks

        return chunks(self, it if items is None else items, n if size is None else size)

    @property
    def sync(self) -> SyncTask[P, R]:
        """The same for threads and programs without an event loop: `task.sync.send(2, 3).get(timeout=10)`."""
        from aioqueue.sync import SyncTask

        return SyncTask(self)

    def _spoken(self) -> Spoken:
        """How it is spoken of where a call was not awaited."""
        return Spoken(f"task {self.name}", self.__name__, f"{self.__name__}.sync")

    def __repr__(self) -> str:
        if "parameters" not in vars(self):  # an object that a user has made, as for `app.register_task`
            return f"<{type(self).__name__}, not registered>"
        return f"<Task {self.name}{self.parameters.text}>"


# Without its parameters' types, of which nothing is known.
_PLAIN: Any = Task


def check_definition(known: Task[..., Any], task: Task[..., Any]) -> None:
    """Whether a task may take the place of another one that has its name.

    Raises:
        ConfigurationError: both are in use, and messages would find only one of them.
    """
    if task.may_replace(known):
        return
    before, after = importable_name(known.function), importable_name(task.function)
    if before != after:
        raise ConfigurationError(
            f"Two tasks have the name {task.name!r}: {before} and {after}. Give one of them another: "
            "@app.task(name=...)."
        )
    raise ConfigurationError(
        f"Two tasks have the name {task.name!r}: {after} was made a task twice, of different functions, and a "
        "message can only find one of them. Give each a name of its own: @app.task(name=...)."
    )


def cannot_cross(task: Task[..., Any]) -> str:
    """Why a task's function cannot be called in another process, which imports it; "" if it can, as far as that is
    seen here."""
    inner: Any = task.function
    while hasattr(inner, "func"):
        inner = inner.func
    if "<locals>" in getattr(inner, "__qualname__", ""):
        return "it is made inside of another function, where nobody can import it: define it at the top of its module"
    if importable_name(inner).startswith("__main__."):
        return "it was typed at a prompt, and nobody can import that: write it into a module"
    for one in task.dependencies.plan.providers if task.dependencies is not None else ():
        if one.is_async or one.scope == "worker":
            what = "has to be awaited" if one.is_async else "has the scope 'worker'"
            return (
                f"its dependency {one.name} {what}, and a process opens only what is made by plain functions, for each "
                "task: open it in the function"
            )
    return ""


def _of_a_hook(option: str) -> str:
    return f" {other_words.OF_HOOKS}" if option in HOOKS else ""


def _is_redefined(kind: type[Task[..., Any]], option: str) -> bool:
    """Whether a subclass has a default of its own for an option."""
    return getattr(kind, option) is not getattr(Task, option)


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


class BoundDecorator(Protocol[T_co]):
    """`@app.task(bind=True, ...)`: the function takes its context first, which is not asked for in `send`. Its class is
    that of `base`."""

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[Concatenate[TaskContext[T_co], P], Coroutine[Any, Any, R]], /
    ) -> CoroutineTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[TaskContext[T_co], P], R], /) -> FunctionTask[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        """The task that is made of the function."""
        ...


def make_task(app: Core | None, function: Callable[..., Any], bind: bool, options: Mapping[str, Any]) -> Any:
    """A task of a function, not registered yet."""
    if not callable(function):
        raise ConfigurationError(
            f"@app.task takes a function, not {function!r}; options go by name: @app.task(queue=…)."
        )
    if isinstance(function, Task):
        raise ConfigurationError(
            f"@app.task takes a function, and {function.name} is a task already. What makes a schedule of it stands "
            "above @app.task: @app.periodic(...), and then @app.task."
        )
    options = dict(options)
    kinds.FLAG.of("The option bind of @app.task", bind)
    if not bind and (around := class_around(function)):
        raise ConfigurationError(
            f"{function.__qualname__} is a method, and a worker has no {around} to call it on. Make the task a "
            "function, or a @staticmethod below @app.task; or make the class a task: a subclass of Task with a run, "
            "given to app.register_task. The task was not made."
        )
    base: Any = options.pop("base", None)
    if base is None:
        base = Task if app is None else app.task_class
    if isinstance(base, Task):
        kind = type(cast("Any", base)).__name__
        raise ConfigurationError(
            f"The option base of @app.task is a class, and was given an object of it: write base={kind}, not "
            f"base={kind}(). The task was not made."
        )
    if not (isinstance(base, type) and issubclass(base, Task)):
        raise ConfigurationError(f"The option base of @app.task is a subclass of aioqueue.Task, not {base!r}.")
    given = options.pop("name", None)
    name = importable_name(function) if given is None else given
    if not isinstance(name, str) or not name.isprintable() or name != name.strip() or not name:
        raise ConfigurationError(
            f"The option name of @app.task is text of printable characters, with no space at its ends, not {name!r}."
        )
    return build(cast("type[Task[..., Any]]", base), app, function, name, bind, options)


def build(
    kind: type[Task[..., Any]],
    app: Core | None,
    function: Callable[..., Any],
    name: str,
    bind: bool,
    options: Mapping[str, Any],
) -> Task[..., Any]:
    """A task of that class, whose own `__init__` is called when it knows its name.

    Raises:
        ConfigurationError: an option is wrong, the function is a generator, or the class takes arguments.
    """
    if _has_run(kind):
        raise ConfigurationError(
            f"{kind.__name__} has a run of its own, and {name} would never be called. What a class does around its "
            f"tasks' functions is its __call__, which calls self.run. The task {name} was not made."
        )
    task = kind.__new__(kind)
    task._become(app, function, name, bind, options)  # pyright: ignore[reportPrivateUsage]
    if kind.__init__ is not object.__init__:
        try:
            inspect.signature(task.__init__).bind()
        except TypeError as error:
            raise ConfigurationError(
                f"{kind.__name__} is made without arguments, once for each task and process, but its __init__ needs "
                f"some: {error}. The task {name} was not made."
            ) from None
        task.__init__()
    return task


def _has_run(kind: Any) -> bool:
    """Whether it is a task by itself."""
    return kind.run is not _PLAIN.run


def build_from_class(app: Core, given: Any) -> Task[..., Any]:
    """The task that a class is by its `run`, of the class or an object of it; not registered yet.

    Raises:
        ConfigurationError: it is none.
    """
    kind = given if isinstance(given, type) else cast("Any", type(given))
    if not issubclass(kind, Task):
        raise ConfigurationError(
            f"app.register_task takes a subclass of aioqueue.Task, or one of its objects, not {given!r}."
        )
    kind = cast("type[Task[..., Any]]", kind)
    if vars(kind).get("abstract") or not _has_run(kind):
        why = "is abstract" if vars(kind).get("abstract") else "has no run"
        raise ConfigurationError(
            f"{kind.__name__} {why}, so it is no task by itself: it is for @app.task(base={kind.__name__})."
        )
    task = cast("Task[..., Any]", given if given is not kind else kind())
    name = getattr(kind, "name", None) or f"{kind.__module__}.{kind.__qualname__}"
    task._become(app, task.run, name, False, {})  # pyright: ignore[reportPrivateUsage]
    return task


def class_of_tasks(given: Any) -> type[Task[..., Any]]:
    """The class that an app's `task_cls` is.

    Raises:
        ConfigurationError: it is none.
    """
    if not (isinstance(given, type) and issubclass(given, Task)):
        raise ConfigurationError(f"task_cls of AioQueue is a subclass of aioqueue.Task, not {given!r}.")
    return cast("type[Task[..., Any]]", given)
