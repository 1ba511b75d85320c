"""Celery's words that aioqueue has another word for, or none: what is said where somebody writes them."""

from __future__ import annotations

from typing import Any, Final

_NO_EXCHANGES: Final = "There are no exchanges: give a queue, or a routing_key, which finds queues by their topics."
_BY_ITSELF: Final = "A canvas, and the task that sends it, say that by themselves: leave it out."

OF_CALLS: Final[dict[str, str]] = {
    "retry": "A send that gets no answer is tried again for send_timeout seconds, a setting: leave retry out.",
    "retry_policy": "For how long a send is tried again is the setting send_timeout, in seconds.",
    "exchange": _NO_EXCHANGES,
    "exchange_type": _NO_EXCHANGES,
    "delivery_mode": "What is sent is as durable as the broker is: leave it out.",
    "connection": "A task is sent through its app, whose broker is AioQueue(broker=...).",
    "producer": "A task is sent through its app, whose broker is AioQueue(broker=...).",
    "publisher": "A task is sent through its app, whose broker is AioQueue(broker=...).",
    "shadow": "What is to be seen of a call goes into its headers: headers={'shadow': ...}.",
    "reply_to": "Results are kept in the broker, for whoever has the id: leave it out.",
    "add_to_parent": "What a task sends is among its children: leave it out.",
    "chord": "Send chord(header, body).",
    "group_id": _BY_ITSELF,
    "parent_id": _BY_ITSELF,
    "root_id": _BY_ITSELF,
}
"""Options of a call."""

OF_TASKS: Final[dict[str, str]] = {
    "rate_limit": "How often a task may start cannot be limited in this version.",
    "throws": "An exception is a failure, whatever its class: what is none is returned.",
    "trail": "What a task sends is always kept among its children: leave it out.",
    "send_events": "Events are of all tasks (the setting events), signals also of one (@app.on): leave it out.",
    "typing": "Calls are always checked against the function: leave it out.",
    "pydantic": "Models are read where a parameter is annotated with one: leave it out.",
    "reject_on_worker_lost": "A task whose worker died is run again, up to max_deliveries times: leave it out. One "
    "whose process of the pool died is retried with retry_on_worker_lost=True.",
    "acks_on_failure_or_timeout": "A failure is acknowledged as it is recorded: leave it out.",
    "backend": "Results are kept where the app says: AioQueue(backend=...).",
    "shadow_name": "Give the task the name that is to be seen: name=...",
    "resultrepr_maxsize": "Results are shown as they are: leave it out.",
    "on_bound": "What a class does for each of its tasks is done in its __init__, which knows self.name and self.app.",
    "Strategy": "What is done with a task before it runs is around_task of a middleware.",
    "Request": "What is around a run is around_task of a middleware.",
}
"""Options of a task, and attributes of its class."""

_AS_IT_IS: Final[dict[str, Any]] = {
    "acks_on_failure_or_timeout": True,
    "reject_on_worker_lost": True,
    "send_events": True,
    "trail": True,
    "typing": True,
}

OF_HOOKS: Final = (
    "Hooks are methods of a class of tasks, @app.task(base=MyTask), and what many tasks have in common listens with "
    "@app.on('task_failure')."
)
"""What is said of a hook that is given as an option."""

ON_COMMIT: Final[dict[str, str]] = {
    "delay_on_commit": "Write transaction.on_commit(lambda: task.sync.delay(...)).",
    "apply_async_on_commit": "Write transaction.on_commit(lambda: task.sync.apply_async(...)).",
}
"""What Celery's tasks have in a Django project."""

_NO_CONNECTIONS: Final = "The app connects when it is used, and `async with app:` for as long as a block lasts."
_FINALIZED: Final = "An app is ready as it is made, and so is a task: there is nothing to wait for. Leave it out."
_STARTED: Final = "Write app.worker(...) in a program, or in a shell aioqueue worker module:app."
_SCHEDULER: Final = "In a shell it is aioqueue beat module:app; in a program app.worker(beat=True)."
_PERIODIC: Final = (
    "Write @app.periodic(10.0) above the task, or app.periodic(10.0, args=(...))(task) where it is not at hand."
)

OF_APPS: Final[dict[str, str]] = {
    "add_periodic_task": _PERIODIC,
    "on_after_configure": f"What is sent again and again needs no signal to wait for. {_PERIODIC}",
    "on_after_finalize": f"What is sent again and again needs no signal to wait for. {_PERIODIC}",
    "on_configure": "Settings are read at once: change them after config_from_object(...).",
    "finalize": _FINALIZED,
    "finalized": _FINALIZED,
    "worker_main": _STARTED,
    "start": _STARTED,
    "Worker": _STARTED,
    "WorkController": _STARTED,
    "Beat": _SCHEDULER,
    "connection": _NO_CONNECTIONS,
    "connection_for_read": _NO_CONNECTIONS,
    "connection_for_write": _NO_CONNECTIONS,
    "connection_or_acquire": _NO_CONNECTIONS,
    "broker_connection": _NO_CONNECTIONS,
    "producer_or_acquire": _NO_CONNECTIONS,
    "producer_pool": _NO_CONNECTIONS,
    "pool": _NO_CONNECTIONS,
    "backend": "Results are kept in the broker, and asked for by their ids: app.result(id).",
    "GroupResult": "A group is found again by its id: await app.result(id).group().",
    "ResultSet": "Of several results ask each, await result.get(); a group that was sent is a GroupResult.",
    "amqp": "There are queues, and no exchanges: app.queues, and the settings task_queues and task_routes.",
    "select_queues": "Which queues a worker consumes is its option: app.worker(queues=[...]), -Q in a shell.",
    "log": "The logger is get_task_logger(__name__), or any other: handlers are the program's.",
    "loader": "Modules of tasks are AioQueue(include=[...]), or app.autodiscover_tasks().",
    "main": "Its name is app.name.",
    "timezone": "It is the setting app.conf.timezone.",
    "annotations": "They are the setting app.conf.task_annotations.",
    "current_task": "What runs here is current_context().",
    "current_worker_task": "What runs here is current_context().",
    "gen_task_name": "A task's name is that of its module and function, or @app.task(name=...).",
    "bugreport": "In a shell it is aioqueue report.",
    "steps": "There are no bootsteps: what a worker enters once is AioQueue(lifespan=...), or @app.on('worker_init').",
    "user_options": "Commands have no options of yours: take settings, or the environment.",
    "setup_security": "Messages are not signed in this version.",
    "add_defaults": "Write app.conf.update(...).",
    "set_as_default": "Write app.set_default().",
}
"""What Celery's apps have."""

OF_APP_OPTIONS: Final[dict[str, str]] = {
    "set_as_current": "Leave it out: of several apps, app.set_default() says which one shared tasks are sent through.",
    "config_source": "Write app.config_from_object(...) when the app is made.",
    "changes": "Give the settings by their names, AioQueue('shop', task_acks_late=False), or app.conf.update(...).",
    "tasks": "Tasks are made by @app.task; their modules are AioQueue(include=[...]).",
    "autofinalize": _FINALIZED,
    "fixups": "Leave it out: Django is set up by app.autodiscover_tasks().",
    "strict_typing": "Calls are always checked against their function: leave it out.",
    "preserve_context": "Leave it out.",
    **{
        name: OF_APPS.get(name, "Leave it out: it has no part here that could be another.")
        for name in ("amqp", "log", "control", "loader")
    },
}
"""What Celery's apps are made with, and these are not."""

OF_CONTEXTS: Final[dict[str, str]] = {
    "acknowledge": "Write ctx.ack(), in a coroutine await ctx.ack().",
    "add_to_chord": "Write await ctx.add_to_group(signature).",
    "backend": "Results are asked for by their ids: await ctx.app.result(id).get().",
    "subtask": "Write ctx.task.signature(...).",
    "update_request": "Headers and arguments of a run stay as they are; ctx.retry(args=..., kwargs=...) takes others.",
}
"""What Celery's `self` has in a task."""

_ALL_THAT_IS_KNOWN: Final = "is in all that is known of the task: await result.info()"
_WORKFLOW: Final = "Write await result.graph(), which has the whole workflow, or go through await result.children."
_FROM_ITS_ID: Final = "Keep its id: app.result(id) finds it again, also a group, as long as its results are kept."
_ITS_END: Final = (
    "Let a task come after it, task.s(...).link(other.s()), or hear of its end by @app.on('task_success')."
)
_NO_SET: Final = "A GroupResult is what was sent as one; of other results ask each: await result.get()."

OF_RESULTS: Final[dict[str, str]] = {
    "task_id": "Write result.id.",
    "wait": "Write await result.get(timeout=...).",
    "maybe_throw": "Write await result.get().",
    "maybe_reraise": "Write await result.get().",
    "date_done": f"When it ended {_ALL_THAT_IS_KNOWN}, as its timings.ended.",
    "worker": f"It {_ALL_THAT_IS_KNOWN}.",
    "retries": f"It {_ALL_THAT_IS_KNOWN}.",
    "args": f"As short text it {_ALL_THAT_IS_KNOWN}; the arguments themselves are not kept.",
    "kwargs": f"As short text it {_ALL_THAT_IS_KNOWN}, in its args; the arguments themselves are not kept.",
    "collect": _WORKFLOW,
    "iterdeps": _WORKFLOW,
    "build_graph": _WORKFLOW,
    "get_leaf": "The result of a chain is that of its last task: get(timeout=...).",
    "as_tuple": _FROM_ITS_ID,
    "as_list": _FROM_ITS_ID,
    "then": _ITS_END,
    "on_ready": _ITS_END,
    "backend": "Results are kept in the broker, and asked for by their ids: app.result(id).",
    "revoke_by_stamped_headers": "Write await app.revoke_by_stamp(key, value).",
    "join": "Write await result.get(timeout=...).",
    "join_native": "Write await result.get(timeout=...).",
    "iterate": "Write async for index, value in result.as_completed().",
    "iter_native": "Write async for index, value in result.as_completed().",
    "waiting": "Write not await result.ready().",
    "save": _FROM_ITS_ID,
    "restore": _FROM_ITS_ID,
    "delete": "Write await result.forget().",
    **dict.fromkeys(("add", "remove", "discard", "update", "clear"), _NO_SET),
}
"""What Celery's results have, and those of groups."""

_NO_DICT: Final = "A canvas is no dict: its parts are attributes, and to_dict() writes all of it."
_IN_PLACE: Final = (
    "A single task can be run here and now, task.s(...).apply(); a composition is sent. In tests app.testing() runs it."
)

OF_CANVASES: Final[dict[str, str]] = {
    "apply": _IN_PLACE,
    "type": "The task is found by its name: app.tasks[signature.task].",
    "name": "The name of its task is signature.task.",
    "set_immutable": "Only single tasks can be immutable: give task.si(...) for those in it that take no result.",
    "freeze": "Give it an id with set(task_id=...); the result that sending it gives has the others.",
    "flatten_links": "What is called after it is in its links.",
    "append_stamps": "Write stamp(key=value).",
    "skew": "Give each member its countdown: task.s(...).set(countdown=...).",
    "replace": "Write clone(), and set its args, kwargs and options.",
    "reverse": "Its tasks are a list: chain(*reversed(canvas.tasks)).",
    "from_dict": "Write signature(data).",
    **dict.fromkeys(("keys", "values", "items", "update", "pop", "setdefault", "copy"), _NO_DICT),
}
"""What Celery's signatures have, and compositions of them."""

EXCEPTIONS: Final[dict[str, str]] = {
    "AlreadyRegistered": "ConfigurationError",
    "BackendError": "BrokerUnavailable",
    "CeleryError": "AioQueueError",
    "ChainError": "UpstreamFailed",
    "ImproperlyConfigured": "ConfigurationError",
    "InvalidTaskError": "PayloadError",
    "MaxRetriesExceededError": "MaxRetriesExceeded",
    "OperationalError": "BrokerUnavailable",
    "QueueNotFound": "RoutingError",
    "TaskError": "AioQueueError",
    "TaskRevokedError": "TaskRevoked",
    "Terminated": "TaskRevoked",
    "WorkerLostError": "WorkerLost",
}
"""Exceptions, and what they are called here."""

MODULES: Final[dict[str, str]] = {
    "backends": "there are no result backends of your own in this version: results are kept in the broker",
    "bin": "the command is `aioqueue`",
    "bootsteps": "there are none: what a worker enters once is AioQueue(lifespan=...)",
    "concurrency": "how tasks run is pool= of a task, and --pool of a worker",
    "contrib": "for tests there is app.testing(), and a plugin of pytest's that brings fixtures",
    "fixups": "Django is set up by app.autodiscover_tasks()",
    "five": "it is Python's own",
    "loaders": "modules of tasks are AioQueue(include=[...]), or app.autodiscover_tasks()",
    "local": "there are no proxies: tasks are what they are",
    "platforms": "what starts a process says under whom it runs: systemd, Docker",
    "security": "messages are not signed in this version",
    "signals": "a function listens by @app.on('task_failure')",
    "states": "from aioqueue.message import State, whose words are SUCCESS, FAILURE and so on",
    "utils": "get_task_logger is in aioqueue itself: from aioqueue import get_task_logger",
    "worker.autoscale": "a worker's concurrency costs nothing while it is idle: worker_concurrency",
    "worker.control": "workers have no commands of yours; there are app.control and app.inspect",
    "worker.request": "what is known of a run is ctx.request",
    "worker.state": "what workers do is asked by app.inspect",
}
"""Modules of Celery's that are none here."""

NAMES: Final[dict[str, str]] = {
    "states": "aioqueue.message.State",
    "signals": "@app.on('task_failure') and the like",
    "schedule": "every(seconds)",
    "EagerResult": "what task.apply(...) gives, an AsyncResult",
    "allow_join_result": "not needed: a task may wait for others",
    "result_from_tuple": "app.result(id)",
    "register_task": "app.register_task(...)",
    "Scheduler": "none: what changes at run time is app.schedules",
    "PersistentScheduler": "none: schedules are kept in the broker",
    "ScheduleEntry": "what app.schedules.get(name) gives",
    "periodic_task": "@app.periodic(...) above @app.task",
    "bootsteps": "AioQueue(lifespan=...), for what a worker enters once",
    "Celery": "AioQueue(...)",
    "ResultSet": "group(...), whose result is a GroupResult, or asyncio.gather(...)",
    "current_app": "the app that you have made; in a task, ctx.app",
    "current_task": "current_context()",
    "map": "a task's own: task.map([...])",
    "maybe_signature": "signature(...)",
    "starmap": "a task's own: task.starmap([...])",
    "subtask": "signature(...)",
    "xmap": "a task's own: task.map([...])",
    "xstarmap": "a task's own: task.starmap([...])",
}
"""What else `celery` has, and what it is here. None of these is a module of ours: that would not be found any more."""


def elsewhere(module: str, name: str, here: str = "") -> Exception:
    """What a module raises that is asked for a name that it has not.

    Args:
        module: its name.
        name: that.
        here: where it is to be imported from, if it is somewhere else.
    """
    if here:
        return ImportError(f"{name} is to be had from {here}: from {here} import {name}", name=name)
    if name in NAMES:  # an AttributeError would be told as one that knows nothing more, by `from aioqueue import`
        return ImportError(f"Celery's {name} is {NAMES[name]} in aioqueue", name=name)
    return AttributeError(f"module {module!r} has no attribute {name!r}")


def asks_for_nothing(name: str, value: Any) -> bool:
    """Whether one of `OF_TASKS` says what is so anyway: Celery's users write such values out."""
    return value is None or (isinstance(value, tuple) and not value) or value is _AS_IT_IS.get(name)


def without_a_loop(words: str) -> str:
    """The same words for a program without an event loop."""
    for before, after in (
        ("await result.info()", "result.task_info()"),
        ("await app.", "app.sync."),
        ("app.result(", "app.sync.result("),
        ("async for", "for"),
        ("await ", ""),
    ):
        words = words.replace(before, after)
    return words


def instead(words: dict[str, str], name: str) -> str:
    """What to write instead, as a sentence after another one; "" where nothing is known of it."""
    found = words.get(name)
    return f" {found}" if found else ""
