"""The stream of events."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from support.waiting import within

from aioqueue.brokers.protocol import Broker, StoredEvent

pytestmark = pytest.mark.needs("events")


async def _read(broker: Broker, cursor: str, count: int) -> list[StoredEvent]:
    found: list[StoredEvent] = []
    async with asyncio.timeout(20), aclosing(broker.events_after(cursor)) as told:
        async for some in told:
            found += some
            if len(found) >= count:
                return found
    raise AssertionError("it ended")


async def test_they_are_read_in_order_from_any_of_them_on(broker: Broker) -> None:
    assert await broker.last_event() == ""
    await broker.put_events([b"a", b"b", b"c"], keep=100)
    await broker.put_events([b"d"], keep=100)
    await broker.put_events([b"e", b"f"], keep=100)
    found = await _read(broker, "", 6)
    assert [one.data for one in found] == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert len({one.cursor for one in found}) == 6
    assert await broker.last_event() == found[-1].cursor
    for place, one in enumerate(found[:-1], 1):  # also in the middle of what was told together
        assert await _read(broker, one.cursor, 6 - place) == found[place:]


async def test_who_listens_hears_what_comes(broker: Broker) -> None:
    await broker.put_events([b"before"], keep=100)
    async with aclosing(broker.events_after(await broker.last_event())) as told:
        hearing = asyncio.ensure_future(anext(told))
        await asyncio.sleep(0)
        assert not hearing.done()
        await broker.put_events([b"a"], keep=100)
        assert [one.data for one in await within(hearing)] == [b"a"]
        await broker.put_events([b"b", b"c"], keep=100)
        assert [one.data for one in await within(anext(told))] == [b"b", b"c"]


@pytest.mark.parametrize("together", [1, 10])
async def test_the_oldest_make_room(broker: Broker, together: int) -> None:
    for start in range(0, 600, together):
        await broker.put_events([b"%d" % number * 50 for number in range(start, start + together)], keep=100)
    found = await _read(broker, "", 1)
    last = await broker.last_event()
    while found[-1].cursor != last:
        found += await _read(broker, found[-1].cursor, 1)
    assert found[-1].data == b"599" * 50
    assert 100 <= len(found) <= 300, "about so many: a server drops whole pages of them"
    # Whoever has read up to one that is gone goes on with the oldest there is.
    assert (await _read(broker, "1-0.0", 1))[0] == found[0]


async def test_whether_they_are_wanted(broker: Broker) -> None:
    assert await broker.events_wanted() is None
    await broker.want_events(True)
    assert await broker.events_wanted() is True
    await broker.want_events(False)
    assert await broker.events_wanted() is False
