"""What every room needs of an app: its name, settings, tasks and connections, and the way out for what it sends.

`AioQueue` is the public face above it.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Protocol, Self, TypeVar, Unpack, overload

from aioqueue.around.layer import Layer, checked_layer, standing
from aioqueue.around.scopes import WorkerScope
from aioqueue.around.signals import Signals
from aioqueue.awaiting import Spoken, awaited
from aioqueue.brokers.address import Address
from aioqueue.brokers.connect import connect, refuse_what_it_cannot
from aioqueue.brokers.protocol import Broker, Outgoing
from aioqueue.connections import Connections
from aioqueue.discovery import Packages, modules_in
from aioqueue.events.publisher import Publisher
from aioqueue.exceptions import ConfigurationError, NotRegistered, suggest
from aioqueue.logs import logger
from aioqueue.options import SendOptions, arguments, checked
from aioqueue.payload.codec import CONTENTS
from aioqueue.payload.naming import import_folder
from aioqueue.payload.serializers import BUILT_IN, PICKLE
from aioqueue.settings import Settings
from aioqueue.task_annotations import annotated

if TYPE_CHECKING:
    from types import TracebackType

    from aioqueue.canvas.base import Canvas
    from aioqueue.canvas.signatures import Signature
    from aioqueue.portal import Portal
    from aioqueue.result import AsyncResult
    from aioqueue.task import Task

P = ParamSpec("P")
R = TypeVar("R")

Observer = Callable[["Task[..., Any] | str", tuple[Any, ...], dict[str, Any], Mapping[str, Any], Outgoing], None]


class WayOut(Protocol):
    """How what is sent leaves the app."""

    async def send(
        self,
        target: Task[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Mapping[str, Any],
    ) -> AsyncResult[Any]:
        """Send a task, or a name, with checked options."""
        ...

    async def send_many(self, signatures: Iterable[Signature[R]]) -> list[AsyncResult[R]]:
        """See `Core.send_many`."""
        ...

    async def send_canvas(
        self, canvas: Canvas[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        """Send a canvas whole."""
        ...

    async def again(self, message: Outgoing) -> bool:
        """Send again what lies among the dead letters. False: it does not, any more."""
        ...


class Declarations(Protocol):
    """What `@app.periodic` has declared; `aioqueue.periodic` knows of what kind that is, and `declared_on` gives it."""

    def of(self, app: Core, /) -> Sequence[Any]:
        """The schedules that count for an app."""
        ...


class Core(ABC):
    """An app, as its rooms know it.

    Attributes:
        name: names the app; also the default prefix of its keys in the broker.
        conf: its settings.
        tasks: those that are registered, by name.
        include: modules that are imported before a worker starts.
        lifespan: called with the app, gives what a worker process enters once.
        observers: called with each message that was sent.
        signals: who listens to what happens.
        publisher: tells others of it, while events are on.
        middlewares: what is around all of its tasks, the outermost first; see `aioqueue.around.middleware`.
        passes_through: some of them, or of a task's own, are to see what is sent.
        overrides: dependencies, and what is called in their place; the last word counts.
        scope: what all of its workers here share, if they do; else each has its own.
        declared: what `@app.periodic` has declared; None where there is nothing.
        reached_by: the options by which the command was told of it, for advice; empty in other programs.
    """

    declared: Declarations | None = None
    reached_by: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        conf: Settings,
        *,
        include: tuple[str, ...] = (),
        lifespan: Callable[[Any], AbstractAsyncContextManager[Any]] | None = None,
        task_cls: type[Task[..., Any]] | str | None = None,
    ) -> None:
        self.name = name
        self.conf = conf
        self.include = include
        self.lifespan = lifespan
        self.tasks: dict[str, Task[..., Any]] = {}
        self.observers: list[Observer] = []
        self.middlewares: list[Layer] = []
        self.passes_through = False
        self.overrides: list[tuple[Any, Callable[..., Any]]] = []
        self.scope: WorkerScope | None = None
        self.signals = Signals()
        self.publisher = Publisher(self.signals, conf, self.tasks, self.surround_all)
        self._connections = Connections(self._connect)
        self._task_cls = task_cls
        self._discoveries: list[tuple[Packages | None, str | None]] = []
        self._kept: dict[str, Broker] = {}  # what is in memory is nowhere else to be found

    @property
    @abstractmethod
    def out(self) -> WayOut:
        """How what is sent leaves the app."""

    @abstractmethod
    def make_signature(
        self,
        task: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        *,
        immutable: bool,
    ) -> Signature[Any]:
        """A call of the task of that name, with checked options; `task.s` and the others end here."""

    @abstractmethod
    def make_canvas(self, data: Mapping[str, Any]) -> Canvas[Any]:
        """A canvas from what its `to_dict` gave."""

    @abstractmethod
    def result(self, id: str) -> AsyncResult[Any]:
        """The result of a task, from its id."""

    @abstractmethod
    async def run_in_place(
        self, task: Task[..., R], args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]
    ) -> AsyncResult[R]:
        """Run a task here and now, to its end; `task.apply` ends here."""

    # Tasks

    @cached_property
    def task_class(self) -> type[Task[..., Any]]:
        """The class of the app's tasks.

        Raises:
            ConfigurationError: what was given as `task_cls` is none, or is not there.
        """
        from aioqueue.task import Task, class_of_tasks

        given = self._task_cls
        if not isinstance(given, str):
            return Task if given is None else class_of_tasks(given)
        module, _, attribute = given.partition(":") if ":" in given else given.rpartition(".")
        try:
            return class_of_tasks(getattr(importlib.import_module(module), attribute))
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigurationError(
                f"task_cls={given!r} of AioQueue is not there: {error}. Write module:Class, such as "
                "'shop.base:ShopTask'."
            ) from error

    @property
    def Task(self) -> type[Task[..., Any]]:
        """The same under Celery's name, to derive from: `class Audited(app.Task)`.

        Raises:
            AttributeError: it is set; with what to write.
        """
        return self.task_class

    @Task.setter
    def Task(self, kind: Any) -> NoReturn:
        name = getattr(kind, "__name__", "MyTask")
        raise AttributeError(
            f"The class of an app's tasks is said when it is made: class {name}(aioqueue.Task), and then AioQueue(..., "
            f"task_cls={name}); or of some tasks, @app.task(base={name})."
        )

    def register(self, task: Task[P, R]) -> Task[P, R]:
        """Add a task.

        Raises:
            ConfigurationError: another function has its name.
        """
        known = self.tasks.get(task.name)
        if known is not None:
            from aioqueue.task import check_definition

            check_definition(known, task)
        if self.conf.task_annotations:
            task.annotate(annotated(self.conf.task_annotations, task.name))
        self.tasks[task.name] = task
        self.passes_through = self.passes_through or bool(standing(task.middleware, "around_send"))
        self.surround(task)
        return task

    def annotate(self) -> None:
        """Give the tasks what `task_annotations` says of them."""
        if annotations := self.conf.task_annotations:
            for task in self.tasks.values():
                task.annotate(annotated(annotations, task.name))

    def add_middleware(self, middleware: Layer) -> None:
        """Put something around all that is sent, run and worked through this app: the first that is added is the
        outermost. A change counts for what is sent, and for runs that start, afterwards.

        Args:
            middleware: an instance of a subclass of `aioqueue.Middleware`.

        Raises:
            ConfigurationError: it is none, or a method of it cannot be awaited.
        """
        layer = checked_layer(middleware, "What add_middleware takes")
        self.middlewares.append(layer)
        self.passes_through = self.passes_through or bool(standing((layer,), "around_send"))
        self.surround_all()

    def surround_all(self) -> None:
        """Put around all tasks what is to be around them now."""
        for task in self.tasks.values():
            self.surround(task)

    @abstractmethod
    def surround(self, task: Task[..., Any]) -> None:
        """Put around a task of the app what is to be around it now."""

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

    def result_converter(self, name: str) -> Callable[[Any], Any] | None:
        """What makes a decoded result into the type that the task's function returns, if it is known here."""
        task = self.tasks.get(name)
        return task.parameters.result_converter if task is not None else None

    def accepts(self, content: str) -> Collection[str]:
        """The serializers of which that of a payload has to be, if it is to be read: `accept_content`; and as long as
        that is not set, msgpack, JSON, and what the app and its tasks are to be sent with, but pickle."""
        conf = self.conf
        if conf.accept_content is not None:
            return conf.accept_content
        if content in CONTENTS:
            return BUILT_IN
        own = {conf.task_serializer, *(task.serializer for task in self.tasks.values())}
        return (*BUILT_IN, *(name for name in own if name not in (None, PICKLE, *BUILT_IN)))

    def import_tasks(self) -> None:
        """Import what `include` names, and what `autodiscover_tasks` is to find.

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
        while self._discoveries:
            for module in modules_in(*self._discoveries[0]):
                importlib.import_module(module)
            del self._discoveries[0]

    def autodiscover_tasks(
        self, packages: Packages | None = None, related_name: str | None = "tasks", force: bool = False
    ) -> None:
        """Celery's way to name modules of tasks: the module `tasks` of each package, where there is one. They are
        imported when `include` is: before a worker starts.

        Args:
            packages: names of packages, or a function that gives them; by default Django's installed apps, for which
                Django is set up if it is not. It needs `DJANGO_SETTINGS_MODULE` in the environment.
            related_name: the module's name; None is the packages themselves.
            force: import them now.

        Raises:
            ConfigurationError: when they are imported, if there is no such package, or Django has no settings.
        """
        self._discoveries.append((packages, related_name))
        if force:
            self.import_tasks()

    # Connections

    @property
    def namespace(self) -> str:
        """The prefix of the app's keys in the broker."""
        return self.conf.namespace or self.name

    async def open(self) -> Broker:
        """Connect, in this event loop; `close` once for each `open`."""
        return await self._connections.enter()

    async def close(self) -> None:
        """Undo one `open`; the last one disconnects."""
        await self._connections.leave()

    async def disconnect(self) -> None:
        """Disconnect, in this event loop, whoever still uses it."""
        await self._connections.end_here()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def broker(self) -> Broker:
        """The broker in this event loop; connects first if nobody has, and then stays open as long as the loop."""
        return self._connections.broker or await self.open()

    async def _connect(self, stack: AsyncExitStack) -> Broker:
        conf = self.conf
        conf.check()
        self.annotate()
        address = Address(
            url="memory://" if conf.task_always_eager else conf.broker or "",
            app=self.name,
            namespace=self.namespace,
            timeout=conf.send_timeout,
            kept=self._kept,
            folder=self._folder(),
            tasks=tuple(self.tasks),
        )
        broker = await connect(address, stack)
        refuse_what_it_cannot(broker, conf)
        await self.publisher.open(broker, stack)
        for warning in broker.warnings:
            logger.warning("%s", warning)
        return broker

    def _folder(self) -> str:
        """What most of its tasks are imported from; "" where it has none."""
        modules = Counter(str(getattr(task.function, "__module__", "")) for task in self.tasks.values())
        return import_folder(modules.most_common(1)[0][0]) if modules else ""

    def connect_through(self, connections: Connections) -> Connections:
        """Connect another way from now on; returns the way before, to be put back like this. For tests."""
        before, self._connections = self._connections, connections
        return before

    @cached_property
    def portal(self) -> Portal:
        """For `task.sync`."""
        from aioqueue.portal import Portal

        return Portal(self)

    # What tasks and their callers do with it

    @awaited
    async def send_many(self, signatures: Iterable[Signature[R]]) -> list[AsyncResult[R]]:
        """Send many tasks, a thousand or some MiB in a round trip; each such share whole or not at all.

        Returns:
            A result for each, in order. Canvases, and signatures with links, are sent one by one.

        Raises:
            ConfigurationError: a task is another app's. Nothing was sent.
            AioQueueError: one of the shares could not be sent; `sent` of the error has the ids of those before it.
        """
        return await self.out.send_many(signatures)

    @awaited
    async def send_task(
        self,
        name: str,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> AsyncResult[Any]:
        """Send a task by its name; its code need not be here."""
        return await self.out.send(self.tasks.get(name) or name, *arguments(args, kwargs), checked(options))

    def _spoken(self) -> Spoken:
        return Spoken(f"app {self.name!r}", "app", "app.sync")

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
            return self.make_signature(task, *arguments(args, kwargs), checked(options), immutable=immutable)
        return self.make_canvas(task)
