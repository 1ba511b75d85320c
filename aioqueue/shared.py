"""Tasks of libraries, which don't know the app that they will belong to."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Unpack, overload
from weakref import WeakSet, ref

from aioqueue.context import current
from aioqueue.exceptions import ConfigurationError

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.options import TaskOptions
    from aioqueue.task import BoundDecorator, CoroutineTask, Decorator, FunctionTask, Task

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound="Task[..., Any]")

_tasks: dict[str, Task[..., Any]] = {}
_apps: WeakSet[Core] = WeakSet()
_default: list[ref[Core]] = []
_used: ContextVar[Core | None] = ContextVar("aioqueue_app", default=None)


@overload
def shared_task(  # pyright: ignore[reportOverlappingOverload]
    function: Callable[P, Coroutine[Any, Any, R]], /
) -> CoroutineTask[P, R]: ...
@overload
def shared_task(function: Callable[P, R], /) -> FunctionTask[P, R]: ...
@overload
def shared_task(*, bind: Literal[True], base: type[T], **options: Unpack[TaskOptions]) -> BoundDecorator[T]: ...
@overload
def shared_task(*, bind: Literal[True], base: None = None, **options: Unpack[TaskOptions]) -> BoundDecorator[Any]: ...
@overload
def shared_task(
    *, bind: Literal[False] = False, base: type[Task[..., Any]] | None = None, **options: Unpack[TaskOptions]
) -> Decorator: ...
def shared_task(function: Callable[..., Any] | None = None, /, *, bind: bool = False, **options: Any) -> Any:
    """Make a task that belongs to every app of the process, made already or later.

    It is sent through the first one, or through that of `app.set_default()`. The options are those of `@app.task`.
    """
    from aioqueue.task import check_definition, make_task

    def make(function: Callable[..., Any]) -> Any:
        task = make_task(None, function, bind, options)
        if (known := _tasks.get(task.name)) is not None:
            check_definition(known, task)
        _tasks[task.name] = task
        for app in _apps:
            _give(task, app)
        return task

    return make(function) if function is not None else make


@contextmanager
def using(app: Core) -> Generator[None]:
    """Let an app be the current one inside of a `with` block, also where a task of another one runs."""
    token = _used.set(app)
    try:
        yield
    finally:
        _used.reset(token)


def app_in_use() -> Core | None:
    """The app of the task that runs here, or of the worker; None where there is none."""
    if (app := _used.get()) is not None:
        return app
    context = current.get()
    return context.task.app if context is not None else None


def current_app() -> Core:
    """The app of the task that runs here, or of the worker; else the one that there is.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    if (app := app_in_use()) is not None:
        return app
    apps = list(_apps)
    if len(apps) == 1:
        return apps[0]
    if _default and (app := _default[0]()) is not None:
        return app
    names = ", ".join(app.name for app in apps) or "none"
    raise ConfigurationError(
        f"Which app is meant? There are {len(apps)} in this process: {names}. Use app.signature(...), or task.s(...); "
        "or say which one it is where none is named: app.set_default()."
    )


def known_apps() -> list[Core]:
    """Those that there are in this process."""
    return list(_apps)


def prefer(app: Core) -> None:
    """Send shared tasks through this app, and take it where none is named."""
    _default[:] = [ref(app)]
    for task in _tasks.values():
        task.lead_to(app)


def adopt(app: Core) -> None:
    """Register all shared tasks on a new app."""
    _apps.add(app)
    for task in _tasks.values():
        _give(task, app)


def _give(task: Task[..., Any], app: Core) -> None:
    if _default and _default[0]() is app:
        task.lead_to(app)
    task.bind_first(app)
    app.register(task.bound_to(app))
