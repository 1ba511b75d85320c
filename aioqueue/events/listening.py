"""Listening to events: `app.events()`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from aioqueue.around.events import MOMENTS, SPELLINGS
from aioqueue.brokers.protocol import Broker
from aioqueue.events.infos import HEARTBEAT, EventInfo, WorkerEventInfo, at, read_event
from aioqueue.exceptions import BrokerUnavailable, ConfigurationError, suggest
from aioqueue.inspection import Inspect
from aioqueue.logs import logger

if TYPE_CHECKING:
    from aioqueue.core import Core

NAMES: Final = (*MOMENTS, HEARTBEAT)
"""Of all events."""
_BY_SPELLING: Final = {**{name: name for name in NAMES}, **SPELLINGS}
_CURSOR: Final = re.compile(r"\d+-\d+\.\d+|")
# How long it is waited before it is tried to listen again, in seconds.
_AGAIN, _AGAIN_AT_MOST = 0.1, 5.0


def wanted(names: Sequence[str], since: str | None) -> frozenset[str]:
    """The names of the events that are meant; all, if none is given.

    Args:
        names: names or globs; Celery's are understood, such as "task-failed" and "task-*".
        since: a cursor.

    Raises:
        ConfigurationError: there are none of such a name, or the cursor is none.
    """
    if since is not None and not (isinstance(since, str) and _CURSOR.fullmatch(since)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"app.events(since={since!r}): it is the `cursor` of an event, or '' for all that are kept."
        )
    found: set[str] = set()
    for name in names:
        plain = name.replace("-", "_") if isinstance(name, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
        meant = {ours for spelling, ours in _BY_SPELLING.items() if fnmatchcase(spelling, plain)}
        if not meant:
            raise ConfigurationError(
                f"app.events({name!r}): there are no events of that name.{suggest(str(name), _BY_SPELLING)} There are "
                f"{', '.join(NAMES)}, and globs such as 'task_*'."
            )
        found |= meant
    return frozenset(found or NAMES)


async def listen(app: Core, names: Collection[str], since: str | None) -> AsyncGenerator[EventInfo]:
    """The events of those names, as they come, without an end.

    Args:
        app: whose.
        names: of events.
        since: the cursor after which they begin. None: they begin now, with the workers that are alive.

    Raises:
        ConfigurationError: the broker keeps none.
        BrokerUnavailable: the broker is away, when this begins.
    """
    broker = await app.broker()
    if not broker.capabilities.events:
        raise ConfigurationError(f"app.events(): {broker.description} keeps no events.")
    last = await broker.last_event()
    cursor = last if since is None else since
    said = await broker.events_wanted()
    if said is False or not (said or last or app.publisher.is_on):  # else somebody tells, by a setting of its own
        logger.warning(
            "Events of %r are off, so that nothing is heard: `aioqueue events --enable`, or in code await "
            "app.control.enable_events(), or the setting events=True",
            app.name,
        )
    if since is None and HEARTBEAT in names:
        for worker in await Inspect(app).workers():
            yield WorkerEventInfo(
                name=HEARTBEAT,
                at=at(broker.now()),
                cursor=cursor,
                worker=worker.name,
                app=app.name,
                queues=tuple(worker.queues),
                concurrency=worker.concurrency,
                pid=worker.pid,
                running=worker.running,
                processed=worker.processed,
            )
    async with aclosing(_after(broker, cursor)) as told:
        async for event in told:
            if event.name in names:
                yield event


async def _after(broker: Broker, cursor: str) -> AsyncGenerator[EventInfo]:
    """All events after a cursor; goes on where it was when the connection is lost."""
    pause = _AGAIN
    while True:
        try:
            async with aclosing(broker.events_after(cursor)) as told:
                async for some in told:
                    pause = _AGAIN
                    for stored in some:
                        cursor = stored.cursor
                        if (event := read_event(stored.data, cursor)) is not None:
                            yield event
        except BrokerUnavailable as error:
            if pause == _AGAIN:
                logger.warning("Events cannot be heard (%s); it is tried again, and goes on where it was", error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _AGAIN_AT_MOST)
