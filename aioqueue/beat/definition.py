"""What is stored of a schedule: when, what and how, in bytes that the broker does not look into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aioqueue.beat.due import Times
from aioqueue.beat.ways import ways_of
from aioqueue.brokers.protocol import StoredSchedule
from aioqueue.canvas.base import Canvas
from aioqueue.exceptions import PayloadError
from aioqueue.periodic import Periodic, Terms
from aioqueue.schedules import Schedule, print_of

if TYPE_CHECKING:
    from aioqueue.core import Core


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored of a schedule.

    Attributes:
        canvas: what is sent, as `to_dict` gives it.
        schedule: when, as text; None for a class of the user's own, which is found in the code of schedulers.
        own: how such a one prints.
        terms: how.
        ways: how its tasks are sent by themselves, as the code that declares it knows: for schedulers that don't.
    """

    canvas: dict[str, Any]
    schedule: str | None = None
    own: str = ""
    terms: Terms = Terms()
    ways: dict[str, dict[str, Any]] = {}


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(Definition).decode


def definition_of(app: Core, canvas: Canvas[Any], schedule: Schedule, terms: Terms) -> bytes:
    """A definition as it is stored; the same bytes for the same.

    Raises:
        PayloadError: an argument cannot be written.
    """
    text = schedule.text()
    return _encode(
        Definition(
            canvas=canvas.to_dict(),
            schedule=text,
            own=print_of(schedule) if text is None else "",
            terms=terms,
            ways=ways_of(app, canvas),
        )
    )


def read_definition(stored: StoredSchedule) -> Definition:
    """A definition.

    Raises:
        PayloadError: what is stored is none.
    """
    try:
        return _decode(stored.definition)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        why = stored.problem or error
        raise PayloadError(f"What is stored as the schedule {stored.name!r} cannot be read: {why}.") from None


def stored(app: Core, found: Periodic, *, source: str, now: int) -> StoredSchedule:
    """A schedule as it is stored at first.

    Args:
        app: who declares it; its time zone counts for what has none of its own.
        found: the schedule.
        source: whether that is code, or somebody at run time.
        now: ms since the epoch, by the broker's clock.

    Raises:
        AioQueueError: it cannot be stored, or has no moments.
    """
    schedule = found.schedule.localized(app.conf.timezone)
    terms = found.terms.localized(app.conf.timezone)
    times = Times(found.name, schedule, terms, now)
    due = times.after(now)
    return StoredSchedule(
        name=found.name,
        definition=definition_of(app, found.canvas, schedule, terms),
        source=source,
        due=due,
        at=None if due is None else times.at(due),
    )
