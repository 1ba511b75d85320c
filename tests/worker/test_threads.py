"""The threads of plain functions."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from queue import SimpleQueue
from typing import Any

import pytest
from support.waiting import PATIENCE

from aioqueue.exceptions import TimeLimitExceeded
from aioqueue.threads import Threads


async def test_what_was_ended_before_it_has_begun_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is recorded already; a thread that comes late to it must not run it after all."""
    threads = Threads("late")
    inbox: SimpleQueue[Any] = SimpleQueue()
    monkeypatch.setattr(threads, "_new_thread", lambda: inbox)
    ran: list[int] = []
    job = threads.start(lambda: ran.append(1), contextvars.copy_context())
    assert job.interrupt(TimeLimitExceeded) is False
    late = threading.Thread(target=threads._work, args=(inbox,), daemon=True)
    late.start()
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait({job.future})
    assert ran == []
    following = threads.start(lambda: ran.append(2), contextvars.copy_context())
    async with asyncio.timeout(PATIENCE):
        await following.future
    assert ran == [2], "the thread itself is as good as before"
    threads.close()
    await asyncio.to_thread(late.join, PATIENCE)
    assert not late.is_alive()
