"""What is known of the workers of a server that only one machine can reach, beside their leases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Neighbours(Protocol):
    """Tells of the workers of a namespace whose process is gone. It looks at files, and may be asked often."""

    def hold(self, worker: str) -> None:
        """A worker of this process begins."""
        ...

    def end(self, worker: str) -> None:
        """It does nothing more."""
        ...

    def gone(self) -> list[str]:
        """The ids of those that do nothing more, of whatever process; without those that are forgotten."""
        ...

    def forget(self, workers: Iterable[str]) -> None:
        """The broker knows of these."""
        ...
