"""The schemes of brokers' URLs: those that come with aioqueue, and those that others add.

A distribution adds one with an entry point:

    [project.entry-points."aioqueue.brokers"]
    amqp = "its_module:make_broker"        # an `aioqueue.brokers.address.Factory`
"""

from __future__ import annotations

import os
import re
from contextlib import AsyncExitStack
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from aioqueue.brokers.address import Address, Factory
from aioqueue.brokers.private import embedded_name, is_memory
from aioqueue.brokers.protocol import Broker
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.logs import logger
from aioqueue.url import REDIS, masked, scheme_of

GROUP = "aioqueue.brokers"
"""Of the entry points."""
_HOST = re.compile(r"(localhost|[\w-]+(\.[\w-]+)+|[\w.-]+(?=:\d)|\[[\da-fA-F:]+\])(:\d+)?(/\d*)?")
"""What may be a host of a Redis server, without the scheme."""


def factory_of(url: str) -> Factory:
    """What makes the broker of a URL; "" is a private server.

    Raises:
        ConfigurationError: nobody knows its scheme, or who says so cannot be loaded.
    """
    scheme = scheme_of(url) if url else "embedded"
    if (own := _OWN.get(scheme)) is not None:
        return own
    if _HOST.fullmatch(url):
        raise ConfigurationError(f"The broker's URL {masked(url)} has no scheme. Did you mean redis://{masked(url)}?")
    added = [point for point in _added() if point.name.lower() == scheme]
    if not added:
        raise ConfigurationError(
            f"The broker's URL {masked(url)} has the scheme {scheme!r}.{suggest(scheme, known())} "
            f"Known are {', '.join(f'{one}://' for one in known())}; without a URL a private server is used."
        )
    if len({point.value for point in added}) > 1:
        raise ConfigurationError(
            f"The broker's URL {masked(url)} has a scheme that several installed packages say is theirs: "
            f"{' and '.join(map(_shown, added))}. Uninstall all but one."
        )
    return _loaded(added[0], url)


def known() -> list[str]:
    """The schemes that URLs may have."""
    return list(dict.fromkeys([*_OWN, *sorted(point.name.lower() for point in _added())]))


def _added() -> list[EntryPoint]:
    return list(entry_points(group=GROUP))


def _loaded(point: EntryPoint, url: str) -> Factory:
    try:
        factory = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"The broker's URL {masked(url)} is one for {_shown(point)}, which cannot be loaded ({error}). "
            "Is all installed that it needs?"
        ) from error
    if not callable(factory):
        raise ConfigurationError(f"The broker's URL {masked(url)} is one for {_shown(point)}, which is no function.")
    return cast(Factory, factory)


def _shown(point: EntryPoint) -> str:
    return f"{point.value!r} of {point.dist.name}" if point.dist is not None else repr(point.value)


async def _redis(address: Address, stack: AsyncExitStack) -> Broker:
    from aioqueue.brokers.redis import RedisBroker

    return RedisBroker(address.url, address.namespace, timeout=address.timeout)


async def _memory(address: Address, stack: AsyncExitStack) -> Broker:
    """One for all event loops and threads, for as long as the app lives: there is nowhere else to find it."""
    from aioqueue.brokers.memory import MemoryBroker

    is_memory(address.url)  # and nothing more
    return address.kept.setdefault("memory", MemoryBroker())


async def _embedded(address: Address, stack: AsyncExitStack) -> Broker:
    from aioqueue.brokers.redis import RedisBroker
    from aioqueue.embedded import acquire_async

    if not address.url and os.environ.get("CELERY_BROKER_URL"):
        logger.warning(
            "$CELERY_BROKER_URL is set, and not read: the app %s uses its private server. Set AIOQUEUE_BROKER, or "
            "broker=.",
            address.app,
        )
    named = embedded_name(address.url)
    server = await acquire_async(named or address.app)
    stack.callback(server.close)
    if address.folder and not named:
        server.tell_of_others(address.namespace, address.folder, address.tasks)
    label = f"embedded {server.program} at {server.data_dir}"
    return RedisBroker(
        server.url,
        address.namespace,
        label=label,
        timeout=address.timeout,
        neighbours=server.worker_locks(address.namespace),
        revive=server.revive,
    )


_OWN: dict[str, Factory] = {**dict.fromkeys(REDIS, _redis), "memory": _memory, "embedded": _embedded}
