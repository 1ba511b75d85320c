"""What a broker can and cannot do."""

from __future__ import annotations

import msgspec


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What not every broker can do. One of which nothing is said can do it all; a broker says what it cannot.

    Who needs what a broker lacks, says so before anything is sent, and does not find out by trying.

    Attributes:
        shared: other processes see what is in it.
        bounded: `send` and `put_part` keep to their `max_length`.
        front: what is handed back or taken over comes before all else again.
        schedules: it keeps schedules.
        asked: its workers can be asked, and answer.
        events: it keeps a stream of events.
        withdraws: `withdraw` reaches it while the worker's event loop stands still.
        priorities: how many of the ten priorities it tells apart; with 1 they are passed over.
    """

    shared: bool = True
    bounded: bool = True
    front: bool = True
    schedules: bool = True
    asked: bool = True
    events: bool = True
    withdraws: bool = True
    priorities: int = 10
