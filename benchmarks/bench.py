"""One peer on one fresh server: what the scenarios are made of."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from benchmarks.measuring import Counters, Tally, clear_tally, read_starts, read_tally
from benchmarks.processes import Tree, clean_environment, running
from benchmarks.registry import ROOT, Peer

_SETTLE = 0.3
# Late acknowledgement allows it, and saq does it: its worker sweeps as it starts, and finds what it has just fetched.
_REPEATS = 0.001


class Failed(Exception):
    """A peer did not do what it was asked to; the text goes into the table."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes:
        share: of each peer's numbers of tasks.
        depth: of the deep queue.
        workers: that idle.
        round_trips: at most, and for at most `seconds`.
        beats: due times of a schedule, one each second.
        patience: seconds without any progress after which a peer has failed.
    """

    share: float = 1.0
    depth: int = 1_000_000
    workers: int = 50
    round_trips: int = 200
    seconds: float = 4.0
    beats: int = 60
    patience: float = 20.0

    def of(self, count: int) -> int:
        return max(50, round(count * self.share))


QUICK = Sizes(share=0.1, depth=20_000, workers=5, round_trips=20, seconds=2.0, beats=5)


class Bench:
    """A peer, its interpreter, and a server that is its own.

    Attributes:
        peer: who.
        sizes: how much.
        python: its interpreter.
        client: for looking at the server.
        repeated: tasks that ran twice.
        tally_folder: where the tasks are counted.

    Args:
        root: the checkout whose aioqueue is measured.
    """

    def __init__(self, peer: Peer, python: Path, url: str, folder: Path, sizes: Sizes, *, root: Path = ROOT) -> None:
        self.peer, self.sizes, self.repeated = peer, sizes, 0
        self.client = redis.Redis.from_url(url)
        self.python, self._url, self._folder = str(python), url, folder
        self.tally_folder = folder / "tally"
        self.tally_folder.mkdir()
        self._paths = [ROOT]
        if root != ROOT:  # its aioqueue, and the suite of this one
            other = folder / "checkout"
            other.mkdir()
            (other / "aioqueue").symlink_to(root / "aioqueue")
            self._paths.insert(0, other)

    def fresh(self) -> None:
        """Nothing in the server, nothing counted."""
        self.client.flushall()
        clear_tally(self.tally_folder)

    def counters(self) -> Counters:
        return Counters(self.client)

    def tally(self) -> Tally:
        return read_tally(self.tally_folder)

    def starts(self) -> list[tuple[float, float]]:
        return read_starts(self.tally_folder)

    def _environment(
        self, at_once: int | None = None, sleep: float = 0.05, processes: int = 1, *, beat: bool = False
    ) -> dict[str, str]:
        return clean_environment(
            PYTHONPATH=os.pathsep.join(map(str, self._paths)),
            BENCHMARK_URL=self._url,
            BENCHMARK_TALLY=str(self.tally_folder),
            BENCHMARK_VARIANT=self.peer.variant,
            BENCHMARK_AT_ONCE=str(at_once or ""),
            BENCHMARK_SLEEP=str(sleep),
            BENCHMARK_PROCESSES=str(processes),
            BENCHMARK_BEAT="1" if beat else "",
        )

    def _words(self, *words: object) -> list[str]:
        return [self.python, "-m", "benchmarks.peers.drive", self.peer.module, *map(str, words)]

    def drive(self, *words: object, timeout: float = 90.0) -> dict[str, Any]:
        """Have the peer's sender do something, see `benchmarks/peers/drive.py`."""
        try:
            done = subprocess.run(
                self._words(*words),
                env=self._environment(),
                cwd=self._folder,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"{words[0]} took more than {timeout:.0f} s") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise Failed(f"{words[0]}: {lines[-1][:200] if lines else f'exit code {done.returncode}'}")
        return json.loads(done.stdout.splitlines()[-1])

    def worker(
        self, at_once: int | None = None, sleep: float = 0.05, processes: int = 1
    ) -> AbstractContextManager[Tree]:
        """A worker, for as long as the block lasts."""
        return running(self._words("worker"), self._environment(at_once, sleep, processes), self._folder)

    @contextmanager
    def beat(self) -> Iterator[list[Tree]]:
        """A worker, and the scheduler, where that is a process of its own; `tick` is scheduled for each second."""
        environment = self._environment(beat=True)
        scheduler = (
            running(self._words("scheduler"), environment, self._folder) if self.peer.scheduler else nullcontext()
        )
        with running(self._words("worker"), environment, self._folder) as worker, scheduler as other:
            yield [worker, other] if other else [worker]

    def watch(self, worker: Tree, expected: int) -> Iterator[Tally]:
        """The tally from the first end on, several times a second, until all have run; then what came in the end.

        Raises:
            Failed: the worker ended, or stood still, or ran more than one in a thousand twice.
        """
        before, moved = 0, time.monotonic()
        while (tally := self.tally()).ended < expected:
            if tally.ended > before or tally.running:
                before, moved = tally.ended, time.monotonic()
            if tally.ended:
                yield tally
            if not worker.alive:
                raise Failed(f"its worker ended after {tally.ended:,} tasks: {worker.last_words()}")
            if time.monotonic() - moved > self.sizes.patience:
                still = f"ran {tally.ended:,} of {expected:,}, then none for {self.sizes.patience:.0f} s"
                raise Failed(f"{still}: {worker.last_words()}")
            time.sleep(0.02)
        # Its last acknowledgements are still on their way; and if a task ran twice, it shows now.
        time.sleep(_SETTLE)
        tally = self.tally()
        self.repeated += tally.ended - expected
        if tally.ended - expected > _REPEATS * expected:
            raise Failed(f"ran {tally.ended:,} tasks of {expected:,}")
        yield tally

    @contextmanager
    def workers(self, count: int) -> Iterator[list[Tree]]:
        """Several of them."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.worker()) for _ in range(count)]
