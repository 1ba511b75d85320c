"""From a call to a message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from aioqueue.brokers.protocol import Outgoing
from aioqueue.context import current
from aioqueue.exceptions import ConfigurationError, PayloadError
from aioqueue.ids import new_id
from aioqueue.message import Message, encode_message
from aioqueue.options import check_name, milliseconds
from aioqueue.payload.signature import Parameters
from aioqueue.routing import route

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.task import Task


class Place(NamedTuple):
    """A task's place in a workflow; see `aioqueue.message.Message` for most of it.

    Attributes:
        id: its id there.
        stamps: those of what is around it.
    """

    workflow: str | None = None
    node: int | None = None
    id: str = ""
    takes: int | None = None
    handles: bool = False
    wanted: bool = False
    spread: str | None = None
    group_id: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    stamps: Mapping[str, Any] = {}


_MOST_REMEMBERED = 10_000
_good_queues: set[str] = set()


def _anything(*args: Any, **kwargs: Any) -> None:
    """A function of which only the name is known."""


_ANYTHING = Parameters(_anything)


def outgoing(
    app: AioQueue,
    target: Task[..., Any] | str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: Mapping[str, Any],
    now: int,
    *,
    place: Place | None = None,
) -> Outgoing:
    """The message that runs `target` with these arguments, ready to be sent.

    Args:
        app: the app that sends it.
        target: a task, or the name of one.
        args, kwargs: its arguments.
        options: checked options of the sending.
        now: ms since the epoch, by the broker's clock.
        place: its place in a workflow, if it has one.

    Raises:
        PayloadError: the arguments cannot be sent, or don't fit the task.
    """
    conf = app.conf
    task = None if isinstance(target, str) else target
    name = target if isinstance(target, str) else target.name
    serializer = options.get("serializer") or (task and task.serializer) or conf.task_serializer
    compression = options.get("compression") or (task and task.compression) or conf.task_compression
    parameters = _ANYTHING if task is None else task.parameters
    if place is None:
        parameters.check(args, kwargs, task_name=name)
    else:
        _check_placed(parameters, place, args, kwargs, name)
        if place.spread:
            parameters = _ANYTHING
    body, content = parameters.encode(
        args,
        kwargs,
        serializer=serializer,
        compression=compression,
        max_size=conf.max_payload_size,
        task_name=name,
    )
    queue = options.get("queue") or (task and task.queue) or route(conf.task_routes, name) or conf.task_default_queue
    if queue not in _good_queues:
        if len(_good_queues) >= _MOST_REMEMBERED:
            _good_queues.clear()
        _good_queues.add(check_name("name of a queue", queue))
    priority = options.get("priority")
    if priority is None:
        priority = conf.task_default_priority if task is None or task.priority is None else task.priority
    message = Message(task=name, body=body, content=content, queue=queue, priority=priority, sent=now)
    if place is not None:
        _put(message, place)
    delay = due = None
    if options:
        delay, due = _apply(message, options, now)
    expires = options.get("expires")
    if expires is None and task is not None:
        expires = task.expires
    if expires is not None:
        message.expires = milliseconds(expires) if isinstance(expires, datetime) else now + int(expires * 1000)
    id = place.id if place is not None else options.get("task_id") or new_id()
    parent = current.get()
    if place is not None:
        message.stamps = {**place.stamps, **message.stamps}
    elif parent is not None and parent.id:
        message.parent_id = parent.id
        message.root_id = parent.root_id
        if parent.stamps:
            message.stamps = {**parent.stamps, **message.stamps}
    try:
        data = encode_message(message)
    except Exception as error:
        raise PayloadError(
            f"The headers or the stamps of {name} cannot be sent ({error}): they take numbers, text, lists and dicts "
            "of them. Nothing was sent."
        ) from None
    if place is None and parent is not None and parent.id:
        parent.children.append(id)
    return Outgoing(id, queue, priority, data, due, delay, place is None and "task_id" in options)


def _check_placed(
    parameters: Parameters, place: Place, args: tuple[Any, ...], kwargs: dict[str, Any], name: str
) -> None:
    """A step of a workflow may get its first argument later."""
    if place.spread:  # without arguments it takes the list of the node before it
        for item in each_item(args[0], task=name, kind=place.spread) if args else ():
            parameters.check(item if place.spread == "starmap" else (item,), kwargs, task_name=name)
    elif place.takes is not None or place.handles:
        parameters.check((None, *args), kwargs, task_name=name)
    else:
        parameters.check(args, kwargs, task_name=name)


def _put(message: Message, place: Place) -> None:
    message.workflow, message.node, message.takes = place.workflow, place.node, place.takes
    message.handles, message.wanted, message.spread = place.handles, place.wanted, place.spread
    message.group_id, message.parent_id, message.root_id = place.group_id, place.parent_id, place.root_id


def _apply(message: Message, options: Mapping[str, Any], now: int) -> tuple[int | None, int | None]:
    """Options that go into the message as they are; returns the delay and the due time."""
    for name in ("headers", "stamps"):
        if value := options.get(name):
            setattr(message, name, dict(value))
    for name in ("routing_key", "max_retries", "soft_time_limit", "time_limit", "ignore_result"):
        if (value := options.get(name)) is not None:
            setattr(message, name, value)
    if (eta := options.get("eta")) is not None:
        message.eta = milliseconds(eta)
        return None, message.eta
    if countdown := options.get("countdown"):
        delay = max(1, round(countdown * 1000))
        message.eta = now + delay
        return delay, None
    return None, None


def each_item(given: Iterable[Any], *, task: str, kind: str) -> Iterator[Any]:
    """What is given to `map`, `starmap` or `chunks`; of the last two, each is looked at, but not read.

    Raises:
        ConfigurationError: it is something else.
    """
    what = "list, as in [1, 2]" if kind == "map" else "list of the arguments of each call, as in [(1, 2), (3, 4)]"
    wrong = f"{task}.{kind} takes a {what}"
    if not _is_iterable(given):
        raise ConfigurationError(f"{wrong}, not {given!r}. Nothing was sent.")
    for position, item in enumerate(given):
        if kind != "map" and not _is_iterable(item):
            raise ConfigurationError(
                f"{wrong}: item {position} is {item!r}. For one argument write ({item!r},). Nothing was sent."
            )
        yield item


def _is_iterable(given: Any) -> bool:
    try:
        iter(given)
    except TypeError:
        return False
    return True
