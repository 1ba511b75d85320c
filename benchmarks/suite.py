"""The whole run: rounds, and in each of them every peer once, on a server of its own."""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bench import Bench, Failed, Sizes
from benchmarks.environments import InstallFailed, python_of
from benchmarks.registry import Peer
from benchmarks.scenarios import SCENARIOS
from benchmarks.server import server


@dataclass
class Results:
    """What came out.

    Attributes:
        rounds: of each round, of each peer, the figures.
        failures: of each peer, of each scenario that failed, why; the last reason.
        seconds: that it all took.
    """

    rounds: list[dict[str, dict[str, float]]] = field(default_factory=list)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: float = 0.0


class Progress:
    """Lines on stderr: what has been done, what is being done, and how long the rest may take."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done = steps, 0
        self.started = self.began = time.monotonic()

    def begin(self, title: str) -> Callable[[str], None]:
        self.done, self.began = self.done + 1, time.monotonic()
        passed = time.monotonic() - self.started
        left = passed / (self.done - 1) * (self.steps - self.done + 1) if self.done > 1 else None
        rest = f", about {left / 60:.0f} min left" if left is not None else ""
        self._line(f"[{self.done}/{self.steps}{rest}] {title}")
        said = 0.0

        def say(text: str) -> None:
            nonlocal said
            # A million copies have many steps; a log wants few lines.
            if sys.stderr.isatty() or time.monotonic() - said > 5:
                said = time.monotonic()
                self._line(f"    {text}")

        return say

    def end(self, text: str) -> None:
        self._line(f"    {text} ({time.monotonic() - self.began:.0f} s)")

    def _line(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def install(peers: list[Peer], results: Results) -> dict[str, Path]:
    """The interpreter of each peer; who cannot be installed has failed, and the others go on."""
    found: dict[str, Path] = {}
    for peer in peers:
        print(f"environment of {peer.module}", file=sys.stderr, flush=True)
        try:
            found[peer.name] = python_of(peer)
        except InstallFailed as error:
            results.failures[peer.name] = dict.fromkeys(SCENARIOS, str(error))
            print(f"    failed: {error}", file=sys.stderr, flush=True)
    return found


def run(peers: list[Peer], scenarios: list[str], rounds: int, sizes: Sizes, *, here: bool) -> Results:
    """Everything, interleaved: what the machine does meanwhile happens to all of them.

    Args:
        here: in the interpreter that runs this, without environments.
    """
    results, started = Results(), time.monotonic()
    peers = [peer for peer in peers if any(SCENARIOS[name].concerns(peer) for name in scenarios)]
    pythons = dict.fromkeys((peer.name for peer in peers), Path(sys.executable)) if here else install(peers, results)
    peers = [peer for peer in peers if peer.name in pythons]
    plan = [
        [(peer, name) for peer in _turned(peers, number) for name in scenarios if _due(peer, name, number)]
        for number in range(rounds)
    ]
    progress = Progress(sum(map(len, plan)))
    for number, steps in enumerate(plan, 1):
        found: dict[str, dict[str, float]] = {peer.name: {} for peer in peers}
        results.rounds.append(found)
        for peer, name in steps:
            say = progress.begin(f"round {number} of {rounds}: {peer.name}, {name}")
            try:
                figures = _measure(peer, pythons[peer.name], name, sizes, say)
            except Failed as error:
                results.failures.setdefault(peer.name, {})[name] = str(error)
                progress.end(f"failed: {error}")
            except Exception as error:
                # One peer's trouble is a cell in the table, and no reason to lose the others' figures.
                results.failures.setdefault(peer.name, {})[name] = f"{type(error).__name__}: {error}"[:300]
                traceback.print_exc()
            else:
                found[peer.name] |= figures
                progress.end(", ".join(f"{key} {value:,.4g}" for key, value in figures.items()))
    results.seconds = time.monotonic() - started
    return results


def _turned(peers: list[Peer], number: int) -> list[Peer]:
    """Another one begins in each round."""
    start = number * 5 % len(peers) if peers else 0
    return peers[start:] + peers[:start]


def _due(peer: Peer, name: str, number: int) -> bool:
    scenario = SCENARIOS[name]
    return scenario.concerns(peer) and (number == 0 or not scenario.once)


def _measure(peer: Peer, python: Path, name: str, sizes: Sizes, say: Callable[[str], None]) -> dict[str, float]:
    with server() as url, tempfile.TemporaryDirectory(prefix="aioqueue-bench-") as folder:
        bench = Bench(peer, python, url, Path(folder), sizes)
        try:
            figures = SCENARIOS[name].run(bench, say)
            return figures | ({f"{name}_repeated": bench.repeated} if bench.repeated else {})
        finally:
            bench.client.close()
