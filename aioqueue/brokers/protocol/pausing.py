"""Queues that are paused: nothing of them is given out. That is kept, so workers that begin later know of it, too."""

from __future__ import annotations

from typing import Protocol


class Pausing(Protocol):
    """A client pauses; `Looking.queues` says what is."""

    async def pause_queue(self, queue: str, paused: bool) -> bool:
        """Pause a queue, or resume it, and tell the workers. False: it was so already."""
        ...

    async def paused_queues(self) -> list[str]:
        """Those that are paused."""
        ...


class Paused(Protocol):
    """A worker asks before it fetches, and whenever it was told of a change: the broker itself holds nothing back."""

    async def paused(self) -> list[str]:
        """All queues that are paused, whether they are the worker's or not."""
        ...
