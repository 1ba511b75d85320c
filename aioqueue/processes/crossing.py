"""Ends of calls as data: what a function gave or raised in a child, and the same in the worker.

Values are encoded as for the broker, in the task's serializer; exceptions are what the broker keeps of them, so that
the record of a failure is that of the child, with its traceback, and with its class where the worker has not got it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from aioqueue.exceptions import AioQueueError, Ignore, Reject, Replace, Retry
from aioqueue.payload.codec import decode, encode
from aioqueue.payload.failure import Failure
from aioqueue.payload.serializers import serializer_of
from aioqueue.processes.frames import Raised, Returned
from aioqueue.worker.rules import unsendable

if TYPE_CHECKING:
    from aioqueue.context import TaskContext
    from aioqueue.core import Core
    from aioqueue.task import Task

_WORDS: Final[dict[str, type[BaseException]]] = {kind.__name__: kind for kind in (Retry, Reject, Replace, Ignore)}


def word_of(value: object) -> str:
    """Which word of a task it is; "" for none."""
    return next((name for name, kind in _WORDS.items() if isinstance(value, kind)), "")


def stub(word: str) -> Any:
    """A word of that kind, which says no more than that."""
    return Retry() if word == "Retry" else Replace(None) if word == "Replace" else _WORDS[word]()


def returned(
    number: int, task: Task[..., Any], value: Any, context: TaskContext, *, spread: bool, kept: bool
) -> Returned:
    """What a function has returned.

    Raises:
        PayloadError: it cannot be sent, and is wanted.
    """
    asked = word_of(context.asked)
    if value is None:
        return Returned(number, None, "", asked=asked)
    if word := word_of(value):
        return Returned(number, None, "", word=word, asked=asked)
    conf = task.app.conf
    try:
        if task.parameters.result_doubt is not None:
            for one in value if spread else (value,):
                task.parameters.check_result(one)
        serializer = task.serializer or conf.task_serializer
        data, content = encode(value, serializer=serializer, max_size=conf.max_payload_size)
    except AioQueueError as error:
        if kept:
            raise unsendable(task, value, error) from None
        return Returned(number, None, "", asked=asked)
    return Returned(number, data, content, asked=asked)


def value_of(app: Core, task: Task[..., Any], frame: Returned, *, spread: bool) -> Any:
    """The same in the worker."""
    if frame.word:
        return stub(frame.word)
    if frame.data is None:
        return None
    value = decode(
        frame.data, frame.content, max_size=app.conf.max_payload_size, accept=(serializer_of(frame.content),)
    )
    convert = task.parameters.result_converter
    if convert is None:
        return value
    try:
        return [convert(one) for one in value] if spread else convert(value)
    except Exception:  # it is not what its annotation says, which is for those to hear who wait for it
        return value


def raised(
    number: int, task: Task[..., Any], error: BaseException, context: TaskContext | None, *, is_retried: bool
) -> Raised:
    """What a function has raised."""
    frame = Raised(number, Failure.of(error), is_retried=is_retried)
    if context is not None and context.asked is not None and context.asked is not error:
        frame.asked = word_of(context.asked)
    try:
        _say(frame, task, error)
    except Exception as problem:  # what a word says cannot be sent
        return Raised(number, Failure.of(problem))
    return frame


def _say(frame: Raised, task: Task[..., Any], error: BaseException) -> None:
    said: Any = None
    if isinstance(error, Retry):
        said = [str(error), error.countdown, error.eta, error.max_retries, error.queue, *_given(error)]
        frame.cause = None if error.exc is None else Failure.of(error.exc)
    elif isinstance(error, Reject):
        said = [error.reason, error.requeue]
    elif isinstance(error, Replace):
        said = error.canvas.to_dict()
    elif not isinstance(error, Ignore):
        return
    conf = task.app.conf
    serializer = task.serializer or conf.task_serializer
    frame.data, frame.content = encode(said, serializer=serializer, max_size=conf.max_payload_size)
    frame.word = word_of(error)


def _given(retry: Retry) -> tuple[Any, Any]:
    args = None if retry.new_args is None else list(retry.new_args)
    return args, None if retry.new_kwargs is None else dict(retry.new_kwargs)


def error_of(app: Core, frame: Raised) -> BaseException:
    """The same in the worker."""
    if not frame.word:
        return crossed(frame.failure, is_retried=frame.is_retried)
    size, accept = app.conf.max_payload_size, (serializer_of(frame.content),)
    said: Any = decode(frame.data, frame.content, max_size=size, accept=accept)
    if frame.word == "Retry":
        text, countdown, eta, most, queue, args, kwargs = said
        cause = None if frame.cause is None else crossed(frame.cause, is_retried=False)
        return Retry(
            text, exc=cause, countdown=countdown, eta=eta, max_retries=most, args=args, kwargs=kwargs, queue=queue
        )
    if frame.word == "Reject":
        rejected = Reject(said[0], requeue=said[1])
        frame.failure.stay(rejected, is_retried=False)
        return rejected
    return Replace(app.make_canvas(cast("dict[str, Any]", said))) if frame.word == "Replace" else Ignore()


def crossed(failure: Failure, *, is_retried: bool) -> BaseException:
    """An exception of a child's, of which the worker knows what the child has seen of it."""
    error = failure.rebuild()
    failure.stay(error, is_retried)
    return error
