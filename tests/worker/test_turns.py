"""Whose turn it is: counted over many fetches, from queues that are full, empty, or have a limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioqueue.brokers.protocol import Delivery
from aioqueue.worker.turns import Turns


class Shop:
    """Queues with so many messages each, which are fetched as a broker would."""

    def __init__(
        self, waiting: Mapping[str, int], weights: Mapping[str, int] | None, limits: Mapping[str, int] | None = None
    ) -> None:
        self.waiting = dict(waiting)
        self.held: Counter[str] = Counter()
        self.turns = Turns(list(waiting), weights, limits or {}, lambda queues: self.held)

    def fetch(self, limit: int) -> str:
        """The queues of what is fetched, by their first letters."""
        found: list[Delivery] = []
        for queue, most in self.turns.portions(limit):
            assert most > 0
            count = min(most, limit - len(found), self.waiting[queue])
            self.waiting[queue] -= count
            self.held[queue] += count
            found += [Delivery(None, "", b"", queue)] * count
        self.turns.took(found)
        return "".join(delivery.queue[0] for delivery in found)

    def fetches(self, times: int, limit: int) -> str:
        return "".join(self.fetch(limit) for _ in range(times))


FULL = 10**6


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("weights", [{"a": 5, "b": 1}, {"a": 1, "b": 1}, {"a": 7, "b": 3, "c": 2}, {"a": 1000, "b": 1}])
def test_full_queues_get_what_their_weights_say(weights: dict[str, int], limit: int) -> None:
    shop = Shop(dict.fromkeys(weights, FULL), weights)
    total = sum(weights.values())
    found = Counter(shop.fetches(total, limit))  # a whole number of rounds
    assert found == {queue: weight * limit for queue, weight in weights.items()}


def test_they_are_mixed_not_one_after_the_other() -> None:
    assert Shop({"a": FULL, "b": FULL}, {"a": 3, "b": 1}).fetches(8, 1) == "abaaabaa"
    assert Shop({"a": FULL, "b": FULL}, {"a": 1, "b": 1}).fetches(6, 1) == "ababab"


def test_what_one_does_not_need_the_others_get() -> None:
    shop = Shop({"a": 10, "b": FULL, "c": FULL}, {"a": 8, "b": 1, "c": 1})
    assert Counter(shop.fetch(100))["a"] == 10
    found = Counter(shop.fetches(20, 100))
    assert sum(found.values()) == 2000
    assert abs(found["b"] - found["c"]) <= 200  # what one fetch gives to one of them too much, the next take back


def test_an_empty_queue_saves_nothing_up() -> None:
    """When something comes into it, it gets its share from then on, and not all that it has missed."""
    shop = Shop({"a": 0, "b": FULL}, {"a": 5, "b": 1})
    assert shop.fetches(600, 1) == "b" * 600
    shop.waiting["a"] = FULL
    assert abs(Counter(shop.fetches(60, 1))["b"] - 10) <= 1


def test_nor_does_one_that_has_been_served_alone_pay_for_it() -> None:
    shop = Shop({"a": FULL, "b": 0}, {"a": 1, "b": 1})
    assert shop.fetches(100, 7) == "a" * 700
    shop.waiting["b"] = FULL
    assert abs(Counter(shop.fetches(10, 10))["b"] - 50) <= 7


def test_strict_order_takes_the_first_while_there_is_any() -> None:
    shop = Shop({"a": 3, "b": 2, "c": FULL}, None)
    assert shop.fetch(2) == "aa"
    assert shop.fetch(4) == "abbc"
    shop.waiting["a"] = 1
    assert shop.fetch(2) == "ac"


@pytest.mark.parametrize("weights", [None, {"a": 9, "b": 1}])
def test_no_more_than_its_limit_is_in_hand(weights: dict[str, int] | None) -> None:
    shop = Shop({"a": FULL, "b": FULL}, weights, {"a": 3})
    assert Counter(shop.fetch(100)) == {"a": 3, "b": 97}
    assert shop.turns.full is False
    assert shop.fetch(10) == "b" * 10
    assert shop.turns.full is True
    shop.held["a"] -= 2
    assert Counter(shop.fetch(10)) == {"a": 2, "b": 8}


def test_where_no_queue_has_room_nothing_is_asked_for() -> None:
    shop = Shop({"a": FULL}, None, {"a": 2})
    assert shop.fetch(10) == "aa"
    assert shop.turns.portions(10) == []
    assert shop.turns.full
    shop.turns.took([])
    shop.held["a"] = 0
    assert shop.fetch(1) == "a"


def test_what_came_of_other_queues_changes_nothing() -> None:
    shop = Shop({"a": FULL, "b": FULL}, {"a": 1, "b": 1})
    shop.turns.portions(1)
    shop.turns.took([Delivery(None, "", b"", "z")])
    assert Counter(shop.fetches(10, 1)) in ({"a": 5, "b": 5}, {"a": 6, "b": 4}, {"a": 4, "b": 6})


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 1000), min_size=2, max_size=5),
    st.lists(st.integers(1, 50), min_size=30, max_size=60),
    st.data(),
)
def test_none_starves(weights: list[int], limits: list[int], data: st.DataObject) -> None:
    """Whatever comes and goes: room is never left while something waits, and a queue that has something for as long as
    the others get a share's worth has had its own."""
    names = [chr(ord("a") + n) for n in range(len(weights))]
    by_name = dict(zip(names, weights, strict=True))
    shop = Shop(dict.fromkeys(names, 0), by_name)
    shop.waiting["a"] = FULL  # always
    before, fetched = FULL, 0
    for limit in limits:
        for name in names[1:]:
            shop.waiting[name] = data.draw(st.sampled_from([0, 1, 3, FULL]))
        assert len(shop.fetch(limit)) == limit
        fetched += limit
    got = before - shop.waiting["a"]
    assert got + max(limits) + len(names) >= fetched * by_name["a"] // sum(weights)
