"""A canvas of heavy tasks is stored in shares that are bounded by their weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.apps import working

from aioqueue import AioQueue, AsyncResult, TaskContext, chain, chord, group
from aioqueue.brokers import shares as shares_module
from aioqueue.exceptions import DuplicateTask
from aioqueue.workflow import Part, Start, encode_node

MOST = 10_000
HEAVY = b"x" * 3_000
MANY = 30


class Stores:
    """The calls of a broker's `put_part`: how many nodes, and how many bytes."""

    def __init__(self, broker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parts: list[tuple[int, int]] = []
        put_part = broker.put_part

        async def counted(workflow: str, part: Part, start: Start | None, **options: Any) -> str:
            self.parts.append((len(part.nodes), sum(len(encode_node(node)) for _, node in part.nodes)))
            return await put_part(workflow, part, start, **options)

        monkeypatch.setattr(broker, "put_part", counted)

    def heaviest(self) -> int:
        """Of those that are more than one node."""
        return max(weight for nodes, weight in self.parts if nodes > 1)


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares are small."""
    monkeypatch.setattr(shares_module, "MOST_BYTES", MOST)


@pytest.fixture
def tasks(app: AioQueue) -> Any:
    class Tasks:
        @app.task(name="size")
        @staticmethod
        async def size(data: bytes) -> int:
            return len(data)

        @app.task(name="total")
        @staticmethod
        async def total(sizes: list[int]) -> int:
            return sum(sizes)

        @app.task(name="nothing")
        @staticmethod
        async def nothing(*_: Any) -> None: ...

        @app.task(name="becomes", bind=True)
        @staticmethod
        async def becomes(ctx: TaskContext) -> list[int]:
            raise ctx.replace(group(Tasks.size.s(HEAVY) for _ in range(MANY)))

        @app.task(name="grows", bind=True)
        @staticmethod
        async def grows(ctx: TaskContext) -> int:
            await ctx.add_to_group(chord([Tasks.size.s(HEAVY) for _ in range(MANY)], Tasks.total.s()))
            return 0

    return Tasks


def _from_a_generator(tasks: Any) -> Any:
    def members() -> Iterator[Any]:
        for _ in range(MANY):
            yield tasks.size.s(HEAVY)

    return group(members())


CANVASES: dict[str, Callable[[Any], Any]] = {
    "group": lambda t: group([t.size.s(HEAVY) for _ in range(MANY)]),
    "generator": _from_a_generator,
    "nested groups": lambda t: group(group(t.size.s(HEAVY) for _ in range(3)) for _ in range(MANY // 3)),
    "chord": lambda t: chord([t.size.s(HEAVY) for _ in range(MANY)], t.total.s()),
    "chain": lambda t: chain(*[t.size.si(HEAVY) for _ in range(MANY)]),
    "chain into a group": lambda t: chain(t.nothing.s(), group(t.size.si(HEAVY) for _ in range(MANY))),
    "group of chains": lambda t: group(chain(t.size.s(HEAVY), t.nothing.s()) for _ in range(MANY)),
    "chunks": lambda t: t.size.chunks(((HEAVY,) for _ in range(MANY)), 1),
    "links": lambda t: group(_linked(t) for _ in range(MANY)),
    "handlers": lambda t: _handled(group(t.size.s(b"") for _ in range(3)), t),
}

GIVES: dict[str, Any] = {
    "chord": 3_000 * MANY,
    "chain": 3_000,
    "group of chains": [None] * MANY,
    "chunks": [[3_000]] * MANY,
    "links": [0] * MANY,
    "handlers": [0] * 3,
}


def _linked(tasks: Any) -> Any:
    signature = tasks.size.s(b"")
    signature.link(tasks.size.si(HEAVY))
    return signature


def _handled(canvas: Any, tasks: Any) -> Any:
    for n in range(MANY):
        canvas.link_error(tasks.size.si(HEAVY + bytes([n])))
    return canvas


@pytest.mark.parametrize("name", CANVASES)
async def test_a_heavy_canvas_goes_in_shares(
    app: AioQueue, tasks: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(app, concurrency=50):
        stores = Stores(await app.broker(), monkeypatch)
        result: AsyncResult[Any] = await CANVASES[name](tasks).send()
        assert await result.get(timeout=20) == GIVES.get(name, [3_000] * MANY)
    assert sum(nodes for nodes, _ in stores.parts) > MANY
    assert stores.heaviest() < 1.2 * MOST


@pytest.mark.parametrize("name", ["becomes", "grows"])
async def test_what_tasks_store_goes_in_shares(
    app: AioQueue, tasks: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(app, concurrency=50):
        stores = Stores(await app.broker(), monkeypatch)
        result: Any = await group(getattr(tasks, name).s(), tasks.size.s(b"")).send()
        [given, *_] = await result.get(timeout=20)
        assert given == ([3_000] * MANY if name == "becomes" else 0)
    assert sum(nodes for nodes, _ in stores.parts) > MANY
    assert stores.heaviest() < 1.2 * MOST


@pytest.mark.parametrize("where", ["its members", "the first", "the group"])
async def test_a_heavy_canvas_of_ones_own_ids_is_known_again(app: AioQueue, tasks: Any, where: str) -> None:
    """Although it is stored in several parts, the same call is the same workflow, and another one is refused."""

    def canvas(data: bytes) -> Any:
        named = {"its members": MANY, "the first": 1}.get(where, 0)
        members = [tasks.size.s(data).set(**({"task_id": f"mine-{n}"} if n < named else {})) for n in range(MANY)]
        made = group(members)
        return made if named else made.set(task_id="mine")

    async with app:
        first, again = await canvas(HEAVY).send(), await canvas(HEAVY).send()
        assert again.id == first.id
        with pytest.raises(DuplicateTask):
            await canvas(HEAVY + b"y").send()
        async with app.worker(queues=["default"]):
            assert await first.get(timeout=10) == [3_000] * MANY
            assert await again.get(timeout=10) == [3_000] * MANY
