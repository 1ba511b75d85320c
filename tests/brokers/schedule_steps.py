"""What the tests of schedules are made of: a store of them, whatever keeps it, and what it sends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import msgspec
from support.waiting import within

from aioqueue.brokers.protocol import Claim, Claimed, ClaimVerdict, Outgoing, Schedules, StoredSchedule

from .steps import AN_HOUR, message

LEASE = AN_HOUR
SENT = ClaimVerdict.SENT
GONE = ClaimVerdict.GONE


class Stage(msgspec.Struct):
    """A store of schedules, as the tests need it.

    Attributes:
        store: it.
        other: another line to the same.
        now: its clock, ms since the epoch.
        pass_time: moves that on by so many ms.
        deliver: what it has sent since the last call: ids, in the order of their queue.
    """

    store: Schedules
    other: Schedules
    now: Callable[[], int]
    pass_time: Callable[[int], Any]
    deliver: Callable[[], Awaitable[list[str]]]

    def schedule(self, name: str = "poll", *, after: int | None = 0, jitter: int = 0, **more: Any) -> StoredSchedule:
        """One that is due so many ms from now; None is never."""
        due = None if after is None else self.now() + after
        at = None if due is None else due + jitter
        about = {"definition": b"definition of " + name.encode(errors="surrogateescape"), "source": "api"}
        return StoredSchedule(name=name, due=due, at=at, **(about | more))

    async def put(self, name: str = "poll", **about: Any) -> StoredSchedule:
        """Put one, and return it as it is stored."""
        assert await self.store.put_schedule(self.schedule(name, **about), replace=False)
        return await self.get(name)

    async def get(self, name: str = "poll") -> StoredSchedule:
        """One as it is stored."""
        [found] = await self.store.schedules([name])
        return found

    async def names(self) -> list[str]:
        """Of all that there are."""
        return [one.name for one in await self.store.schedules()]

    async def due(self, limit: int = 100, **more: Any) -> list[str]:
        """The names of those that are due."""
        return [one.name for one in (await self.store.due_schedules(limit, **more))[0]]

    async def next_at(self) -> int | None:
        """When the first is due that is not due yet."""
        return (await self.store.due_schedules(1000))[1]

    async def claim(self, *claims: Claim, line: Schedules | None = None, **more: Any) -> list[ClaimVerdict]:
        """Claim, and return what became of it."""
        return [one.verdict for one in await self.claimed(*claims, line=line, **more)]

    async def claimed(
        self, *claims: Claim, line: Schedules | None = None, until: int | None = None, **more: Any
    ) -> list[Claimed]:
        """Claim, and return what became of it, and why."""
        until = self.now() + AN_HOUR if until is None else until
        return await (line or self.store).claim_schedules(claims, until=until, **more)

    async def declare(self, scheduler: str, *schedules: StoredSchedule | str, lease: int = LEASE) -> list[str]:
        """Declare some, given as such or by their names."""
        given = [self.code(one) if isinstance(one, str) else one for one in schedules]
        return await self.store.declare_schedules(scheduler, given, lease=lease)

    def code(self, name: str, **about: Any) -> StoredSchedule:
        """One that is declared."""
        return self.schedule(name, **{"after": AN_HOUR, "source": "code", **about})


def claim(stored: StoredSchedule, *messages: Outgoing | str, then: int | None = AN_HOUR, **more: Any) -> Claim:
    """A claim of what was read; the next due time is so many ms later. If nothing is said, it sends its own message."""
    assert stored.due is not None
    next_due = None if then is None else stored.due + then
    sends = [message(one) if isinstance(one, str) else one for one in messages] or [own(stored)]
    about = {
        "next_due": next_due,
        "next_at": next_due,
        "messages": tuple(sends),
        "last_due": stored.due,
        "keep": 10,
    }
    return Claim(name=stored.name, revision=stored.revision, due=stored.due, **(about | more))


def own(stored: StoredSchedule) -> Outgoing:
    """The message of a due time, with the id that is its own."""
    return msgspec.structs.replace(message(id_of(stored)), once=True, call="call")


def id_of(stored: StoredSchedule) -> str:
    """The id of the task of a due time."""
    return f"{stored.name}:{stored.due}"


@asynccontextmanager
async def waking(store: Schedules) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """What a store tells of changes, from when it is connected: a function that waits for the next one."""
    changes = cast(AsyncGenerator[None], store.schedule_changes())
    async with aclosing(changes):

        async def woken() -> None:
            await within(anext(changes))

        await woken()
        yield woken


def names_of(schedules: Sequence[StoredSchedule]) -> list[str]:
    """Their names."""
    return [one.name for one in schedules]
