"""The app: tasks are registered on it, and sent through it."""

from __future__ import annotations

import asyncio
import copy
import os
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Unpack, cast, overload

from aioqueue import kinds, other_words, shared
from aioqueue.around.events import BeatMoment, ScheduleMoment, TaskMoment, WorkerMoment, moment
from aioqueue.around.overrides import Override
from aioqueue.around.signals import ListensToBeat, ListensToSchedules, ListensToTasks, ListensToWorkers
from aioqueue.around.surroundings import surroundings_of
from aioqueue.attributes import Elsewhere
from aioqueue.awaiting import awaited
from aioqueue.canvas import Canvas, Signature, dicts
from aioqueue.connections import Connections
from aioqueue.control import Control
from aioqueue.core import Core, WayOut
from aioqueue.dead_letters import DeadLetters
from aioqueue.dispatch import Dispatch
from aioqueue.events import EventInfo
from aioqueue.events.listening import listen, wanted
from aioqueue.exceptions import ConfigurationError, PayloadError
from aioqueue.inspection import Inspect
from aioqueue.message import encode_stamp
from aioqueue.options import TaskOptions
from aioqueue.queues import Queues
from aioqueue.result_of_id import ResultOfId
from aioqueue.settings import Settings, is_setting
from aioqueue.task import BoundDecorator, Decorator, Task, build_from_class, class_of_tasks, make_task
from aioqueue.wording import counted

if TYPE_CHECKING:
    from aioqueue.beat.schedules import Schedules
    from aioqueue.beat_schedule import TermsGiven, When
    from aioqueue.given import SettingsGiven
    from aioqueue.periodic import PeriodicDecorator
    from aioqueue.result import AsyncResult
    from aioqueue.sync_app import SyncApp
    from aioqueue.task import CoroutineTask, FunctionTask, Task
    from aioqueue.testing import Testing
    from aioqueue.worker import Worker
    from aioqueue.worker.options import WorkerOptions

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound="Task[..., Any]")
_F = TypeVar("_F", bound=Callable[..., Any])

Lifespan = Callable[["AioQueue"], AbstractAsyncContextManager[Any]]
Program = Callable[[Any], AbstractAsyncContextManager[Any]]
"""The lifespan of an ASGI program."""

_REMEMBER_STAMPS = 30 * 24 * 3600 * 1000


class AioQueue(Core):
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
        task_cls: the class of the app's tasks, a subclass of `Task`; or where it is, as "shop.base:ShopTask", to be
            imported with the first task.
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
        task_cls: type[Task[..., Any]] | str | None = None,
        **settings: Unpack[SettingsGiven],
    ) -> None:
        if not isinstance(name, str) or not name or not name.isprintable() or len(name) > 100:  # pyright: ignore
            raise ConfigurationError(f"The name of an app is 1 to 100 printable characters, not {name!r}.")
        if lifespan is not None:
            kinds.FUNCTION.of("The option lifespan of AioQueue", lifespan)
        if task_cls is not None and not isinstance(task_cls, str):
            class_of_tasks(task_cls)
        for option in settings:
            if option in other_words.OF_APP_OPTIONS:
                raise ConfigurationError(f"AioQueue has no option {option!r}. {other_words.OF_APP_OPTIONS[option]}")
        given: dict[str, Any] = {**settings, "broker": broker, "backend": backend}
        super().__init__(
            name,
            Settings.load({key: value for key, value in given.items() if value is not None or key in settings}),
            include=_MODULES.of("The option include of AioQueue", include),
            lifespan=lifespan,
            task_cls=task_cls,
        )
        self._dispatch = Dispatch(self)
        self._follows: dict[str | None, Any] = {}  # what listens to Django, as long as the app is there
        shared.adopt(self)

    # Tasks

    @overload
    def task(  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> CoroutineTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> FunctionTask[P, R]: ...
    @overload
    def task(self, /, *, bind: Literal[True], base: type[T], **options: Unpack[TaskOptions]) -> BoundDecorator[T]: ...
    @overload
    def task(
        self, /, *, bind: Literal[True], base: None = None, **options: Unpack[TaskOptions]
    ) -> BoundDecorator[Any]: ...
    @overload
    def task(
        self,
        /,
        *,
        bind: Literal[False] = False,
        base: type[Task[..., Any]] | None = None,
        **options: Unpack[TaskOptions],
    ) -> Decorator: ...
    def task(self, function: Callable[..., Any] | None = None, /, *, bind: bool = False, **options: Any) -> Any:
        """Make a task of a function.

        Args:
            function: given when used bare, as `@app.task`.
            bind: the function takes its `TaskContext` first.
            base: a subclass of `Task`, with hooks, other defaults, or what else its tasks share; by default the app's
                `task_cls`.
            options: see `TaskOptions`.

        Raises:
            ConfigurationError: another function has that name, or an option is wrong.
        """
        if function is not None:
            return self.register(make_task(self, function, bind, options))
        return lambda function: self.register(make_task(self, function, bind, options))  # pyright: ignore

    def register_task(self, task: type[T] | T) -> T:
        """Make a task of a subclass of `Task` that has a `run`, as Celery's class-based tasks are.

        Args:
            task: the class, or an object of it. Its name is the class's `name`, else `module.Class`.

        Raises:
            ConfigurationError: it has no `run`, is abstract, or its name is taken.
        """
        return cast("T", self.register(build_from_class(self, task)))

    def periodic(
        self,
        schedule: When,
        *,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        **terms: Unpack[TermsGiven],
    ) -> PeriodicDecorator:
        """Send a task again and again: `@app.periodic(crontab("0 9 * * mon-fri"))` above `@app.task`, or above a
        function, which it makes a task. There may be several on one.

        It fires where a scheduler runs: `aioqueue beat`, `aioqueue worker --beat`, `app.worker(beat=True)`.

        Args:
            schedule: when: a schedule, seconds, a timedelta, or text such as "0 9 * * mon-fri".
            name: the schedule's; by default the task's, and with a number for the second one on.
            args, kwargs: for the task.
            options: of the sending, such as `{"queue": "low"}`.
            terms: `misfire`, `misfire_grace`, `max_running`, `start_at`, `end_at`, `max_runs`.

        Raises:
            ConfigurationError: a value is wrong, the arguments don't fit the task, or the name is taken.
        """
        from aioqueue.periodic import declare

        return declare(self, schedule, name, args, kwargs, options, terms)

    def override(self, dependency: Callable[..., Any], replacement: Callable[..., Any]) -> Override:
        """Let another function stand in the place of a dependency, for as long as a `with` block lasts.

            with app.override(session, fake_session):
                ...

        It counts for runs that begin in the meantime, and wherever tasks depend on it, also through others. The last
        word counts.

        Args:
            dependency: the function that was given to `Depends`.
            replacement: what is called in its place: anything that `Depends` takes, with dependencies of its own.

        Raises:
            ConfigurationError: one of them cannot be a dependency; at the beginning of the block also if what would be
                opened cannot be.
        """
        return Override(self, dependency, replacement)

    @overload
    def on(self, name: TaskMoment, *, task: Task[..., Any] | str | None = None) -> ListensToTasks: ...
    @overload
    def on(self, name: WorkerMoment) -> ListensToWorkers: ...
    @overload
    def on(self, name: BeatMoment) -> ListensToBeat: ...
    @overload
    def on(self, name: ScheduleMoment) -> ListensToSchedules: ...
    @overload
    def on(self, name: str, *, task: Task[..., Any] | str | None = None) -> Callable[[_F], _F]: ...
    def on(self, name: str, *, task: Task[..., Any] | str | None = None) -> Any:
        """Call a function at a moment of tasks, workers or schedules: `@app.on("task_failure")`.

        It is called with an event, see `aioqueue.around.events`; a coroutine function on the event loop, a plain one in
        a thread. What it raises is logged, and after `signal_timeout` seconds it is cancelled; no task is lost or ends
        another way for it. Of several, the first one added is called first.

        Args:
            name: the moment; Celery's names are understood.
            task: the only task that it is to hear of, or the name of one.

        Raises:
            ConfigurationError: there is no such moment, or it is no moment of the task that is given.
        """
        only = self._name_of(task, name) if task is not None else None
        which = moment(name)

        def listen(handler: _F) -> _F:
            self.signals.connect(which, handler, only)
            self.surround_all()
            return handler

        return listen

    def _name_of(self, task: Any, moment: str) -> str:
        if isinstance(task, str):
            return task
        is_task = issubclass(type(task), Task)
        name: Any = getattr(task, "name", None) if is_task else None
        if name is None:
            what = f"one made by {type(task).__name__}()" if is_task else kinds.shown(task)
            raise ConfigurationError(
                f"app.on({moment!r}, task=...) takes a task, as @app.task gives it, or the name of one, not "
                f"{what}. The handler hears of nothing."
            )
        if self.tasks.get(name) is None:
            raise ConfigurationError(
                f"app.on({moment!r}, task=...): {self.not_registered(name)} The handler hears of nothing."
            )
        return name

    def surround(self, task: Task[..., Any]) -> None:
        """Put around a task of the app what is to be around it now; runs that began before go on as they were."""
        task.surroundings = surroundings_of(self, task)

    def set_default(self) -> None:
        """Of several apps, send shared tasks through this one, and take it where none is named; as long as it is there.
        In all threads."""
        shared.prefer(self)

    set_current = set_default
    """Celery's other word for it."""

    def config_from_object(
        self, source: str | object, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Take settings from a module, an object or a mapping; they are read at once. Django's are followed where a
        test changes them for a while, by `override_settings`.

        Names may be in capitals, and Celery's: `CELERY_TASK_ACKS_LATE`, `worker_max_memory_per_child`. What Celery has
        and aioqueue has not is told in one warning, which says why, and what to write.

        Args:
            source: a module, its name, the place of what stands in one ("django.conf:settings"), a class, an object or
                a dict.
            silent: a module that is not there is no error.
            force: they are read at once, anyway; for those who know it from Celery.
            namespace: only names that begin with it count, and are read without it: "CELERY" for `CELERY_BROKER_URL`.
                What of them no setting has the name of is told in the warning, too; else it is an error.

        Raises:
            ConfigurationError: the module cannot be imported, a value is wrong, or a name is no setting's; then nothing
                is changed.
        """
        from aioqueue.configuring import named_in, settings_object
        from aioqueue.django_settings import Follower, is_djangos

        place = source if isinstance(source, str) else getattr(source, "__name__", type(source).__name__)
        if isinstance(source, str):
            try:
                source = settings_object(source)
            except ConfigurationError:
                if silent:
                    return
                raise
        if namespace is not None:
            place = f"{place}, {namespace}_…"
        modules = self.conf.read_from(named_in(source, namespace), place, beside_others=namespace is not None)
        self.include = tuple(dict.fromkeys([*self.include, *modules]))
        self.annotate()
        if is_djangos(source):
            self._follows[namespace] = Follower(weakref.ref(self), source, namespace, place)

    def config_from_envvar(self, variable: str, silent: bool = False, force: bool = False) -> None:
        """Take settings from the module that an environment variable names; see `config_from_object`.

        Raises:
            ConfigurationError: the variable is not set, and further as `config_from_object`.
        """
        if place := os.environ.get(variable):
            self.config_from_object(place, silent, force)
        elif not silent:
            raise ConfigurationError(f"${variable} is not set: it is to name the module of the settings.")

    # Sending

    @property
    def out(self) -> WayOut:
        """How what is sent leaves the app."""
        if self.conf.task_always_eager:
            from aioqueue.worker.eager import Eager

            return Eager(self)
        return self._dispatch

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
        return Signature(self, task, args, kwargs, options, immutable=immutable)

    def make_canvas(self, data: Mapping[str, Any]) -> Canvas[Any]:
        """A canvas from what its `to_dict` gave."""
        return dicts.signature(data, app=self)

    def result(self, id: str) -> AsyncResult[Any]:
        """The result of a task, from its id."""
        return ResultOfId(self, id)

    AsyncResult = result
    """Celery's word for `result`."""

    async def run_in_place(
        self, task: Task[..., R], args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]
    ) -> AsyncResult[R]:
        """Run a task here and now, to its end; `task.apply` ends here."""
        from aioqueue.worker.eager import run_in_place

        return await run_in_place(self, self._apart(), task, args, kwargs, options)

    def _apart(self) -> AioQueue:
        """The same app on a broker in memory of its own; what its tasks send goes where it always does."""
        other = copy.copy(self)
        other.conf = copy.copy(self.conf)
        other.conf.update(broker="memory://", task_always_eager=False)
        other.observers = []
        other._kept = {}
        other._dispatch = Dispatch(other)
        other._connections = Connections(other._connect)
        return other

    @awaited
    async def revoke_by_stamp(self, key: str, value: Any, terminate: bool = False) -> None:
        """Revoke all that was sent until now with that stamp, and is not running yet: each ends when a worker meets it.

        Args:
            key, value: the stamp, as given to `stamp()`; a value matches a list, a tuple or a set that holds it, too.
            terminate: cancel what runs, too.

        Raises:
            PayloadError: no stamp can have such a value.
        """
        broker = await self.broker()
        try:
            stamp = encode_stamp(kinds.TEXT.of("The key of a stamp", key), value)
        except PayloadError as error:
            raise PayloadError(f"The stamp {key!r} cannot be sent: {error}. Nothing was revoked.") from None
        await broker.revoke_stamp(stamp, expires=_REMEMBER_STAMPS, terminate=terminate)
        await asyncio.sleep(0.002)  # what is sent after this is of a later millisecond, and so not of them

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """Tasks that cannot be run."""
        return DeadLetters(self)

    @cached_property
    def queues(self) -> Queues:
        """What waits: `app.queues.list()`, `app.queues.purge("email")`."""
        return Queues(self)

    def events(self, *names: str, since: str | None = None) -> AsyncGenerator[EventInfo]:
        """What happens to tasks and workers of all programs, while it does: `async for event in app.events("task_*")`.

        It begins with a `worker_heartbeat` of each living worker, and goes on without an end; after a lost connection
        where it was. Events are told while they are on: `events=True`, or `await app.control.enable_events()`. They
        have the names of the signals, and `worker_heartbeat`, which comes every few seconds.

        Args:
            names: names or globs, such as "task_failure" and "worker_*"; by default all. Celery's are understood.
            since: the `cursor` of an event: begin after it, and not with the workers; "" is with the oldest that is
                kept.

        Raises:
            ConfigurationError: there are no events of such a name, or `since` is no cursor.
        """
        return listen(self, wanted(names, since), since)

    @cached_property
    def control(self) -> Control:
        """Changing how workers work: `app.control.shutdown()`, `app.control.time_limit("shop.add", soft=10)`."""
        return Control(self)

    @cached_property
    def inspect(self) -> Inspect:
        """What workers do: `app.inspect.active()`, `app.inspect.ping()`."""
        return Inspect(self)

    @cached_property
    def schedules(self) -> Schedules:
        """What fires at its time: `app.schedules.add("poll", task.s(), every(60))`."""
        from aioqueue.beat.schedules import Schedules

        return Schedules(self)

    @cached_property
    def sync(self) -> SyncApp:
        """The app for threads and programs without an event loop: `app.sync.schedules`, `app.sync.send_many([...])`."""
        from aioqueue.sync_app import SyncApp

        return SyncApp(self)

    # Working

    def worker(self, **options: Unpack[WorkerOptions]) -> Worker:
        """A worker in this event loop, for `async with`; see `aioqueue.worker.Worker` for the options.

        Raises:
            ConfigurationError: there is no such option, or a value is wrong.
        """
        from aioqueue.worker import Worker
        from aioqueue.worker.options import check_names

        check_names(options, "app.worker(...)")
        return Worker(self, **options)

    @overload
    def asgi_lifespan(
        self, worker: bool, lifespan: Program | None = None, **options: Unpack[WorkerOptions]
    ) -> Program: ...
    @overload
    def asgi_lifespan(self, *, lifespan: Program | None = None) -> Program: ...
    def asgi_lifespan(
        self, worker: bool | None = None, lifespan: Program | None = None, **options: Unpack[WorkerOptions]
    ) -> Program:
        """A lifespan for FastAPI, Starlette or Litestar: the app is open while the program serves.

        Args:
            worker: run a worker in the program, too.
            lifespan: the program's own lifespan, which is entered inside.
            options: of the worker, see `aioqueue.worker.Worker`; with them `worker` has to be said.

        Raises:
            ConfigurationError: there is no such option of a worker, or it is not said whether there is to be one.
        """
        if options:
            from aioqueue.worker.options import check_names

            check_names(options, "app.asgi_lifespan(...)", "worker", "lifespan")
            if worker is None:
                said = ", ".join(f"{name}={kinds.shown(value)}" for name, value in options.items())
                raise ConfigurationError(
                    f"app.asgi_lifespan({said}) says how a worker runs, and not that there is one, so there would be "
                    f"none: write app.asgi_lifespan(worker=True, {said})."
                )

        @asynccontextmanager
        async def both(program: Any) -> AsyncGenerator[Any]:
            async with AsyncExitStack() as stack:
                if worker:  # first, since it may wait for the broker
                    await stack.enter_async_context(self.worker(**options))
                await stack.enter_async_context(self)
                yield await stack.enter_async_context(lifespan(program)) if lifespan is not None else None

        return both

    def testing(self, broker: str = "memory") -> Testing:
        """For tests: the app on a broker of its own, where nothing runs but when the test says so."""
        from aioqueue.testing import Testing

        return Testing(self, broker)

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            if is_setting(name):
                raise ConfigurationError(f"A setting is set on the app's conf: app.conf.{name} = {kinds.shown(value)}.")
            super().__setattr__(name, value)

        def __dir__(self) -> list[str]:
            return [name for name in super().__dir__() if name not in other_words.OF_APPS]

    def __repr__(self) -> str:
        return f"<AioQueue {self.name!r}, {counted(len(self.tasks), 'task')}>"


def _modules(given: Any) -> tuple[str, ...]:
    if isinstance(given, str) or not all(isinstance(one, str) and one for one in given):
        raise TypeError
    return tuple(given)


_MODULES = kinds.Kind("a list of the names of modules, such as ['shop.tasks']", _modules)

Elsewhere.put(AioQueue, other_words.OF_APPS)
