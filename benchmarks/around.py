"""What it costs to have something around a task: middlewares, dependencies, handlers, routes; and that what is not in
use costs nothing.

    python -m benchmarks.around --against ../aioqueue-before

Each turn sends and drains no-ops with each of them once, in an order of its own. Printed are the CPU of the worker and
of the sender for a task, and the rate of the drain, by those of the bare no-op: each in its best turn, which is the one
in which the machine disturbed it least; and the lowest and the highest of the ratios within a turn, which say how much
it is disturbed. CPU is less than rates are.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.bench import Bench, Failed, Sizes
from benchmarks.registry import FLOOR, PEERS, ROOT, Peer
from benchmarks.server import server

BARE = "bare"
FIGURES = ("worker CPU", "sender CPU", "drain")
_TASKS, _TURNS = 30_000, 5


@dataclass(frozen=True)
class Case:
    """Something that is measured.

    Attributes:
        title: for people.
        peer: whose module runs it.
        by: the case that it is compared with.
        root: the checkout whose aioqueue it is.
    """

    title: str
    peer: Peer
    by: str = BARE
    root: Path = ROOT


def cases(against: Path | None) -> dict[str, Case]:
    """All of them, by name."""
    peers = {peer.name: peer for peer in PEERS}
    plain = peers["aioqueue"]
    found = {BARE: Case("the bare no-op", plain), FLOOR: Case("the floor", peers[FLOOR])}
    if against is not None:
        found["before"] = Case(f"{against.name}: the bare no-op", plain, root=against)
    found |= {
        name: Case(title, replace(plain, module="around", variant=name), by)
        for name, title, by in (
            ("nothing", "nothing around it", BARE),
            ("around_task", "a middleware around its run", BARE),
            ("around_send", "a middleware around its sending", BARE),
            ("dependency", "a dependency, a generator", BARE),
            ("class", "a class with on_success", BARE),
            ("signal", "a handler of task_success", BARE),
            ("thread", "a plain handler, in a thread", BARE),
            ("routes", "a route", BARE),
            ("topic", "a queue with a topic", BARE),
            ("concurrency", "a queue with a concurrency", BARE),
            ("text", "2 KB of text", BARE),
            ("compression", "the same, compressed (by 2 KB of text)", "text"),
        )
    }
    return found


def measured(case: Case, count: int, python: Path) -> dict[str, float]:
    """Send so many, and drain them by one worker.

    Raises:
        Failed: it could not.
    """
    with server() as url, tempfile.TemporaryDirectory(prefix="aioqueue-bench-") as folder:
        bench = Bench(case.peer, python, url, Path(folder), Sizes(), root=case.root)
        with closing(bench.client):
            sent = bench.drive("many", "noop", count)
            expected = int(sent["sent"])
            with bench.worker() as worker:
                since: tuple[int, float] | None = None
                for tally in bench.watch(worker, expected):
                    since = since or (tally.ended, worker.cpu())
                assert since is not None
                if since[0] >= expected:
                    raise Failed(f"{count} are too few: they had run before the first look")
                cpu = (worker.cpu() - since[1]) / (expected - since[0])
            return {"worker CPU": cpu, "sender CPU": sent["cpu"] / sent["timed"], "drain": tally.rate}


def ratios(turns: list[dict[str, dict[str, float]]], name: str, by: str, figure: str) -> list[float]:
    """Of each turn that has both, the figure of a case by that of another."""
    return [turn[name][figure] / turn[by][figure] for turn in turns if name in turn and by in turn]


def best(turns: list[dict[str, dict[str, float]]], name: str, figure: str) -> float:
    """Its figure in the turn in which the machine disturbed it least."""
    found = [turn[name][figure] for turn in turns if name in turn]
    return max(found) if figure == "drain" else min(found)


def table(chosen: Mapping[str, Case], turns: list[dict[str, dict[str, float]]]) -> str:
    """What came out."""
    lines = [f"{'':42}" + "".join(f"{figure:>22}" for figure in FIGURES)]
    if any(BARE in turn for turn in turns):
        units = {"worker CPU": (1e6, "µs"), "sender CPU": (1e6, "µs"), "drain": (1, "/s")}
        cells = [f"{best(turns, BARE, f) * units[f][0]:,.3g} {units[f][1]}" for f in FIGURES]
        lines.append(f"{chosen[BARE].title:42}" + "".join(f"{cell:>22}" for cell in cells))
    for name, case in chosen.items():
        if name != BARE:
            cells: list[str] = []
            for figure in FIGURES:
                found = ratios(turns, name, case.by, figure)
                spread = f"({min(found):.2f}–{max(found):.2f})" if len(found) > 1 else ""
                ratio = best(turns, name, figure) / best(turns, case.by, figure) if found else 0.0
                cells.append(f"{ratio:.2f}× {spread}" if found else "–")
            lines.append(f"{case.title:42}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Parse, measure, print.

    Raises:
        SystemExit: 2 for wrong arguments, 1 if nothing could be measured.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.around", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, help="another checkout of aioqueue, whose bare no-op is measured, too")
    parser.add_argument("--only", help=f"some of: {', '.join(cases(None))}")
    parser.add_argument("--tasks", type=int, default=_TASKS, help=f"in each drain; {_TASKS:,} by default")
    parser.add_argument("--turns", type=int, default=_TURNS, help=f"{_TURNS} by default")
    given = parser.parse_args(arguments)
    against = given.against.resolve() if given.against is not None else None
    if against is not None and not (against / "aioqueue" / "__init__.py").exists():
        parser.error(f"There is no checkout of aioqueue in {given.against}.")
    known = cases(against)
    names = [name.strip() for name in given.only.split(",")] if given.only else list(known)
    if unknown := set(names) - set(known):
        parser.error(f"There is no case {min(unknown)!r}. There are: {', '.join(known)}.")
    names += [known[name].by for name in names]
    chosen = {name: case for name, case in known.items() if name == BARE or name in names}
    # So that what was started is ended, too, when somebody ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    turns: list[dict[str, dict[str, float]]] = []
    for number in range(1, given.turns + 1):
        turn: dict[str, dict[str, float]] = {}
        turns.append(turn)
        for name in random.sample(list(chosen), len(chosen)):
            print(f"turn {number} of {given.turns}: {chosen[name].title}", file=sys.stderr, flush=True)
            try:
                turn[name] = measured(chosen[name], given.tasks, Path(sys.executable))
            except Failed as error:
                print(f"    failed: {error}", file=sys.stderr, flush=True)
    if not any(turns):
        sys.exit(1)
    print(table(chosen, turns))


if __name__ == "__main__":
    main()
