"""Notes when each run of a schedule began, and for which due time, where the suite can read it.

The wall clock counts, as it does for schedules; on one machine it is the same for all. Each process appends to a file
of its own in `$BENCHMARK_TALLY`: one write of 16 bytes a second.
"""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

PAIR = struct.Struct("2d")
SUFFIX = ".starts"
# Where a peer doesn't tell the due time, it is the whole second before the start; one that is this little early is
# early, and not nearly a second late.
_EARLY = 0.02


def began(due: float | None = None) -> None:
    """The first thing that a scheduled task does.

    Args:
        due: its due time, if the peer tells it; else it is the whole second.
    """
    now = time.time()
    if due is None:
        due = float(int(now + _EARLY))
    with (Path(os.environ["BENCHMARK_TALLY"]) / f"{os.getpid()}{SUFFIX}").open("ab", buffering=0) as file:
        file.write(PAIR.pack(due, now))
