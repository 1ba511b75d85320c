"""Each test runs the command as people do: in a process of its own, in a folder with an app, against a real server."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import Run, environment_without, run, start
from support.waiting import eventually

SHOP = """
import asyncio
from pathlib import Path

from aioqueue import AioQueue, Reject

app = AioQueue("shop")


@app.task
async def add(x: int, y: int) -> int:
    '''Add two numbers.

    More about it.
    '''
    return x + y


@app.task
async def echo(*args: object, **kwargs: object) -> list[object]:
    return [args, kwargs]


@app.task
async def greet(name: str, loud: bool = False) -> str:
    return f"Hello, {name}!".upper() if loud else f"Hello, {name}!"


@app.task
async def fail(text: str = "no") -> None:
    raise ValueError(text)


@app.task(queue="slow")
async def sleep(seconds: float) -> str:
    Path("sleeps").touch()
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until and not Path("wake").exists():
        await asyncio.sleep(0.02)
    return "slept"


@app.task(ignore_result=True)
def quiet() -> int:
    return 17


@app.task
async def reject() -> None:
    raise Reject("not for me")
"""


class Shell:
    """A folder with a module `shop`, and an environment in which commands are run."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self._started: list[Process] = []

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def __call__(self, *words: str, text: str = "", **environment: str) -> Run:
        """Run `aioqueue` with these words to its end."""
        return run(words, self.folder, {**self.environment, **environment}, text)

    def alone(self, *words: str) -> Run:
        """The same in an interpreter that has imported nothing."""
        return run(words, self.folder, self.environment, alone=True)

    def start(self, *words: str, **environment: str) -> Process:
        """Start `aioqueue` with these words; it is ended with the test."""
        process = Process(self, list(words), environment)
        self._started.append(process)
        return process

    def worker(self, *words: str) -> Process:
        """A worker of the app, ready to work."""
        process = self.start("worker", "shop:app", *words)
        process.wait_for("is ready")
        return process

    def close(self) -> None:
        for process in self._started:
            process.end()


class Process:
    """A command that runs."""

    def __init__(self, shell: Shell, words: list[str], environment: dict[str, str]) -> None:
        count = len(list(shell.folder.glob("*.log")))
        self._log = shell.folder / f"process-{count}.log"
        self._out = shell.folder / f"process-{count}.out"
        with self._log.open("wb") as log, self._out.open("wb") as out:
            self._process = start(words, shell.folder, {**shell.environment, **environment}, stdout=out, stderr=log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def err(self) -> str:
        return self._log.read_text()

    @property
    def out(self) -> str:
        return self._out.read_text()

    def wait_for(self, text: str) -> None:
        """Until it has written `text` to stderr."""
        eventually(lambda: text in self.err or self._process.poll() is not None, f"{text!r} of {self._process.args}")
        assert text in self.err, f"ended with {self._process.returncode}:\n{self.err}"

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        return self._process.wait(timeout=40)

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(timeout=10)


@pytest.fixture
def folder_shell(tmp_path: Path) -> Iterator[Shell]:
    """Without a broker."""
    shell = Shell(tmp_path, {**environment_without("NO_COLOR", "CI", "FORCE_COLOR"), "COLUMNS": "200"})
    shell.write("shop.py", SHOP)
    yield shell
    shell.close()


@pytest.fixture
def aioqueue(folder_shell: Shell, redis_url: str) -> Shell:
    """With an empty Redis server as the broker."""
    folder_shell.environment["AIOQUEUE_BROKER"] = redis_url
    return folder_shell
