"""Thousands of ways in which things can happen, each compared with a plain model of the promises.

Workers come, fall silent, are declared fallen, wake up as zombies and leave; tasks are sent, delayed, retried, revoked
and buried, and deliveries are settled by whoever ever had them, in any order and more than once. After each step the
broker must show what the model says, and in the end each task must have ended exactly once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.waiting import PATIENCE

from aioqueue.brokers.protocol import Broker, Consumer, Delivery, Settlement, Verdict
from aioqueue.exceptions import LeaseLost

from .machines import of_broker, run_machine
from .steps import AN_HOUR, LEASE, counts, fetch, message, revoke, send, worker_status

T = TypeVar("T")

DELAY = 20_000
"""Shorter than a lease: it can pass without a worker falling silent."""


class Task(msgspec.Struct, eq=False):
    """What the model knows of a task."""

    id: str
    state: str = "waiting"  # or delayed, running, ended
    delivery: Delivery | None = None
    holder: Worker | None = None
    take_overs: int = 0
    revoked: bool = False
    record: bytes | None = None
    letter: bytes | None = None


class Worker(msgspec.Struct, eq=False):
    """What the model knows of a worker."""

    consumer: Consumer
    silent: bool = False
    gone: bool = False


class Queue(RuleBasedStateMachine):
    """The rules; `make_broker` is set by a subclass for each broker."""

    def make_broker(self) -> Broker:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.broker = self.make_broker()
        self.run(self.broker.open())
        self.tasks: dict[str, Task] = {}
        self.workers: list[Worker] = []
        self.deliveries: list[Delivery] = []
        self.ends: Counter[str] = Counter()
        self.number = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(3 * PATIENCE):
                return await coroutine

        return self.runner.run(bounded())

    def any_of(self, values: list[T], number: int) -> T:
        return values[number % len(values)]

    def a_worker(self, number: int) -> Worker:
        """Mostly one that is alive, sometimes any."""
        alive = [worker for worker in self.workers if not worker.gone]
        return self.any_of(alive if alive and number < 8 else self.workers, number)

    def next_name(self) -> str:
        self.number += 1
        return f"{self.number:03}"

    # The workers

    @initialize()
    def two_workers(self) -> None:
        self.a_worker_comes()
        self.a_worker_comes()

    @precondition(lambda self: sum(not worker.gone for worker in self.workers) < 4)
    @rule()
    def a_worker_comes(self) -> None:
        consumer = self.broker.consumer(
            worker_status("worker", "q"), visibility_timeout=30, dead_letters_max_length=1_000
        )
        self.run(consumer.join())
        self.workers.append(Worker(consumer))

    @rule(number=st.integers(0, 9))
    def a_worker_falls_silent(self, number: int) -> None:
        """The lease of one ends, those of the others don't. It is not declared fallen before somebody looks."""
        self.a_worker(number).silent = True
        self.time_passes(LEASE + 1)

    @rule(number=st.integers(0, 9))
    def a_worker_renews(self, number: int) -> None:
        worker = self.a_worker(number)
        assert worker.consumer.renew() is not worker.gone
        worker.silent = worker.silent and worker.gone

    @rule(number=st.integers(0, 9))
    def a_worker_takes_over(self, number: int) -> None:
        by = self.a_worker(number)
        if by.silent or by.gone:  # it was cut off itself, and a broker may have it wait until it knows more
            return
        while self.run(by.consumer.take_over()) == 0:
            pass
        for worker in self.workers:
            if worker.silent and not worker.gone and worker is not by:
                worker.gone = True
                for task in self.held_by(worker):
                    task.take_overs += 1
                    self.waits(task)

    @rule(number=st.integers(0, 9))
    def a_worker_leaves(self, number: int) -> None:
        worker = self.a_worker(number)
        held = self.held_by(worker)
        assert self.run(worker.consumer.leave()) == len(held)
        for task in held:
            self.waits(task)
        worker.gone = True

    @rule(number=st.integers(0, 9), keep=st.sets(st.integers(0, 4)))
    def a_worker_hands_back(self, number: int, keep: set[int]) -> None:
        worker = self.a_worker(number)
        held = self.held_by(worker)
        kept = [task for place, task in enumerate(held) if place in keep]
        assert self.run(worker.consumer.hand_back([task.delivery for task in kept if task.delivery])) == (
            len(held) - len(kept)
        )
        for task in held:
            if task not in kept:
                self.waits(task)

    def held_by(self, worker: Worker) -> list[Task]:
        return [task for task in self.tasks.values() if task.holder is worker]

    def waits(self, task: Task) -> None:
        task.state, task.holder, task.delivery = "waiting", None, None

    def time_passes(self, milliseconds: int) -> None:
        self.broker.shift_clock(milliseconds)
        for worker in self.workers:
            if not worker.silent and not worker.gone:
                assert worker.consumer.renew()

    # The tasks

    @rule(count=st.integers(1, 5), delayed=st.booleans())
    def tasks_are_sent(self, count: int, delayed: bool) -> None:
        names = [self.next_name() for _ in range(count)]
        self.run(send(self.broker, *(message(name, delay=DELAY if delayed else None) for name in names)))
        for name in names:
            self.tasks[name] = Task(name, "delayed" if delayed else "waiting")

    @rule(number=st.integers(0, 9))
    def delayed_tasks_are_due(self, number: int) -> None:
        self.time_passes(DELAY)
        while self.run(self.a_worker(number).consumer.promote()) is not None:
            pass
        for task in self.tasks.values():
            if task.state == "delayed":
                task.state = "waiting"

    @rule(number=st.integers(0, 9), limit=st.integers(1, 6))
    def a_worker_fetches(self, number: int, limit: int) -> None:
        worker = self.a_worker(number)
        if worker.gone:
            with pytest.raises(LeaseLost):
                self.run(fetch(worker.consumer, limit))
            return
        waiting = sum(task.state == "waiting" for task in self.tasks.values())
        deliveries = self.run(fetch(worker.consumer, limit))
        assert len(deliveries) == min(limit, waiting)
        for delivery in deliveries:
            task = self.tasks[delivery.id]
            assert task.state == "waiting", f"{task} was delivered"
            assert delivery.deliveries == 1 + task.take_overs
            assert delivery.revoked is task.revoked
            task.state, task.holder, task.delivery = "running", worker, delivery
            self.deliveries.append(delivery)

    @rule(
        number=st.integers(0, 99), what=st.sampled_from(["end", "end", "bury", "retry", "news", "spawn"]), by=st.data()
    )
    @precondition(lambda self: self.deliveries)
    def a_delivery_is_settled(self, number: int, what: str, by: st.DataObject) -> None:
        """Any delivery there ever was, mostly by the worker that has it, else by any."""
        delivery = self.deliveries[-1 - number % len(self.deliveries)]
        holder = self.tasks[delivery.id].holder
        worker = holder if holder and by.draw(st.integers(0, 3)) else self.a_worker(by.draw(st.integers(0, 9)))
        self.settle(worker, [self.settlement(delivery, what)])

    @rule(number=st.integers(0, 9), again=st.booleans())
    @precondition(lambda self: self.deliveries)
    def a_worker_settles_many(self, number: int, again: bool) -> None:
        """All that it holds and one that was long ago, perhaps named twice."""
        worker = self.a_worker(number)
        chosen = [task.delivery for task in self.held_by(worker) if task.delivery] + self.deliveries[:1]
        self.settle(worker, [self.settlement(delivery, "end") for delivery in chosen * (1 + again)])

    def settlement(self, delivery: Delivery, what: str) -> Settlement:
        self.number += 1
        record = b"%s %d" % (what.encode(), self.number)
        match what:
            case "news":
                return Settlement(delivery, acknowledge=False, record=record, expires=AN_HOUR * 1_000)
            case "retry":
                return Settlement(delivery, record=record, sends=[message(delivery.id, delay=DELAY)])
            case "bury":
                return Settlement(delivery, record=record, final=True, dead=record)
            case "spawn":
                return Settlement(delivery, record=record, final=True, sends=[message(self.next_name())])
            case _:
                return Settlement(delivery, record=record, final=True)

    def settle(self, worker: Worker, settlements: list[Settlement]) -> None:
        expected = [self.expect(worker, settlement) for settlement in settlements]
        assert self.run(worker.consumer.settle(settlements)) == expected

    def expect(self, worker: Worker, settlement: Settlement) -> Verdict:
        """What the model makes of a settlement."""
        task = self.tasks[settlement.delivery.id]
        if task.delivery is not settlement.delivery or task.holder is not worker:
            return Verdict.FENCED
        if settlement.acknowledge:
            task.state, task.holder, task.delivery = "ended", None, None
        if task.revoked:
            return Verdict.REVOKED
        task.record = settlement.record
        self.ends[task.id] += settlement.final
        if settlement.dead is not None:
            task.letter = settlement.dead
        for sent in settlement.sends:
            if sent.id == task.id:
                task.state, task.take_overs = "delayed", 0
            else:
                self.tasks[sent.id] = Task(sent.id)
        return Verdict.APPLIED

    @rule(number=st.integers(0, 99))
    @precondition(lambda self: self.tasks)
    def a_task_is_revoked(self, number: int) -> None:
        task = self.any_of(list(self.tasks.values()), number)
        record = b"revoked " + task.id.encode()
        assert self.run(revoke(self.broker, task.id, record=record)) == [not self.ends[task.id]]
        if not self.ends[task.id]:
            self.ends[task.id] += 1
            task.revoked, task.record = True, record
            if task.state == "delayed":
                task.state = "ended"

    # What must be so at any time

    @invariant()
    def the_queue_is_as_it_should_be(self) -> None:
        if self.tasks:
            states = Counter(task.state for task in self.tasks.values())
            assert self.run(counts(self.broker)) == (states["waiting"], states["running"], states["delayed"])

    @invariant()
    def records_are_as_they_should_be(self) -> None:
        assert self.run(self.broker.records(list(self.tasks))) == [task.record for task in self.tasks.values()]

    @invariant()
    def nothing_ends_twice(self) -> None:
        assert all(number == 1 for number in self.ends.values() if number)

    def teardown(self) -> None:
        try:
            if self.workers:
                self.drain()
        finally:
            for worker in self.workers:
                self.run(worker.consumer.close())
            self.run(self.broker.close())
            self.runner.close()

    def drain(self) -> None:
        """All workers die but a new one, which does what is left: then nothing is lost, and nothing happened twice."""
        for worker in self.workers:
            worker.silent = True
        self.a_worker_comes()
        last = sum(not worker.gone for worker in self.workers) - 1
        self.time_passes(LEASE + 1)
        self.a_worker_takes_over(last)
        last = 0  # the only one that is alive
        self.delayed_tasks_are_due(last)
        while any(task.state == "waiting" for task in self.tasks.values()):
            self.a_worker_fetches(last, 100)
            self.a_worker_settles_many(last, again=True)
        assert self.run(fetch(self.workers[-1].consumer)) == []
        self.the_queue_is_as_it_should_be()
        self.records_are_as_they_should_be()
        assert all(task.state == "ended" for task in self.tasks.values())
        assert self.ends == Counter(list(self.tasks))
        letters = self.run(self.broker.dead_letters(limit=10_000))
        assert sorted((letter.id, letter.data) for letter in letters) == sorted(
            (task.id, task.letter) for task in self.tasks.values() if task.letter is not None
        )


@pytest.fixture(params=["memory", "redis"])
def machine(request: pytest.FixtureRequest) -> type[Queue]:
    return of_broker(request, Queue)


@pytest.mark.timeout(400)  # many steps, on a machine that may be busy
def test_whatever_happens_each_task_ends_exactly_once(machine: type[Queue]) -> None:
    run_machine(machine, examples=40, steps=30)
