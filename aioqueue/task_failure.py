"""What error handlers are called with."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from aioqueue.message import Message
from aioqueue.request import Request

if TYPE_CHECKING:
    from aioqueue.payload.signature import Parameters

# What the first parameters of a handler are called that is written for Celery; the first word is Celery's own.
_CELERYS: Final = (
    frozenset(("request", "req", "context")),
    frozenset(("exc", "exception", "error", "err", "e")),
    frozenset(("traceback", "tb", "trace", "einfo")),
)


class TaskFailure:
    """A task that failed, as its error handlers see it: `handler(failure: TaskFailure, *handler_args)`.

    A handler whose first parameters are `request, exc, traceback`, as Celery's are, is called with these three instead.

    Attributes:
        task_id: its id.
        name: its name.
        args, kwargs: what it was called with, as plain data.
        exception: what it raised, of its own type where that is known here; a `ChordError` for the body of a chord
            whose header failed.
        traceback: where, as text.
        retries: how often it had been retried.
    """

    def __init__(
        self,
        *,
        task_id: str,
        name: str,
        exception: BaseException,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        traceback: str = "",
        retries: int = 0,
        message: Message | None = None,
        hostname: str = "",
    ) -> None:
        self.task_id = task_id
        self.name = name
        self.args = args
        self.kwargs = kwargs or {}
        self.exception = exception
        self.traceback = traceback
        self.retries = retries
        self._message = message
        self._hostname = hostname

    @property
    def request(self) -> Request:
        """The same, and what its message said of the task, under the names of Celery's `self.request`."""
        message = self._message or Message(task=self.name, retries=self.retries)
        return Request(self.task_id, message, self.args, self.kwargs, hostname=self._hostname)

    def __repr__(self) -> str:
        return f"<TaskFailure {self.name}[{self.task_id}]: {self.exception!r}>"


def first_arguments(
    failure: TaskFailure, handler: Parameters, args: Collection[Any], kwargs: dict[str, Any]
) -> list[Any]:
    """What an error handler is called with before its own arguments: the failure, or what it is in Celery."""
    if places_of(handler, args, kwargs) == 1:
        return [failure]
    return [failure.request, failure.exception, failure.traceback]


def places_of(handler: Parameters, args: Collection[Any], kwargs: dict[str, Any]) -> int:
    """How many arguments an error handler takes before its own: 1, or as Celery's handlers 3.

    Args:
        handler: its parameters.
        args, kwargs: its own arguments.
    """
    names = handler.positional_names
    if len(names) >= 3 and all(name in words for name, words in zip(names, _CELERYS, strict=False)):
        return 3
    fits_as_celerys = not handler.fits((None, *args), kwargs) and handler.fits((None, None, None, *args), kwargs)
    return 3 if fits_as_celerys else 1
