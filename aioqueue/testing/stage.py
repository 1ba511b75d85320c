"""The broker of a test: memory, or a namespace of its own on a server, with the test's hand in it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import msgspec

from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.protocol import Broker, Consumer, Delivery, Outgoing, Settlement, Verdict, Watch, WorkerStatus
from aioqueue.brokers.url import REDIS, masked
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.ids import new_id
from aioqueue.message import decode_message
from aioqueue.session import Connect

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.embedded import EmbeddedServer
    from aioqueue.testing.waiting import Waiting

_KINDS = ("memory", "embedded", *REDIS)

# A share of each embedded server that a test of this process has used: starting one takes longer than most tests.
_kept: dict[str, EmbeddedServer] = {}


class Stage:
    """Where the messages of a test are.

    Attributes:
        alone: queues of one task each, by the task's id; see `Runs.run`.
    """

    def __init__(self, app: AioQueue, kind: str, waiting: Waiting) -> None:
        self._app = app
        self._kind = _checked(kind)
        self._waiting = waiting
        self._connect: Connect | None = None
        self._brokers: list[Any] = []
        self._shift = 0
        self.alone: dict[str, str] = {}

    async def open(self, stack: AsyncExitStack) -> None:
        """Have a broker; `stack` gives it back."""
        if self._kind == "memory":
            self._brokers.append(MemoryBroker())
            return
        url, label = (await _embedded(stack)) if urlsplit(self._kind).scheme in ("", "embedded") else (self._kind, None)
        namespace = f"{self._app.namespace}-test-{new_id()}"

        async def connect(stack: AsyncExitStack) -> Broker:
            from aioqueue.brokers.redis import RedisBroker

            broker = RedisBroker(url, namespace, label=label)
            broker.shift_clock(self._shift)
            stack.push_async_callback(broker.close)
            await broker.open()
            self._brokers.append(broker)
            stack.callback(self._brokers.remove, broker)
            return broker

        self._connect = connect

    async def connect(self, stack: AsyncExitStack) -> Broker:
        """The broker for one event loop; `stack` closes it."""
        broker = await self._connect(stack) if self._connect is not None else self._brokers[0]
        return cast(Broker, StagedBroker(broker, self, self._waiting))

    async def move_clock(self, milliseconds: int) -> None:
        """Move the clock, and let no worker be taken for dead because of it."""
        self._shift += milliseconds
        await self._brokers[0].postpone_leases(milliseconds)
        for broker in self._brokers:
            broker.shift_clock(milliseconds)

    async def clear(self) -> None:
        """Leave nothing behind on a server."""
        if self._connect is not None and self._brokers:
            await self._brokers[0].erase()


class StagedBroker:
    """A broker whose waiters are not left to wait for nothing, and in which a task can have a queue for itself."""

    def __init__(self, broker: Broker, stage: Stage, waiting: Waiting) -> None:
        self._broker = broker
        self._stage = stage
        self._waiting = waiting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    async def send(self, messages: Sequence[Outgoing], *, timeout: float, max_length: int | None = None) -> None:
        """Put all of the messages into their queues, or none."""
        alone = self._stage.alone
        if alone:
            messages = [msgspec.structs.replace(one, queue=alone.get(one.id, one.queue)) for one in messages]
        await self._broker.send(messages, timeout=timeout, max_length=max_length)

    def watch(self, id: str) -> AbstractAsyncContextManager[Watch]:
        """The records of a task from now on."""
        return self._waiting.watch(self._broker, self._broker.watch(id), id)

    def consumer(self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int) -> Consumer:
        """A worker's line."""
        line = self._broker.consumer(
            worker, visibility_timeout=visibility_timeout, dead_letters_max_length=dead_letters_max_length
        )
        if worker.queues[0] in self._stage.alone.values():
            return cast(Consumer, _Alone(line, worker.queues[0]))
        return line


class _Alone:
    """The line of a worker for one task: it is in a queue for itself, and knows nothing of that."""

    def __init__(self, line: Consumer, queue: str) -> None:
        self._line = line
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)

    async def fetch(self, limit: int, *, wait: float) -> list[Delivery]:
        deliveries = await self._line.fetch(limit, wait=wait)
        for delivery in deliveries:
            delivery.queue = decode_message(delivery.data).queue
        return deliveries

    async def settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        for settlement in settlements:
            settlement.sends = [
                msgspec.structs.replace(one, queue=self._queue) if one.id == settlement.delivery.id else one
                for one in settlement.sends
            ]
        return await self._line.settle(settlements)


def _checked(kind: str) -> str:
    if kind in ("memory", "memory://"):
        return "memory"
    if kind == "embedded" or ("://" in kind and urlsplit(kind).scheme in _KINDS):
        return kind
    word = kind.partition(":")[0]
    raise ConfigurationError(
        f"app.testing(broker={masked(kind)!r}): it is 'memory', 'embedded' or the URL of a Redis server "
        f"(redis://…).{suggest(word, _KINDS)}"
    )


async def _embedded(stack: AsyncExitStack) -> tuple[str, str]:
    from aioqueue.embedded import acquire_async

    # Not the server of the app itself, which keeps its data on disk and may be in use.
    server = await acquire_async("aioqueue-testing", durable=False)
    if server.url in _kept:
        stack.callback(server.close)
    else:
        _kept[server.url] = server
    return server.url, f"embedded {server.program} for tests"
