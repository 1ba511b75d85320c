"""The page, and the same as data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aioqueue
from benchmarks.adding import Told
from benchmarks.figures import METRICS, ORDER, OWN, Figure, Metric, best_first, number, summary
from benchmarks.registry import FLOOR, PEERS, ROOT, Peer
from benchmarks.scenarios import SCENARIOS
from benchmarks.suite import Results

PAGE, FOLDER, DATA = "benchmarks.md", "benchmarks", "results.json"


def write(told: Told, out: Path, *, plots: bool) -> None:
    """`benchmarks.md` in that folder, and beside it a folder with the data, and the plots that the page shows."""
    tables = summary(told.results)
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    data = _data(told, tables)
    (folder / DATA).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    for old in folder.glob("*.svg"):
        old.unlink()
    if plots:
        from benchmarks.plots import draw

        for metric in METRICS:
            if metric.name in tables:
                draw(metric, tables[metric.name], folder / f"{metric.name}.svg")
    (out / PAGE).write_text("\n".join(_page(told, tables, plots)) + "\n")


def _data(told: Told, tables: dict[str, dict[str, Figure]]) -> dict[str, Any]:
    results = told.results
    return {
        "machine": told.machine,
        "aioqueue": aioqueue.__version__,
        "packages": {peer.name: versions(peer) for peer in PEERS if peer.name in _present(results)},
        "rounds": told.rounds,
        "sizes": asdict(told.sizes),
        "seconds": round(results.seconds),
        "summary": {name: {peer: asdict(figure) for peer, figure in table.items()} for name, table in tables.items()},
        "measured": results.rounds,
        "failures": results.failures,
        "added": told.added,
    }


def versions(peer: Peer) -> list[str]:
    """What its environment was made of."""
    here = [f"aioqueue=={aioqueue.__version__}"] if str(ROOT) in peer.packages else []
    return here + [package for package in peer.packages if package not in ("-e", str(ROOT))]


def _present(results: Results) -> set[str]:
    return {peer for found in results.rounds for peer in found if found[peer]} | set(results.failures)


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _head(*cells: str) -> list[str]:
    return [_row(*cells), "|" + "---|" * len(cells)]


def _page(told: Told, tables: dict[str, dict[str, Figure]], plots: bool) -> Iterator[str]:
    results, rounds = told.results, told.rounds
    peers = [peer for peer in PEERS if peer.name in _present(results)]
    yield "# Benchmarks"
    yield ""
    yield "This page is made by `python -m benchmarks`, which anyone can run; `benchmarks/README.md` says how, and"
    yield "how each figure is measured. Each peer is in the best configuration that its documentation tells of, in an"
    yield "environment of its own, on the same server with the same persistence. What counts was seen to run."
    yield ""
    if told.sizes.share < 1:
        yield "!!! warning"
        yield "    A short run (`--quick`), to show that it works: its figures mean little, and there were fewer tasks"
        yield "    and workers than the headings say."
        yield ""
    if rounds > 1:
        yield f"Medians of {rounds} rounds, in which the peers took turns; the idle workers and aioqueue"
        yield "alone were measured once."
    else:
        yield "One round: there is no spread."
    yield f"It took {max(1, round(results.seconds / 60))} min."
    yield ""
    yield from _head("", "")
    yield from (_row(key, text) for key, text in told.machine.items())
    yield ""
    yield from _added(told)
    yield "## At a glance"
    yield ""
    yield from _overview(results, tables, peers)
    yield ""
    yield "Peers closer than 1.3× to one another are not ranked: a place, below, is 1 and the number of peers that are"
    yield "better by at least that. The floor does not compete: it is the least that could be done by hand."
    yield ""
    yield "“–” was not measured: 500 at once where each takes a process, schedules where none is that fine, and an idle"
    yield "floor. Why something failed stands [below](#failures)."
    yield ""
    yield "## What each guarantees, as it was measured"
    yield ""
    yield "A figure without this column is half the story: who acknowledges early does less, and loses tasks."
    yield ""
    yield from _head("", "configuration", "acknowledges", "after SIGKILL of a worker", "results")
    yield from (_row(f"**{p.name}**", p.configuration, p.acknowledges, p.killed, p.results) for p in peers)
    yield ""
    for metric in METRICS:
        if metric.name == "beat_p50":
            yield from _schedules(tables)
        if metric.name in tables:
            yield from _section(metric, tables[metric.name], results, plots)
    yield from _own(results)
    yield "## Failures { #failures }"
    yield ""
    failures = [(peer, name, why) for peer, found in results.failures.items() for name, why in found.items()]
    yield from (
        [*_head("peer", "scenario", "failed:"), *(_row(*failure) for failure in failures)] if failures else ["None."]
    )
    yield ""
    yield from _repeats(results)
    yield "## Versions"
    yield ""
    yield from _head("", "")
    yield from (_row(peer.name, ", ".join(versions(peer))) for peer in peers)


def _added(told: Told) -> Iterator[str]:
    for run in told.added:
        names = " and ".join(f"`{name}`" for name in run["scenarios"])
        machine = "".join(f", {key} {text}" for key, text in run["machine"].items())
        times = "one round" if run["rounds"] == 1 else f"{run['rounds']} rounds"
        minutes = max(1, round(run["seconds"] / 60))
        yield f"Measured at another time, by `--add`: {names}; {times}, {minutes} min{machine}."
        yield ""


def _schedules(tables: dict[str, dict[str, Figure]]) -> Iterator[str]:
    """How each has its schedule, before the figures of it."""
    shown = [peer for peer in PEERS if peer.beat and peer.name in tables.get("beat_p50", {})]
    if shown:
        yield "## Schedules, as they were measured"
        yield ""
        yield "A task for each second, as fine as each has it; intervals of polling are left as they are."
        yield ""
        yield from _head("", "its schedule")
        yield from (_row(f"**{peer.name}**", peer.beat) for peer in shown)
        yield ""


def _repeats(results: Results) -> Iterator[str]:
    found = [
        f"{peer} ({figures[f'{name}_repeated']:.0f} in {name})"
        for measured in results.rounds
        for peer, figures in measured.items()
        for name in SCENARIOS
        if f"{name}_repeated" in figures
    ]
    if found:
        yield f"Ran tasks twice, though nothing had failed: {', '.join(found)}."
        yield ""


def _overview(results: Results, tables: dict[str, dict[str, Figure]], peers: list[Peer]) -> Iterator[str]:
    metrics = [metric for metric in METRICS if metric.brief and metric.name in tables]
    yield from _head("", *(f"{metric.title}, {metric.unit}" for metric in metrics))
    for peer in peers:
        failed = results.failures.get(peer.name, {})
        cells = [
            number(found.median)
            if (found := tables[metric.name].get(peer.name))
            else "failed"
            if metric.scenario in failed
            else "–"
            for metric in metrics
        ]
        yield _row(f"**{peer.name}**", *cells)


def _section(metric: Metric, table: dict[str, Figure], results: Results, plots: bool) -> Iterator[str]:
    yield f"## {metric.title}"
    yield ""
    yield f"{metric.about} In {metric.unit}; {'more' if metric.more else 'less'} is better."
    yield ""
    if plots:
        yield f"![{metric.title}: {metric.unit} of each peer]({FOLDER}/{metric.name}.svg)"
        yield ""
    yield from _head("place", "", metric.unit, "spread", "to the floor", "spread")
    for peer in best_first(metric, table):
        figure = table[peer]
        yield _row(
            (figure.place or "") if metric.ranked else "",
            f"**{peer}**" if peer == "aioqueue" else peer,
            number(figure.median),
            f"{number(figure.low)} to {number(figure.high)}" if figure.low != figure.high else "",
            f"{number(figure.ratio)}×" if figure.ratio is not None and peer != FLOOR else "",
            _spread(figure) if peer != FLOOR else "",
        )
    for peer in ORDER:
        if peer not in table and (why := results.failures.get(peer, {}).get(metric.scenario)):
            yield _row("", peer, f"failed: {why}", "", "", "")
    yield ""


def _spread(figure: Figure) -> str:
    low, high = figure.ratio_low, figure.ratio_high
    return f"{number(low)} to {number(high)}" if low is not None and high is not None and low != high else ""


def _own(results: Results) -> Iterator[str]:
    found = next((found["aioqueue"] for found in results.rounds if "own_help" in found.get("aioqueue", {})), None)
    if found is None:
        return
    yield "## aioqueue alone"
    yield ""
    yield from _head("", "")
    yield from (_row(title, f"{number(found[name])} {unit}") for name, (title, unit) in OWN.items())
    yield ""
