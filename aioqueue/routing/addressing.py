"""To which queues a call goes, and with which options: the words of its sender, of the task, of `task_routes`, and of
the settings, the nearest first.

A queue and a routing key are words for the same thing: of the two the nearest counts, and the queue where both are said
at once; then the key is data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from aioqueue.exceptions import RoutingError, suggest
from aioqueue.options import NOTHING_SENT, OF_CALLS, OF_TASKS, check_limits, over
from aioqueue.routing.queue import queue_named
from aioqueue.routing.routes import asks_functions, names_of, route
from aioqueue.routing.topics import queues_for
from aioqueue.spread import each_item

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.settings import Settings
    from aioqueue.task import Task

_OF_BOTH: Final = tuple(OF_TASKS.keys() & OF_CALLS.keys())


def addressed(
    app: Core,
    target: Task[..., Any] | str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: Mapping[str, Any],
    spread: str | None = None,
) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    """The queues of a call, more than one where a topic says so, and its options with those of its route.

    Args:
        app: sends it.
        target: a task, or the name of one.
        args, kwargs: its arguments.
        options: checked options of the sending.
        spread: "map" or "starmap": the first argument is a list of calls, all of which go the same way.

    Raises:
        RoutingError: no queue is found, or one that is not among `task_queues` and has to be; or several for what is
            one message.
        ConfigurationError: `task_routes` has something for it that is not understood.
    """
    conf = app.conf
    task = None if isinstance(target, str) else target
    if not (
        conf.task_routes
        or conf.task_queues
        or not conf.task_create_missing_queues
        or "routing_key" in options
        or (task is not None and task.routing_key is not None)
    ):
        return (options.get("queue") or (task and task.queue) or conf.task_default_queue,), options
    name = target if isinstance(target, str) else target.name
    options, place = _worded(conf, task, name, args, kwargs, options, spread)
    return _queues(conf, name, place), options


def addressed_once(
    app: Core,
    target: Task[..., Any] | str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: Mapping[str, Any],
    spread: str | None = None,
) -> tuple[str, Mapping[str, Any]]:
    """The same of what can go to one queue only.

    Raises:
        RoutingError: its routing key fits the topics of several.
        ConfigurationError: as `addressed`.
    """
    queues, options = addressed(app, target, args, kwargs, options, spread)
    if len(queues) == 1:
        return queues[0], options
    name = target if isinstance(target, str) else target.name
    raise RoutingError(
        f"{name} has a routing_key that fits the topics of {len(queues)} queues, {', '.join(queues)}, and a part of a "
        f"canvas, a schedule's task or what takes another's place goes to exactly one. Give it a queue.{NOTHING_SENT}"
    )


def known_queues(app: Core, target: Task[..., Any] | str) -> Iterator[str]:
    """The queues to which a task goes by itself, as far as that can be known without a call of it."""
    conf = app.conf
    place = _known_words(conf, target)
    if (queue := place.get("queue")) is not None:
        yield queue
    elif (key := place.get("routing_key")) is not None:
        yield from queues_for(conf.task_queues, key)
    else:
        yield conf.task_default_queue


def own_way(app: Core, target: Task[..., Any] | str) -> dict[str, Any] | None:
    """The words that a task or its route has for its sending, with its queue; None where nothing is known of it before
    it is sent, or there is more than one queue."""
    if not all(isinstance(one, Mapping) for one in _routers(app.conf.task_routes)):
        return None
    words = _known_words(app.conf, target)
    queues = list(known_queues(app, target))
    if len(queues) != 1 or (isinstance(target, str) and not words):
        return None
    return {**words, "queue": queues[0]}


def _known_words(conf: Settings, target: Task[..., Any] | str) -> dict[str, Any]:
    task, name = (None, target) if isinstance(target, str) else (target, target.name)
    tables: list[Any] = [one for one in _routers(conf.task_routes) if isinstance(one, Mapping)]
    return over(route(tables, name, (), {}, {}), own_words(task))


def all_queues(conf: Settings) -> set[str]:
    """All that the settings name."""
    return {conf.task_default_queue, *names_of(conf.task_routes), *(queue.name for queue in conf.task_queues)}


class Bound(NamedTuple):
    """How many tasks a queue may hold when more are sent, and what is done at that limit.

    Attributes:
        most: None is any number.
        full: "raise" or "wait".
        is_own: its `Queue` says how many, and not the setting.
    """

    most: int | None
    full: str
    is_own: bool


def bound_of(conf: Settings, name: str) -> Bound:
    """That of the queue of that name."""
    queue = queue_named(conf.task_queues, name)
    own = None if queue is None else queue.max_length
    full = conf.queue_full if queue is None or queue.full is None else queue.full
    return Bound(conf.queue_max_length if own is None else own, full, own is not None)


def own_words(task: Task[..., Any] | None) -> dict[str, Any]:
    """What a task says of itself that a call may say too."""
    return {} if task is None else {name: getattr(task, name) for name in _OF_BOTH if task.says(name)}


def _worded(
    conf: Settings,
    task: Task[..., Any] | None,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: Mapping[str, Any],
    spread: str | None,
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The options of a call and its route, and all words for where it goes. What the task says itself is no option of
    the call, but for its routing key, which travels."""
    own = own_words(task)
    if spread and asks_functions(conf.task_routes):
        routed = _route_of_all(conf, own, name, args, kwargs, options, spread)
    else:
        routed = route(conf.task_routes, name, args, kwargs, options)
    place = over(over(routed, own), options)
    if routed:
        found = {word: value for word, value in place.items() if word in options or word not in own}
        soft, hard = place.get("soft_time_limit"), place.get("time_limit")
        check_limits(soft, hard, NOTHING_SENT)
        options = found
    if (key := place.get("routing_key")) is not None and options.get("routing_key") is None:
        options = {**options, "routing_key": key}
    return options, place


def _route_of_all(
    conf: Settings,
    own: Mapping[str, Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: Mapping[str, Any],
    spread: str,
) -> dict[str, Any]:
    """The route of calls that are one message. Functions are asked of each of them, as of any call.

    Raises:
        RoutingError: they would not go the same way.
    """
    first: dict[str, Any] | None = None
    for item in each_item(args[0], task=name, kind=spread) if args else ():
        call = tuple(item) if spread == "starmap" else (item,)
        routed = route(conf.task_routes, name, call, kwargs, options)
        if first is None:
            first = routed
        elif over(over(routed, own), options) != over(over(first, own), options):
            raise RoutingError(
                f"The calls of {name}.{spread}(...) are one message, and task_routes has {first or None} for one of "
                f"them and {routed or None} for another. Send them as a group, or give it a queue.{NOTHING_SENT}"
            )
    return route(conf.task_routes, name, (), kwargs, options) if first is None else first


def _queues(conf: Settings, name: str, place: Mapping[str, Any]) -> tuple[str, ...]:
    queue, key = place.get("queue"), place.get("routing_key")
    if queue is None and key is not None:
        return queues_for(conf.task_queues, key) or _no_queue(conf, name, key)
    if queue is None:
        queue = conf.task_default_queue
    check_queue(conf, name, queue)
    return (queue,)


def check_queue(conf: Settings, name: str, queue: str) -> None:
    """Whether a task may go to a queue.

    Raises:
        RoutingError: only those among `task_queues` are used, and it is none of them.
    """
    if not conf.task_create_missing_queues and queue_named(conf.task_queues, queue) is None:
        known = [one.name for one in conf.task_queues]
        raise RoutingError(
            f"{name} was to go to the queue {queue!r}, which is not among task_queues ({', '.join(known) or 'none'}), "
            f"and task_create_missing_queues is False.{suggest(queue, known)}{NOTHING_SENT}"
        )


def _no_queue(conf: Settings, name: str, key: str) -> NoReturn:
    topics = [topic for queue in conf.task_queues for topic in queue.topics]
    what = f"the topics of task_queues are {', '.join(topics)}" if topics else "no queue of task_queues has a topic"
    if key in all_queues(conf):
        hint = f" There is a queue of that name: send it with queue={key!r}."
    else:
        hint = suggest(key, topics) or " Give it a queue, or one of task_queues a topic that fits."
    raise RoutingError(f"No queue is found for {name} with the routing_key {key!r}: {what}.{hint}{NOTHING_SENT}")


def _routers(routes: Any) -> list[Any]:
    return list(routes) if isinstance(routes, list) else [routes]  # pyright: ignore[reportUnknownArgumentType]
