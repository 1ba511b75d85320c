"""From a call to a message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from aioqueue import kinds
from aioqueue.brokers.protocol import Outgoing
from aioqueue.context import current
from aioqueue.exceptions import PayloadError
from aioqueue.ids import new_id
from aioqueue.message import Message, encode_message
from aioqueue.options import NOTHING_SENT, TRAVELLING, advised, check_pickle, milliseconds
from aioqueue.payload.calls import call_digest
from aioqueue.payload.codec import encode, to_marked
from aioqueue.payload.marks import NATIVE
from aioqueue.payload.serializers import PICKLE
from aioqueue.payload.signature import ArgumentsError, Parameters
from aioqueue.routing.addressing import addressed_once
from aioqueue.routing.queue import priority_in
from aioqueue.spread import each_item
from aioqueue.task_failure import places_of

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.task import Task


class Role(NamedTuple):
    """What a task is in a workflow: its place there, what it takes and gives, what it belongs to; most of it as in
    `aioqueue.message.Message`.

    Attributes:
        id: its id there.
        gathers: what it takes is the list of results of a group.
        stamps: those of what is around it.
    """

    workflow: str | None = None
    node: int | None = None
    id: str = ""
    takes: int | None = None
    gathers: bool = False
    handles: bool = False
    wanted: bool = False
    spread: str | None = None
    group_id: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    stamps: Mapping[str, Any] = {}


_MOST_REMEMBERED = 10_000
_NO_LIMIT = 2**31
_LATER = object()  # what stands for an argument that comes later
_good_queues: set[str] = set()


def _anything(*args: Any, **kwargs: Any) -> None:
    """A function of which only the name is known."""


_ANYTHING = Parameters(_anything)


def outgoing(
    app: Core,
    target: Task[..., Any] | str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: Mapping[str, Any],
    now: int,
    *,
    queue: str | None = None,
    id: str = "",
    role: Role | None = None,
    again: bool = False,
) -> Outgoing:
    """The message that runs `target` with these arguments, ready to be sent.

    Args:
        app: the app that sends it.
        target: a task, or the name of one.
        args, kwargs: its arguments.
        options: checked options of the sending.
        now: ms since the epoch, by the broker's clock.
        queue: to which it goes, of those that `addressed` has found, which gave the options too; None: it is asked.
        id: the task's, where it is neither its sender's nor a new one.
        role: what it is in a workflow, if it belongs to one.
        again: it has been made before, and let go of.

    Raises:
        PayloadError: the arguments cannot be sent, or don't fit the task.
        RoutingError: no queue is found for it, or several.
    """
    if queue is None:
        queue, options = addressed_once(app, target, args, kwargs, options, role.spread if role is not None else None)
    conf = app.conf
    if isinstance(target, str):
        task, name, parameters = None, target, _ANYTHING
    else:
        task, name, parameters = target, target.name, target.parameters
    serializer = options.get("serializer") or (task and task.serializer) or conf.task_serializer
    compression = options.get("compression") or (task and task.compression) or conf.task_compression
    if serializer == PICKLE:
        check_pickle(serializer, conf.accept_content, NOTHING_SENT)
    start = 0
    try:
        if role is None:
            if kwargs or tuple(map(type, args)) not in parameters.good:  # the usual call, without one more of ours
                parameters.check(args, kwargs, task_name=name)
        else:
            start = _places(parameters, role, args, kwargs)
            _check_role(parameters, role, args, kwargs, name, start)
    except ArgumentsError as error:
        raise advised(error, name, parameters, kwargs) from None
    if role is not None and role.spread:
        parameters = _ANYTHING
    body, content = parameters.encode(
        args,
        kwargs,
        serializer=serializer,
        compression=compression,
        max_size=conf.max_payload_size,
        task_name=name,
        start=start,
    )
    if queue not in _good_queues:
        if len(_good_queues) >= _MOST_REMEMBERED:
            _good_queues.clear()
        _good_queues.add(kinds.NAME.of("The option queue", queue, NOTHING_SENT))
    priority = options.get("priority")
    if priority is None:
        priority = conf.task_default_priority if task is None or task.priority is None else task.priority
    if conf.task_queues:
        priority = priority_in(conf.task_queues, queue, priority)
    message = Message(task=name, body=body, content=content, queue=queue, priority=priority, sent=now)
    if role is not None:
        _put(message, role)
    delay = due = expires = None
    if options:
        delay, due = _apply(message, options, now)
        expires = options.get("expires")
    if expires is None and task is not None:
        expires = task.expires
    if expires is not None:
        message.expires = milliseconds(expires) if isinstance(expires, datetime) else now + int(expires * 1000)
    id = role.id if role is not None else options.get("task_id") or id or new_id()
    parent = current.get()
    around: Mapping[str, Any] = {}
    if role is not None:
        around = role.stamps
    elif parent is not None and parent.id:
        message.parent_id = parent.id
        message.root_id = parent.root_id
        around = parent.stamps
    stamps: dict[str, Any] = {}
    if around or "stamps" in options:
        stamps = {**around, **(options.get("stamps") or {})}
        message.stamps, message.marked_stamps = _marked("stamp", name, stamps)
    call = ""
    if own := role is None and "task_id" in options:
        message.own_id = True
        call = call_digest(
            name, body, content, () if task is None else task.parameters.positional_names, own=(serializer,)
        )
    try:
        data = encode_message(message)
    except Exception as error:
        _refuse("header", name, options.get("headers") or {})
        _refuse("stamp", name, stamps)
        raise PayloadError(f"The message of {name} cannot be sent: {error}. Nothing was sent.") from None
    if role is None and parent is not None and parent.id and not again:
        parent.children.append(id)
    return Outgoing(id, queue, priority, data, due, delay, own, call)


def _check_role(
    parameters: Parameters, role: Role, args: tuple[Any, ...], kwargs: dict[str, Any], name: str, start: int
) -> None:
    """A step of a workflow may get its first argument later."""
    if role.spread:  # without arguments it takes the list of the node before it
        for item in each_item(args[0], task=name, kind=role.spread) if args else ():
            parameters.check(item if role.spread == "starmap" else (item,), kwargs, task_name=name)
    else:
        before: tuple[Any, ...] = ([],) if role.gathers and start else (_LATER,) * start
        parameters.check((*before, *args), kwargs, task_name=name)


def _places(parameters: Parameters, role: Role, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """How many of its arguments come later, before these."""
    return places_of(parameters, args, kwargs) if role.handles else int(role.takes is not None)


def _put(message: Message, role: Role) -> None:
    message.workflow, message.node, message.takes = role.workflow, role.node, role.takes
    message.handles, message.wanted, message.spread = role.handles, role.wanted, role.spread
    message.group_id, message.parent_id, message.root_id = role.group_id, role.parent_id, role.root_id


def _apply(message: Message, options: Mapping[str, Any], now: int) -> tuple[int | None, int | None]:
    """Options that go into the message as they are; returns the delay and the due time."""
    if headers := options.get("headers"):
        message.headers, message.marked = _marked("header", message.task, headers)
    for name in TRAVELLING:
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


def _marked(what: str, task: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Headers or stamps as they travel, and whether there are marks in them."""
    if {str}.issuperset(map(type, given)) and _is_plain(given.values()):
        return dict(given), False
    try:
        return to_marked({name if type(name) is str else str.__str__(name): value for name, value in given.items()})
    except TypeError:
        raise PayloadError(f"The {what}s of {task} cannot be sent: their names are text. Nothing was sent.") from None
    except PayloadError as error:
        _refuse(what, task, given)
        raise PayloadError(f"The {what}s of {task} cannot be sent: {error}. Nothing was sent.") from None


def _is_plain(values: Iterable[Any], within: bool = False) -> bool:
    """Whether there are only scalars in it and lists of them, as in most: they are written as they are."""
    for value in values:
        kind: type = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind is int:
            if not -(2**63) <= value < 2**64:
                return False
        elif kind is list:
            if within or not _is_plain(value, within=True):
                return False
        elif kind not in NATIVE:
            return False
    return True


def _refuse(what: str, task: str, given: Mapping[str, Any]) -> None:
    """Raise what is wrong with the first of these that cannot be sent, if there is one."""
    for name, value in given.items():
        try:
            encode({name: value}, max_size=_NO_LIMIT)
        except PayloadError as error:
            raise PayloadError(f"The {what} {name!r} of {task} cannot be sent: {error}. Nothing was sent.") from None
