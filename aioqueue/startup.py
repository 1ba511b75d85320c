"""Connecting for as long as it takes: a worker or a scheduler may be started before its broker is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Literal

from aioqueue.brokers.private import is_embedded
from aioqueue.brokers.protocol import Broker
from aioqueue.exceptions import BrokerUnavailable
from aioqueue.logs import logger
from aioqueue.url import masked
from aioqueue.wording import span

if TYPE_CHECKING:
    from aioqueue.core import Core

_SAY_SO_AFTER = 2.0
_SAY_AGAIN = 60.0
_TRY_AGAIN = 1.0


class StoppedBefore(BrokerUnavailable):
    """Who waited for the broker was told to stop before it was there."""


@asynccontextmanager
async def connected(app: Core, who: str, stop: asyncio.Event, *, patient: bool = True) -> AsyncGenerator[Broker]:
    """Have the app open; where its broker is away, wait for it (`broker_connection_retry_on_startup`).

    Args:
        app: what is opened.
        who: waits, for the log.
        stop: ends the waiting.
        patient: wait at all; else it is tried for `send_timeout`.

    Raises:
        StoppedBefore: it was away until `stop` was set.
        BrokerUnavailable: what is wrong does not go away by itself, such as a password or a certificate.
    """
    if patient and app.conf.broker_connection_retry_on_startup:
        broker = await _open_when_there(app, who, stop)
    else:
        broker = await app.open()
    try:
        yield broker
    finally:
        await app.close()


async def _open_when_there(app: Core, who: str, stop: asyncio.Event) -> Broker:
    began, said_at = monotonic(), float("-inf")
    stopping = asyncio.ensure_future(stop.wait())
    saying: asyncio.TimerHandle | None = None
    if not is_embedded(app.conf.broker):  # which is started first, and may take a while
        saying = asyncio.get_running_loop().call_later(_SAY_SO_AFTER, _say_so, app, who)
    try:
        while True:
            try:
                broker = await _open(app, who, stopping)
            except BrokerUnavailable as error:
                if not error.is_away:
                    raise
                if saying is not None:
                    saying.cancel()
                if monotonic() - said_at >= _SAY_AGAIN:
                    said_at = monotonic()
                    logger.warning("%s goes on waiting: %s", who, error)
                await asyncio.wait({stopping}, timeout=_TRY_AGAIN)
                continue
            if said_at > 0:
                logger.info("%s: the broker is there, after %s", who, span(monotonic() - began))
            return broker
    finally:
        if saying is not None:
            saying.cancel()
        stopping.cancel()


async def _open(app: Core, who: str, stopping: asyncio.Future[Literal[True]]) -> Broker:
    opening = asyncio.ensure_future(app.open())
    try:
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not opening.done():
            opening.cancel()
            await asyncio.wait({opening})
    if opening.cancelled():
        raise StoppedBefore(f"{who} was told to stop before the broker{_shown(app)} was there.")
    return opening.result()


def _say_so(app: Core, who: str) -> None:
    logger.info("%s waits for the broker%s, which does not answer so far", who, _shown(app))


def _shown(app: Core) -> str:
    return f" {masked(app.conf.broker)}" if app.conf.broker else ""
