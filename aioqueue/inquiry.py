"""Asking workers, and gathering what they answer until all have, or the time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from aioqueue import kinds
from aioqueue.brokers.protocol import LARGEST_QUESTION, Answer, Broker, Question, WorkerStatus
from aioqueue.exceptions import AioQueueError, ConfigurationError, PayloadTooLarge
from aioqueue.ids import new_id
from aioqueue.kinds import Seconds
from aioqueue.logs import logger
from aioqueue.questions import Destination, Replies, destinations, is_glob, is_meant

if TYPE_CHECKING:
    from aioqueue.core import Core

T = TypeVar("T")


async def ask(
    app: Core,
    name: str,
    kind: Any,
    arguments: Any = None,
    *,
    steers: bool = False,
    destination: Destination | None = None,
    timeout: Seconds = 1.0,
) -> Replies[Any]:
    """Ask the living workers, and wait until all of them have answered.

    Args:
        app: whose workers.
        name: what they are asked.
        kind: the type of an answer.
        arguments: what is said with it.
        steers: it changes how they work.
        destination: which; by default all.
        timeout: seconds to wait.

    Raises:
        ConfigurationError: the broker cannot ask its workers, or a value is wrong.
        AioQueueError: nobody does what they are told to, and why.
        BrokerUnavailable: the broker is away.
    """
    return await ask_these(await meant(app, destination, timeout), name, kind, arguments, steers=steers)


class Meant(NamedTuple):
    """Who is to be asked.

    Attributes:
        broker: where.
        alive: the living workers among them.
        to: their names and globs, as they were given; empty for all.
        patience: seconds to wait.
    """

    broker: Broker
    alive: Sequence[WorkerStatus]
    to: tuple[str, ...]
    patience: float


async def meant(app: Core, destination: Destination | None, timeout: Seconds) -> Meant:
    """Who is to be asked.

    Raises:
        ConfigurationError: a value is wrong.
        BrokerUnavailable: the broker is away.
    """
    to = destinations(destination)
    patience = kinds.seconds(kinds.LIMIT.of("A timeout", timeout, " Nobody was asked."))
    broker = await app.broker()
    return Meant(broker, [worker for worker in await broker.workers() if is_meant(worker.name, to)], to, patience)


async def ask_these(meant: Meant, name: str, kind: Any, arguments: Any = None, *, steers: bool = False) -> Replies[Any]:
    """The same of workers that are known to be alive."""
    broker, alive, to, patience = meant
    data = msgspec.msgpack.encode(arguments)
    _check(broker, name, len(data))
    replies: Replies[Any] = Replies()
    expected = {worker.id: worker.name for worker in alive}
    until = broker.now() + round(patience * 1000)
    question = Question(id=new_id(), name=name, arguments=data, steers=steers, to=to, until=until)
    if expected:
        limit = asyncio.timeout(patience)
        try:
            async with limit, aclosing(broker.ask(question)) as answers:
                async for answer in answers:
                    if expected.pop(answer.worker, None) is not None:
                        _take(replies, answer, kind)
                    if not expected:
                        break
        except TimeoutError:
            if not limit.expired():
                raise
    names = {worker.name for worker in alive}
    missing = {pattern for pattern in to if not is_glob(pattern)} - names
    replies.silent = tuple(sorted({*expected.values(), *missing}))
    if replies.errors and not replies:
        worker, why = next(iter(replies.errors.items()))
        raise AioQueueError(f"{name}: worker {worker} refuses: {why}")
    return replies


def _check(broker: Broker, name: str, size: int) -> None:
    if not broker.capabilities.asked:
        raise ConfigurationError(
            f"{name}: {broker.description} cannot ask its workers. Nobody was asked. `aioqueue workers` shows who is "
            "alive."
        )
    if size > LARGEST_QUESTION:
        raise PayloadTooLarge(
            f"{name}: the arguments have {size} bytes, more than {LARGEST_QUESTION}. Nobody was asked: do it in parts."
        )


def _take(replies: Replies[Any], answer: Answer, kind: Any) -> None:
    name = answer.name
    if name in replies or name in replies.errors:
        name = f"{name} ({answer.worker})"
    if answer.error:
        replies.errors[name] = answer.error
        return
    try:
        replies[name] = msgspec.msgpack.decode(answer.data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        logger.debug("What %s answered could not be understood: %r", name, answer.data[:200])
        replies.errors[name] = f"its answer cannot be read ({error})"
