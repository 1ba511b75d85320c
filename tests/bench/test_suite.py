"""The benchmark suite, run as people run it, with the floor and aioqueue alone, and with a peer that is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from .conftest import ROOT

NOOP = ("send_one", "send_many", "drain", "worker_cpu", "commands", "reads")
LATENCY = ("p50", "p99", "run50", "memory_idle")
DEEP = ("deep", "deep_send", "deep_ratio")


@dataclass
class Outcome:
    """Of a run: what it wrote, and what it said."""

    page: str
    data: dict[str, Any]
    folder: Path
    said: str


def _suite(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=110)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    out = tmp_path_factory.mktemp("suite")
    chosen = ("--peers", "floor,aioqueue,saq", "--scenarios", "noop,latency,deep")
    done = _suite("--quick", "--here", *chosen, "--out", out)
    assert done.returncode == 0, done.stderr
    data = json.loads((out / "benchmarks" / "results.json").read_text())
    return Outcome((out / "benchmarks.md").read_text(), data, out / "benchmarks", done.stderr)


@pytest.mark.parametrize("peer", ["floor", "aioqueue"])
@pytest.mark.parametrize("name", [*NOOP, *LATENCY, *DEEP])
def test_each_figure_is_there(outcome: Outcome, name: str, peer: str) -> None:
    assert not outcome.data["failures"].get(peer), outcome.said
    assert outcome.data["summary"][name][peer]["median"] > 0


def test_figures_are_of_the_right_size(outcome: Outcome) -> None:
    """Within what any machine can do: a unit or a denominator that is wrong shows here."""
    figures = {name: table["aioqueue"]["median"] for name, table in outcome.data["summary"].items()}
    assert 500 < figures["drain"] < 1e6
    assert 500 < figures["send_many"] < 1e6
    assert 0.05 < figures["p50"] <= figures["p99"] < 1000
    assert figures["run50"] < figures["p50"]
    assert 1 <= figures["commands"] < 50
    assert 10 < figures["memory_idle"] < 500


def test_ratios_are_to_the_floor_of_the_same_round(outcome: Outcome) -> None:
    (measured,) = outcome.data["measured"]
    expected = measured["aioqueue"]["drain"] / measured["floor"]["drain"]
    assert outcome.data["summary"]["drain"]["aioqueue"]["ratio"] == pytest.approx(expected)


def test_the_page_shows_tables_and_plots(outcome: Outcome) -> None:
    rate = outcome.data["summary"]["drain"]["aioqueue"]["median"]
    section = outcome.page.split("## Drain no-op\n")[1].split("\n## ")[0]
    assert f"| 1 | **aioqueue** | {rate:,.0f} |" in section
    assert "late; end and result in one atomic step" in outcome.page
    if find_spec("matplotlib") is None:
        pytest.skip("no plots without matplotlib")
    assert "](benchmarks/drain.svg)" in section
    for name in outcome.data["summary"]:
        drawn = "".join(ElementTree.parse(outcome.folder / f"{name}.svg").getroot().itertext())
        assert "aioqueue" in drawn and "floor" in drawn


@pytest.mark.skipif(find_spec("saq") is not None, reason="saq is installed here")
def test_a_peer_that_fails_is_a_cell_and_not_the_end(outcome: Outcome) -> None:
    assert outcome.data["failures"]["saq"]["noop"].endswith("No module named 'saq'")
    assert "saq" not in outcome.data["summary"]["drain"]
    assert "|  | saq | failed: one-by-one: ModuleNotFoundError: No module named 'saq' |" in outcome.page
    assert "| **saq** | failed | failed |" in outcome.page


@pytest.mark.parametrize("wrong", [("--peers", "celrey"), ("--scenarios", "nop"), ("--rounds", "0")])
def test_wrong_arguments_are_refused(wrong: tuple[str, str]) -> None:
    done = _suite("--here", *wrong)
    assert done.returncode == 2
    assert wrong[1] in done.stderr or "a round" in done.stderr
