"""What waits for its time."""

from __future__ import annotations

from typing import Protocol


class Delays(Protocol):
    """Putting into the queues what is due; any worker does it for all."""

    async def promote(self) -> float | None:
        """Put into the queues what is due; returns the seconds until the next one is, None if none waits."""
        ...
