"""The broker of a test: of any kind, with a namespace of its own on a server, and the test's hand in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING

import msgspec

from aioqueue.brokers.address import Address, Factory
from aioqueue.brokers.connect import refuse_what_it_cannot
from aioqueue.brokers.passing import PassingBroker, PassingConsumer
from aioqueue.brokers.private import embedded_name
from aioqueue.brokers.protocol import (
    Broker,
    Consumer,
    Delivery,
    Lengths,
    Outgoing,
    Portion,
    Settlement,
    TestableBroker,
    Verdict,
    Watch,
    WorkerStatus,
)
from aioqueue.brokers.schemes import factory_of, known
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.ids import new_id
from aioqueue.message import decode_message
from aioqueue.url import masked, scheme_of

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.embedded import EmbeddedServer
    from aioqueue.testing.waiting import Waiting

# A share of each embedded server that a test of this process has used: starting one takes longer than most tests.
_kept: dict[str, EmbeddedServer] = {}


class Stage:
    """Where the messages of a test are.

    Attributes:
        alone: queues of one task each, by the task's id; see `Runs.run`.
    """

    def __init__(self, app: Core, kind: str, waiting: Waiting) -> None:
        self._app = app
        self._url = _checked(kind)
        self._waiting = waiting
        self._kept: dict[str, Broker] = {}
        self._namespace = f"{app.namespace}-test-{new_id()}"
        self._brokers: list[TestableBroker] = []
        # How far the clock of each was moved: one may be that of several event loops.
        self._shifts: dict[TestableBroker, int] = {}
        self._shift = 0
        self.alone: dict[str, str] = {}

    async def open(self, stack: AsyncExitStack) -> None:
        """Know how brokers are made; `stack` gives back what they need."""
        self._make = await _embedded(self._url, stack) if scheme_of(self._url) == "embedded" else factory_of(self._url)

    async def connect(self, stack: AsyncExitStack) -> Broker:
        """The broker for one event loop; `stack` closes it.

        Raises:
            ConfigurationError: tests have no hand in it, or it cannot do what the app's settings ask of it.
        """
        conf = self._app.conf
        address = Address(
            url=self._url, app=self._app.name, namespace=self._namespace, timeout=conf.send_timeout, kept=self._kept
        )
        broker = await self._make(address, stack)
        if not isinstance(broker, TestableBroker):
            raise ConfigurationError(
                f"app.testing(broker={masked(self._url)!r}): {broker.description} is no TestableBroker: it has no "
                "clock that tests move, or cannot be erased. Nothing was sent. Test with another one: 'memory' needs "
                "nothing, and 'embedded' is a server."
            )
        stack.push_async_callback(broker.close)
        self._move(broker)
        await broker.open()
        refuse_what_it_cannot(broker, conf)
        self._brokers.append(broker)
        stack.callback(self._brokers.remove, broker)
        await self._app.publisher.open(broker, stack)
        return StagedBroker(broker, self, self._waiting)

    async def move_clock(self, milliseconds: int) -> None:
        """Move the clock, and let no worker be taken for dead because of it."""
        self._shift += milliseconds
        await self._brokers[0].postpone_leases(milliseconds)
        for broker in self._brokers:
            self._move(broker)

    def _move(self, broker: TestableBroker) -> None:
        broker.shift_clock(self._shift - self._shifts.get(broker, 0))
        self._shifts[broker] = self._shift

    async def clear(self) -> None:
        """Leave nothing behind."""
        if self._brokers:
            await self._brokers[0].erase()


class StagedBroker(PassingBroker):
    """A broker whose waiters are not left to wait for nothing, and in which a task can have a queue for itself."""

    def __init__(self, broker: Broker, stage: Stage, waiting: Waiting) -> None:
        super().__init__(broker)
        self._stage = stage
        self._waiting = waiting

    async def send(self, messages: Sequence[Outgoing], *, timeout: float, max_length: Lengths | None = None) -> None:
        """Put all of the messages into their queues, or none."""
        alone = self._stage.alone
        if alone:
            messages = [msgspec.structs.replace(one, queue=alone.get(one.id, one.queue)) for one in messages]
        await self._inner.send(messages, timeout=timeout, max_length=max_length)

    def watch(self, id: str) -> AbstractAsyncContextManager[Watch]:
        """The records of a task from now on."""
        return self._waiting.watch(self._inner, self._inner.watch(id), id)

    def consumer(self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int) -> Consumer:
        """What a worker has of it."""
        consumer = self._inner.consumer(
            worker, visibility_timeout=visibility_timeout, dead_letters_max_length=dead_letters_max_length
        )
        if worker.queues[0] in self._stage.alone.values():
            return _Alone(consumer, worker.queues[0])
        return consumer


class _Alone(PassingConsumer):
    """What a worker for one task has: it is in a queue for itself, and knows nothing of that."""

    def __init__(self, consumer: Consumer, queue: str) -> None:
        super().__init__(consumer)
        self._queue = queue

    async def fetch(
        self, limit: int, *, wait: float, portions: Sequence[Portion] = (), but: Collection[str] = ()
    ) -> list[Delivery]:
        deliveries = await self._inner.fetch(limit, wait=wait, portions=portions, but=but)
        for delivery in deliveries:
            delivery.queue = decode_message(delivery.data).queue
        return deliveries

    async def settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        for settlement in settlements:
            settlement.sends = [
                msgspec.structs.replace(one, queue=self._queue) if one.id == settlement.delivery.id else one
                for one in settlement.sends
            ]
        return await self._inner.settle(settlements)


def _checked(kind: str) -> str:
    """The URL that is meant: a scheme alone is one, too.

    Raises:
        ConfigurationError: nobody knows its scheme.
    """
    url = kind if ":" in kind else f"{kind}://"
    if (scheme := scheme_of(url)) in known():
        return url
    raise ConfigurationError(
        f"app.testing(broker={masked(kind)!r}): it is 'memory', 'embedded' or the URL of a broker, such as "
        f"redis://localhost.{suggest(scheme, known())} Known are {', '.join(f'{one}://' for one in known())}."
    )


async def _embedded(url: str, stack: AsyncExitStack) -> Factory:
    """What makes brokers on a private server for tests."""
    from aioqueue.brokers.redis import RedisBroker
    from aioqueue.embedded import acquire_async

    embedded_name(url)  # and nothing more
    # Not the server of the app itself, which keeps its data on disk and may be in use.
    server = await acquire_async("aioqueue-testing", durable=False)
    if server.url in _kept:
        stack.callback(server.close)
    else:
        _kept[server.url] = server
    label = f"embedded {server.program} for tests"

    async def make(address: Address, stack: AsyncExitStack) -> Broker:
        return RedisBroker(server.url, address.namespace, label=label, timeout=address.timeout)

    return make
