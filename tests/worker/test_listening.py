"""What a worker does when it is told something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, get_args

import pytest

from aioqueue.brokers.protocol import (
    Asked,
    Connected,
    Delivery,
    Due,
    Notice,
    Question,
    QueuesPaused,
    StampRevoked,
    TasksRevoked,
)
from aioqueue.worker.listening import Listener

DELIVERY = Delivery(0, "waiting", b"", "q")


class Told:
    """A broker that tells something, and a worker that notes what it is asked for then."""

    def __init__(self, *notices: Any) -> None:
        self._notices = notices
        self.asked: list[Any] = []
        self.all_told = asyncio.Event()

    async def notices(self) -> AsyncIterator[Notice]:
        for notice in self._notices:
            yield notice
        self.all_told.set()
        await asyncio.Event().wait()

    async def stamps(self) -> list[tuple[bytes, int]]:
        return [(b"stamp", 1)]

    async def revoked(self, ids: Sequence[str]) -> list[bool]:
        return [True for _ in ids]

    def ready(self) -> list[Delivery]:
        return [DELIVERY]

    def hear(self, question: Question) -> None:
        self.asked.append(question)

    async def look(self) -> None:
        self.asked.append("paused")

    def wake(self) -> None:
        self.asked.append("promote")

    @property
    def revocations(self) -> Told:
        return self

    def revoke(self, ids: Sequence[str], terminate: bool) -> None:
        self.asked.append((ids, terminate))

    def revoke_stamps(self, stamps: Sequence[tuple[bytes, int]], terminate: bool) -> None:
        self.asked.append((stamps, terminate))

    async def listen(self) -> list[Any]:
        all_of_it: Any = self
        listening = asyncio.create_task(Listener(all_of_it, all_of_it, all_of_it, all_of_it, all_of_it).run())
        async with asyncio.timeout(10):
            await self.all_told.wait()
        listening.cancel()
        return self.asked


QUESTION = Question(id="1", name="ping")
STAMPS = [(b"stamp", 1)]
ASKED: dict[Any, list[Any]] = {
    Due(): ["promote"],
    TasksRevoked(("a", "b"), True): [(("a", "b"), True)],
    StampRevoked(True): [(STAMPS, True)],
    QueuesPaused(): ["paused"],
    Asked(QUESTION): [QUESTION],
    StampRevoked(): [(STAMPS, False)],
    Connected(): ["promote", "paused", (STAMPS, False), (("waiting",), False)],
}


def test_each_kind_of_notice_is_here() -> None:
    assert {type(notice) for notice in ASKED} == set(get_args(Notice))


@pytest.mark.parametrize("notice", ASKED)
async def test_a_notice_is_followed(notice: Notice) -> None:
    assert await Told(notice).listen() == ASKED[notice]


async def test_one_that_nobody_knows_is_said_and_passed_over(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told("unheard of")

    async def at_once(_: float) -> None:
        told._notices = (Due(),)

    monkeypatch.setattr("aioqueue.worker.listening.asyncio.sleep", at_once)
    assert await told.listen() == ["promote"]
    assert "A notice could not be understood" in caplog.text
