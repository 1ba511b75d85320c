"""aioqueue and its peers, measured side by side."""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
from pathlib import Path

from benchmarks.adding import Told
from benchmarks.bench import QUICK, Sizes
from benchmarks.machine import machine
from benchmarks.registry import PEERS, ROOT, named
from benchmarks.report import DATA, FOLDER, PAGE, write
from benchmarks.scenarios import SCENARIOS
from benchmarks.suite import run


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ", ".join(peer.name for peer in PEERS)
    parser.add_argument("--peers", type=_words, help=f"some of: {names}")
    parser.add_argument("--scenarios", type=_words, default=list(SCENARIOS), help=f"some of: {', '.join(SCENARIOS)}")
    parser.add_argument("--rounds", type=int, default=3, help="3 by default; deep, idle and own are in the first only")
    parser.add_argument("--quick", action="store_true", help="one small round, to see that it works")
    parser.add_argument("--out", type=Path, help="where the page goes; docs/, or build/ for --quick")
    parser.add_argument("--add", action="store_true", help="the page keeps what it has of the other scenarios")
    parser.add_argument("--here", action="store_true", help="in this interpreter, with what is installed in it")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Parse, run, write.

    Raises:
        SystemExit: 2 for wrong arguments, 1 if nothing could be measured.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        peers = named(options.peers)
    except ValueError as error:
        parser.error(str(error))
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"There is no scenario {min(unknown)!r}. There are: {', '.join(SCENARIOS)}.")
    if options.rounds < 1:
        parser.error("There must be a round.")
    # So that what was started is ended, too, when somebody ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rounds, sizes = (1, QUICK) if options.quick else (options.rounds, Sizes())
    out = options.out or (ROOT / "build" if options.quick else ROOT / "docs")
    described, earlier = machine(), None
    if options.add:
        try:
            earlier = Told.read(out / FOLDER / DATA)
        except OSError as error:
            parser.error(f"There is nothing to add to: {error}")
    results = run(peers, options.scenarios, rounds, sizes, here=options.here)
    plots = importlib.util.find_spec("matplotlib") is not None
    if not plots:
        print("no plots: matplotlib is not installed (the extra `bench` has it)", file=sys.stderr)
    told = earlier or Told(results, rounds, sizes, described)
    if earlier:
        earlier.add(results, options.scenarios, rounds, described)
    write(told, out, plots=plots)
    print(f"{out / PAGE}, {out / FOLDER / DATA}", file=sys.stderr)
    if not any(figures for found in results.rounds for figures in found.values()):
        sys.exit(1)
