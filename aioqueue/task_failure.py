"""What error handlers are called with."""

from __future__ import annotations

from typing import Any


class TaskFailure:
    """A task that failed, as its error handlers see it: `handler(failure: TaskFailure, *handler_args)`.

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
    ) -> None:
        self.task_id = task_id
        self.name = name
        self.args = args
        self.kwargs = kwargs or {}
        self.exception = exception
        self.traceback = traceback
        self.retries = retries

    def __repr__(self) -> str:
        return f"<TaskFailure {self.name}[{self.task_id}]: {self.exception!r}>"
