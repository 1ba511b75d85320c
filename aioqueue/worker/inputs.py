"""The arguments of a task that takes what another one gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from aioqueue.exceptions import ChordError, PayloadError, UpstreamFailed
from aioqueue.message import Message
from aioqueue.payload.signature import unpack
from aioqueue.task_failure import TaskFailure
from aioqueue.worker.run import Partial
from aioqueue.workflow import Value, decode_failed, explanation, unpack_value

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.task import Task

_NO_LIMIT = 2**31


def complete(
    app: AioQueue, task: Task[..., Any], message: Message, partial: Partial, value: Value | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments, with the value before them, each converted to its annotation.

    Raises:
        PayloadError: the value cannot be read, or an argument does not convert.
    """
    if message.spread:
        return _spread(task, message, partial, value)
    parameters, content = task.parameters, partial.content
    if value is None:
        return parameters.convert(partial.args, partial.kwargs, content=content, task_name=task.name)
    if message.handles:
        first: Any = _failure(value)
        args, kwargs = parameters.convert([first, *partial.args], partial.kwargs, content=content, task_name=task.name)
        return args, kwargs
    first, tags = _decoded(value)
    content = "json" if any(tag.startswith("json") for tag in tags) else content
    try:
        return parameters.convert([first, *partial.args], partial.kwargs, content=content, task_name=task.name)
    except PayloadError:
        if value.members is None or not any(isinstance(one, BaseException) for one in first):
            raise
        return _around_errors(task, partial, first, content)


def _around_errors(
    task: Task[..., Any], partial: Partial, first: list[Any], content: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Convert what is no exception; annotations rarely mention those that a chord lets through."""
    good = [one for one in first if not isinstance(one, BaseException)]
    args, kwargs = task.parameters.convert([good, *partial.args], partial.kwargs, content=content, task_name=task.name)
    converted = iter(args[0])
    return ([one if isinstance(one, BaseException) else next(converted) for one in first], *args[1:]), kwargs


def _spread(
    task: Task[..., Any], message: Message, partial: Partial, value: Value | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """One list of arguments for each call."""
    tags: set[str] = {partial.content}
    items: Any = partial.args[0] if partial.args else []
    if value is not None:
        items, tags = _decoded(value)
    content = "json" if any(tag.startswith("json") for tag in tags) else "msgpack"
    if not isinstance(items, list):
        raise PayloadError(f"{task.name}.{message.spread} takes a list of arguments, not {items!r:.100}.")
    calls: list[Any] = []
    kwargs = partial.kwargs
    for item in cast("list[Any]", items):
        given: list[Any] = [item] if message.spread == "map" else list(item)
        args, kwargs = task.parameters.convert(given, partial.kwargs, content=content, task_name=task.name)
        calls.append(args)
    return (calls,), kwargs


def _decoded(value: Value) -> tuple[Any, set[str]]:
    """A value as plain builtins, and how its parts were encoded."""
    if value.members is not None:
        found: list[Any] = []
        tags: set[str] = set()
        for member in value.members:
            one, more = _decoded(member)
            found.append(one)
            tags |= more
        return found, tags
    if value.failed is not None:
        return _exception(value), set()
    data, tag = unpack_value(value.data or b"", max_size=_NO_LIMIT)
    return data, {tag}


def _exception(value: Value) -> BaseException:
    """What a member of a lenient join failed with."""
    try:
        failed = decode_failed(value.failed or b"")
    except Exception:
        return UpstreamFailed("This task has failed, and nothing more is known of it.")
    error = failed.failure.rebuild()
    if not value.kind:
        return error
    upstream = explanation(failed, ChordError if value.kind == "chord" else UpstreamFailed)
    upstream.__cause__ = error
    return upstream


def _failure(value: Value) -> TaskFailure:
    failed = decode_failed(value.failed or b"")
    error = failed.failure.rebuild()
    if value.kind == "chord":
        body = explanation(failed, ChordError)
        body.__cause__ = error
        return TaskFailure(
            task_id=value.id, name=value.task, exception=body, traceback=failed.failure.report(), retries=0
        )
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    if failed.body:
        try:
            args, kwargs = unpack(failed.body, failed.content, max_size=_NO_LIMIT)
        except PayloadError:
            pass
    return TaskFailure(
        task_id=failed.id,
        name=failed.task,
        args=tuple(args),
        kwargs=kwargs,
        exception=error,
        traceback=failed.failure.report(),
        retries=failed.retries,
    )
