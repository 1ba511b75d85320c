"""What the suite reads while a peer works: the tally of its tasks, and the server's own counters."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.peers.starts import PAIR, SUFFIX
from benchmarks.peers.tally import SLOTS

_SCRIPTS = ("eval", "fcall", "multi", "exec")
_OURS = ("info", "config", "client|", "hello", "flush", "script|", "select")


@dataclass(frozen=True)
class Tally:
    """What `benchmarks.peers.tally` counted, over all processes of a worker."""

    ended: int = 0
    first: int = 0
    last: int = 0
    running: int = 0
    peak: int = 0

    @property
    def seconds(self) -> float:
        """From the first end to the last."""
        return (self.last - self.first) / 1e9

    @property
    def rate(self) -> float:
        """Tasks a second, from the first end to the last."""
        return (self.ended - 1) / self.seconds if self.ended > 1 and self.last > self.first else 0.0


def read_tally(folder: Path) -> Tally:
    """The sum of all files in the folder."""
    contents = [path.read_bytes() for path in folder.iterdir()]
    found = [struct.unpack(f"{SLOTS}Q", content) for content in contents if len(content) == 8 * SLOTS]
    found = [numbers for numbers in found if any(numbers)]
    if not found:
        return Tally()
    ended, first, last, running, peak = zip(*found, strict=True)
    return Tally(sum(ended), min(number or 1 << 63 for number in first), max(last), sum(running), sum(peak))


def read_starts(folder: Path) -> list[tuple[float, float]]:
    """Of each run of a schedule, its due time and when it began, as `benchmarks.peers.starts` noted them."""
    contents = [path.read_bytes() for path in folder.glob(f"*{SUFFIX}")]
    return sorted(pair for content in contents for pair in PAIR.iter_unpack(content[: len(content) // 16 * 16]))


def clear_tally(folder: Path) -> None:
    """Forget what ran so far; nothing may be running."""
    for path in folder.iterdir():
        path.unlink()


class Counters:
    """The server's counters since this was made."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        client.config_resetstat()
        self._reads = 0
        self._reads = self.reads()
        self._cpu, self._since = self._server_cpu(), time.monotonic()

    def _server_cpu(self) -> float:
        found = self._client.info("cpu")
        return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])

    def commands(self) -> int:
        """That the server carried out: those inside scripts count, what wraps them (EVALSHA, MULTI) does not."""
        found = self._client.info("commandstats")
        names = {name.removeprefix("cmdstat_"): row["calls"] for name, row in found.items()}
        return sum(calls for name, calls in names.items() if not name.startswith((*_SCRIPTS, *_OURS)))

    def reads(self) -> int:
        """How often the server read from a connection: round trips, a pipeline being one."""
        return int(self._client.info("stats")["total_reads_processed"]) - self._reads

    def cpu(self) -> float:
        """Seconds."""
        return self._server_cpu() - self._cpu

    def seconds(self) -> float:
        return time.monotonic() - self._since
