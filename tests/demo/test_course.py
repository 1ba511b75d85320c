"""What the demo does when things go wrong, which they do not by themselves: in this process, with workers in others."""

from __future__ import annotations

from io import StringIO
from time import perf_counter

import pytest
from rich.console import Console
from support.waiting import until

from aioqueue.demo import processes, run
from aioqueue.demo.display import LineDisplay
from aioqueue.demo.figures import Report
from aioqueue.demo.files import select
from aioqueue.demo.run import Demo
from aioqueue.demo.summary import outcome
from aioqueue.demo.tasks import app
from aioqueue.exceptions import AioQueueError
from aioqueue.result import AsyncResult

from .conftest import Stage


@pytest.fixture
def course(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Demo:
    for name in ("AIOQUEUE_RUNTIME_DIR", "AIOQUEUE_DATA_DIR"):
        monkeypatch.setenv(name, stage.environment[name])
    selection = select(stage.folder({f"{number}.py": b"x = 1\n" for number in range(20)}), 100)
    display = LineDisplay(Console(file=StringIO()))
    return Demo(selection, workers=2, concurrency=4, kill=False, display=display, began=perf_counter())


async def test_a_task_without_an_end_is_lost(course: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_PATIENCE", 1.0)
    send = course._send

    async def send_one_more() -> None:
        await send()
        # It was sent, as far as the books know, and is nowhere.
        course._books.sent([AsyncResult(app, "gone")], [str(course._selection.folder / "gone.py")])

    monkeypatch.setattr(course, "_send", send_one_more)
    report = await course.run()

    assert (report.lost, report.ok) == (1, False)
    assert report.succeeded == 20
    assert report.lost_files == ["gone.py"]
    assert "lost 1 20 tasks, 20 ends; none for gone.py" in _text(report)


async def test_a_body_that_ran_twice_without_a_kill_is_an_error(course: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    send = course._send

    async def send_and_forge() -> None:
        await send()
        id = next(iter(course._books.paths))
        ledger = course._folder / "ledger"
        with ledger.open("ab", buffering=0) as file:
            file.write(f"begun 1 1 {id} 0 1\nended 2 1 {id} 0 1\n".encode())

    monkeypatch.setattr(course, "_send", send_and_forge)
    report = await course.run()

    assert (report.twice, report.twice_unexplained, report.ok) == (1, 1, False)
    assert "1 of them without a killed worker for a reason" in _text(report)


async def test_a_worker_that_cannot_start_says_why(course: Demo, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    own = processes.environment

    def broken(**more: str) -> dict[str, str]:
        return {**own(**more), "PYTHONHOME": "/nowhere"}

    monkeypatch.setattr(run, "environment", broken)
    with pytest.raises(AioQueueError, match=r"(?s)worker-\d .* should be at work, and has ended with .*encodings"):
        await course.run()
    assert [worker.alive for worker in course.workers] == [False, False]


async def test_a_worker_that_dies_stops_the_demo(course: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    send = course._send_alone

    async def kill_one() -> None:
        await send()
        course.workers[0]._process.kill()
        await until(lambda: not course.workers[0].alive)

    monkeypatch.setattr(course, "_send_alone", kill_one)
    with pytest.raises(AioQueueError, match=r"worker-1 .* has ended with the exit code -9"):
        await course.run()
    assert not course._folder.exists()


def _text(report: Report) -> str:
    output = StringIO()
    Console(file=output, width=100).print(outcome(report))
    return " ".join(output.getvalue().split())
