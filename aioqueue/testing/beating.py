"""The schedules of a test, fired as its clock comes to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioqueue.brokers.protocol import Broker
from aioqueue.ids import short_id

if TYPE_CHECKING:
    from aioqueue.beat.claiming import Claimer
    from aioqueue.core import Core

_LEASE = 1  # ms; others that lead are not in its way, nor is it in theirs


class Beat:
    """Stands for the schedules of the app's code, and fires them and those that the test adds."""

    def __init__(self, app: Core, broker: Broker) -> None:
        self._app = app
        self._broker = broker
        self._id = short_id()
        self._claimer: Claimer | None = None
        self._told: dict[str, str] = {}

    async def declare(self) -> None:
        """Know the schedules of the code; those that are known already stay as they are."""
        app = self._app
        if app.declared is None and not app.conf.beat_schedule:
            return
        from aioqueue.beat.declaring import stand_for

        self._made().own = await stand_for(app, self._broker, self._id, self._told, lease=_LEASE)

    async def fire(self) -> int | None:
        """Send what is due; returns when the next is due, in ms since the epoch. None: there is nothing more."""
        if not self._broker.capabilities.schedules:
            return None
        if self._claimer is None and await self._broker.due_schedules(1) == ([], None):
            return None
        return (await self._made().fire())[0]

    def _made(self) -> Claimer:
        if self._claimer is None:
            from aioqueue.beat.claiming import Claimer

            self._claimer = Claimer(self._app, self._broker)
        return self._claimer
