"""From what is due to what is sent: look at it, claim it, and note what comes next.

The claim of a due time and its send are one step in the broker, and a claim is for one due time: whoever comes second,
or too late, sends nothing (promise D7).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from aioqueue import clock
from aioqueue.around.sent import tell_fired, tell_sent
from aioqueue.beat.due import MOST, look
from aioqueue.beat.job import Job
from aioqueue.beat.passing import Passing, Refused
from aioqueue.brokers.protocol import Broker, Claim, Claimed, ClaimVerdict, StoredSchedule
from aioqueue.brokers.shares import MOST_BYTES, MOST_ITEMS
from aioqueue.dispatch import Dispatch, Posting
from aioqueue.logs import logger
from aioqueue.schedules import Schedule

if TYPE_CHECKING:
    from aioqueue.core import Core

FRESH_FOR = 2000
"""ms in which a claim may arrive at the broker, from when it was looked at what is due: a scheduler that is frozen
anywhere in between sends nothing stale."""

_COMPLAIN_AGAIN = 60.0
_MOST_RECENT = 1000
_MOST_JOBS = 20_000
# Between two due times there may be others at the broker; so much is computed at a stretch.
_BREATHE = 100


class _Draft(NamedTuple):
    """A claim, and what is told of what it sends.

    Attributes:
        crowded: how many due times it leaves out for what goes on (`max_running`).
        looked_at: when it was decided what becomes of it, ms since the epoch by the broker's clock.
    """

    claim: Claim
    postings: tuple[Posting, ...]
    crowded: int
    looked_at: int


class Claimer:
    """Fires what is due.

    Args:
        app: sends it.
        broker: keeps the schedules.

    Attributes:
        own: the schedules of this program's code that have no text, by name.
        fired: how many due times it has fired.
    """

    def __init__(self, app: Core, broker: Broker) -> None:
        self._app = app
        self._broker = broker
        self._dispatch = Dispatch(app)
        self.own: Mapping[str, Schedule] = {}
        self.fired = 0
        self._jobs: dict[str, tuple[bytes, Job]] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._complained: dict[tuple[str, str], float] = {}

    async def fire(self, seconds: float = float("inf")) -> tuple[int | None, bool]:
        """Fire all that is due.

        Args:
            seconds: after these it is left at that, though there may be more.

        Returns:
            When the next one is due, ms since the epoch, None is never; and whether something stays due that could not
            be fired: to be tried again soon.
        """
        stuck, started = 0, clock.seconds()
        while True:
            page, following = await self._broker.due_schedules(MOST_ITEMS, skip=stuck)
            if not page:
                return following, stuck > 0
            done = await self._fire(page)
            stuck += len(page) - done
            if clock.seconds() >= started + seconds:
                return self._broker.now(), stuck > 0

    async def fire_own(self) -> int | None:
        """Fire what is due of the schedules in `own`: whoever leads may not have them in its code.

        Returns:
            When the next of them is due, ms since the epoch, which may have passed; None is never.
        """
        known = [one for one in await self._broker.schedules([*self.own]) if not one.paused]
        now = self._broker.now()
        due = [one for one in known if one.at is not None and one.at <= now]
        if due:
            await self._fire(due[:MOST_ITEMS])
            known = [one for one in await self._broker.schedules([*self.own]) if not one.paused]
        return min((one.at for one in known if one.at is not None), default=None)

    async def _fire(self, page: Sequence[StoredSchedule]) -> int:
        """Fire a page of what is due; returns how many of them have gone on to what comes next."""
        running = await self._running(page)
        done = 0
        drafts: list[_Draft] = []
        count = size = 0
        for position, stored in enumerate(page):
            if position % _BREATHE == _BREATHE - 1:
                await asyncio.sleep(0)
            draft = self._draft(stored, running)
            if draft is None:
                continue
            drafts.append(draft)
            count += len(draft.postings)
            size += sum(len(posting.message.data) for posting in draft.postings)
            old = self._broker.now() - drafts[0].looked_at > FRESH_FOR // 2
            if count > MOST_ITEMS - MOST or size > MOST_BYTES or old:
                done += await self._claim(drafts)
                drafts, count, size = [], 0, 0
        return done + (await self._claim(drafts) if drafts else 0)

    def _draft(self, stored: StoredSchedule, running: Mapping[str, tuple[int, int]]) -> _Draft | None:
        """What a schedule that is due sends now."""
        now = self._broker.now()
        try:
            job = self._job(stored)
            assert stored.due is not None, "what is never due is not due"
            unended, oldest = running.get(stored.name, (0, 0))
            most = job.terms.max_running
            found = look(
                job.times(stored.due),
                job.terms,
                stored.due,
                now,
                runs=stored.runs,
                room=None if most is None else most - unended,
            )
            postings = tuple([job.posting(due, now) for due in found.fire])
        except Exception as error:  # a schedule of the user's own may raise anything; and it harms no other
            self._complain(stored.name, f"cannot be fired: {error}")
            return None
        return _Draft(
            Claim(
                name=stored.name,
                revision=stored.revision,
                due=stored.due,
                next_due=found.due,
                next_at=found.at,
                messages=tuple([posting.message for posting in postings]),
                last_due=found.fire[-1] if found.fire else None,
                missed=found.missed,
                keep=0 if most is None else min(oldest + len(postings), _MOST_RECENT),
            ),
            postings,
            found.crowded,
            now,
        )

    def _job(self, stored: StoredSchedule) -> Job:
        known = self._jobs.get(stored.name)
        if known is not None and known[0] == stored.definition:
            return known[1]
        job = Job(self._app, stored, self.own)
        if len(self._jobs) >= _MOST_JOBS:
            self._jobs.clear()
        self._jobs[stored.name] = stored.definition, job
        return job

    async def _running(self, page: Sequence[StoredSchedule]) -> dict[str, tuple[int, int]]:
        """Of the schedules that have a limit, how many of their tasks have not ended; and how far back in `recent` the
        oldest of those is."""
        ids = [id for stored in page for id in stored.recent]
        if not ids:
            return {}
        goes_on = dict(zip(ids, await self._broker.going_on(ids), strict=True))
        found: dict[str, tuple[int, int]] = {}
        for stored in page:
            places = [place for place, id in enumerate(reversed(stored.recent), 1) if goes_on[id]]
            found[stored.name] = len(places), max(places, default=0)
        return found

    async def _claim(self, drafts: Sequence[_Draft]) -> int:
        """Claim them; returns how many have gone on to what comes next."""
        if self._app.passes_through:
            found = await asyncio.gather(*map(self._pass_and_claim, drafts), return_exceptions=True)
            for claimed in found:
                if isinstance(claimed, BaseException):
                    raise claimed
        else:
            found = await self._claim_at_once(drafts)
        return sum(
            isinstance(claimed, Claimed) and self._has_gone_on(draft, claimed)
            for draft, claimed in zip(drafts, found, strict=True)
        )

    async def _pass_and_claim(self, draft: _Draft) -> Claimed | None:
        """Let its messages pass what stands around them, and claim it then; None if one of them is refused."""

        async def claim(postings: tuple[Posting, ...]) -> Claimed:
            messages = tuple([posting.message for posting in postings])
            changed = msgspec.structs.replace(draft.claim, messages=messages)
            (claimed,) = await self._claim_at_once([draft._replace(claim=changed, postings=postings)])
            if claimed.verdict is ClaimVerdict.LATE:
                self._complain(draft.claim.name, f"waits: its around_send took longer than {FRESH_FOR / 1000:g} s")
            return claimed

        try:
            return await Passing(self._app, draft.postings, self._broker.now, claim).go()
        except Refused as error:
            self._complain(draft.claim.name, f"cannot be fired: {error}")
            return None

    async def _claim_at_once(self, drafts: Sequence[_Draft]) -> list[Claimed]:
        """Claim them in one step."""
        told: list[Posting] = []

        async def give() -> list[Claimed]:
            found = await self._broker.claim_schedules(
                [draft.claim for draft in drafts],
                until=drafts[0].looked_at + FRESH_FOR,
                max_length=self._dispatch.lengths([m.queue for draft in drafts for m in draft.claim.messages]),
            )
            for draft, claimed in zip(drafts, found, strict=True):
                if claimed.verdict is ClaimVerdict.SENT:
                    told.extend(draft.postings)
            return found

        found = await self._dispatch.hand_over(told, give)
        if self._app.signals.heard & {"task_sent", "schedule_fired"}:
            for draft, claimed in zip(drafts, found, strict=True):
                if claimed.verdict is ClaimVerdict.SENT:
                    self._tell(draft)
        self.fired += len(told)
        return found

    def _tell(self, draft: _Draft) -> None:
        """Tell those who listen, beside: what is due does not wait for them."""

        async def tell() -> None:
            await tell_sent(self._app, draft.postings)
            await tell_fired(self._app, draft.claim.name, draft.postings)

        telling = asyncio.get_running_loop().create_task(tell())
        for group in (self._telling, self._app.signals.under_way):
            group.add(telling)
            telling.add_done_callback(group.discard)

    async def until_told(self) -> None:
        """Wait until those who listen have heard of all that was fired."""
        while self._telling:
            await asyncio.wait(self._telling)

    def _has_gone_on(self, draft: _Draft, claimed: Claimed) -> bool:
        claim = draft.claim
        match claimed.verdict:
            case ClaimVerdict.SENT:
                if claim.next_due is None:  # there may be any number of such, one after another
                    self._jobs.pop(claim.name, None)
                if draft.crowded:
                    _tell_left_out(logging.INFO, claim.name, draft.crowded, "earlier tasks go on (max_running)")
                if claim.missed > draft.crowded:
                    late = claim.missed - draft.crowded
                    _tell_left_out(logging.WARNING, claim.name, late, "too late (misfire)")
                for message in claim.messages:
                    logger.debug("Schedule %s: %s was sent", claim.name, message.id)
                return True
            case ClaimVerdict.GONE:  # another was first, or the schedule is another one
                return True
            case ClaimVerdict.LATE:
                return True  # it is looked at again, as it is by now
            case ClaimVerdict.FULL:
                self._complain(claim.name, f"waits: a queue is full (queue_max_length). {claimed.reason}")
            case ClaimVerdict.BLOCKED:
                self._complain(claim.name, f"waits: {claimed.reason}")
            case ClaimVerdict.REFUSED:
                self._complain(claim.name, f"cannot be fired: {claimed.reason}")
        return False

    def _complain(self, name: str, what: str) -> None:
        """Say it once a minute."""
        now = clock.seconds()
        if self._complained.get((name, what), float("-inf")) + _COMPLAIN_AGAIN > now:
            return
        if len(self._complained) > MOST_ITEMS:
            self._complained.clear()
        self._complained[name, what] = now
        logger.error("Schedule %s %s", name, what)


def _tell_left_out(level: int, name: str, count: int, why: str) -> None:
    what = "1 due time was" if count == 1 else f"{count} due times were"
    logger.log(level, "Schedule %s: %s left out: %s", name, what, why)
