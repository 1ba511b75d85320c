"""The ends of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aioqueue.brokers.protocol.data import Settlement, Verdict


class Settling(Protocol):
    """How the end of a task takes effect, with all that it changes."""

    async def settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        """Apply each settlement whole or not at all. May be repeated by the broker itself, never applied twice."""
        ...
