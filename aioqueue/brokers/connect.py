"""From a URL to an open broker."""

from __future__ import annotations

from contextlib import AsyncExitStack

from aioqueue.brokers.address import Address
from aioqueue.brokers.protocol import Broker
from aioqueue.brokers.schemes import factory_of
from aioqueue.exceptions import ConfigurationError
from aioqueue.settings import Settings


async def connect(address: Address, stack: AsyncExitStack) -> Broker:
    """Open a broker; `stack` closes it, and all that was opened for it.

    Raises:
        ConfigurationError: there is no such broker.
        BrokerUnavailable: it does not answer.
    """
    broker = await factory_of(address.url)(address, stack)
    stack.push_async_callback(broker.close)
    await broker.open()
    return broker


def refuse_what_it_cannot(broker: Broker, conf: Settings) -> None:
    """Look whether a broker can do what the settings ask of it.

    Raises:
        ConfigurationError: it cannot.
    """
    if conf.queue_max_length is not None and not broker.capabilities.bounded:
        raise ConfigurationError(
            f"queue_max_length={conf.queue_max_length}: {broker.description} cannot bound its queues. Leave the "
            "setting out, or use another broker."
        )
    bounded = next((queue for queue in conf.task_queues if queue.max_length is not None), None)
    if bounded is not None and not broker.capabilities.bounded:
        raise ConfigurationError(
            f"task_queues has {bounded!r}: {broker.description} cannot bound its queues. Leave its max_length out, or "
            "use another broker."
        )
