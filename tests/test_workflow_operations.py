"""What workflows cost on a real Redis: counted, not timed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from support.monitoring import counts, monitored

from aioqueue import AioQueue, chain, chord

PATIENCE = 60.0


@pytest.fixture
def app(redis_url: str) -> AioQueue:
    return AioQueue("cost", broker=redis_url)


async def _commands(client: Any) -> tuple[int, int]:
    """How many commands the server has run, and how many scripts."""
    found = await counts(client)
    return sum(calls for name, calls in found.items() if "info" not in name), found["evalsha"] + found["eval"]


async def test_a_step_of_a_chain_costs_the_same_in_a_long_one(app: AioQueue, client: Any) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    costs: list[float] = []
    async with app, app.worker():
        await add.call(1, 1, timeout=PATIENCE)
        for length in (50, 500):
            before, _ = await _commands(client)
            result = await chain(add.s(0, 1), *[add.s(1) for _ in range(length - 1)]).send()
            assert await result.get(timeout=PATIENCE) == length
            after, _ = await _commands(client)
            costs.append((after - before) / length)
    # A lone task takes 10: its messages are read, its end is settled, its record is stored. The step takes as many.
    assert costs[0] < 23, costs
    assert costs[1] < costs[0] * 1.1


async def test_each_node_of_a_chain_is_read_once(app: AioQueue, redis_url: str) -> None:
    length = 30

    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    async with app, app.worker():
        await add.call(1, 1, timeout=PATIENCE)
        async with monitored(redis_url) as seen:
            result = await chain(add.s(0, 1), *[add.s(1) for _ in range(length - 1)]).send()
            assert await result.get(timeout=PATIENCE) == length
    nodes = f"{{cost:0}}:wf:{result.id.partition('.')[0]}".encode()
    read = Counter(
        field for _, words in seen if words[0] in (b"HMGET", b"HGET") and words[1] == nodes for field in words[2:]
    )
    numbers = {field: times for field, times in read.items() if field.isdigit()}
    # When it is its turn; what its end means, its state says. Node 0 is the start.
    assert numbers == {str(n).encode(): 1 for n in range(length + 1)}


async def test_messages_do_not_grow_with_the_workflow(app: AioQueue, client: Any) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    async with app:
        sizes: list[int] = []
        for length in (2, 1000):
            result = await chain(add.s(0, 1), *[add.s(1) for _ in range(length - 1)]).send()
            (entry,) = await client.xrevrange("{cost:0}:q:default:0", count=1)
            sizes.append(sum(len(value) for value in entry[1].values()))
            assert await result.revoke()
        assert abs(sizes[1] - sizes[0]) < 8, "the first step's message is as long in a chain of 2 as in one of 1,000"


async def test_a_canvas_is_sent_in_one_round_trip(app: AioQueue, client: Any) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    @app.task
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    async with app:
        await chord([add.s(1, 1)], total.s()).send()
        for members, most in ((200, 1), (20_000, 60)):
            _, before = await _commands(client)
            await chord((add.s(i, i) for i in range(members)), total.s()).send()
            _, after = await _commands(client)
            assert after - before <= most


async def test_a_chord_costs_as_much_for_each_member_whatever_its_size(app: AioQueue, client: Any) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    @app.task
    async def count(numbers: list[int]) -> int:
        return len(numbers)

    costs: list[float] = []
    async with app, app.worker():
        await add.call(1, 1, timeout=PATIENCE)
        for members in (300, 3000):
            before, _ = await _commands(client)
            result = await chord((add.s(i, i) for i in range(members)), count.s()).send()
            assert await result.get(timeout=PATIENCE) == members
            after, _ = await _commands(client)
            costs.append((after - before) / members)
    # Its message, its record, and a share of what is done for many at once.
    assert costs[0] < 4, costs
    assert costs[1] < costs[0] * 1.25
