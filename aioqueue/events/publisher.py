"""Whether events are told, and by whom: while they are on, an app's signals have one more listener.

While they are off there is nothing: no task has anything around it for their sake, and nobody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from aioqueue.arguments import hidden_words
from aioqueue.around.calling import Tap
from aioqueue.around.events import Event
from aioqueue.around.signals import Signals
from aioqueue.brokers.protocol import Broker
from aioqueue.events.flow import Flow
from aioqueue.events.infos import EventInfo, at, info_of
from aioqueue.exceptions import AioQueueError
from aioqueue.logs import logger
from aioqueue.settings import Settings


class Publisher:
    """Tells an app's events.

    Args:
        signals: what tells of them here.
        conf: the app's settings.
        tasks: the app's, by name.
        changed: called when the signals have one listener more or less.

    Attributes:
        is_on: they are told.
    """

    def __init__(self, signals: Signals, conf: Settings, tasks: Mapping[str, Any], changed: Callable[[], None]) -> None:
        self.is_on = False
        self._signals = signals
        self._conf = conf
        self._tasks = tasks
        self._changed = changed
        self._hidden: frozenset[str] = frozenset()
        # What runs holds its flow. A flow knows its loop: held here, it would hold all of a loop that is over.
        self._flows: WeakValueDictionary[asyncio.AbstractEventLoop, Flow] = WeakValueDictionary()

    def switch(self, on: bool) -> None:
        """Tell of what happens from now on, or don't."""
        if on != self.is_on:
            self.is_on = on
            self._hidden = hidden_words(self._conf.hidden_arguments)
            self._signals.tap(Tap(self._tell) if on else None)
            self._changed()

    async def look(self, broker: Broker) -> None:
        """Switch as the broker has it, else as the settings say."""
        try:
            wanted = await broker.events_wanted()
        except AioQueueError as error:  # no rights to know, or away
            logger.debug("Whether events are wanted is not known: %s", error)
            wanted = None
        self.switch(self._conf.events if wanted is None else wanted)

    async def open(self, broker: Broker, stack: AsyncExitStack) -> None:
        """Tell what happens in this event loop to a broker that was just opened; `stack` ends that."""
        if not broker.capabilities.events:
            return
        await self.look(broker)
        flow = Flow(broker, lambda: self._conf.events_max_length, partial(self.look, broker))
        running = asyncio.create_task(flow.run(), name="aioqueue events")
        stack.push_async_callback(flow.end, running)
        self._flows[asyncio.get_running_loop()] = flow

    def put(self, event: Callable[[datetime], EventInfo]) -> None:
        """Tell of something that is no signal; the event is made with the time, if anybody is to be told."""
        if self.is_on and (flow := self._flows.get(asyncio.get_running_loop())) is not None:
            flow.put(event(at(flow.now())))

    def _tell(self, event: Event) -> None:
        try:
            self.put(lambda moment: info_of(event, moment, self._tasks, self._hidden))
        except Exception:  # of values of the user's; nothing else changes
            logger.exception("The event %s could not be told", event.name)
