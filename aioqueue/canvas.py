"""Signatures: calls of tasks as data, to be sent later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack

from aioqueue.exceptions import ConfigurationError
from aioqueue.options import SendOptions, checked, overlaid

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.result import AsyncResult
    from aioqueue.task import Task

R = TypeVar("R")


class Signature(Generic[R]):
    """A task with its arguments and options; made by `task.s(...)`, `task.si(...)` or `app.signature(...)`.

    Attributes:
        task: the task's name.
        args, kwargs: the arguments.
        options: of the sending.
        immutable: takes no result of another task before its arguments.
    """

    def __init__(
        self,
        app: AioQueue,
        task: str,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
    ) -> None:
        self.app = app
        self.task = task
        self.args = tuple(args)
        self.kwargs = dict(kwargs or {})
        self.options = dict(options or {})
        self.immutable = immutable

    def clone(self) -> Signature[R]:
        """A copy."""
        return Signature(self.app, self.task, self.args, self.kwargs, self.options, immutable=self.immutable)

    def set(self, **options: Unpack[SendOptions]) -> Signature[R]:
        """Set options, in place; returns the signature itself."""
        self.options = overlaid(self.options, options)
        return self

    async def send(self, *args: Any, **kwargs: Any) -> AsyncResult[R]:
        """Send it, with `args` put before its own and `kwargs` added."""
        args, kwargs = self.complete(args, kwargs)
        return await self.app.post(self.target, args, kwargs, self.options)

    delay = send

    async def apply_async(
        self, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
    ) -> AsyncResult[R]:
        """Celery's way: send it with more arguments and options."""
        return await self.clone().set(**options).send(*args, **(kwargs or {}))

    async def call(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> R:
        """Send it and wait for its result, for up to `timeout` seconds."""
        result = await self.send(*args, **kwargs)
        return await result.get(timeout=timeout)

    @property
    def target(self) -> Task[..., R] | str:
        """The task where it is known here, else its name."""
        return self.app.tasks.get(self.task) or self.task

    def complete(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with more of them put before."""
        if self.immutable:
            return self.args, self.kwargs
        return (*args, *self.args), {**self.kwargs, **kwargs}

    def to_dict(self) -> dict[str, Any]:
        """Plain data from which `app.signature(...)` makes it again."""
        return {
            "task": self.task,
            "args": list(self.args),
            "kwargs": dict(self.kwargs),
            "options": {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in self.options.items()
            },
            "immutable": self.immutable,
        }

    @classmethod
    def from_dict(cls, app: AioQueue, data: Mapping[str, Any]) -> Signature[Any]:
        """The reverse of `to_dict`.

        Raises:
            ConfigurationError: it names no task.
        """
        task = data.get("task")
        if not isinstance(task, str):
            raise ConfigurationError(f"A signature names its task: {{'task': 'module.name', …}}, not {dict(data)!r}.")
        options: Mapping[str, Any] = data.get("options") or {}
        return Signature(
            app,
            task,
            tuple(data.get("args") or ()),
            data.get("kwargs"),
            checked({name: _moment(name, value) for name, value in options.items()}),
            immutable=bool(data.get("immutable")),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signature) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = [repr(value) for value in self.args] + [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.task}({', '.join(shown)})"


def _moment(name: str, value: Any) -> Any:
    """Times travel as text (ISO 8601): the data of a signature are fit for JSON."""
    if name not in ("eta", "expires") or not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return value  # refused with all that is wrong
