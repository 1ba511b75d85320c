"""A scheduler: one of any number, of which one leads and the others wait to take its place.

The lease is for economy only: it keeps all but one from looking for what is due. That each due time fires once is the
claim's business, whoever claims, and however many.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aioqueue import clock
from aioqueue.beat.claiming import Claimer
from aioqueue.beat.declaring import stand_for
from aioqueue.brokers.protocol import Broker
from aioqueue.exceptions import AioQueueError
from aioqueue.ids import short_id
from aioqueue.logs import logger

if TYPE_CHECKING:
    from aioqueue.core import Core

LEASE = 3000
"""ms for which a scheduler leads, or is known to live, after it was heard last."""

# At most one request a second of an idle one: this, and what keeps its connections alive.
_ASK_AGAIN = 1.25
_TURN = 1.0
# A change is heard of at once; if a word was lost, what it was about is seen then.
_LOOK_AGAIN = 10.0
_TRY_AGAIN = 1.0
_SOON = 0.05
# So much after its due time a schedule of a class of the code's own is looked at by those that don't lead: within the
# second in which it is on time.
_LATER = 0.3
_RESIGN_WITHIN = 2.0


class Scheduler:
    """Fires the schedules of an app and those in its broker, as long as it runs and leads.

    Args:
        app: whose; what it includes has been imported.
        broker: its open broker.

    Attributes:
        id: new for each one.
        leads: whether it is the one that fires, as far as it knows.
    """

    def __init__(self, app: Core, broker: Broker) -> None:
        self._app = app
        self._broker = broker
        self._claimer = Claimer(app, broker)
        self.id = short_id()
        self.leads = False
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._told: dict[str, str] = {}
        self._changed = False
        # By `clock.seconds`: when it asks to lead again, when a change made it ask out of turn, and when it looks for
        # what is due again.
        self._ask_at = 0.0
        self._asked_at_change = float("-inf")
        self._look_at = 0.0
        # The same for the schedules of classes of the code's own.
        self._own_at = 0.0
        self._own_looked_at = float("-inf")

    @property
    def fired(self) -> int:
        """How many due times it has fired."""
        return self._claimer.fired

    def stop(self) -> None:
        """End `run` in good order."""
        self._stop.set()
        self._wake.set()

    async def run(self) -> None:
        """Lead or wait until stopped or cancelled; then others take over at once."""
        listening = asyncio.create_task(self._listen(), name="aioqueue beat, listening")
        try:
            await self._work()
        finally:
            listening.cancel()
            await asyncio.wait({listening})
            await self._resign()
            await self._claimer.until_told()

    async def _listen(self) -> None:
        """Wake when a schedule has changed, and when whoever leads has resigned."""
        while True:
            try:
                async for _ in self._broker.schedule_changes():
                    self._changed = True
                    self._own_at = min(self._own_at, max(clock.seconds(), self._own_looked_at + _TURN))
                    self._wake.set()
            except Exception as error:
                logger.debug("Changes of schedules cannot be heard of: %s", error)
            await asyncio.sleep(_TRY_AGAIN)

    async def _work(self) -> None:
        failures = 0
        while not self._stop.is_set():
            self._wake.clear()
            try:
                pause = await self._turn()
                failures = 0
            except Exception as error:
                failures += 1
                self._ask_at = 0.0
                self._complain(failures, error)
                pause = _TRY_AGAIN
            try:
                async with asyncio.timeout(max(0.0, pause)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _turn(self) -> float:
        """Do what is to be done now; returns for how many seconds that is all."""
        now = clock.seconds()
        if now >= self._ask_at or self._may_have_resigned(now):
            await self._ask()
        if not self.leads:
            if self._claimer.own and clock.seconds() >= self._own_at:
                await self._fire_own()
            return (min(self._ask_at, self._own_at) if self._claimer.own else self._ask_at) - clock.seconds()
        if self._changed or clock.seconds() >= self._look_at:
            await self._fire()
        return 0.0 if self._changed else min(self._ask_at, self._look_at) - clock.seconds()

    def _may_have_resigned(self, now: float) -> bool:
        """Whether the change that was heard of is to be asked about: the one that leads may be gone. Where schedules
        are changed all the time, not each time."""
        if self.leads or not self._changed or now < self._asked_at_change + _TURN:
            return False
        self._asked_at_change = now
        return True

    async def _ask(self) -> None:
        """Lead, or hear that another one does."""
        asked = clock.seconds()
        if not self.leads:
            self._changed = False
        lead = await self._broker.lead_schedules(self.id, lease=LEASE)
        if not lead.known:
            await self._declare()
            await self._broker.sweep_schedules()
        elif lead.leads and lead.untidy:
            await self._broker.sweep_schedules()
        self._ask_at = asked + (_ASK_AGAIN if lead.leads else min(_ASK_AGAIN, max(_SOON, lead.wait / 1000)))
        if lead.leads and not self.leads:
            logger.info("Beat: this scheduler (%s) leads", self.id)
            self._changed = True
        self.leads = lead.leads

    async def _declare(self) -> None:
        """Stand for the schedules of this program's code."""
        self._claimer.own = await stand_for(self._app, self._broker, self.id, self._told, lease=LEASE)
        self._own_at = 0.0

    async def _fire(self) -> None:
        """Fire what is due; and know when to look again."""
        self._changed = False
        following, stuck = await self._claimer.fire(max(0.0, self._ask_at - clock.seconds()))
        wait = _TRY_AGAIN if stuck else _LOOK_AGAIN
        if following is not None:
            wait = min(wait, max(0.001, (following - self._broker.now()) / 1000))
        self._look_at = clock.seconds() + wait

    async def _fire_own(self) -> None:
        """Fire what whoever leads cannot, for it is of classes of this code's own; and know when to look again."""
        self._own_looked_at = clock.seconds()
        following = await self._claimer.fire_own()
        wait = _LOOK_AGAIN
        if following is not None:
            left = (following - self._broker.now()) / 1000
            wait = min(wait, left + _LATER if left > 0 else _TRY_AGAIN)
        self._own_at = clock.seconds() + wait

    async def _resign(self) -> None:
        self.leads = False
        try:
            async with asyncio.timeout(_RESIGN_WITHIN):
                await self._broker.resign_schedules(self.id)
        except (AioQueueError, TimeoutError) as error:  # the lease ends by itself
            logger.debug("Beat: nobody hears that this scheduler ends: %s", error)

    def _complain(self, failures: int, error: Exception) -> None:
        if failures == 3 or failures % 60 == 0:
            logger.warning("Beat cannot go on (%s); it is tried again each second", error)
        else:
            logger.debug("Beat cannot go on: %s", error)
