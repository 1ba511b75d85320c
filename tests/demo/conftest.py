"""Each test has folders of its own for the server and its data, and looks for what was left running."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.command import COMMAND, Run, environment_without, run


@dataclass
class Stage:
    """Where the demo runs.

    Attributes:
        root: a folder with a short path, as sockets need one.
        environment: of the processes; nothing of the developer's own settings reaches them.
    """

    root: Path
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.environment = {
            **environment_without("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
            "AIOQUEUE_RUNTIME_DIR": str(self.root / "run"),
            "AIOQUEUE_DATA_DIR": str(self.root / "data"),
            "TMPDIR": str(self.root / "tmp"),
            "TERM": "xterm-256color",
        }
        (self.root / "tmp").mkdir()

    def folder(self, files: dict[str, bytes]) -> Path:
        """A folder with these files."""
        folder = self.root / "files"
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder

    def many(self, count: int, size: int) -> Path:
        """A folder with so many files (links to one) of so many bytes."""
        folder = self.folder({"0.py": b"x = 1\n" * (size // 6)})
        for number in range(1, count):
            os.link(folder / "0.py", folder / f"{number}.py")
        return folder

    def start(self, *arguments: object, **more: Any) -> subprocess.Popen[str]:
        """Begin `aioqueue demo`."""
        return subprocess.Popen(
            [*COMMAND, "demo", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.root,
            **more,
        )

    def demo(self, *arguments: object) -> Run:
        """Run `aioqueue demo` to its end."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Run(process.returncode, out, err)

    def aioqueue(self, *arguments: str) -> Run:
        """Run another command."""
        return run(arguments, self.root, self.environment)

    def left(self) -> list[int]:
        """The processes that were started here and still are, by their environment, arguments and folder."""
        mark = os.fsencode(self.root)
        found: list[int] = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                about = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
                if mark in about or mark in os.fsencode((folder / "cwd").readlink()):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def rest(self) -> list[str]:
        """The temporary files that are still there."""
        return [path.name for path in (self.root / "tmp").iterdir()]


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A place for a demo; whatever is left there at the end of the test is killed."""
    root = Path(tempfile.mkdtemp(prefix="aqd-"))
    stage = Stage(root)
    try:
        yield stage
    finally:
        for pid in stage.left():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        shutil.rmtree(root, ignore_errors=True)
