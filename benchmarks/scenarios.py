"""What is measured: each scenario takes a bench and gives figures by name; the names are explained in `figures.py`."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from benchmarks.bench import Bench, Failed
from benchmarks.copies import copy
from benchmarks.processes import Tree, clean_environment
from benchmarks.registry import FLOOR, ROOT, Peer

Figures = dict[str, float]
Say = Callable[[str], None]

MIB = 1 << 20
AT_ONCE = 500
# How often workflows are run beside no-ops: single ratios are apart by a tenth.
_TIMES = 5


def noop(bench: Bench, say: Say) -> Figures:
    """Send one by one, send many, and drain it all: nothing counts that did not run."""
    peer, sizes = bench.peer, bench.sizes
    counters = bench.counters()
    say("sends one by one")
    one = bench.drive("one-by-one", sizes.of(peer.sends))
    send_commands, send_reads = counters.commands() / one["sent"], counters.reads() / one["sent"]
    say("sends many")
    many = bench.drive("many", "noop", sizes.of(peer.tasks))
    expected = one["sent"] + many["sent"]
    say(f"drains {expected:,}")
    counters = bench.counters()
    with bench.worker() as worker:
        since: tuple[int, float] | None = None
        for tally in bench.watch(worker, expected):
            since = since or (tally.ended, worker.cpu())
        cpu = worker.cpu()
        commands, reads, server_cpu = counters.commands(), counters.reads(), counters.cpu()
    figures = {
        "send_one": one["timed"] / one["seconds"],
        "send_many": many["timed"] / many["seconds"],
        "drain": tally.rate,
        "server_cpu": server_cpu / expected * 1e6,
        "commands_send": send_commands,
        "commands_work": commands / expected,
        "commands": send_commands + commands / expected,
        "reads": send_reads + reads / expected,
    }
    if since and since[0] < expected:
        figures["worker_cpu"] = (cpu - since[1]) / (expected - since[0]) * 1e6
    return figures


def io(bench: Bench, say: Say) -> Figures:
    """Tasks that sleep for 50 ms, 500 at once in one worker."""
    assert bench.peer.sleeps is not None
    expected = bench.drive("many", "sleep", bench.sizes.of(bench.peer.sleeps))["sent"]
    say(f"drains {expected:,} sleeping tasks")
    memory, looked = 0, 0.0
    with bench.worker(AT_ONCE) as worker:
        for tally in bench.watch(worker, expected):  # noqa: B007 (the last one is used)
            if time.monotonic() - looked > 0.3:
                memory, looked = max(memory, worker.memory()), time.monotonic()
    return {"io": tally.rate, "at_once": tally.peak, "memory_load": memory / MIB}


def latency(bench: Bench, say: Say) -> Figures:
    """One task at a time, on a system that has nothing else to do; and what the worker takes when it is idle again."""
    with bench.worker() as worker:
        # Not before it is ready: some peers' workers look for abandoned tasks as they start, and find this one.
        _calm([worker], 0.4)
        say("waits for results")
        found = bench.drive("round-trips", bench.sizes.round_trips, bench.sizes.seconds)
        time.sleep(0.5)
        memory = worker.memory()
    results, ends = sorted(found["results"]), sorted(found["ends"])
    return {
        "p50": statistics.median(results) * 1e3,
        "p99": results[int(0.99 * (len(results) - 1))] * 1e3,
        "run50": statistics.median(ends) * 1e3,
        "samples": len(results),
        "memory_idle": memory / MIB,
    }


def deep(bench: Bench, say: Say) -> Figures:
    """A million tasks wait: how fast do they go, and how fast do more come?"""
    depth = bench.sizes.depth
    id = bench.drive("submit")["id"]
    copy(bench.client, id, depth - 1, lambda done: say(f"{done:,} tasks wait"))
    os.sync()  # what it takes to write a million messages to the disk is not to be paid for by those that come out
    more = bench.drive("one-by-one", bench.sizes.of(bench.peer.sends) // 2)
    enough = min(depth // 2, bench.sizes.of(bench.peer.tasks))
    say(f"drains {enough:,} of {depth:,}")
    with bench.worker() as worker:
        for tally in bench.watch(worker, depth + more["sent"]):
            if tally.ended >= enough:
                break
    return {"deep": tally.rate, "deep_send": more["timed"] / more["seconds"]}


def idle(bench: Bench, say: Say) -> Figures:
    """Many workers with nothing to do: what they ask of the server."""
    count = bench.sizes.workers
    with bench.workers(count) as workers:
        say(f"starts {count} workers")
        _calm(workers, 1.0)
        say(f"{count} workers idle")
        counters, cpu = bench.counters(), sum(worker.cpu() for worker in workers)
        time.sleep(bench.sizes.seconds)
        seconds = counters.seconds()
        return {
            "idle_commands": counters.commands() / seconds,
            "idle_cpu": (sum(worker.cpu() for worker in workers) - cpu) / seconds * 100,
            "idle_server": counters.cpu() / seconds * 100,
        }


def beat(bench: Bench, say: Say) -> Figures:
    """A task for each second: how late it begins, on a system that has nothing else to do."""
    count = bench.sizes.beats
    with bench.beat() as trees:
        _calm(trees, 0.4)
        until = time.monotonic() + bench.sizes.patience
        while not bench.starts():
            _alive(trees)
            if time.monotonic() > until:
                raise Failed(f"no schedule fired in {bench.sizes.patience:.0f} s: {trees[-1].last_words()}")
            time.sleep(0.1)
        first = int(time.time()) + 2
        say(f"watches {count} due times")
        # And one second more for what is late.
        time.sleep(first + count + 1 - time.time())
        _alive(trees)
        starts = [(round(due), start - due) for due, start in bench.starts() if first <= round(due) < first + count]
    if not starts:
        raise Failed(f"no schedule fired in {count} s, after the first time")
    late, fired = sorted(late for _, late in starts), {due for due, _ in starts}
    bench.repeated += len(starts) - len(fired)
    return {
        "beat_p50": statistics.median(late) * 1e3,
        "beat_p99": late[int(0.99 * (len(late) - 1))] * 1e3,
        "beat_max": late[-1] * 1e3,
        "beat_missed": (count - len(fired)) / count * 100,
    }


def _alive(trees: list[Tree]) -> None:
    dead = [tree for tree in trees if not tree.alive]
    if dead:
        raise Failed(f"{len(dead)} of {len(trees)} processes ended: {dead[0].last_words()}")


def _calm(workers: list[Tree], window: float) -> None:
    """Wait until the processes that start have started: until they leave most of the machine idle, for two windows.

    Raises:
        Failed: one of them has ended.
    """
    until = time.monotonic() + 120
    bound = 0.25 * window * (1 if len(workers) == 1 else psutil.cpu_count() or 1)
    calm, before = 0, 0.0
    while calm < 2 and time.monotonic() < until:
        time.sleep(window)
        _alive(workers)
        now = sum(worker.cpu() for worker in workers)
        # One that has hardly run yet has not started, however calm it is.
        calm = calm + 1 if now > 0.05 * len(workers) and now - before < bound else 0
        before = now


def own(bench: Bench, say: Say) -> Figures:
    """Of aioqueue alone: how long its commands take to start, the memory of a thousand running tasks, workflows, and
    several processes."""
    say("starts Python, many times")
    python = bench.python
    bare = _startup(python, "-c", "pass")
    figures = {
        "own_import": _startup(python, "-c", "import aioqueue") - bare,
        "own_help": _startup(python, "-m", "aioqueue", "--help") - bare,
        "own_python": bare,
    }
    with bench.worker() as worker:
        bench.drive("round-trips", 1, 10)
        time.sleep(1.0)
        figures["own_idle"] = worker.memory() / MIB
    bench.fresh()
    with bench.worker(at_once=1000, sleep=3.0) as worker:
        expected = bench.drive("many", "sleep", 1000)["sent"]
        memory = 0
        for tally in bench.watch(worker, expected):
            if tally.running == 1000 and not memory:
                memory = worker.memory()
    if not memory:
        raise Failed(f"at most {tally.peak:,} tasks ran at once")
    figures["own_running"] = memory / MIB
    say("runs workflows")
    sizes = bench.sizes
    runs = {"noop": 50_000, "chains": 20_000, "chord": 10_000, "chain": 1000}
    rates = [{task: _rate(bench, task, sizes.of(count)) for task, count in runs.items()} for _ in range(_TIMES)]
    for task in ("chain", "chains", "chord"):
        figures[f"own_{task}"] = statistics.median([rate[task] for rate in rates])
    for task in ("chains", "chord"):
        figures[f"own_{task}_ratio"] = statistics.median([rate[task] / rate["noop"] for rate in rates])
    say("runs several processes")
    one, two = (_rate(bench, "spin", sizes.of(20_000), processes) for processes in (1, 2))
    return figures | {"own_process": one, "own_processes": two, "own_processes_ratio": two / one}


def _rate(bench: Bench, task: str, count: int, processes: int = 1) -> float:
    bench.fresh()
    expected = bench.drive("many", task, count)["sent"]
    with bench.worker(processes=processes) as worker:
        for tally in bench.watch(worker, expected):  # noqa: B007 (the last one is used)
            pass
    return tally.rate


def _startup(python: str, *words: str) -> float:
    """Milliseconds, the median of many."""
    taken: list[float] = []
    environment = clean_environment(PYTHONPATH=str(ROOT))
    for _ in range(15):
        started = time.perf_counter()
        subprocess.run([python, *words], env=environment, stdout=subprocess.DEVNULL, check=True, timeout=30)
        taken.append((time.perf_counter() - started) * 1e3)
    return statistics.median(taken)


@dataclass(frozen=True)
class Scenario:
    """One that can be chosen.

    Attributes:
        run: measures it.
        once: in the first round only; it takes long, and is about a shape rather than a few percent.
    """

    run: Callable[[Bench, Say], Figures]
    once: bool = False

    def concerns(self, peer: Peer) -> bool:
        if peer.only and self is not SCENARIOS[peer.only]:
            return False
        if self.run is beat:
            return peer.beat is not None
        if self.run is own:
            return peer.name == "aioqueue"
        if self.run is io:
            return peer.sleeps is not None
        return self.run is not idle or peer.name != FLOOR


SCENARIOS = {
    "noop": Scenario(noop),
    "io": Scenario(io),
    "latency": Scenario(latency),
    "deep": Scenario(deep),
    "beat": Scenario(beat),
    "idle": Scenario(idle, once=True),
    "own": Scenario(own, once=True),
}
