"""The print shop with two workers, of which one is killed: what is around its tasks is whole all the same."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from support.command import COMMAND, environment_without
from support.waiting import LONG, until

EXAMPLES = Path(__file__).parents[2] / "examples"


class Book:
    """What the workers note, each line with the process that wrote it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, what: str, id: str | None = None) -> list[list[str]]:
        lines = [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []
        return [line for line in lines if line[1] == what and id in (None, line[2])]

    def pids(self, what: str, id: str) -> list[int]:
        return [int(line[0]) for line in self.lines(what, id)]


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "book")


@pytest.fixture
def environment(redis_url: str, book: Book) -> dict[str, str]:
    own = {"AIOQUEUE_BROKER": redis_url, "AIOQUEUE_VISIBILITY_TIMEOUT": "2", "PRINT_SHOP_BOOK": str(book.path)}
    return environment_without() | own


@pytest.fixture
def shop(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example, as a program that sends orders has it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(EXAMPLES)
    yield importlib.import_module("print_shop")
    del sys.modules["print_shop"]


@pytest.fixture
def printer(environment: dict[str, str]) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    workers: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        words = [*COMMAND, "worker", "print_shop:app", "-Q", "colour,plain", "--loglevel", "warning"]
        workers.append(subprocess.Popen(words, env=environment, cwd=EXAMPLES))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


async def test_one_of_two_workers_is_killed(
    shop: ModuleType, book: Book, printer: Callable[[], subprocess.Popen[bytes]]
) -> None:
    workers = {worker.pid: worker for worker in (printer(), printer())}
    async with shop.app:
        async with shop.ordering("Ada"):
            short = [await shop.page.send("1234567890") for _ in range(10)]
            posters = [await shop.poster.send("ABC") for _ in range(10)]
        async with shop.ordering("Bob"):
            both = await shop.page.options(routing_key="print.colour.page").send("both")
            broken = await shop.poster.send("")

        # Each runs with its own till, under its customer's name, in a thread too.
        assert [await one.get(timeout=LONG) for one in short] == ["10 cents from Ada"] * 10
        assert [await one.get(timeout=LONG) for one in posters] == ["30 cents from Ada"] * 10
        # A topic finds two queues: the second message is a task of its own.
        assert await both.get(timeout=LONG) == await shop.app.result(both.id + ".2").get(timeout=LONG)
        with pytest.raises(ValueError, match="an empty poster"):
            await broken.get(timeout=LONG)

        ids = [one.id for one in (*short, *posters, both)] + [both.id + ".2"]
        await until(lambda: len(book.lines("earned")) >= len(ids) and book.lines("complaint"))
        async with shop.ordering("Ada"):
            long = await shop.page.send("long", seconds=2.0)
        [pid] = await until(lambda: book.pids("open", long.id))
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(workers.pop(pid).wait)

        assert await long.get(timeout=LONG) == "4 cents from Ada"
        await until(lambda: book.lines("earned", long.id))

    [(other, worker)] = workers.items()
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, LONG) == 0
    # What was open in the killed worker is opened anew in the other one, and closed there; all else is closed, once.
    assert book.pids("open", long.id) == [pid, other]
    assert book.pids("close", long.id) == [other]
    for id in (*ids, broken.id):
        assert len(book.pids("open", id)) == len(book.pids("close", id)) == 1
    # The hooks and the signal have come once for each end; the till has heard of the failure.
    assert sorted(line[2] for line in book.lines("earned")) == sorted([*ids, long.id])
    [complaint] = book.lines("complaint")
    assert complaint[2:] == [broken.id, "print_shop.poster", "an", "empty", "poster"]
    assert [line[2:] for line in book.lines("failed")] == [[broken.id, "ValueError"]]


def test_alone(environment: dict[str, str], book: Book) -> None:
    """As its own comment says to run it."""
    words = [sys.executable, "print_shop.py"]
    done = subprocess.run(words, cwd=EXAMPLES, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["8 cents from Ada", "80 cents from Ada", "20 cents from Bob"]
    assert "no poster: an empty poster" in done.stderr
