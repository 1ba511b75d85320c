"""Figures from rounds: medians, spreads, ratios to the floor, places."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks.registry import FLOOR, PEERS
from benchmarks.suite import Results

APART = 1.3
"""Peers closer than this to one another are not ranked: machines differ by more."""

ORDER = [peer.name for peer in PEERS]


@dataclass(frozen=True)
class Metric:
    """Something that is measured for every peer.

    Attributes:
        name: of the figure that a scenario gives.
        scenario: that gives it.
        title: for people.
        unit: of the figure.
        about: one sentence on what it is.
        more: more is better.
        brief: whether the overview has it.
        ranked: whether a better one is a better peer.
    """

    name: str
    scenario: str
    title: str
    unit: str
    about: str
    more: bool = False
    brief: bool = True
    ranked: bool = True


METRICS = (
    Metric(
        "send_one", "noop", "Send one by one", "tasks/s", "One awaited call after the other, in one process.", more=True
    ),
    Metric("send_many", "noop", "Send many", "tasks/s", "As fast as the peer lets one process send.", more=True),
    Metric("drain", "noop", "Drain no-op", "tasks/s", "One worker, from the first end to the last.", more=True),
    Metric("io", "io", "Drain I/O", "tasks/s", "Tasks of 50 ms, 500 at once: 10,000 is all there can be.", more=True),
    Metric("p50", "latency", "Latency p50", "ms", "From the call that sends to the result, on an idle system."),
    Metric("p99", "latency", "Latency p99", "ms", "The same; of peers that poll, there are few samples."),
    Metric(
        "run50", "latency", "Send to run, p50", "ms", "Until the function has run, without its result.", brief=False
    ),
    Metric("worker_cpu", "noop", "Worker CPU", "µs/task", "Of the worker's processes, while it drains."),
    Metric("server_cpu", "noop", "Server CPU", "µs/task", "Of the server, while the worker drains.", brief=False),
    Metric("commands", "noop", "Redis commands", "per task", "To send one and to run it; those inside scripts count."),
    Metric("reads", "noop", "Round trips", "per task", "Reads of the server, to send one and to run it.", brief=False),
    Metric("memory_idle", "latency", "Memory, idle", "MiB", "Of the worker, after some tasks."),
    Metric("memory_load", "io", "Memory, 500 running", "MiB", "Of the worker, at most, while 500 tasks sleep."),
    Metric("deep", "deep", "Drain a deep queue", "tasks/s", "While a million tasks wait.", more=True),
    Metric(
        "deep_ratio",
        "deep",
        "Deep to shallow",
        "×",
        "That rate, by the no-op drain's: 1 is as fast.",
        more=True,
        brief=False,
        ranked=False,
    ),
    Metric(
        "deep_send", "deep", "Send to a deep queue", "tasks/s", "One by one, a million wait.", more=True, brief=False
    ),
    Metric(
        "beat_p50",
        "beat",
        "Schedule, p50",
        "ms",
        "A schedule for each second: from the due time to the start of the task, on an idle system.",
        brief=False,
    ),
    Metric("beat_p99", "beat", "Schedule, p99", "ms", "The same; of 60 due times, the second worst."),
    Metric("beat_max", "beat", "Schedule, worst", "ms", "The same.", brief=False),
    Metric("beat_missed", "beat", "Schedule, left out", "%", "Due times for which no task began.", brief=False),
    Metric("idle_commands", "idle", "50 idle workers", "commands/s", "That the server carries out for them all."),
    Metric("idle_cpu", "idle", "CPU of 50 idle workers", "% of a core", "Of the workers, together.", brief=False),
)

OWN = {
    "own_import": ("`import aioqueue`, over bare Python", "ms"),
    "own_help": ("`aioqueue --help`, over bare Python", "ms"),
    "own_python": ("bare Python", "ms"),
    "own_idle": ("a worker's memory, idle", "MiB"),
    "own_running": ("a worker's memory, 1,000 tasks running", "MiB"),
    "own_chain": ("one chain of 1,000 steps, each after the one before it", "tasks/s"),
    "own_chains": ("200 chains of 100 steps", "tasks/s"),
    "own_chains_ratio": ("the same, by a no-op drain right before", "×"),
    "own_chord": ("a chord of 10,000", "tasks/s"),
    "own_chord_ratio": ("the same, by that drain", "×"),
    "own_process": ("tasks that take 0.2 ms of CPU, one process", "tasks/s"),
    "own_processes": ("the same, `--processes 2`", "tasks/s"),
    "own_processes_ratio": ("two processes by one", "×"),
}


@dataclass(frozen=True)
class Figure:
    """Of one peer, over the rounds.

    Attributes:
        median, low, high: of its figures.
        ratio: the median of what it is to the floor in the same round, with `ratio_low` and `ratio_high`; None
            without a floor.
        place: 1 + how many peers are better by `APART` or more; None for the floor, which does not compete.
    """

    median: float
    low: float
    high: float
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    place: int | None = None


def summary(results: Results) -> dict[str, dict[str, Figure]]:
    """Of each metric, of each peer, its figure; peers without one are left out."""
    rounds = [_with_ratios(found) for found in results.rounds]
    tables: dict[str, dict[str, Figure]] = {}
    for metric in METRICS:
        medians = {
            peer: statistics.median(values)
            for peer in ORDER
            if (values := [found[peer][metric.name] for found in rounds if metric.name in found.get(peer, {})])
        }
        table = {peer: _figure(metric, peer, medians, rounds) for peer in medians}
        if table:
            tables[metric.name] = table
    return tables


def _with_ratios(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        peer: figures
        | ({"deep_ratio": figures["deep"] / figures["drain"]} if {"deep", "drain"} <= figures.keys() else {})
        for peer, figures in found.items()
    }


def _figure(metric: Metric, peer: str, medians: dict[str, float], rounds: list[dict[str, dict[str, float]]]) -> Figure:
    name = metric.name
    values = [found[peer][name] for found in rounds if name in found.get(peer, {})]
    ratios = [
        found[peer][name] / found[FLOOR][name]
        for found in rounds
        if name in found.get(peer, {}) and found.get(FLOOR, {}).get(name)
    ]
    rivals = [median for rival, median in medians.items() if rival not in (FLOOR, peer)]
    better = [median for median in rivals if _beats(metric, median, medians[peer])]
    return Figure(
        medians[peer],
        min(values),
        max(values),
        statistics.median(ratios) if ratios else None,
        min(ratios, default=None),
        max(ratios, default=None),
        None if peer == FLOOR else 1 + len(better),
    )


def _beats(metric: Metric, other: float, mine: float) -> bool:
    return other != mine and (other >= mine * APART if metric.more else other * APART <= mine)


def best_first(metric: Metric, table: dict[str, Figure]) -> list[str]:
    """The peers of a table: the floor, then the best, and so on."""
    return sorted(table, key=lambda peer: (peer != FLOOR, -table[peer].median if metric.more else table[peer].median))


def number(value: float) -> str:
    """A figure with as many digits as it deserves."""
    if value >= 100 or not value:
        return f"{value:,.0f}"
    if value < 0.1:
        return f"{value:.2g}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
