"""What is said of a queue: `Queue`, and the setting `task_queues`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, Protocol, TypeAlias, TypeVar, cast

import msgspec

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError, suggest

T_co = TypeVar("T_co", covariant=True)


class _Words(type(msgspec.Struct)):
    """Says what is wrong with a call that gives a queue what it has no word for: msgspec would as a TypeError."""

    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **given: Any) -> Any:
            try:
                return super().__call__(*args, **given)
            except TypeError as error:
                _refuse(args, given, error)


class _Named(msgspec.Struct, frozen=True, metaclass=_Words):
    name: str


class Queue(_Named, frozen=True, kw_only=True):
    """A queue, and what is different about it; what is None is as the settings say.

    Attributes:
        name: 1 to 255 printable characters without spaces.
        topic: tasks with a `routing_key` that fits go there: "notifications.email.#". The words of a key are parted by
            dots; `*` is one of them, `#` any number, none included. A tuple or a list is several topics.
        max_length: tasks that may wait or run in it when more are sent, in place of `queue_max_length`.
        full: what `send` does at that limit, in place of `queue_full`: "raise" or "wait".
        weight: its share of a worker's fetches, against those of the worker's other queues; from 1 to 1,000.
        priorities: how many levels of priority it has, from 1 to 10; a task above them has the highest. True is all
            ten, False is one: first come, first served.
        visibility_timeout: seconds (or a timedelta) for which a worker may be silent before the tasks that it has of
            this queue are given to others; at least 1. A lease is a worker's: one that consumes several queues has the
            shortest of theirs, so give a queue that needs a longer one workers of its own.
        max_deliveries: how often a task of it may take its worker down with it before it goes to the dead letters.
        concurrency: how many of its tasks a worker process runs at once, at most; each process counts by itself.
        rate_limit: not in this version.

    Raises:
        ConfigurationError: a value that it cannot have.
    """

    topic: str | tuple[str, ...] | list[str] | None = None
    max_length: int | None = None
    full: Literal["raise", "wait"] | None = None
    weight: int | None = None
    priorities: int | None = None
    visibility_timeout: kinds.Seconds | None = None
    max_deliveries: int | None = None
    concurrency: int | None = None
    rate_limit: str | float | None = None

    def __post_init__(self) -> None:
        kinds.NAME.of("The name of a Queue", self.name)
        for field, kind in _KINDS.items():
            if (given := getattr(self, field)) is not None:
                read = kind.of(f"Queue({self.name!r}, {field}=...)", given)
                msgspec.structs.force_setattr(self, field, read)

    @property
    def topics(self) -> tuple[str, ...]:
        """Its topics, where it has any."""
        topic = self.topic or ()
        return (topic,) if isinstance(topic, str) else tuple(topic)

    def __repr__(self) -> str:
        said = [f"{field}={value!r}" for field in _KINDS if (value := getattr(self, field)) is not None]
        return f"Queue({', '.join([repr(self.name), *said])})"


class ListOf(Protocol[T_co]):
    """A list of what it may be read as; a text, which is one of texts too, is none."""

    def __iter__(self) -> Iterator[T_co]: ...
    def clear(self) -> None: ...


_Given: TypeAlias = Queue | str | Mapping[str, Any]
QueuesGiven: TypeAlias = ListOf[_Given] | tuple[_Given, ...] | None
"""What the setting `task_queues` takes: a text is one name, and no list of them."""


def read_queues(where: str, value: Any) -> list[Queue]:
    """The setting `task_queues`: a list of `Queue`, names, or dicts with the fields of one.

    Args:
        where: which setting, and from where.
        value: what was given.

    Raises:
        ConfigurationError: it is something else, or one name stands there twice.
    """
    if value is None:
        return []
    if isinstance(value, str):  # as in the environment: high,low
        value = [name.strip() for name in value.split(",") if name.strip()]
    if isinstance(value, Queue):
        value = [value]
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise ConfigurationError(
            f"The setting {where} is a list of queues, such as [Queue('email', topic='mail.#')], not "
            f"{kinds.shown(value)}."
        )
    queues = [_read(where, one) for one in cast("Iterable[Any]", value)]
    names = [queue.name for queue in queues]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigurationError(f"The setting {where} has the queue {twice!r} twice. Say all of it in one Queue(...).")
    return queues


def queue_named(queues: Iterable[Queue], name: str) -> Queue | None:
    """What is said of the queue of that name, if anything is."""
    return next((queue for queue in queues if queue.name == name), None)


def lengths_of(queues: Iterable[Queue], most: int | None, names: Iterable[str]) -> int | dict[str, int] | None:
    """How many tasks some queues may hold when more are sent.

    Args:
        queues: what is said of queues.
        most: what counts for those of which nothing is said; None is any number.
        names: which.
    """
    own = {queue.name: queue.max_length for queue in queues if queue.max_length is not None}
    if not own:
        return most
    return {name: bound for name in names if (bound := own.get(name, most)) is not None} or None


def priority_in(queues: Iterable[Queue], name: str, priority: int) -> int:
    """A priority, or the highest that the queue of that name has."""
    queue = queue_named(queues, name)
    return priority if queue is None or queue.priorities is None else min(priority, queue.priorities - 1)


def _read(where: str, value: Any) -> Queue:
    if isinstance(value, Queue):
        return value
    if isinstance(value, str):
        return Queue(value)
    if type(value).__module__.partition(".")[0] == "kombu" and hasattr(value, "routing_key"):
        return _from_kombu(value)
    if not isinstance(value, Mapping) or "name" not in value:
        raise ConfigurationError(
            f"The setting {where} has {kinds.shown(value)}: each is an aioqueue.Queue('email', ...), the name of a "
            "queue, or a dict with 'name' and whatever else a Queue takes."
        )
    fields = cast("Mapping[Any, Any]", value)
    for name in fields:
        if name not in Queue.__struct_fields__:
            raise ConfigurationError(
                f"The setting {where} has {name!r} for the queue {fields['name']!r}.{suggest(str(name), _KINDS)} A "
                f"Queue has {', '.join(Queue.__struct_fields__)}."
            )
    return Queue(**fields)


def _from_kombu(value: Any) -> Queue:
    """A queue of Celery's, `kombu.Queue`: what its exchange sends it by the routing key it gets here by its topic."""
    arguments: Mapping[str, Any] = value.queue_arguments or {}
    levels = value.max_priority if value.max_priority is not None else arguments.get("x-max-priority")
    most = value.max_length if value.max_length is not None else arguments.get("x-max-length")
    return Queue(
        value.name,
        topic=value.routing_key or None,
        max_length=most,
        priorities=None if levels is None else min(10, levels + 1),
    )


def _refuse(args: tuple[Any, ...], given: Mapping[str, Any], error: TypeError) -> NoReturn:
    named = kinds.shown(given.get("name", args[0] if args else None)) if args or "name" in given else "..."
    for word in given:
        if word not in Queue.__struct_fields__:
            hint = " Did you mean topic=?" if word in _FOR_TOPICS else suggest(word, _KINDS)
            raise ConfigurationError(
                f"Queue({named}, {word}=...): a Queue has no {word!r}.{hint} It takes a name, and "
                f"{', '.join(f'{field}=' for field in _KINDS)}."
            ) from None
    raise ConfigurationError(
        f"Queue({named}, ...) takes a name, and all else by its word, such as Queue('email', topic='mail.#'): {error}."
    ) from None


_FOR_TOPICS: Final = ("topics", "routing_key", "routing_keys", "binding_key")
"""What others call it."""


def _words(topic: Any) -> str:
    if not isinstance(topic, str):
        raise TypeError
    for word in topic.split("."):
        if not word or not word.isprintable() or " " in word or (len(word) > 1 and ("*" in word or "#" in word)):
            raise ValueError(f"{word!r} is no word of a topic; * and # stand alone between two dots")
    return topic


def _topics(value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return _words(value)
    if isinstance(value, bytes | Mapping) or not value:
        raise TypeError
    return tuple(_words(one) for one in value)


def _levels(value: Any) -> int:
    return (10 if value else 1) if isinstance(value, bool) else kinds.up_to(10).read(value)


def _timeout(value: Any) -> float:
    if (seconds := kinds.LIMIT.read(value)) < 1:
        raise ValueError
    return float(seconds)


def _not_yet(value: Any) -> None:
    raise ValueError("rates of queues are not in this version")


_KINDS: Final[dict[str, kinds.Kind]] = {
    "topic": kinds.Kind("a topic such as 'notifications.email.#', or several", _topics),
    "max_length": kinds.POSITIVE,
    "full": kinds.one_of(("raise", "wait")),
    "weight": kinds.up_to(1000),
    "priorities": kinds.Kind("a whole number from 1 to 10, True or False", _levels),
    "visibility_timeout": kinds.Kind("a number of seconds from 1 on, or a timedelta", _timeout),
    "max_deliveries": kinds.POSITIVE,
    "concurrency": kinds.POSITIVE,
    "rate_limit": kinds.Kind("None", _not_yet),
}
