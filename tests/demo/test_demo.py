"""`aioqueue demo`, as people call it."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.command import COMMAND
from support.waiting import eventually

from .conftest import Stage

KNOWN = {
    "a.py": b"import os\n\nprint(os.name)\n",
    "deep/down/b.py": b"x = 1\n",
    "c.md": b"# Title\n",
    "empty.txt": b"",
    "broken.py": b"x = '\xff\xfe'\n",
    "picture.png": b"\x89PNG\r\n\x1a\n\x00\x00",
}

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


def test_every_file_of_a_folder_has_one_end_and_the_figures_are_right(stage: Stage) -> None:
    run = stage.demo("--folder", stage.folder(KNOWN), "--no-kill", "--json")

    assert run.code == 0, run.err
    report = run.json
    assert report["ok"] is True
    assert (report["files"], report["texts_found"], report["not_text"]) == (5, 5, 0)
    assert (report["succeeded"], report["failed"], report["lost"]) == (4, 1, 0)
    assert (report["twice"], report["recovered"], report["kill"]) == (0, 0, None)
    assert report["languages"] == {
        "Python": {"files": 2, "lines": 4, "bytes": 32, "longest_line": 14},
        "Markdown": {"files": 1, "lines": 1, "bytes": 8, "longest_line": 7},
        "Text": {"files": 1, "lines": 0, "bytes": 0, "longest_line": 0},
    }
    (failure,) = report["failures"]
    assert (failure["file"], failure["retries"], failure["dead"]) == ("broken.py", 2, True)
    assert failure["error"].startswith("UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 5")
    assert report["retried"] == 2
    assert [(worker["name"], worker["end"], worker["exit_code"]) for worker in report["workers"]] == [
        ("worker-1", "stopped", 0),
        ("worker-2", "stopped", 0),
    ]
    assert sum(worker["runs"] for worker in report["workers"]) == 5 + 2
    assert 0 < report["run"]["p50"] <= report["run"]["p95"] <= report["run"]["p99"] < 5
    assert (report["server"], report["left_running"]) == ("stopped", [])


def test_without_a_terminal_it_writes_plain_lines_and_leaves_nothing(stage: Stage) -> None:
    run = stage.demo("--folder", stage.folder(KNOWN), "--no-kill")

    assert run.code == 0, run.err
    assert "\x1b" not in run.out
    assert run.err == ""
    assert not any(line.endswith(" ") for line in run.out.splitlines())
    assert "A task for each of 5 files below files\n" in run.out
    assert "  lost    0  5 tasks, 5 ends\n" in run.out
    assert "UnicodeDecodeError, retried twice, now in the dead letters:\n             broken.py\n" in run.out
    assert "The workers have ended, and so has the server." in run.out
    assert stage.left() == []
    assert stage.rest() == []


def test_a_killed_worker_loses_nothing(stage: Stage) -> None:
    run = stage.demo("--folder", stage.many(1500, 200_000), "--json")

    assert run.code == 0, run.err
    report = run.json
    kill = report["kill"]
    assert kill["worker"] == "worker-2"
    assert kill["running"] >= 1
    assert kill["ended"] >= 500
    assert 0 < kill["recovered_after"] < 10
    assert report["recovered"] >= kill["running"]
    assert (report["lost"], report["succeeded"], report["failed"]) == (0, 1500, 0)
    assert report["twice"] >= 1
    assert report["twice_unexplained"] == 0
    first, second = report["workers"]
    assert (first["end"], first["exit_code"]) == ("stopped", 0)
    assert (second["end"], second["exit_code"]) == ("killed", -signal.SIGKILL)
    assert report["languages"]["Python"]["files"] == 1500
    assert report["rate_after_kill"] > 0
    assert report["alone_count"] == 100
    assert "kill -9 worker-2, in the middle of" in run.err
    assert stage.left() == []


def test_the_next_run_starts_clean_and_the_commands_that_are_named_work(stage: Stage) -> None:
    folder = stage.folder(KNOWN)
    stage.demo("--folder", folder, "--no-kill", "--json")
    assert stage.demo("--folder", folder, "--no-kill", "--json").json["files"] == 5

    (letter,) = stage.aioqueue("dead", "list", "-A", "aioqueue.demo.tasks:app", "--json").json
    assert letter["args"] == [str(folder / "broken.py")]
    (queue,) = stage.aioqueue("queues", "list", "-A", "aioqueue.demo.tasks:app", "--json").json
    assert (queue["waiting"], queue["running"], queue["delayed"]) == (0, 0, 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_interrupted_it_leaves_nothing_and_says_so(stage: Stage, number: signal.Signals, code: int) -> None:
    process = stage.start("--folder", stage.many(2_000, 200_000), "--files", 2_000, start_new_session=True)
    try:
        assert process.stdout is not None
        while "started worker-2" not in process.stdout.readline():
            assert process.poll() is None
        eventually(lambda: len(stage.left()) >= 5)  # the demo, two workers, the server and its supervisor
        # As a terminal does it: to the whole group.
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code, err
    assert "Stopped after " in out
    assert " of 2,000. The workers (processes " in out
    assert "have ended, and so has the server." in out.replace("\n", " ")
    assert stage.left() == []
    assert stage.rest() == []


def test_killed_itself_it_takes_its_workers_with_it(stage: Stage) -> None:
    process = stage.start("--folder", stage.many(2_000, 200_000), "--files", 2_000)
    assert process.stdout is not None
    while "started worker-2" not in process.stdout.readline():
        assert process.poll() is None
    eventually(lambda: len(stage.left()) >= 5)
    process.kill()
    process.wait(timeout=10)
    process.communicate()
    eventually(lambda: not stage.left())

    # And what it has left in the queue does not bother the next one.
    report = stage.demo("--folder", stage.folder({}), "--files", 300, "--no-kill", "--json").json
    assert (report["files"], report["succeeded"], report["lost"]) == (300, 300, 0)


def test_on_a_terminal_it_draws_a_picture_and_ends_well(stage: Stage) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "demo", "--folder", str(stage.many(1500, 20_000))],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**stage.environment, "COLUMNS": "80", "LINES": "24"},
        cwd=stage.root,
    )
    os.close(theirs)
    seen = _read(ours, process).decode()

    assert process.wait(timeout=10) == 0
    assert "\x1b[?25l" in seen  # the cursor is hidden
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")  # and comes back
    assert "━" in seen
    assert "worker-2" in seen
    assert "1,500 tasks, 1,500 ends" in seen
    assert max(len(line) for line in _plain(seen).splitlines()) <= 80
    assert stage.left() == []


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"CI": "true"}, {"TERM": "dumb"}])
def test_who_wants_no_picture_gets_lines(stage: Stage, variable: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "demo", "--folder", str(stage.folder(KNOWN)), "--no-kill"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**stage.environment, **variable},
        cwd=stage.root,
    )
    os.close(theirs)
    seen = _read(ours, process).decode()

    assert process.wait(timeout=10) == 0
    assert "\x1b" not in seen
    assert "5 tasks, 5 ends" in seen


def _read(file: int, process: subprocess.Popen[bytes]) -> bytes:
    """Everything that is written to a terminal."""
    seen = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([file], [], [], 0.1)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            data = os.read(file, 65536)
        except OSError:  # Linux says so when the last one has closed it
            break
        if not data:
            break
        seen += data
    os.close(file)
    return seen


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")


# Errors


def test_another_demo_is_not_disturbed(stage: Stage) -> None:
    worker = subprocess.Popen(
        [*COMMAND, "worker", "aioqueue.demo.tasks:app", "-n", "other", "-l", "error"],
        env=stage.environment,
        cwd=stage.root,
        stdin=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: stage.aioqueue("workers", "-A", "aioqueue.demo.tasks:app", "--json").json)
        run = stage.demo("--folder", stage.folder(KNOWN))
        assert run.code == 1
        assert "Another demo is at work at embedded valkey" in run.err
        assert f"other (process {worker.pid} on " in run.err
        assert "Nothing was sent" in run.err
        assert worker.poll() is None
    finally:
        worker.terminate()
        worker.wait(timeout=20)


def test_a_server_that_others_use_stays(stage: Stage) -> None:
    assert stage.aioqueue("server", "start", "-A", "aioqueue.demo.tasks:app").code == 0
    try:
        report = stage.demo("--folder", stage.folder(KNOWN), "--no-kill", "--json").json
        assert (report["ok"], report["server"], report["left_running"]) == (True, "stays", [])
        assert report["broker_started_in"] is None
    finally:
        assert stage.aioqueue("server", "stop", "-A", "aioqueue.demo.tasks:app").code == 0


def test_another_broker_can_be_named(stage: Stage, redis_url: str) -> None:
    report = stage.demo("--folder", stage.folder(KNOWN), "--no-kill", "--json", "--broker", redis_url).json
    assert (report["ok"], report["succeeded"], report["server"]) == (True, 4, "")
    assert report["broker"].endswith(f" at {redis_url}")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--broker", "memory://"], 1, "memory:// is a broker inside of one"),
        (["--folder", "tmp"], 1, "there are none below"),
        (["--folder", "nowhere"], 2, "'nowhere' does not exist"),
        (["--files", "0"], 2, "0 is not in the range"),
        (["--file", "1"], 2, "No such option"),
    ],
)
def test_what_cannot_be_done_is_said(stage: Stage, arguments: list[str], code: int, words: str) -> None:
    run = stage.demo(*arguments)
    assert run.code == code
    assert words in run.err
    assert "Traceback" not in run.err
    assert stage.left() == []
