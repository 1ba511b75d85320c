"""The app in a child: where its worker has it, and what the child makes of that."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, NoReturn

from aioqueue.connections import Connections, unconnected
from aioqueue.exceptions import AioQueueError, ConfigurationError
from aioqueue.payload.naming import importable_module
from aioqueue.processes.answering import levels
from aioqueue.processes.frames import Start
from aioqueue.shared import known_apps

if TYPE_CHECKING:
    from aioqueue.core import Core


def start_of(app: Core, *, is_shared: bool) -> Start:
    """What a child has to know to have the same app.

    Args:
        app: the app.
        is_shared: its broker can be reached from another process.
    """
    module, attribute = _place(app)
    wanted = {importable_module(task.function.__module__) for task in app.tasks.values()}
    wanted |= {module, *app.include} - {""}
    # As they were imported here: the other way round a circle of imports may not close.
    order = {importable_module(name): number for number, name in enumerate(list(sys.modules))}
    found = sorted((name for name in wanted if name in order), key=lambda name: order[name])
    return Start(
        parent=os.getpid(),
        path=[entry for entry in sys.path if isinstance(entry, str)],  # pyright: ignore[reportUnnecessaryIsInstance]
        modules=found,
        place=f"{module}:{attribute}" if module else "",
        app=app.name,
        settings=_settings(app),
        is_shared=is_shared,
        tasks=list(app.tasks),
        levels=levels(),
    )


def _place(app: Core) -> tuple[str, str]:
    """Another module than the program's own, if there is one: the less of that is done again, the better."""
    found = [
        (importable_module(name), attribute, importable_module(name) != name)
        for name, module in list(sys.modules.items())
        for attribute, value in list(getattr(module, "__dict__", {}).items())
        if value is app
    ]
    module, attribute, _ = min(found, key=lambda place: place[2], default=("", "", False))
    return module, attribute


def _settings(app: Core) -> dict[str, Any]:
    plain = (type(None), bool, int, float, str)
    values = {name: getattr(app.conf, name) for name in app.conf.__struct_fields__}
    return {name: value for name, value in values.items() if type(value) in plain}


def imported(start: Start) -> Core:
    """The app, in a child.

    Raises:
        ConfigurationError: it is not there.
    """
    sys.path[:] = start.path
    # A program that did here what it does would start a worker with children of its own, and so on.
    with unconnected(
        f"A process of the pool imports {', '.join(start.modules)}, and one of these sends tasks or starts a worker as "
        "it is imported. Put what only the program itself is to do under `if __name__ == '__main__':`."
    ):
        for module in start.modules:
            importlib.import_module(module)
        app = _found(start)
        app.import_tasks()
    changed = {name: value for name, value in start.settings.items() if getattr(app.conf, name) != value}
    if changed:
        app.conf.update(changed)
    app.annotate()
    if not start.is_shared:
        app.connect_through(Connections(_refuse))
    return app


def _found(start: Start) -> Core:
    module, _, attribute = start.place.partition(":")
    if module:
        found = getattr(sys.modules[module], attribute, None)
        if found in known_apps():
            return found
    apps = [app for app in known_apps() if app.name == start.app]
    best = sorted(apps, key=lambda app: len(app.tasks.keys() & set(start.tasks)))
    if not best:
        raise ConfigurationError(
            f"A process of the pool has imported {', '.join(start.modules) or 'nothing'}, and there is no app "
            f"{start.app!r} then: make it where a module is imported, not inside of a function."
        )
    return best[-1]


async def _refuse(stack: AsyncExitStack) -> NoReturn:
    raise AioQueueError(
        "The broker of this app is in the memory of its worker, and this code runs in another process, a task's with "
        "pool='process': nothing can be sent or asked there. Give the app a server, or run the task in a thread."
    )
