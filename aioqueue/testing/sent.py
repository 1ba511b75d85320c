"""What was sent, and in which words a test may ask for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aioqueue.brokers.protocol import Outgoing
from aioqueue.exceptions import PayloadError
from aioqueue.message import Message, decode_message, headers_of
from aioqueue.options import moment
from aioqueue.payload.codec import decode_call
from aioqueue.task import Task

if TYPE_CHECKING:
    from aioqueue.core import Core

_NO_LIMIT = 2**31


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A task that was sent.

    Attributes:
        id: the task's id.
        task: the task's name.
        args, kwargs: as the task gets them: sent and converted.
        queue: its queue.
        priority: from 0 to 9.
        countdown: seconds, if it was sent with them.
        eta: not to run before, by the test's clock.
        expires: not to run after.
        headers: what the sender added.
        options: all options of the sending, as they were given.
        parent_id: the task that sent it, if one did.
        sent_at: when, by the test's clock.
        message: the whole message.
    """

    id: str
    task: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    queue: str
    priority: int
    countdown: float | None
    eta: datetime | None
    expires: datetime | None
    headers: dict[str, Any]
    options: dict[str, Any] = field(repr=False)
    parent_id: str | None
    sent_at: datetime
    message: Message = field(repr=False)

    def __str__(self) -> str:
        about = [f"queue {self.queue!r}"]
        if self.priority:
            about.append(f"priority {self.priority}")
        if self.countdown is not None:
            about.append(f"countdown {self.countdown:g}")
        elif self.eta is not None:
            about.append(f"eta {self.eta.isoformat()}")
        if self.expires is not None:
            about.append(f"expires {(self.expires - self.sent_at).total_seconds():g} s later")
        if self.headers:
            about.append(f"headers {self.headers!r}")
        return f"{call_text(self.task, self.args, self.kwargs)}, {', '.join(about)}"


class Outbox:
    """All that was sent in a test, in order."""

    def __init__(self, app: Core) -> None:
        self._app = app
        self._sent: list[Sent] = []
        self._by_id: dict[str, Sent] = {}

    def observe(
        self,
        target: Task[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Mapping[str, Any],
        outgoing: Outgoing,
    ) -> None:
        """Something was sent: an observer of the app's."""
        message = decode_message(outgoing.data)
        args, kwargs = self._received(target, message, args, kwargs)
        sent_at = moment(message.sent)
        assert sent_at is not None
        sent = Sent(
            id=outgoing.id,
            task=message.task,
            args=args,
            kwargs=kwargs,
            queue=message.queue,
            priority=message.priority,
            countdown=options.get("countdown"),
            eta=moment(message.eta),
            expires=moment(message.expires),
            headers=headers_of(message),
            options=dict(options),
            parent_id=message.parent_id,
            sent_at=sent_at,
            message=message,
        )
        self._sent.append(sent)
        self._by_id[sent.id] = sent

    def _received(
        self, target: Task[..., Any] | str, message: Message, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as the task gets them; as they were given, if it won't be able to read them."""
        task = self._app.tasks.get(message.task) if isinstance(target, str) else target
        accept = self._app.accepts(message.content)
        try:
            if task is not None:
                return task.parameters.decode(message.body, message.content, max_size=_NO_LIMIT, accept=accept)
            plain, named = decode_call(message.body, message.content, _NO_LIMIT, accept)
            return tuple(plain), named
        except PayloadError:
            return args, kwargs

    def of(self, task: Task[..., Any] | str | None = None) -> list[Sent]:
        """What was sent, of one task or of all."""
        name = task.name if isinstance(task, Task) else task
        return [sent for sent in self._sent if name is None or sent.task == name]

    def get(self, id: str) -> Sent | None:
        """What was sent under an id."""
        return self._by_id.get(id)

    def clear(self) -> None:
        """Forget what was sent."""
        self._sent.clear()


def listed(sent: Iterable[Sent]) -> str:
    """Lines about what was sent."""
    lines = [f"  {number}. {one}" for number, one in enumerate(sent, 1)]
    return "\n".join(lines) or "  nothing"


def call_text(name: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    """A call, as it is written."""
    shown = [_short(value) for value in args] + [f"{key}={_short(value)}" for key, value in kwargs.items()]
    return f"{name}({', '.join(shown)})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"
