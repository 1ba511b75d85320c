"""The command `aioqueue`, run as people do: in a process of its own."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import aioqueue

from .nursery import Child, Nursery

MODULE = "aioqueue"
COMMAND = (sys.executable, "-m", MODULE)
_CLI = Path(aioqueue.__file__).parent / "cli"
_MUCH_TIME = 60.0  # seconds
# All but aioqueue.__main__, which is what runs, and the demo, which most tests do without.
_IMPORTED = (
    *(f"aioqueue.cli.{file.stem}" for file in sorted(_CLI.glob("[!_]*.py")) if file.stem != "demo"),
    *("asyncio", "uvloop", "aioqueue.app", "aioqueue.worker", "aioqueue.worker.supervisor", "aioqueue.beat.running"),
    *("aioqueue.brokers.redis.broker", "aioqueue.brokers.memory", "aioqueue.startup", "aioqueue.task_logger"),
)


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


def run(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], text: str = "", *, alone: bool = False
) -> Run:
    """Run `aioqueue` with these words to its end, with `text` to read.

    Args:
        alone: in an interpreter that has imported nothing, as a test about its start needs it.
    """
    done: subprocess.CompletedProcess[str]
    if alone or not _nursery().can(environment):
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
    else:
        done = _nursery().run(MODULE, words, folder=folder, environment=environment, text=text, timeout=_MUCH_TIME)
    return Run(done.returncode, done.stdout, done.stderr)


def start(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    stdout: IO[bytes] | int,
    stderr: IO[bytes] | int,
) -> Child | subprocess.Popen[bytes]:
    """Begin `aioqueue` with these words, with nothing to read."""
    if _nursery().can(environment):
        with Path(os.devnull).open("rb") as nothing:
            streams = {"stdin": nothing, "stdout": stdout, "stderr": stderr}
            return _nursery().start(MODULE, words, folder=folder, environment=environment, **streams)
    return subprocess.Popen(
        [*COMMAND, *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


def environment_without(*names: str) -> dict[str, str]:
    """The environment of this process, without settings of aioqueue, and without these."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AIOQUEUE_") and name not in names}


@cache
def _nursery() -> Nursery:
    nursery = Nursery(*_IMPORTED)
    atexit.register(nursery.close)
    return nursery
