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
    "send_events": "Who wants to hear of tasks listens with @app.on(...): leave it out.",
    "typing": "Calls are always checked against the function: leave it out.",
    "pydantic": "Models are read where a parameter is annotated with one: leave it out.",
    "reject_on_worker_lost": "A task whose worker died is run again, up to max_deliveries times: leave it out.",
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

OF_CONTEXTS: Final[dict[str, str]] = {
    "acknowledge": "Write ctx.ack(), in a coroutine await ctx.ack().",
    "add_to_chord": "Write await ctx.add_to_group(signature).",
    "backend": "Results are asked for by their ids: await ctx.app.result(id).get().",
    "subtask": "Write ctx.task.signature(...).",
    "update_request": "Headers and arguments of a run stay as they are; ctx.retry(args=..., kwargs=...) takes others.",
}
"""What Celery's `self` has in a task."""

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

NAMES: Final[dict[str, str]] = {
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
"""What else `celery` has, and what it is here."""


def asks_for_nothing(name: str, value: Any) -> bool:
    """Whether one of `OF_TASKS` says what is so anyway: Celery's users write such values out."""
    return value is None or (isinstance(value, tuple) and not value) or value is _AS_IT_IS.get(name)


def instead(words: dict[str, str], name: str) -> str:
    """What to write instead, as a sentence after another one; "" where nothing is known of it."""
    found = words.get(name)
    return f" {found}" if found else ""
