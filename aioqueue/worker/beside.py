"""What is called beside the runs: handlers of what is received, and after an end is settled, its hooks and handlers.

No slot is held for it, and no end waits for it. Of one task's moments none is told before those that came earlier, as
far as this worker knows of them. The worker's stop and a burst wait for all of it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from aioqueue.logs import logger
from aioqueue.wording import counted, few

# With so many times as many waiting as may go on at once, whoever adds is to wait as well.
_FAR_BEHIND = 10


class PlaceInLine(NamedTuple):
    """A moment's place among those of its task.

    Attributes:
        id: the task's.
        before: what is to be over first.
        over: done when this is over.
    """

    id: str
    before: asyncio.Future[None] | None
    over: asyncio.Future[None]


class _Turn(NamedTuple):
    """What is to be called at its place; in a copy of the caller's context if none is given."""

    place: PlaceInLine
    call: Callable[[], Coroutine[Any, Any, None]]
    context: contextvars.Context | None


class Beside:
    """What a worker calls beside its runs.

    Args:
        most: how many may go on at once.
        under_way: what goes on anywhere in the app.
        changed: set when something is over.
    """

    def __init__(self, most: int, under_way: set[asyncio.Task[Any]], changed: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._most = most
        self._under_way = under_way
        self._changed = changed
        self._waiting: deque[_Turn] = deque()
        self._doing: dict[asyncio.Task[None], str] = {}
        self._last: dict[str, asyncio.Future[None]] = {}  # of each task

    def __len__(self) -> int:
        return len(self._waiting) + len(self._doing)

    @property
    def is_far_behind(self) -> bool:
        """Whether more waits than is good."""
        return len(self._waiting) >= _FAR_BEHIND * self._most

    def expect(self, id: str) -> PlaceInLine:
        """A moment of a task that is to be told, or to be dropped, and before which no later one of it is."""
        place = PlaceInLine(id, self._last.get(id), self._loop.create_future())
        self._last[id] = place.over
        return place

    def add(
        self,
        place: PlaceInLine,
        call: Callable[[], Coroutine[Any, Any, None]],
        context: contextvars.Context | None = None,
    ) -> None:
        """Call it at its place, when its turn has come."""
        self._waiting.append(_Turn(place, call, context))
        self._start()

    def drop(self, place: PlaceInLine) -> None:
        """Nothing is to be called there."""
        if self._last.get(place.id) is place.over:
            del self._last[place.id]
        if not place.over.done():
            place.over.set_result(None)

    def before(self, id: str) -> asyncio.Future[None] | None:
        """What is not over yet of a task's earlier moments."""
        return self._last.get(id)

    async def until_quiet(self) -> None:
        """Wait until nothing is called any more."""
        while len(self):
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """End what still goes on; what waits is not called."""
        if len(self):
            ids = sorted({*self._doing.values(), *(turn.place.id for turn in self._waiting)})
            logger.error(
                "The worker leaves, and what is called of the moments of %s is not, or not to its end: %s",
                counted(len(ids), "task"),
                few(ids),
            )
        for turn in self._waiting:
            self.drop(turn.place)
        self._waiting.clear()
        for doing in self._doing:
            doing.cancel()

    def _start(self) -> None:
        while self._waiting and len(self._doing) < self._most:
            turn = self._waiting.popleft()
            doing = self._loop.create_task(self._call(turn), context=turn.context)
            self._doing[doing] = turn.place.id
            self._under_way.add(doing)
            doing.add_done_callback(lambda doing, turn=turn: self._ended(doing, turn))

    async def _call(self, turn: _Turn) -> None:
        try:
            if turn.place.before is not None:
                await asyncio.wait({turn.place.before})
            await turn.call()
        except Exception:  # of our own
            logger.exception("What is called beside the runs of task %s has failed", turn.place.id)

    def _ended(self, doing: asyncio.Task[None], turn: _Turn) -> None:
        del self._doing[doing]
        self._under_way.discard(doing)
        self.drop(turn.place)
        self._start()
        self._changed.set()
