"""The app: tasks are registered on it, and sent through it."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cached_property
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Unpack, overload

from aioqueue import shared
from aioqueue.brokers.connect import connect
from aioqueue.brokers.protocol import Broker, Outgoing
from aioqueue.canvas import Canvas, Signature, signature
from aioqueue.dead_letters import DeadLetters
from aioqueue.exceptions import ConfigurationError, NotRegistered, QueueFull, suggest
from aioqueue.logs import logger
from aioqueue.options import SendOptions, checked
from aioqueue.payload.codec import encode
from aioqueue.payload.naming import importable_name
from aioqueue.result import AsyncResult
from aioqueue.sending import outgoing
from aioqueue.session import Route
from aioqueue.settings import Settings
from aioqueue.sync import Portal
from aioqueue.task import BoundDecorator, Decorator, Task, TaskOptions

if TYPE_CHECKING:
    from aioqueue.task import CoroutineTask, FunctionTask
    from aioqueue.testing import Testing
    from aioqueue.worker import Worker

P = ParamSpec("P")
R = TypeVar("R")

Lifespan = Callable[["AioQueue"], AbstractAsyncContextManager[Any]]
Observer = Callable[["Task[..., Any] | str", tuple[Any, ...], dict[str, Any], Mapping[str, Any], Outgoing], None]

_FULL_AGAIN = 0.05
_REMEMBER_STAMPS = 30 * 24 * 3600 * 1000
_AT_ONCE = 1000


class AioQueue:
    """A set of tasks, and the broker through which they are sent and run.

    Args:
        name: names the app; also the default prefix of its keys in the broker.
        broker: a URL: `redis://`, `rediss://`, `unix://`, `redis+sentinel://`, `memory://`. By default
            `$AIOQUEUE_BROKER`, else a private server that is started when it is needed and stopped with the last
            process that uses it.
        backend: where results are kept; by default in the broker.
        lifespan: called with the app, gives an async context manager that is entered once in each worker process;
            what it yields is `ctx.state` in the tasks.
        include: modules that are imported before a worker starts.
        settings: any setting by its name, see `aioqueue.settings.Settings`.

    Raises:
        ConfigurationError: an unknown setting, or a value that it cannot have.
    """

    def __init__(
        self,
        name: str,
        *,
        broker: str | None = None,
        backend: str | None = None,
        lifespan: Lifespan | None = None,
        include: Iterable[str] = (),
        **settings: Any,
    ) -> None:
        if not name or not name.isprintable() or len(name) > 100:
            raise ConfigurationError(f"The name of an app is 1 to 100 printable characters, not {name!r}.")
        given = {**settings, "broker": broker, "backend": backend}
        self.name = name
        self.conf = Settings.load({key: value for key, value in given.items() if value is not None or key in settings})
        if self.conf.backend is not None and self.conf.backend != self.conf.broker:
            raise ConfigurationError("Results are kept in the broker in this version: leave `backend` out.")
        self.lifespan = lifespan
        self.include = tuple(include)
        self.tasks: dict[str, Task[..., Any]] = {}
        self.observers: list[Observer] = []
        self._route = Route(self._connect)
        shared.adopt(self)

    # Tasks

    @overload
    def task(  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> CoroutineTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> FunctionTask[P, R]: ...
    @overload
    def task(self, /, *, bind: Literal[True], **options: Unpack[TaskOptions]) -> BoundDecorator: ...
    @overload
    def task(self, /, *, bind: Literal[False] = False, **options: Unpack[TaskOptions]) -> Decorator: ...
    def task(self, function: Callable[..., Any] | None = None, /, *, bind: bool = False, **options: Any) -> Any:
        """Make a task of a function.

        Args:
            function: given when used bare, as `@app.task`.
            bind: the function takes its `TaskContext` first.
            options: see `TaskOptions`.

        Raises:
            ConfigurationError: another function has that name, or an option is wrong.
        """
        if function is not None:
            return self.register(make_task(self, function, bind, options))
        return lambda function: self.register(make_task(self, function, bind, options))  # pyright: ignore

    def register(self, task: Task[P, R]) -> Task[P, R]:
        """Add a task."""
        known = self.tasks.get(task.name)
        if known is not None and importable_name(known.function) != importable_name(task.function):
            raise ConfigurationError(
                f"Two tasks have the name {task.name!r}: {importable_name(known.function)} and "
                f"{importable_name(task.function)}. Give one of them another: @app.task(name=...)."
            )
        self.tasks[task.name] = task
        return task

    def find(self, name: str) -> Task[..., Any]:
        """The task of that name.

        Raises:
            NotRegistered: there is none; with the nearest name there is.
        """
        task = self.tasks.get(name)
        if task is None:
            raise NotRegistered(self.not_registered(name))
        return task

    def not_registered(self, name: str) -> str:
        """What is wrong with a name, and what it was probably meant to be."""
        known = ", ".join(sorted(self.tasks)[:5]) or "none"
        more = f" and {len(self.tasks) - 5} more" if len(self.tasks) > 5 else ""
        return f"No task {name!r} in the app {self.name!r}.{suggest(name, self.tasks)} Known here: {known}{more}."

    def config_from_object(self, source: str | ModuleType | object) -> None:
        """Take settings from a module (by its name) or an object: every attribute that is named as a setting is.

        Raises:
            ConfigurationError: the module cannot be imported, or a value is wrong.
        """
        if isinstance(source, str):
            try:
                source = importlib.import_module(source)
            except ImportError as error:
                raise ConfigurationError(f"The settings module {source!r} cannot be imported: {error}.") from error
        names = [name for name in dir(source) if not name.startswith("_")]
        values = {name: getattr(source, name) for name in names}
        plain = {
            name.lower(): value
            for name, value in values.items()
            if not isinstance(value, ModuleType | type)
            and not callable(value)
            and type(value).__module__ != "__future__"  # `from __future__ import annotations` is an attribute
        }
        self.conf.update(plain)

    def import_tasks(self) -> None:
        """Import what `include` names.

        Raises:
            ConfigurationError: a module is not there.
        """
        for module in self.include:
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name and not module.startswith(error.name):
                    raise
                raise ConfigurationError(f"include={list(self.include)!r}: there is no module {module!r}.") from error

    # Connections

    @property
    def namespace(self) -> str:
        """The prefix of the app's keys in the broker."""
        return self.conf.namespace or self.name

    async def open(self) -> Broker:
        """Connect, in this event loop; `close` once for each `open`."""
        return await self._route.enter()

    async def close(self) -> None:
        """Undo one `open`; the last one disconnects."""
        await self._route.leave()

    async def __aenter__(self) -> AioQueue:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def broker(self) -> Broker:
        """The broker in this event loop; connects first if nobody has, and then stays open as long as the loop."""
        return self._route.broker or await self.open()

    async def _connect(self, stack: AsyncExitStack) -> Broker:
        conf = self.conf
        if conf.task_always_eager or (conf.broker is not None and conf.broker.startswith("memory:")):
            return self._memory
        broker = await connect(
            conf.broker, name=self.name, namespace=self.namespace, timeout=conf.send_timeout, stack=stack
        )
        for warning in getattr(broker, "warnings", ()):
            logger.warning("%s", warning)
        return broker

    @cached_property
    def _memory(self) -> Broker:
        """One for all event loops and threads, for as long as the app lives: there is nowhere else to find it."""
        from aioqueue.brokers.memory import MemoryBroker

        return MemoryBroker()

    def reroute(self, route: Route) -> Route:
        """Connect another way from now on; returns the way before, to be put back like this. For tests."""
        before, self._route = self._route, route
        return before

    @cached_property
    def portal(self) -> Portal:
        """For `task.sync`."""
        return Portal(self)

    # Sending

    async def post(
        self,
        target: Task[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Mapping[str, Any],
    ) -> AsyncResult[Any]:
        """Send a task, or a name, with checked options. `Task.send` and the others end here."""
        if "link" in options or "link_error" in options:
            name = target if isinstance(target, str) else target.name
            call: Signature[Any] = Signature(self, name, args, kwargs, options)
            return await call.send()
        if self.conf.task_always_eager and not isinstance(target, str):
            from aioqueue.worker.eager import run_eagerly

            return await run_eagerly(self, target, args, kwargs, options)
        broker = await self.broker()
        message = outgoing(self, target, args, kwargs, options, broker.now())
        await self._send(broker, (message,))
        for observer in self.observers:
            observer(target, args, kwargs, options, message)
        return self._result(target, message.id, options)

    async def send_many(self, signatures: Iterable[Signature[R]]) -> list[AsyncResult[R]]:
        """Send many tasks, a thousand in a round trip; each thousand whole or not at all.

        Returns:
            A result for each, in order. Canvases, and signatures with links, are sent one by one.

        Raises:
            ConfigurationError: a task is another app's. Nothing was sent.
        """
        calls = list(signatures)
        targets = [call.target_in(self) if type(call) is Signature else "" for call in calls]
        if self.conf.task_always_eager or not all(_is_message(call) for call in calls):
            return [await call.send() for call in calls]
        broker = await self.broker()
        now = broker.now()
        messages = [
            outgoing(self, target, call.args, call.kwargs, call.options, now)
            for target, call in zip(targets, calls, strict=True)
        ]
        await self._send(broker, messages)
        for target, call, message in zip(targets, calls, messages, strict=True):
            for observer in self.observers:
                observer(target, call.args, call.kwargs, call.options, message)
        return [
            self._result(target, message.id, call.options)
            for target, call, message in zip(targets, calls, messages, strict=True)
        ]

    async def _send(self, broker: Broker, messages: Iterable[Outgoing]) -> None:
        # Each thousand goes whole or not at all, so each is tried again by itself: what has gone must not go twice.
        messages = tuple(messages)
        for start in range(0, len(messages), _AT_ONCE):
            await self._send_some(broker, messages[start : start + _AT_ONCE])

    async def _send_some(self, broker: Broker, messages: tuple[Outgoing, ...]) -> None:
        conf, loop = self.conf, asyncio.get_running_loop()
        deadline = loop.time() + conf.send_timeout
        while True:
            try:
                await broker.send(messages, timeout=conf.send_timeout, max_length=conf.queue_max_length)
                return
            except QueueFull:
                if conf.queue_full == "raise" or loop.time() + _FULL_AGAIN > deadline:
                    raise
            await asyncio.sleep(_FULL_AGAIN)

    async def send_task(
        self,
        name: str,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> AsyncResult[Any]:
        """Send a task by its name; its code need not be here."""
        return await self.post(self.tasks.get(name) or name, tuple(args), dict(kwargs or {}), checked(options))

    def result(self, id: str) -> AsyncResult[Any]:
        """The result of a task, from its id."""
        return AsyncResult(self, id)

    def _result(self, target: Task[..., Any] | str, id: str, options: Mapping[str, Any]) -> AsyncResult[Any]:
        ignored = options.get("ignore_result")
        if isinstance(target, str):
            return AsyncResult(self, id, name=target, sent=True, ignored=bool(ignored))
        if ignored is None:
            ignored = self.conf.task_ignore_result if target.ignore_result is None else target.ignore_result
        return AsyncResult(self, id, name=target.name, sent=True, ignored=ignored)

    def result_converter(self, name: str) -> Callable[[Any], Any] | None:
        """What makes a decoded result into the type that the task's function returns, if it is known here."""
        task = self.tasks.get(name)
        return task.parameters.result_converter if task is not None else None

    @overload
    def signature(
        self,
        task: str,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        **options: Unpack[SendOptions],
    ) -> Signature[Any]: ...
    @overload
    def signature(self, task: Mapping[str, Any]) -> Canvas[Any]: ...
    def signature(
        self,
        task: str | Mapping[str, Any],
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        **options: Unpack[SendOptions],
    ) -> Canvas[Any]:
        """A call of a task by its name; or a canvas from what its `to_dict` gave."""
        if isinstance(task, str):
            return signature(task, args, kwargs, immutable=immutable, app=self, **options)
        return signature(task, app=self)

    def make_signature(
        self,
        task: Task[..., R],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        *,
        immutable: bool,
    ) -> Signature[R]:
        """A call of a task; `task.s` and the others end here."""
        return Signature(self, task.name, args, kwargs, options, immutable=immutable)

    async def revoke_by_stamp(self, key: str, value: Any, terminate: bool = False) -> None:
        """Revoke all that was sent until now with that stamp, and is not running yet: each ends when a worker meets it.

        Args:
            key, value: the stamp, as given to `stamp()`; a value matches a list that holds it, too.
            terminate: cancel what runs, too.
        """
        broker = await self.broker()
        stamp = encode((key, value), max_size=self.conf.max_payload_size)[0]
        await broker.revoke_stamp(stamp, expires=_REMEMBER_STAMPS, terminate=terminate)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """Tasks that cannot be run."""
        return DeadLetters(self)

    # Working

    def worker(self, **options: Any) -> Worker:
        """A worker in this event loop, for `async with`; see `aioqueue.worker.Worker` for the options."""
        from aioqueue.worker import Worker

        return Worker(self, **options)

    def asgi_lifespan(
        self,
        worker: bool = False,
        lifespan: Callable[[Any], AbstractAsyncContextManager[Any]] | None = None,
        **options: Any,
    ) -> Callable[[Any], AbstractAsyncContextManager[Any]]:
        """A lifespan for FastAPI, Starlette or Litestar: the app is open while the program serves.

        Args:
            worker: run a worker in the program, too.
            lifespan: the program's own lifespan, which is entered inside.
            options: of the worker.
        """

        @asynccontextmanager
        async def both(program: Any) -> AsyncGenerator[Any]:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self)
                if worker:
                    await stack.enter_async_context(self.worker(**options))
                yield await stack.enter_async_context(lifespan(program)) if lifespan is not None else None

        return both

    def testing(self, broker: str = "memory") -> Testing:
        """For tests: the app on a broker of its own, where nothing runs but when the test says so."""
        from aioqueue.testing import Testing

        return Testing(self, broker)

    def __repr__(self) -> str:
        return f"<AioQueue {self.name!r}, {len(self.tasks)} tasks>"


def _is_message(call: Signature[Any]) -> bool:
    return type(call) is Signature and call.is_plain and call.spread is None


def make_task(app: AioQueue | None, function: Callable[..., Any], bind: bool, options: Mapping[str, Any]) -> Any:
    """A task of a function, not registered yet."""
    if not callable(function):
        raise ConfigurationError(
            f"@app.task takes a function, not {function!r}; options go by name: @app.task(queue=…)."
        )
    options = dict(options)
    base: type[Task[..., Any]] = options.pop("base", None) or Task
    name: str = options.pop("name", None) or importable_name(function)
    return base(app, function, name, bind, options)
