"""What a worker consumes: which queues, in which order, and what is said of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.logs import logger
from aioqueue.routing import Queue, queue_named
from aioqueue.routing.addressing import known_queues
from aioqueue.routing.routes import asks_functions
from aioqueue.worker.slots import Slots
from aioqueue.worker.turns import Turns, in_hand

if TYPE_CHECKING:
    from aioqueue.core import Core

Queues: TypeAlias = str | Queue | Iterable[str | Queue] | Mapping[str, int] | Mapping[Queue, int]
"""Queues as they are given: names, `Queue`s, names with their weights, or text as after `-Q`."""

_WEIGHT = kinds.up_to(1000)
# What is meant for a weight after the last colon, and may be none; a whole number that Python can read.
_NUMBER, _WHOLE = re.compile(r"[-+]*\.?\d[\d.]*"), re.compile(r"-?\d{1,9}")


class Together(tuple[str, ...]):
    """Names of queues of which none comes before another: across all, what has the highest priority is first."""


class Consuming:
    """The queues of a worker.

    Args:
        app: whose tasks they have.
        queues: which; by default all that the app knows of.
        exclude: but not these.

    Attributes:
        told: what is odd about them has been said, or is not to be.

    Raises:
        ConfigurationError: one cannot be the name of a queue, a weight is none, or no queue is left.
    """

    def __init__(self, app: Core, queues: Queues | None, exclude: Queues | None) -> None:
        self._app = app
        self._together = queues is None or isinstance(queues, Together)
        self._weights: dict[str, int] = {}
        self._own: dict[str, Queue] = {}
        self._given = None if queues is None else self._take(queues)
        self._excluded = _names(exclude) if exclude else []
        if self._given is not None:
            self._but_for(self._given)
        self.told = isinstance(queues, Together)

    def _take(self, queues: Queues) -> list[str]:
        names: dict[str, None] = {}
        conf = self._app.conf
        for one, weight in _read(queues, "queues"):
            name = _name(one)
            if isinstance(one, Queue):
                self._own[name] = one
                weight = one.weight if weight is None else weight
            elif not conf.task_create_missing_queues and queue_named(conf.task_queues, name) is None:
                known = [queue.name for queue in conf.task_queues]
                raise ConfigurationError(
                    f"A worker is to consume {name!r}, which is not among task_queues ({', '.join(known) or 'none'}), "
                    f"and task_create_missing_queues is False.{suggest(name, known)}"
                )
            names[name] = None
            if weight is not None and self._weights.setdefault(name, weight) != weight:
                raise ConfigurationError(
                    f"A worker's queues give {name!r} the weights {self._weights[name]} and {weight}: say one of them."
                )
        return list(names)

    def _but_for(self, names: list[str]) -> list[str]:
        """Those of them that are not excluded."""
        left = [name for name in names if name not in self._excluded]
        if not left:
            raise ConfigurationError(
                f"A worker's exclude={self._excluded!r} leaves it nothing of the queues {', '.join(names)}."
            )
        return left

    @property
    def names(self) -> list[str]:
        """Which queues they are.

        Raises:
            ConfigurationError: all of them are excluded.
        """
        return self._but_for(self._known() if self._given is None else self._given)

    def _known(self) -> list[str]:
        """The queues that the app knows of: those of `task_queues`, the default one, and where its tasks go."""
        conf = self._app.conf
        names = [queue.name for queue in conf.task_queues]
        if names and not conf.task_create_missing_queues:
            return names
        routed = {queue for task in self._app.tasks.values() for queue in known_queues(self._app, task)}
        return list(dict.fromkeys([*names, conf.task_default_queue, *sorted(routed)]))

    def of(self, name: str) -> Queue | None:
        """What is said of a queue: by the `Queue` that the worker was given, else by `task_queues`."""
        return self._own.get(name) or queue_named(self._app.conf.task_queues, name)

    def said(self, field: str) -> dict[str, Any]:
        """What is said of a field of its queues, by name."""
        found = {name: getattr(queue, field) for name in self.names if (queue := self.of(name)) is not None}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def weights(self) -> dict[str, int] | None:
        """The queues' weights; None where they have none, or where the order is what decides."""
        weights = self._weights
        if not weights and (not self._together or not (weights := self.said("weight"))):
            return None
        weights = {**self.said("weight"), **weights}
        return {name: weights.get(name, 1) for name in self.names}

    def turns(self, slots: Slots) -> Turns | None:
        """Whose turn it is; None where that is left to the priorities alone. Where it is not, what is fetched by turn
        runs in that order, too: else what waits in the slots would go by the priorities of all queues."""
        names, weights, limits = self.names, self.weights, self.said("concurrency")
        if not limits and (len(names) == 1 or (self._together and weights is None)):
            return None
        if weights is None and self._together:
            weights = dict.fromkeys(names, 1)
        if len(names) > 1:
            slots.keep_order()
        return Turns(names, weights, limits, partial(in_hand, slots))

    @property
    def visibility_timeout(self) -> float:
        """For how long the worker may be silent: a lease is a worker's, so it is the shortest of its queues'."""
        default: float = self._app.conf.visibility_timeout
        said: dict[str, float] = self.said("visibility_timeout")
        return min(said.get(name, default) for name in self.names)

    @property
    def shortest_timeout(self) -> float:
        """For how long any of the app's workers may be silent, at least: that of the queue with the shortest."""
        own = [queue.visibility_timeout for queue in self._app.conf.task_queues if queue.visibility_timeout is not None]
        return min([self._app.conf.visibility_timeout, self.visibility_timeout, *map(kinds.seconds, own)])

    @property
    def text(self) -> str:
        """For people."""
        weights = self.weights or {}
        return ", ".join(f"{name}:{weights[name]}" if name in weights else name for name in self.names)

    def tell(self, hostname: str) -> None:
        """Say what is odd about them, once. What is imported later may put it right, so it is no error."""
        if self.told:
            return
        self.told = True
        known = self._known()
        is_closed = not asks_functions(self._app.conf.task_routes)
        for name in (self._given or ()) if is_closed else ():
            if name not in known and name not in self._own and name not in self._excluded:
                logger.warning(
                    "Worker %s consumes the queue %r, to which no task of the app %r goes by itself or by task_routes, "
                    "and which is not among task_queues.%s What is sent there runs all the same.",
                    hostname,
                    name,
                    self._app.name,
                    suggest(name, known),
                )
        consumed = known if self._given is None else self._given
        for name in self._excluded:
            if name not in consumed:
                logger.warning(
                    "Worker %s is not to consume the queue %r, which it would not consume anyway.%s",
                    hostname,
                    name,
                    suggest(name, consumed),
                )


def _read(given: Any, what: str) -> Iterator[tuple[str | Queue, int | None]]:
    """Queues in the order in which they were given, with their weights.

    Args:
        given: as a user gave them.
        what: by which argument.
    """
    pairs: Iterable[tuple[Any, Any]]
    if isinstance(given, Mapping):
        pairs = cast("Mapping[Any, Any]", given).items()
    elif isinstance(given, str):
        pairs = [_parted(word.strip()) for word in given.split(",") if word.strip()]
    elif isinstance(given, Queue):
        pairs = [(given, None)]
    elif isinstance(given, bytes) or not isinstance(given, Iterable):
        pairs = []
    else:
        pairs = [(one, None) for one in cast("Iterable[Any]", given)]
    pairs = list(pairs)
    if not pairs:
        raise ConfigurationError(
            f"A worker's {what} are a list of names, such as ['default'], or of Queues, a dict of names and weights, "
            f"or text such as 'high:5,default:1', not {given!r}."
        )
    for one, weight in pairs:
        if not isinstance(one, Queue):
            kinds.NAME.of(f"Each of a worker's {what}", one)
        if isinstance(given, Mapping) or weight is not None:
            weight = _WEIGHT.of(f"The weight of the queue {_name(one)!r}, among a worker's {what},", weight)
        yield one, weight


def _names(excluded: Queues) -> list[str]:
    return list(dict.fromkeys(_name(one) for one, _ in _read(excluded, "exclude")))


def _parted(word: str) -> tuple[str, int | str | None]:
    """A name and its weight, of text such as `high:5`."""
    name, colon, weight = word.rpartition(":")
    if not colon or not _NUMBER.fullmatch(weight):
        return word, None
    return name, int(weight) if _WHOLE.fullmatch(weight) else weight


def _name(one: str | Queue) -> str:
    return one.name if isinstance(one, Queue) else one
