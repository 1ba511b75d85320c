"""Workflows of any shape, run in any order, compared with a plain model of what each node gives and hears."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.waiting import PATIENCE

from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.protocol import Broker, Consumer, Delivery, Verdict, WorkflowStatus
from aioqueue.brokers.redis import RedisBroker
from aioqueue.ids import short_id
from aioqueue.workflow import DONE, FAILED, HANDLER, LENIENT, SOURCE, TASK, Addition, Node, Value

from .flows import Flow, bad_step, becomes, flat, next_tasks, place, status, step
from .steps import AN_HOUR, counts, end, settle, worker_status

T = TypeVar("T")
MakeBroker = Callable[[], Broker]

CONFIGURED = settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(params=["memory", "redis"])
def make_broker(request: pytest.FixtureRequest) -> Iterator[MakeBroker]:
    """Makes a broker that is empty."""
    if request.param == "memory":
        yield MemoryBroker
    else:
        url = request.getfixturevalue("redis_url")
        yield lambda: RedisBroker(url, short_id())


def with_a_worker(make_broker: MakeBroker, test: Callable[[Broker, Consumer], Coroutine[Any, Any, T]]) -> T:
    """Run a test with a broker and a worker of its own."""

    async def run() -> T:
        broker = make_broker()
        await broker.open()
        worker = broker.consumer(worker_status("w"), visibility_timeout=600, dead_letters_max_length=100)
        await worker.join()
        try:
            async with asyncio.timeout(6 * PATIENCE):
                return await test(broker, worker)
        finally:
            await worker.close()
            await broker.close()

    return asyncio.run(run())


# Shapes


def grow(flow: Flow, random: Random, handlers: list[int], after: int = SOURCE, depth: int = 0) -> int:
    """Something after a node; returns its end."""
    kind = random.choice(("task", "task", "sequence", "group", "group", "empty")[: 6 if depth < 3 else 2])
    match kind:
        case "task":
            return flow.task(after, on_error=random.sample(handlers, random.randint(0, len(handlers))))
        case "sequence":
            for _ in range(random.randint(1, 3)):
                after = grow(flow, random, handlers, after, depth + 1)
            return after
        case "empty":
            return flow.join([], after, lenient=random.random() < 0.2)
        case _:
            members = [grow(flow, random, handlers, after, depth + 1) for _ in range(random.randint(1, 4))]
            return flow.join(members, after, lenient=random.random() < 0.3)


def any_flow(random: Random) -> Flow:
    flow = Flow()
    handlers = [flow.handler() for _ in range(random.randint(0, 2))]
    grow(flow, random, handlers)
    return flow


def tasks_of(flow: Flow) -> list[int]:
    return [n for n, node in flow.nodes.items() if n and node.kind == TASK]


# What should be


class Model:
    """What becomes of each node, when these fail. Which of several failures a join heard first is the broker's to say:
    its word is taken if it is one of those."""

    def __init__(self, flow: Flow, failing: set[int], added: dict[int, list[tuple[int, bool]]], seen: dict[int, str]):
        self.flow = flow
        self.states: dict[int, str] = {SOURCE: DONE}
        self.values: dict[int, Any] = {}
        self.added = {n: fails for more in added.values() for n, fails in more}
        self.more = added
        for n, fails in self.added.items():
            self.states[n] = FAILED if fails else DONE
            self.values[n] = f"failed: failure 1 of {n}" if fails else f"added {n}"
        for n, node in flow.nodes.items():
            if node.kind == TASK and n:
                self.task(n, node, failing)
            elif node.kind != HANDLER and n:
                self.join(n, node, seen.get(n, ""))

    def task(self, n: int, node: Node, failing: set[int]) -> None:
        before = self.states[node.before]
        if before != DONE:
            self.states[n] = f"u{self.origin(node.before)}"
        else:
            self.states[n] = FAILED if n in failing else DONE
            self.values[n] = f"{n} of {self.values.get(node.before)}"

    def join(self, n: int, node: Node, seen: str) -> None:
        members = self.members(n)
        if node.kind == LENIENT:
            bad: set[int] = set()
        elif members:
            bad = {self.origin(member) for member in members if self.states[member] != DONE}
        else:
            bad = {self.origin(node.before)} if self.states[node.before] != DONE else set()
        words = {f"u{origin}" for origin in bad} or {DONE}
        self.states[n] = seen if seen in words else min(words)
        self.values[n] = [self.given(member) for member in members]

    def members(self, n: int) -> list[int]:
        return [*self.flow.members[n], *(m for m, _ in self.more.get(n, ()))]

    def origin(self, n: int) -> int:
        return int(self.states[n][1:]) if self.states[n][0] == "u" else n

    def given(self, member: int) -> Any:
        """What a join has of a member."""
        if self.states[member] == DONE:
            return self.values[member]
        kind = "failed"
        if self.states[member][0] == "u":
            node = self.flow.nodes[member]
            body = node.kind == TASK and self.flow.nodes[node.before].kind != TASK
            kind = "chord" if body else "upstream"
        return f"{kind}: {self.failure(self.origin(member))}"

    def failure(self, n: int) -> str:
        return self.values[n].removeprefix("failed: ") if n in self.added else f"failure {n}"

    def calls(self) -> set[str]:
        """Which handlers are called for what."""
        found: set[str] = set()
        for n, node in self.flow.nodes.items():
            state = self.states.get(n, "")
            if not n or node.kind != TASK or state[:1] not in ("f", "u"):
                continue
            heard: set[int] = set()
            if state != FAILED:
                if self.flow.nodes[node.before].kind == TASK:
                    continue
                origin = self.flow.nodes.get(self.origin(n))
                heard = set(origin.on_error) if origin is not None else set()
            found |= {f"{h}.{n}" for h in node.on_error if h not in heard}
        return found

    def records(self) -> dict[int, bytes]:
        """The records of tasks."""
        found: dict[int, bytes] = {}
        for n in tasks_of(self.flow):
            if self.states[n] in (DONE, FAILED):
                found[n] = b"done" if self.states[n] == DONE else b"failed"
            else:
                body = self.flow.nodes[self.flow.nodes[n].before].kind != TASK
                origin = self.origin(n)
                found[n] = f"{'chord' if body else 'upstream'} {self.failure(origin).removeprefix('failure ')}".encode()
        return found


# What is


class Worker:
    """Runs tasks in any order; some fail, some go on elsewhere, some add to their group."""

    def __init__(self, broker: Broker, consumer: Consumer, flow: Flow, random: Random) -> None:
        self.broker = broker
        self.consumer = consumer
        self.flow = flow
        self.random = random
        self.failing: set[int] = set()
        self.grafting: set[int] = set()
        self.adding: dict[int, bool] = {}
        self.held: list[Delivery] = []
        self.grafts: dict[str, int] = {}
        self.ran: Counter[int] = Counter()
        self.calls: Counter[str] = Counter()
        self.added: dict[int, list[tuple[int, bool]]] = {}
        self.more: dict[str, int] = {}

    async def run(self) -> None:
        """Run all there is."""
        while True:
            self.held += await next_tasks(self.consumer)
            if not self.held:
                return
            await self.run_one(self.held.pop(self.random.randrange(len(self.held))))

    async def run_one(self, delivery: Delivery) -> None:
        workflow, node = place(delivery)
        if workflow in self.grafts:
            n = self.grafts[workflow]
            await self.ends(delivery, n, fails=n in self.failing, name=str(n))
        elif workflow in self.more:
            n = self.more[workflow]
            fails = dict(pair for pairs in self.added.values() for pair in pairs)[n]
            await self.ends(delivery, None, fails=fails, name=f"1 of {n}", value=f"added {n}")
        elif "." in node:
            subject = node.partition(".")[2]
            failure = await self.consumer.failure(workflow, subject)
            assert failure is not None, f"nothing is known of {subject}"
            assert delivery.value in (None, failure.failure)
            self.calls[node] += 1
            assert await settle(self.consumer, delivery, step=step(delivery)) is Verdict.APPLIED
        elif int(node) in self.grafting:
            self.grafting.remove(int(node))
            await self.goes_on_elsewhere(delivery, int(node))
        else:
            n = int(node)
            await self.ends(delivery, n, fails=n in self.failing, name=node, adds=n in self.adding)

    async def ends(
        self, delivery: Delivery, n: int | None, *, fails: bool, name: str, value: str = "", adds: bool = False
    ) -> None:
        workflow, node = place(delivery)
        if n is not None:
            self.ran[n] += 1
            value = f"{n} of {await self.taken(n)}"
        if fails:
            about = bad_step(name, FAILED, workflow=workflow, node=node)
            assert await end(self.consumer, delivery, b"failed", step=about) is Verdict.APPLIED
            return
        about = step(delivery, value=value.encode())
        if adds and n is not None:
            about.additions = [await self.addition(n)]
        assert await end(self.consumer, delivery, b"done", step=about) is Verdict.APPLIED

    async def taken(self, n: int) -> Any:
        """What the node before gave."""
        before = self.flow.nodes[n].before
        return as_text(await self.consumer.value(self.flow.id, before)) if before else None

    async def goes_on_elsewhere(self, delivery: Delivery, n: int) -> None:
        graft = Flow()
        graft.task(name=self.flow.name(n))
        await graft.put(self.broker, held=True, names={})
        self.grafts[graft.id] = n
        assert await becomes(self.consumer, delivery, graft.id) is Verdict.APPLIED

    async def addition(self, n: int) -> Addition:
        join, more = self.flow.nodes[n].group, Flow()
        more.task()
        await more.put(self.broker, held=True, names={})
        number = len(self.flow.nodes) + sum(map(len, self.added.values()))
        self.added.setdefault(join, []).append((number, self.adding[n]))
        self.more[more.id] = number
        return Addition(more.id, (self.flow.id, join), Node(kind=TASK, id=f"{more.id}.0", to=[join], wanted=True))


def as_text(value: Value | None) -> Any:
    def text(one: Any) -> Any:
        return (
            [text(part) for part in one] if isinstance(one, list) else one.decode() if isinstance(one, bytes) else one
        )

    return text(flat(value))


@pytest.mark.timeout(400)
def test_any_shape_in_any_order(make_broker: MakeBroker) -> None:
    @CONFIGURED
    @given(st.integers(0, 2**32))
    def run(seed: int) -> None:
        with_a_worker(make_broker, lambda broker, consumer: compare(broker, consumer, Random(seed)))

    run()


async def compare(broker: Broker, consumer: Consumer, random: Random) -> None:
    flow = any_flow(random)
    tasks = tasks_of(flow)
    worker = Worker(broker, consumer, flow, random)
    worker.failing = {n for n in tasks if random.random() < 0.15}
    worker.grafting = {n for n in tasks if random.random() < 0.15}
    members = [n for n in tasks if flow.nodes[n].group and n not in worker.failing | worker.grafting]
    worker.adding = {n: random.random() < 0.3 for n in members if random.random() < 0.2}
    grafted = set(worker.grafting)
    await flow.put(broker)
    await worker.run()

    found = await status(broker, flow.id)
    model = Model(flow, worker.failing, worker.added, found.states)
    assert found.states == model.states
    wanted = {n: model.values[n] for n in tasks if model.states[n] == DONE}
    if any(state != DONE for state in model.states.values()):  # else the values are dropped with the end
        for n, value in wanted.items():
            assert as_text(await consumer.value(flow.id, n)) == value
    assert worker.ran == Counter(n for n in tasks if model.states[n] in (DONE, FAILED))
    records = await broker.records([flow.name(n) for n in tasks])
    assert dict(zip(tasks, records, strict=True)) == model.records()
    # A failure in the place of a node is told with both numbers.
    subjects = {f"{n}": f"{n}.1" for n in grafted if model.states[n] == FAILED}
    calls = {call.partition(".") for call in model.calls()}
    expected = {f"{h}.{subjects.get(n, n)}" for h, _, n in calls}
    assert worker.calls == Counter(expected)
    assert found.calls == dict.fromkeys(expected, DONE)
    assert await counts(broker) == (0, 0, 0)

    worker.failing = set()
    worker.adding = {}
    worker.added = {join: [(n, False) for n, _ in more] for join, more in worker.added.items()}
    await broker.resume(flow.id)
    await worker.run()
    assert set((await status(broker, flow.id)).states.values()) == {DONE}
    assert await broker.resume(flow.id) == 0
    assert worker.ran == Counter([*tasks, *(n for n in tasks if model.states[n] == FAILED)])
    assert await counts(broker) == (0, 0, 0)


# Anything at any time


@pytest.mark.timeout(400)
def test_whatever_happens_each_node_is_done_once(make_broker: MakeBroker) -> None:
    @CONFIGURED
    @given(st.integers(0, 2**32))
    def run(seed: int) -> None:
        with_a_worker(make_broker, lambda broker, consumer: Chaos(broker, consumer, Random(seed)).run())

    run()


class Chaos:
    """Tasks end well and badly, go on elsewhere, are handed back, revoked and resumed; in the end all is resumed until
    nothing is left to do: then each node is done, and was done once."""

    def __init__(self, broker: Broker, consumer: Consumer, random: Random) -> None:
        self.broker = broker
        self.consumer = consumer
        self.random = random
        self.flow = any_flow(random)
        self.ends: dict[str, int] = {}
        self.done: Counter[tuple[str, str]] = Counter()
        self.held: list[Delivery] = []
        self.grafts = 0

    async def run(self) -> None:
        await self.flow.put(self.broker)
        for _ in range(self.random.randint(5, 40)):
            what = self.random.choice((self.runs, self.runs, self.runs, self.goes_back, self.revokes, self.resumes))
            await what()
        for _ in range(200):
            await self.drain()
            if not await self.broker.resume(self.flow.id):
                break
        found = await status(self.broker, self.flow.id)
        assert self.bad_states(found) == {}
        assert set(self.done.values()) <= {1}
        assert set(found.states) == {n for n, node in found.nodes.items() if node.kind != HANDLER}
        assert await counts(self.broker) == (0, 0, 0)
        assert not any(await self.consumer.revoked([node.id for node in found.nodes.values()]))
        assert await self.is_over()

    @staticmethod
    def bad_states(found: WorkflowStatus) -> dict[int, str]:
        return {n: state for n, state in found.states.items() if state != DONE}

    async def is_over(self) -> bool:
        """Whether it will be forgotten."""
        if isinstance(self.broker, RedisBroker):
            key = self.broker._keys.nodes(self.flow.id)
            return await self.broker._call("PTTL", key) > 0
        assert isinstance(self.broker, MemoryBroker)
        self.broker.shift_clock(AN_HOUR + 1)
        return await self.broker.workflow(self.flow.id) is None

    async def drain(self) -> None:
        while True:
            self.held += await next_tasks(self.consumer)
            if not self.held:
                return
            await self.end(self.held.pop(), well=True)

    async def runs(self) -> None:
        self.held += await next_tasks(self.consumer, self.random.randint(1, 3))
        if self.held:
            delivery = self.held.pop(self.random.randrange(len(self.held)))
            if self.random.random() < 0.2 and self.grafts < 4:
                await self.goes_on(delivery)
            else:
                await self.end(delivery, well=self.random.random() < 0.7)

    async def end(self, delivery: Delivery, *, well: bool) -> None:
        if delivery.revoked:  # it was when it was fetched
            verdict = await settle(self.consumer, delivery, if_revoked=True)
            assert verdict is not Verdict.APPLIED
            return
        about = step(delivery) if well else step(delivery, FAILED)
        verdict = await end(self.consumer, delivery, b"ended", step=about)
        assert verdict in (Verdict.APPLIED, Verdict.REVOKED)
        # Handlers are called again for another failure.
        if well and verdict is Verdict.APPLIED and "." not in place(delivery)[1]:
            self.done[place(delivery)] += 1

    async def goes_on(self, delivery: Delivery) -> None:
        if "." in place(delivery)[1]:
            return await self.end(delivery, well=True)
        graft = Flow()
        inner = graft.task() if self.random.random() < 0.5 else SOURCE
        graft.task(inner, name=delivery.id)
        await graft.put(self.broker, held=True, names={})
        if delivery.revoked:
            return await self.end(delivery, well=True)
        self.grafts += await becomes(self.consumer, delivery, graft.id) is Verdict.APPLIED
        return None

    async def goes_back(self) -> None:
        self.held = []
        await self.consumer.hand_back([])

    async def revokes(self) -> None:
        ids = [node.id for n, node in self.flow.nodes.items() if n and node.kind == TASK]
        id = self.random.choice(ids) if ids and self.random.random() < 0.7 else self.flow.name(max(self.flow.nodes))
        await self.broker.revoke([id], b"revoked", expires=AN_HOUR, terminate=True, told=bad_step("by hand").told)

    async def resumes(self) -> None:
        only = self.random.choice([None, None, *[n for n in self.flow.nodes if n]])
        await self.broker.resume(self.flow.id, only)
