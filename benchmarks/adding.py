"""`--add`: some scenarios measured again, or for the first time; the page keeps what it has of the others."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.bench import Sizes
from benchmarks.figures import METRICS
from benchmarks.suite import Results


@dataclass
class Told:
    """What a page tells.

    Attributes:
        results, rounds, sizes, machine: of the run that made it.
        added: of each run that was added since: its scenarios, rounds, seconds, and what differs in the machine.
    """

    results: Results
    rounds: int
    sizes: Sizes
    machine: dict[str, str]
    added: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> Told:
        """What a run wrote.

        Raises:
            OSError: there is none.
        """
        found = json.loads(file.read_text())
        results = Results(found["measured"], found["failures"], found["seconds"])
        return cls(results, found["rounds"], Sizes(**found["sizes"]), found["machine"], found.get("added", []))

    def add(self, new: Results, scenarios: list[str], rounds: int, machine: dict[str, str]) -> None:
        """The figures of those scenarios take the place of earlier ones; all others stay."""
        stale = {metric.name for metric in METRICS if metric.scenario in scenarios}
        for found in self.results.rounds:
            for peer in found:
                found[peer] = {name: value for name, value in found[peer].items() if name not in stale}
        for number, measured in enumerate(new.rounds):
            if number == len(self.results.rounds):
                self.results.rounds.append({})
            found = self.results.rounds[number]
            for peer, figures in measured.items():
                found[peer] = found.get(peer, {}) | figures
        failures = self.results.failures
        for peer in list(failures):
            failures[peer] = {name: why for name, why in failures[peer].items() if name not in scenarios}
            if not failures[peer]:
                del failures[peer]
        for peer, why in new.failures.items():
            failures[peer] = failures.get(peer, {}) | {name: text for name, text in why.items() if name in scenarios}
        self.added = [run for run in self.added if not set(run["scenarios"]) <= set(scenarios)]
        differs = {key: text for key, text in machine.items() if text != self.machine.get(key)}
        self.added.append(
            {"scenarios": list(scenarios), "rounds": rounds, "seconds": round(new.seconds), "machine": differs}
        )
