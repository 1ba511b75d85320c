"""What something around a task costs, measured as people measure it, beside another checkout: this one."""

from __future__ import annotations

import re
import subprocess
import sys

from .conftest import ROOT


def _around(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.around", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_each_case_is_told_by_the_bare_one_of_its_turn() -> None:
    done = _around("--only", "before,topic", "--tasks", "2000", "--turns", "1", "--against", str(ROOT))
    assert done.returncode == 0, done.stderr
    _, bare, before, topic = done.stdout.splitlines()
    assert re.match(r"the bare no-op +\S+ µs +\S+ µs +\S+ /s$", bare)
    assert re.match(r".+: the bare no-op +\d\.\d\d× +\d\.\d\d× +\d\.\d\d× *$", before)
    assert re.match(r"a queue with a topic +\d\.\d\d× +\d\.\d\d× +\d\.\d\d× *$", topic)


def test_wrong_arguments_are_refused() -> None:
    for words, why in ((("--only", "midleware"), "no case 'midleware'"), (("--against", "/"), "no checkout")):
        done = _around(*words)
        assert done.returncode == 2 and why in done.stderr
