"""The command `aioqueue`, run as people do: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "aioqueue")
_MUCH_TIME = 60.0  # seconds


@dataclass
class Run:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, which must be one JSON document and nothing else."""
        return json.loads(self.out)


def run(words: Sequence[str], folder: Path, environment: Mapping[str, str], text: str = "") -> Run:
    """Run `aioqueue` with these words to its end, with `text` to read."""
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=folder,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=_MUCH_TIME,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def environment_without(*names: str) -> dict[str, str]:
    """The environment of this process, without settings of aioqueue, and without these."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AIOQUEUE_") and name not in names}
