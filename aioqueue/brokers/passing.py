"""Brokers and consumers that pass everything on to another one: for those that change a little of what goes through."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager

from aioqueue.brokers.protocol import (
    Answer,
    Broker,
    Capabilities,
    Claim,
    Claimed,
    Consumer,
    Delivery,
    Finding,
    Lead,
    Left,
    Lengths,
    Notice,
    Outgoing,
    Portion,
    Proxy,
    Question,
    QueueStatus,
    Settlement,
    StoredEvent,
    StoredLetter,
    StoredMessage,
    StoredSchedule,
    Verdict,
    Watch,
    Whereabouts,
    WorkerStatus,
    WorkflowStatus,
)
from aioqueue.workflow import UNTOLD, Node, NoValue, Part, Start, Told, Value


class PassingBroker:
    """A broker through another one."""

    def __init__(self, inner: Broker) -> None:
        self._inner = inner

    @property
    def description(self) -> str:
        return self._inner.description

    @property
    def version(self) -> str:
        return self._inner.version

    @property
    def warnings(self) -> Sequence[str]:
        return self._inner.warnings

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    def now(self) -> int:
        return self._inner.now()

    def consumer(self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int) -> Consumer:
        return self._inner.consumer(
            worker, visibility_timeout=visibility_timeout, dead_letters_max_length=dead_letters_max_length
        )

    async def send(self, messages: Sequence[Outgoing], *, timeout: float, max_length: Lengths | None = None) -> None:
        await self._inner.send(messages, timeout=timeout, max_length=max_length)

    async def put_part(
        self, workflow: str, part: Part, start: Start | None, *, timeout: float, max_length: Lengths | None = None
    ) -> str:
        return await self._inner.put_part(workflow, part, start, timeout=timeout, max_length=max_length)

    async def resume(self, workflow: str, node: int | None = None) -> int:
        return await self._inner.resume(workflow, node)

    async def requeue_dead(self, message: Outgoing) -> bool:
        return await self._inner.requeue_dead(message)

    async def revoke(
        self, ids: Sequence[str], record: bytes, *, expires: int, terminate: bool, told: Told = UNTOLD
    ) -> list[bool]:
        return await self._inner.revoke(ids, record, expires=expires, terminate=terminate, told=told)

    async def purge(self, queue: str, record: bytes = b"", *, expires: int = 0, told: Told = UNTOLD) -> int:
        return await self._inner.purge(queue, record, expires=expires, told=told)

    async def revoke_stamp(self, stamp: bytes, *, expires: int, terminate: bool) -> None:
        await self._inner.revoke_stamp(stamp, expires=expires, terminate=terminate)

    async def discard(self, workflow: str) -> None:
        await self._inner.discard(workflow)

    async def workflow(self, workflow: str) -> WorkflowStatus | None:
        return await self._inner.workflow(workflow)

    async def place(self, id: str) -> tuple[str, int] | None:
        return await self._inner.place(id)

    async def members(self, workflow: str, node: int) -> list[Node] | None:
        return await self._inner.members(workflow, node)

    async def records(self, ids: Sequence[str]) -> list[bytes | None]:
        return await self._inner.records(ids)

    def watch(self, id: str) -> AbstractAsyncContextManager[Watch]:
        return self._inner.watch(id)

    async def forget(self, ids: Sequence[str]) -> list[bool]:
        return await self._inner.forget(ids)

    async def dead_letters(self, *, limit: int, id: str | None = None) -> list[StoredLetter]:
        return await self._inner.dead_letters(limit=limit, id=id)

    async def remove_dead(self, ids: Sequence[str]) -> int:
        return await self._inner.remove_dead(ids)

    async def put_schedule(self, schedule: StoredSchedule, *, replace: bool) -> bool:
        return await self._inner.put_schedule(schedule, replace=replace)

    async def schedules(self, names: Sequence[str] | None = None) -> list[StoredSchedule]:
        return await self._inner.schedules(names)

    async def remove_schedule(self, name: str) -> bool:
        return await self._inner.remove_schedule(name)

    async def pause_schedule(
        self, name: str, paused: bool, *, due: int | None = None, at: int | None = None, revision: int | None = None
    ) -> bool:
        return await self._inner.pause_schedule(name, paused, due=due, at=at, revision=revision)

    async def declare_schedules(self, scheduler: str, schedules: Sequence[StoredSchedule], *, lease: int) -> list[str]:
        return await self._inner.declare_schedules(scheduler, schedules, lease=lease)

    async def sweep_schedules(self) -> list[str]:
        return await self._inner.sweep_schedules()

    async def due_schedules(self, limit: int, *, skip: int = 0) -> tuple[list[StoredSchedule], int | None]:
        return await self._inner.due_schedules(limit, skip=skip)

    async def claim_schedules(
        self, claims: Sequence[Claim], *, until: int, max_length: Lengths | None = None
    ) -> list[Claimed]:
        return await self._inner.claim_schedules(claims, until=until, max_length=max_length)

    async def lead_schedules(self, scheduler: str, *, lease: int) -> Lead:
        return await self._inner.lead_schedules(scheduler, lease=lease)

    async def resign_schedules(self, scheduler: str) -> None:
        await self._inner.resign_schedules(scheduler)

    async def schedulers(self) -> list[str]:
        return await self._inner.schedulers()

    def schedule_changes(self) -> AsyncIterator[None]:
        return self._inner.schedule_changes()

    async def pause_queue(self, queue: str, paused: bool) -> bool:
        return await self._inner.pause_queue(queue, paused)

    async def paused_queues(self) -> list[str]:
        return await self._inner.paused_queues()

    async def queues(self) -> list[QueueStatus]:
        return await self._inner.queues()

    async def waiting(self, queue: str, *, limit: int) -> list[StoredMessage]:
        return await self._inner.waiting(queue, limit=limit)

    async def delayed(self, queue: str, *, limit: int) -> list[StoredMessage]:
        return await self._inner.delayed(queue, limit=limit)

    async def holds(self, ids: Sequence[str]) -> list[bool]:
        return await self._inner.holds(ids)

    async def find(self, id: str) -> Whereabouts | None:
        return await self._inner.find(id)

    async def idle(self) -> bool:
        return await self._inner.idle()

    async def going_on(self, ids: Sequence[str]) -> list[bool]:
        return await self._inner.going_on(ids)

    async def workers(self) -> list[WorkerStatus]:
        return await self._inner.workers()

    async def examine(self) -> list[Finding]:
        return await self._inner.examine()

    def ask(self, question: Question) -> AsyncGenerator[Answer]:
        return self._inner.ask(question)

    async def put_events(self, events: Sequence[bytes], *, keep: int) -> None:
        await self._inner.put_events(events, keep=keep)

    async def last_event(self) -> str:
        return await self._inner.last_event()

    def events_after(self, cursor: str) -> AsyncGenerator[Sequence[StoredEvent]]:
        return self._inner.events_after(cursor)

    async def events_wanted(self) -> bool | None:
        return await self._inner.events_wanted()

    async def want_events(self, wanted: bool) -> None:
        await self._inner.want_events(wanted)


class PassingConsumer:
    """A consumer through another one."""

    def __init__(self, inner: Consumer) -> None:
        self._inner = inner

    @property
    def id(self) -> str:
        return self._inner.id

    async def fetch(
        self, limit: int, *, wait: float, portions: Sequence[Portion] = (), but: Collection[str] = ()
    ) -> list[Delivery]:
        return await self._inner.fetch(limit, wait=wait, portions=portions, but=but)

    async def hand_back(self, held: Sequence[Delivery]) -> int:
        return await self._inner.hand_back(held)

    async def give_back(self, deliveries: Sequence[Delivery]) -> int:
        return await self._inner.give_back(deliveries)

    def withdraw(self, held: Sequence[Delivery]) -> int:
        return self._inner.withdraw(held)

    async def leave(self) -> int:
        return await self._inner.leave()

    async def queued(self, ids: Sequence[str], queue: str | None = None) -> list[bool]:
        return await self._inner.queued(ids, queue)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        return await self._inner.settle(settlements)

    async def promote(self) -> float | None:
        return await self._inner.promote()

    async def take_over(self) -> float:
        return await self._inner.take_over()

    async def join(self) -> None:
        await self._inner.join()

    def renew(self) -> bool:
        return self._inner.renew()

    def proxy(self) -> Proxy | None:
        return self._inner.proxy()

    def notices(self) -> AsyncIterator[Notice]:
        return self._inner.notices()

    async def value(self, workflow: str, node: int) -> Value | None:
        return await self._inner.value(workflow, node)

    async def failure(self, workflow: str, subject: str) -> NoValue | None:
        return await self._inner.failure(workflow, subject)

    async def revoked(self, ids: Sequence[str]) -> list[bool]:
        return await self._inner.revoked(ids)

    async def stamps(self) -> list[tuple[bytes, int]]:
        return await self._inner.stamps()

    async def paused(self) -> list[str]:
        return await self._inner.paused()

    async def left(self) -> Left:
        return await self._inner.left()

    async def tidy(self) -> int:
        return await self._inner.tidy()

    async def answer(self, question: str, answer: Answer) -> None:
        await self._inner.answer(question, answer)

    async def close(self) -> None:
        await self._inner.close()
