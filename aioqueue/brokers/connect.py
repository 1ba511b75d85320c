"""From a URL to an open broker on a server. `memory://` is an app's own, see `AioQueue`."""

from __future__ import annotations

from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from aioqueue.brokers.protocol import Broker
from aioqueue.brokers.url import REDIS, masked
from aioqueue.exceptions import ConfigurationError, suggest

_SCHEMES = (*REDIS, "memory", "embedded")


async def connect(url: str | None, *, name: str, namespace: str, timeout: float, stack: AsyncExitStack) -> Broker:
    """Open a broker; `stack` closes it.

    Args:
        url: None or `embedded://` is the private server of the app `name`; `embedded://other` that of another app.
        name: the app's name.
        namespace: the prefix of its keys.
        timeout: seconds in which it has to answer.
        stack: what is opened is closed with it.

    Raises:
        ConfigurationError: there is no such broker.
        BrokerUnavailable: it does not answer.
    """
    scheme = urlsplit(url).scheme if url else "embedded"
    if scheme not in _SCHEMES:
        raise ConfigurationError(
            f"The broker's URL {masked(url or '')} has the scheme {scheme!r}.{suggest(scheme, _SCHEMES)} "
            f"Known are {', '.join(f'{known}://' for known in _SCHEMES)}; without a URL a private server is used."
        )
    if scheme == "embedded":
        broker: Broker = await _embedded(urlsplit(url or "").netloc or name, namespace, timeout, stack)
    else:
        from aioqueue.brokers.redis import RedisBroker

        assert url is not None
        broker = RedisBroker(url, namespace, timeout=timeout)
    stack.push_async_callback(broker.close)
    await broker.open()
    return broker


async def _embedded(name: str, namespace: str, timeout: float, stack: AsyncExitStack) -> Broker:
    from aioqueue.brokers.redis import RedisBroker
    from aioqueue.embedded import acquire_async

    server = await acquire_async(name)
    stack.callback(server.close)
    label = f"embedded {server.program} at {server.data_dir}"
    return RedisBroker(server.url, namespace, label=label, timeout=timeout)
