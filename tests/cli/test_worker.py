"""`aioqueue worker`: what it shows, what it takes, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys

import pytest
from support.waiting import eventually

from aioqueue import __version__

from .conftest import Shell


def test_the_banner(aioqueue: Shell) -> None:
    worker = aioqueue.worker("-Q", "high,default", "-Q", "slow", "-c", "7", "-n", "worker1@%h", "--loglevel", "INFO")
    banner = worker.err
    assert f"aioqueue {__version__}  worker1@{socket.gethostname()}  pid {worker.pid} · CPython" in banner
    assert "uvloop" in banner
    for line in (
        r"app +shop",
        r"broker +.*redis://127\.0\.0\.1:\d+",
        r"queues +high, default, slow",
        r"concurrency +7 tasks at once",
        r"tasks +shop\.add\(x: int, y: int\) -> int",
        r" +shop\.greet\(name: str, loud: bool = False\) -> str",
    ):
        assert re.search(f"^{line}", banner, re.MULTILINE), line
    assert "\x1b" not in banner
    assert re.search(r"^\d{4}-\d\d-\d\d \S+ INFO +Worker worker1@\S+ is ready$", banner, re.MULTILINE)
    found = aioqueue("workers", "shop", "--json").json
    assert [(one["name"], one["pid"], one["concurrency"], one["queues"]) for one in found] == [
        (f"worker1@{socket.gethostname()}", worker.pid, 7, ["high", "default", "slow"])
    ]
    assert f"worker1@{socket.gethostname()}" in aioqueue("workers", "shop").out


def test_a_password_is_never_shown(folder_shell: Shell, redis_url: str) -> None:
    url = redis_url.replace("redis://", "redis://:s3cret@")
    shown = [
        folder_shell("worker", "shop", "--burst", "-b", url),
        folder_shell("workers", "shop", "-b", url),
        folder_shell("--debug", "workers", "shop", "-b", url),
    ]
    assert [run for run in shown if "s3cret" in run.out + run.err] == []


def test_celerys_order_of_words(aioqueue: Shell) -> None:
    words = [
        "-A",
        "shop",
        "worker",
        "-l",
        "info",
        "-c",
        "4",
        "-Q",
        "a,b",
        "-n",
        "w1@%h",
        "-P",
        "prefork",
        "-Ofair",
        "-E",
    ]
    run = aioqueue(*words, "--without-gossip", "--without-mingle", "--burst")
    assert run.code == 0, run.err
    assert re.search(r"^queues +a, b$", run.err, re.MULTILINE)
    assert [option for option in ("--optimization", "--without-gossip") if option not in run.err] == []
    assert "has no effect" in run.err


def test_burst_runs_what_is_there_and_ends(aioqueue: Shell) -> None:
    ids = [aioqueue("call", "shop", "add", str(n), "1").out.strip() for n in range(3)]
    run = aioqueue("worker", "shop:app", "--burst")
    assert (run.code, run.out) == (0, "")
    for id in ids:
        assert re.search(rf"INFO +Task shop\.add\[{id}\] succeeded", run.err)


def test_its_process_collects_garbage_seldom(folder_shell: Shell) -> None:
    folder_shell.write(
        "rare.py",
        """import gc
from aioqueue import AioQueue

app = AioQueue("rare")


@app.task
async def threshold() -> tuple[int, bool]:
    return gc.get_threshold()[0], gc.get_freeze_count() > 0
""",
    )
    sent = folder_shell("call", "rare", "rare.threshold")
    assert sent.code == 0, sent.err
    assert folder_shell("worker", "rare", "--burst").code == 0
    assert folder_shell("result", "-A", "rare", sent.out.strip(), "--json").json["result"] == [10_000, True]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_what_runs_has_ended(aioqueue: Shell, number: signal.Signals) -> None:
    worker = aioqueue.worker()
    id = aioqueue("call", "shop", "sleep", "1000").out.strip()
    eventually((aioqueue.folder / "sleeps").exists, "the task runs")
    worker.signal(number)
    worker.wait_for(f"{number.name}, it stops; 1 task has 30 s to end: shop.sleep[{id}]")
    (aioqueue.folder / "wake").touch()
    assert worker.wait() == 0
    assert "Traceback" not in worker.err
    assert aioqueue("result", "shop:app", id, "--json").json["result"] == "slept"
    assert aioqueue("workers", "shop", "--json").json == []


def test_what_does_not_end_in_time_goes_back(aioqueue: Shell) -> None:
    worker = aioqueue.worker("--shutdown-timeout", "200ms")
    id = aioqueue("call", "shop", "sleep", "1000").out.strip()
    eventually((aioqueue.folder / "sleeps").exists, "the task runs")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 1
    assert f"cancels and hands back what has not ended, 1 task: shop.sleep[{id}]" in worker.err
    (queue,) = [queue for queue in aioqueue("queues", "shop", "--json").json if queue["queue"] == "slow"]
    assert (queue["waiting"], queue["running"]) == (1, 0)


def test_a_failing_task_is_logged_with_its_traceback(aioqueue: Shell) -> None:
    aioqueue("call", "shop", "fail", "oh dear")
    run = aioqueue("worker", "shop", "--burst")
    assert re.search(r"ERROR +Task shop\.fail\[.*\] failed in \S+ ms: ValueError: oh dear$", run.err, re.MULTILINE)
    assert run.err.count("raise ValueError(text)") == 1


def test_json_logs(aioqueue: Shell) -> None:
    aioqueue("call", "shop", "add", "1", "2")
    run = aioqueue("worker", "shop", "--burst", "--logformat", "json")
    entries = [json.loads(line) for line in run.err.splitlines()]
    assert all(entry["level"] == "info" and entry["logger"].startswith("aioqueue") for entry in entries)
    assert any("shop.add" in entry["message"] and "succeeded" in entry["message"] for entry in entries)


_LOGGED = """
import logging

from aioqueue import AioQueue

app = AioQueue("shop")


@app.task(name="logged", queue="low")
def logged() -> None:
    logging.getLogger("mail").warning("sent %s", "it")
"""


def test_logs_tell_which_task_wrote_a_line(aioqueue: Shell) -> None:
    (aioqueue.folder / "logged.py").write_text(_LOGGED)
    id = aioqueue("call", "logged", "logged").out.strip()
    run = aioqueue("worker", "logged", "--burst")
    assert re.search(rf"WARNING +\[mail\] logged\[{id}\]: sent it$", run.err, re.MULTILINE)
    assert re.search(rf"INFO +Task logged\[{id}\] succeeded in (<1|\d+) ms$", run.err, re.MULTILINE)
    id = aioqueue("call", "logged", "logged").out.strip()
    run = aioqueue("worker", "logged", "--burst", "--log-format", "json")
    (line,) = [entry for line in run.err.splitlines() if (entry := json.loads(line))["logger"] == "mail"]
    del line["time"]
    told = {"task_id": id, "task": "logged", "queue": "low", "attempt": 1}
    assert line == {"level": "warning", "logger": "mail", "message": "sent it", **told}
    (end,) = [entry for line in run.err.splitlines() if "succeeded" in (entry := json.loads(line))["message"]]
    assert end.pop("duration") >= 0
    assert {name: end[name] for name in (*told, "outcome")} == {**told, "outcome": "success"}


def test_the_level_and_the_file(aioqueue: Shell) -> None:
    aioqueue("call", "shop", "add", "1", "2")
    assert aioqueue("worker", "shop", "--burst", "-l", "warning").err == ""
    run = aioqueue("worker", "shop", "--burst", "-f", "worker.log", "--logformat", "json")
    assert run.err == ""
    assert "is ready" in (aioqueue.folder / "worker.log").read_text()
    assert aioqueue("worker", "shop", "--burst", "-f", "no/such/folder.log").code == 1


def test_errors_at_the_start_are_one_line(folder_shell: Shell) -> None:
    gives_up = {"AIOQUEUE_SEND_TIMEOUT": "1", "AIOQUEUE_BROKER_CONNECTION_RETRY_ON_STARTUP": "false"}
    unreachable = folder_shell("worker", "shop", "-b", "redis://127.0.0.1:1", **gives_up)
    assert (unreachable.code, "Traceback" in unreachable.err) == (1, False)
    assert unreachable.err.startswith("Error: ")
    for words in (["-c", "0"], ["-Q", ","], ["-l", "loud"], ["more", "words"]):
        run = folder_shell("worker", "shop:app", *words)
        assert (run.code, "Traceback" in run.err) == (2, False)


@pytest.mark.parametrize("plain", ["", "NO_COLOR", "CI", "TERM"])
def test_colours_are_for_terminals(aioqueue: Shell, plain: str) -> None:
    environment = {**aioqueue.environment, "TERM": "xterm-256color"}
    if plain:
        environment[plain] = "dumb" if plain == "TERM" else "1"
    output = in_terminal(aioqueue, ["worker", "shop", "--burst"], environment)
    assert ("\x1b[" in output) is (plain == "")
    assert "is ready" in output
    helped = in_terminal(aioqueue, ["--help"], environment)
    assert ("╭" in helped) is (plain == "")
    assert "Look inside" in helped


def in_terminal(shell: Shell, words: list[str], environment: dict[str, str]) -> str:
    """What the command writes to a terminal."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "aioqueue", *words]
    process = subprocess.Popen(command, cwd=shell.folder, env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    written = b""
    try:
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # Linux says so at the end
                break
            if not part:
                break
            written += part
    finally:
        process.kill() if process.poll() is None and not written else None
        process.wait(timeout=30)
        os.close(master)
    return written.decode()


def test_a_burst_that_leaves_retries_says_so(aioqueue: Shell) -> None:
    aioqueue.write(
        "later.py",
        """from aioqueue import AioQueue

app = AioQueue("later")


@app.task(name="fails", autoretry_for=ValueError, default_retry_delay=60)
async def fails() -> None:
    raise ValueError
""",
    )
    assert aioqueue("call", "later", "fails").code == 0
    run = aioqueue("worker", "later", "--burst=now")
    assert run.code == 3
    assert "leaves in its queues: 1 retry\n" in run.err
    assert aioqueue("worker", "later", "--burst=now", "--processes", "2").code == 3
    wrong = aioqueue("worker", "later", "--burst=later")
    assert wrong.code == 2 and "--burst takes no value but --burst=now, not 'later'" in wrong.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-Q", "a,b c"), "queues is a name of 1 to 255 .* not 'b c'"),
        (("-n", "a b"), "hostname is a name of 1 to 255 .* not 'a b"),
        (("--hostname", ""), "hostname is a name"),
        (("-c", str(2**40)), "concurrency is a whole number"),
        (("--shutdown-timeout", "9" * 30), "shutdown_timeout is a number of seconds"),
    ],
)
@pytest.mark.parametrize("processes", ["1", "2"])
def test_wrong_values_are_told_once(aioqueue: Shell, words: tuple[str, str], told: str, processes: str) -> None:
    done = aioqueue("worker", "shop", *words, "--processes", processes)
    assert done.code == 2
    assert len(re.findall(told, done.err)) == 1
    assert "Traceback" not in done.err
