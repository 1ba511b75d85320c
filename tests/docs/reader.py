"""A reader who does what a page says: writes its files, starts what is to run beside, types its commands."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from .pages import Block

_PATIENCE = 60.0
_RUNS_ON = re.compile(r"(aioqueue worker|uvicorn) ")
_SET_UP = re.compile(r"(python3 -m venv|\.|pip install) ")
_PORT = 8000
_APPENDED = "at the end"
_SHELL = "python -m asyncio"


class Reader:
    """Reads a page from its beginning.

    - A Python or TOML block with a title is written to that file, in the place of what was there, or `at the end`.
    - A console block that starts a worker or a server is typed into a terminal of its own, and runs on; the one before
      in its place is stopped. `pip install` and the like are taken as done.
    - What a console block shows below a command is compared with what the command prints; … stands for anything.
    - A Python block without a title, after `python -m asyncio`, is typed there; prints are compared with the comments
      behind them.

    Args:
        folder: where the reader is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._beside: dict[str, subprocess.Popen[bytes]] = {}
        self._typed: str | None = None
        self._port = _free_port()
        commands = Path(sys.executable).parent
        self._environment = {**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
        for name in ("PYTHONPATH", "AIOQUEUE_BROKER", "FORCE_COLOR"):
            self._environment.pop(name, None)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for process in self._beside.values():
            process.terminate()
        codes = {what: process.wait(_PATIENCE) for what, process in self._beside.items()}
        assert kind is not None or set(codes.values()) <= {0, -signal.SIGTERM}, codes

    def read(self, page: list[Block]) -> None:
        for number, block in enumerate(page):
            if block.language in ("python", "toml", "yaml") and block.title:
                self._write(block)
            elif block.language == "python" and self._typed is not None:
                self._typed += block.text
                if not any(later.language == "python" and not later.title for later in page[number + 1 :]):
                    self._type(self._typed, block)
            elif block.language == "console":
                self._console(block)

    def _write(self, block: Block) -> None:
        file = self._folder / block.title
        file.parent.mkdir(exist_ok=True)
        before = file.read_text() + "\n\n" if block.remark == _APPENDED else ""
        file.write_text(before + block.text)

    def _console(self, block: Block) -> None:
        commands = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE)
        for command, shown in commands:
            if command == _SHELL:
                self._typed = ""
            elif _RUNS_ON.match(command):
                self._start(command)
            elif not _SET_UP.match(command):
                found = self._run(command, block)
                wanted = ".*".join(re.escape(part) for part in shown.strip().split("…"))
                assert re.fullmatch(wanted, found.strip(), re.DOTALL), f"{block.where}: {command}\n{found}"

    def _start(self, command: str) -> None:
        what = command.split()[0]
        if (before := self._beside.pop(what, None)) is not None:
            before.send_signal(signal.SIGINT)
            assert before.wait(_PATIENCE) == 0
        words = self._here(command).split()
        unheard = subprocess.DEVNULL
        self._beside[what] = subprocess.Popen(
            words, cwd=self._folder, env=self._environment, stdout=unheard, stderr=unheard
        )
        if what == "uvicorn":
            _until_it_answers(self._port)

    def _run(self, command: str, block: Block) -> str:
        done = subprocess.run(
            self._here(command),
            shell=True,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
        assert done.returncode == 0, f"{block.where}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _type(self, text: str, last: Block) -> None:
        wanted = re.findall(r"^print\(.*\)\s+# (.*)$", text, re.MULTILINE)
        done = subprocess.run(
            [sys.executable, "-m", "asyncio"],
            input=text,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
        found = [line for line in re.sub(r"^(>>> |\.\.\. )+", "", done.stdout, flags=re.MULTILINE).splitlines() if line]
        assert found == wanted, f"{last.where}: {done.stdout}{done.stderr}"

    def _here(self, command: str) -> str:
        """The command with a port that is free."""
        return command.replace(str(_PORT), str(self._port))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _until_it_answers(port: int) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}")
