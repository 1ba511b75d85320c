"""Whose turn it is: how much a worker asks of each of its queues next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from math import lcm

from aioqueue.brokers.protocol import Delivery, Portion
from aioqueue.worker.slots import Slots


class Turns:
    """Portions of queues that are served in strict order, or by weight, and never more of one than it may have at once.

    By weight: each message that a queue gives moves it on by 1/weight, and those that are behind come first. So a queue
    gets its share of what is fetched whenever it has something, however full the others are, and what one does not
    need the others get. One that was empty, or had no room, begins where the others are: it saves nothing up.

    Args:
        names: the queues; the first one first, where the order decides.
        weights: of each, 1 or more; None for strict order.
        limits: how many messages of a queue may be in hand, for those that have a limit.
        in_hand: how many there are, of these queues.

    Attributes:
        limits: as given.
        full: a queue has no room, so that nothing of it can be waited for.
    """

    def __init__(
        self,
        names: Sequence[str],
        weights: Mapping[str, int] | None,
        limits: Mapping[str, int],
        in_hand: Callable[[Mapping[str, int]], Mapping[str, int]],
    ) -> None:
        self._names = names
        self._weights = weights
        self.limits = limits
        self._in_hand = in_hand
        # How far each queue is. Whole numbers: 1 is a step of `_unit`, which all weights divide.
        self._unit = lcm(*weights.values()) if weights else 1
        self._passed = dict.fromkeys(names, 0)
        self._asked: dict[str, int] = {}
        self.full = False

    def portions(self, limit: int, but: Collection[str] = ()) -> list[Portion]:
        """What is to be fetched next, where there is room for `limit`, of all queues but those; empty if none of them
        has room."""
        rooms = dict.fromkeys(self._names, limit)
        for name in but:
            rooms.pop(name, None)
        if self.limits:
            held = self._in_hand(self.limits)
            for name, most in self.limits.items():
                if name in rooms:
                    rooms[name] = min(limit, most - held.get(name, 0))
        open = [name for name, room in rooms.items() if room > 0]
        self.full = len(open) < len(rooms)
        self._asked = {}
        if self._weights is None:
            return [Portion(name, rooms[name]) for name in open]
        shares = self._shares(open, limit, self._weights) if open else {}
        self._asked = {name: min(share, rooms[name]) for name, share in shares.items()}
        first = [Portion(name, asked) for name, asked in self._asked.items() if asked]
        rest = [Portion(name, room) for name, asked in self._asked.items() if (room := rooms[name] - asked)]
        return [*first, *rest]

    def took(self, deliveries: Sequence[Delivery]) -> None:
        """This is what was fetched then."""
        weights = self._weights
        if weights is None:
            return
        given = dict.fromkeys(self._names, 0)
        for delivery in deliveries:
            if delivery.queue in given:
                given[delivery.queue] += 1
        passed = self._passed
        for name, count in given.items():
            passed[name] += count * (self._unit // weights[name])
        # Those that have nothing left, or must not have more, go along with those that wait.
        idle = {name for name in self._names if name not in self._asked or given[name] < self._asked[name]}
        busy = [passed[name] for name in self._names if name not in idle]
        now = min(busy) if busy else max(passed.values())
        for name in idle:
            passed[name] = max(passed[name], now)
        start = min(passed.values())
        for name in self._names:
            passed[name] -= start

    def _shares(self, names: Sequence[str], limit: int, weights: Mapping[str, int]) -> dict[str, int]:
        """How many of the next `limit` are each queue's, if all have enough; those that are behind come first."""
        passed = self._passed
        order = sorted(names, key=passed.__getitem__)
        # Those that share reach the same point, (limit * unit + sum of passed * weight) / sum of weights.
        reach, total = limit * self._unit, 0
        for name in order:
            if total and passed[name] * total >= reach:
                break
            reach += passed[name] * weights[name]
            total += weights[name]
        shares: dict[str, int] = {}
        parts: dict[str, int] = {}
        for name in order:
            behind = max(0, reach - passed[name] * total) * weights[name]
            shares[name], parts[name] = divmod(behind, total * self._unit)
        left = limit - sum(shares.values())
        for name in sorted(order, key=lambda name: -parts[name])[:left]:
            shares[name] += 1
        return shares


def in_hand(slots: Slots, queues: Container[str]) -> dict[str, int]:
    """How many deliveries of these queues are to be started, or have been and have not ended: what was given up goes
    on, and counts until it does not."""
    names = [run.delivery.queue for runs in (slots.running, slots.stuck, slots.ready_runs()) for run in runs]
    return Counter(name for name in names if name in queues)
