"""What a running task knows of itself, under the names of Celery's `self.request`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aioqueue.message import Message, headers_of, stamps_of
from aioqueue.options import moment


class OfMessage:
    """What its message says of a task."""

    __slots__ = ()

    id: str
    _message: Message

    @property
    def retries(self) -> int:
        """How often it has been retried; 0 at first."""
        return self._message.retries

    @property
    def headers(self) -> dict[str, Any]:
        """What the sender added."""
        return headers_of(self._message)

    @property
    def stamps(self) -> dict[str, Any]:
        """The marks that all tasks of a workflow share."""
        return stamps_of(self._message)

    @property
    def parent_id(self) -> str | None:
        """The task before this one in its workflow, or else the one that sent it."""
        return self._message.parent_id

    @property
    def root_id(self) -> str:
        """The first task of all: this one, when nobody sent it."""
        return self._message.root_id or self.id


class Request(OfMessage):
    """A task's context under Celery's names; what the sender put into its headers is found by its name, too.

    Attributes:
        id, correlation_id: the task's id.
        task: its name.
        args, kwargs: what it was called with.
        hostname: the name of the worker.
        is_eager: it runs in the sender's process.
        children: ids of the tasks that it has sent.
    """

    def __init__(
        self,
        id: str,
        message: Message,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        hostname: str = "",
        deliveries: int = 1,
        is_eager: bool = False,
        children: Sequence[str] = (),
    ) -> None:
        self._message = message
        self._deliveries = deliveries
        self.id = self.correlation_id = id
        self.task = message.task
        self.args = args
        self.kwargs = kwargs
        self.hostname = hostname
        self.is_eager = is_eager
        self.children = list(children)

    @property
    def called_directly(self) -> bool:
        """It was called as a function, and not by a worker."""
        return self.is_eager and not self._message.queue

    @property
    def delivery_info(self) -> dict[str, Any]:
        """Where it came from: `exchange` (always empty), `routing_key`, `priority`, `redelivered`."""
        message = self._message
        return {
            "exchange": "",
            "routing_key": message.routing_key or message.queue,
            "priority": message.priority,
            "redelivered": self._deliveries > 1,
        }

    @property
    def stamped_headers(self) -> list[str]:
        """The names of the stamps."""
        return list(self.stamps)

    @property
    def group(self) -> str | None:
        """The group that it belongs to."""
        return self._message.group_id

    @property
    def eta(self) -> str | None:
        """Not to run before, in ISO 8601."""
        return _written(self._message.eta)

    @property
    def expires(self) -> str | None:
        """Not to run after, in ISO 8601."""
        return _written(self._message.expires)

    @property
    def timelimit(self) -> tuple[float | None, float | None]:
        """The hard and the soft time limit that its sender gave, in seconds."""
        return self._message.time_limit, self._message.soft_time_limit

    @property
    def ignore_result(self) -> bool:
        """Whether its sender wants no result."""
        return bool(self._message.ignore_result)

    def get(self, key: str, default: Any = None) -> Any:
        """One of these by its name, else a header, else the default."""
        if key.isidentifier() and not key.startswith("_") and hasattr(self, key):
            return getattr(self, key)
        return self.headers.get(key, default)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name[:1] != "_" and name in (headers := self.headers):
                return headers[name]
            known = sorted(one for one in {*vars(self), *dir(type(self))} if not one.startswith("_"))
            raise AttributeError(f"ctx.request has no {name!r}; it has {', '.join(known)}")

    def __repr__(self) -> str:
        return f"<Request {self.task}[{self.id}]>"


def _written(milliseconds: int | None) -> str | None:
    found = moment(milliseconds)
    return found.isoformat() if found is not None else None
