"""The arguments of a task that takes what another one gave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from aioqueue.brokers.protocol import Consumer
from aioqueue.exceptions import ChordError, PayloadError, UpstreamFailed
from aioqueue.logs import logger
from aioqueue.message import Message
from aioqueue.payload.codec import decode_call, joined
from aioqueue.payload.upstream import as_its_cause
from aioqueue.task_failure import TaskFailure, first_arguments
from aioqueue.worker.run import Partial, Run
from aioqueue.workflow import NoValue, Value, decode_failed, explanation, unpack_value

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.task import Task


async def fetched(consumer: Consumer, run: Run) -> Value | NoValue:
    """What the broker has for a run whose arguments a value comes before; asked for until it answers.

    Raises:
        PayloadError: it is gone, or cannot be read.
    """
    message, workflow, failures = run.message, run.message.workflow or "", 0
    while True:
        try:
            if message.handles:
                subject = run.delivery.id[len(workflow) + 1 :].partition(".")[2]
                value: Value | NoValue | None = await consumer.failure(workflow, subject)
            else:
                value = await consumer.value(workflow, message.takes or 0)
            break
        except PayloadError:
            raise
        except Exception as error:  # the broker is away; or for as long as it takes
            failures += 1
            if failures % 10 == 1:
                logger.warning("Task %s[%s] waits for its input: %s", run.task.name, run.delivery.id, error)
            await asyncio.sleep(min(2.0, 0.05 * 2 ** min(failures, 6)))
    if value is None:
        raise PayloadError(
            f"What comes before the arguments of {run.task.name}[{run.delivery.id}] is gone: its workflow has ended, "
            "and its time (result_expires) is over. It was moved to the dead letters."
        )
    return value


def complete(
    app: Core, task: Task[..., Any], message: Message, partial: Partial, value: Value | NoValue | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments, with the value before them, each converted to its annotation.

    Raises:
        PayloadError: the value cannot be read, or an argument does not convert.
    """
    if message.spread:
        return _spread(app, task, message, partial, value)
    parameters, content = task.parameters, partial.content
    if value is None:
        return parameters.arrived(partial.args, partial.kwargs, content=content, task_name=task.name)
    if isinstance(value, NoValue):
        before = first_arguments(_failure(app, value), parameters, partial.args, partial.kwargs)
        return parameters.arrived([*before, *partial.args], partial.kwargs, content=content, task_name=task.name)
    first, tags = _decoded(app, value)
    content = joined({content, *tags})
    try:
        return parameters.arrived([first, *partial.args], partial.kwargs, content=content, task_name=task.name)
    except PayloadError:
        if value.members is None or not any(isinstance(one, BaseException) for one in first):
            raise
        return _around_errors(task, partial, first, content)


def _around_errors(
    task: Task[..., Any], partial: Partial, first: list[Any], content: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Convert what is no exception; annotations rarely mention those that a chord lets through."""
    good = [one for one in first if not isinstance(one, BaseException)]
    args, kwargs = task.parameters.arrived([good, *partial.args], partial.kwargs, content=content, task_name=task.name)
    converted = iter(args[0])
    return ([one if isinstance(one, BaseException) else next(converted) for one in first], *args[1:]), kwargs


def _spread(
    app: Core, task: Task[..., Any], message: Message, partial: Partial, value: Value | NoValue | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """One list of arguments for each call."""
    tags: set[str] = set()
    items: Any = partial.args[0] if partial.args else []
    if value is not None:
        items, tags = _decoded(app, value)
    content = joined({partial.content, *tags})
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise PayloadError(f"{task.name}.{message.spread} takes a list of arguments, not {items!r:.100}.")
    calls: list[Any] = []
    kwargs = partial.kwargs
    for item in cast("Iterable[Any]", items):
        given: list[Any] = [item] if message.spread == "map" else list(item)
        args, kwargs = task.parameters.arrived(given, partial.kwargs, content=content, task_name=task.name)
        calls.append(args)
    return (calls,), kwargs


def _decoded(app: Core, value: Value | NoValue) -> tuple[Any, set[str]]:
    """A value as plain builtins, and how its parts were encoded."""
    if isinstance(value, NoValue):
        return _exception(value), set()
    if value.members is not None:
        found: list[Any] = []
        tags: set[str] = set()
        for member in value.members:
            one, more = _decoded(app, member)
            found.append(one)
            tags |= more
        return found, tags
    data, tag = unpack_value(value.data or b"", max_size=app.conf.max_payload_size, accepts=app.accepts)
    return data, {tag}


def _exception(value: NoValue) -> BaseException:
    """What a member of a lenient join failed with."""
    try:
        failed = decode_failed(value.failure)
    except Exception:
        return UpstreamFailed("This task has failed, and nothing more is known of it.")
    error = failed.failure.rebuild()
    if not value.kind:
        return error
    return as_its_cause(explanation(failed, ChordError if value.kind == "chord" else UpstreamFailed), error)


def _failure(app: Core, value: NoValue) -> TaskFailure:
    failed = decode_failed(value.failure)
    error = failed.failure.rebuild()
    if value.kind == "chord":
        body = as_its_cause(explanation(failed, ChordError), error)
        return TaskFailure(
            task_id=value.id, name=value.task, exception=body, traceback=failed.failure.report(), retries=0
        )
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if failed.body:
        try:
            # Workers write msgpack here, whatever their tasks are sent in.
            accept = ("msgpack", *app.accepts(failed.content))
            args, kwargs = decode_call(failed.body, failed.content, app.conf.max_payload_size, accept)
        except PayloadError:
            pass
    return TaskFailure(
        task_id=failed.id,
        name=failed.task,
        args=args,
        kwargs=kwargs,
        exception=error,
        traceback=failed.failure.report(),
        retries=failed.retries,
        message=failed.message,
        hostname=failed.hostname,
    )
