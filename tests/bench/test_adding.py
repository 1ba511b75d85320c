"""`--add`: a page keeps what it has of the scenarios that were not measured again."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.adding import Told
from benchmarks.bench import Sizes
from benchmarks.report import write
from benchmarks.suite import Results

MACHINE = {"processor": "one", "load before": "0.1"}


def test_scenarios_that_were_measured_again_take_the_place_of_theirs(tmp_path: Path) -> None:
    rounds = [
        {"floor": {"drain": 900.0, "beat_p50": 1.0}, "aioqueue": {"drain": 1000.0, "beat_p50": 7.0}},
        {"floor": {"drain": 900.0, "beat_p50": 1.0}, "aioqueue": {"drain": 1200.0, "beat_p50": 7.0}},
    ]
    failures = {"saq": {"beat": "it was not installed", "io": "it stood still"}, "arq": {"beat": "it ended"}}
    first = Told(Results(rounds, failures, 600.0), 2, Sizes(), MACHINE)
    write(first, tmp_path, plots=False)
    told = Told.read(tmp_path / "benchmarks" / "results.json")
    assert told == first

    measured = Results([{"aioqueue": {"beat_p50": 3.0}, "saq": {"beat_p50": 8.0}}], {"arq": {"beat": "no"}}, 90.0)
    told.add(measured, ["beat"], 1, MACHINE | {"load before": "0.9"})
    write(told, tmp_path, plots=False)
    data = json.loads((tmp_path / "benchmarks" / "results.json").read_text())
    assert data["measured"] == [
        {"floor": {"drain": 900.0}, "aioqueue": {"drain": 1000.0, "beat_p50": 3.0}, "saq": {"beat_p50": 8.0}},
        {"floor": {"drain": 900.0}, "aioqueue": {"drain": 1200.0}},
    ]
    assert data["failures"] == {"saq": {"io": "it stood still"}, "arq": {"beat": "no"}}
    page = (tmp_path / "benchmarks.md").read_text()
    assert "Measured at another time, by `--add`: `beat`; one round, 2 min, load before 0.9." in page
    assert "| processor | one |" in page and "It took 10 min." in page
    assert "| 1 | **aioqueue** | 3.00 |" in page

    told.add(measured, ["beat"], 3, MACHINE)
    assert [run["rounds"] for run in told.added] == [3]
