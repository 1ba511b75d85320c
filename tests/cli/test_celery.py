"""Command lines that people have for Celery: each does what it says, or names what to write."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import Any

from support.command import Run

from .conftest import SHOP, Shell

# Several command lines, one after the other, in one process: to start one takes longer than what most of them do.
_ALL = """
import contextlib, io, json, logging, sys
from aioqueue.cli import main

done = []
for words in json.load(sys.stdin):
    logging.getLogger().handlers.clear()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    done.append((code, out.getvalue(), err.getvalue()))
json.dump(done, sys.stdout)
"""


def run_all(shell: Shell, *lines: str) -> list[Run]:
    """What each of these command lines does."""
    done = subprocess.run(
        [sys.executable, "-c", _ALL],
        cwd=shell.folder,
        env=shell.environment,
        input=json.dumps([line.split() for line in lines]),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [Run(*one) for one in json.loads(done.stdout)]


def result_of(run: Run) -> Any:
    assert run.code == 0, run.err
    return run.json["result"]


PROBE = (
    SHOP
    + """

import os, threading


@app.task
def where() -> list[object]:
    return [threading.current_thread() is threading.main_thread(), os.getpid()]


@app.task
def settings() -> dict[str, object]:
    names = ("task_time_limit", "task_soft_time_limit", "worker_max_tasks", "worker_max_memory", "worker_pool")
    return {name: getattr(app.conf, name) for name in (*names, "events")}
"""
)


def test_a_whole_command_line(aioqueue: Shell) -> None:
    aioqueue.write("shop.py", PROBE)
    aioqueue.write("more.py", "from shop import app\n@app.task(name='more')\ndef more() -> int:\n    return 4\n")
    words = "-A shop worker -l info -c 4 -Q default,other -n w1@%h --max-memory-per-child 500000 --time-limit 10"
    words += " --soft-time-limit 5 --prefetch-multiplier 1 --pool solo -E -O fair --without-gossip --without-mingle"
    words += " --without-heartbeat --max-tasks-per-child 1000 -B -s /tmp/none --pidfile none.pid -I more"
    words += " --autoscale 3,10"
    worker = aioqueue.start(*words.split())
    worker.wait_for("is ready")
    for option in ("--optimization", "--without-gossip"):
        assert len(re.findall(f"{option} has no effect", worker.err)) == 1
    settings, where, workers, status, ping = run_all(
        aioqueue,
        "call shop:app settings --wait --json",
        "call shop:app where --wait --json",
        "workers shop --json",
        "status shop",
        "-A shop inspect ping --json -t 1",
    )
    assert result_of(settings) == {
        "task_time_limit": 10.0,
        "task_soft_time_limit": 5.0,
        "worker_max_tasks": 1000,
        "worker_max_memory": 500_000 * 1024,
        "worker_pool": "solo",
        "events": True,
    }
    is_main, pid = result_of(where)
    assert is_main and pid != worker.pid, "the process is one that is replaced"
    [about] = workers.json
    assert (about["concurrency"], about["queues"], about["pid"]) == (1, ["default", "other"], pid)
    assert re.fullmatch(r"w1@[^/]+", about["name"])
    assert status.out == f"{about['name']}: OK\n"
    assert ping.json == {about["name"]: {"ok": "pong"}}
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0


def test_who_does_not_answer_is_named(aioqueue: Shell) -> None:
    alive, stopped = (aioqueue.start(*f"worker shop:app -n {name} -Q default".split()) for name in ("alive", "stopped"))
    for worker in (alive, stopped):
        worker.wait_for("is ready")
    stopped.signal(signal.SIGSTOP)
    asked = ("status", "inspect ping", "control ping")
    silent, never, both, all_of_them = (
        run_all(aioqueue, *(f"-A shop {words} -t 0.3 {which}" for words in asked))
        for which in ("-d stopped", "--destination=none --json", "-d alive,stopped", "-d *")
    )
    for run in silent:
        assert (run.code, run.out) == (69, "")
        assert "from stopped" in run.err
    for run in never:
        assert (run.code, run.json) == (69, {})
        assert "from none" in run.err
    for run in both:
        assert (run.code, run.out) == (69, "alive: OK\n"), "one that was asked by name is silent"
        assert "from stopped" in run.err
    for run in all_of_them:
        assert (run.code, run.out) == (0, "alive: OK\n"), "somebody works"
        assert "from stopped" in run.err


def test_a_process_is_replaced_after_so_many_tasks(aioqueue: Shell) -> None:
    aioqueue.write("shop.py", PROBE)
    worker = aioqueue.worker("--max-tasks-per-child", "1", "-l", "info")

    line = "call shop:app where --wait --json --timeout 30"
    [first] = run_all(aioqueue, line)
    worker.wait_for("another one takes its place")
    [second] = run_all(aioqueue, line)
    assert result_of(first)[1] != result_of(second)[1]


def test_words_that_name_what_to_write(folder_shell: Shell) -> None:
    lines = [
        ("worker --autoscale x", 2, "MAX,MIN such as 10,3"),
        ("worker --max-memory-per-child lots", 2, "worker_max_memory_per_child is a number of KiB"),
        ("worker --pool solow", 2, "'solo'"),
        ("worker --detach", 2, "it stays in the foreground"),
        ("worker -D", 2, "service manager"),
        ("worker --purge", 2, "aioqueue queues purge NAME"),
        ("worker --uid www", 2, "service manager"),
        ("worker --time-limit 5 --soft-time-limit 9", 2, "soft_time_limit=9 is above"),
        ("worker -Q default:5000", 2, "5000"),
        ("worker -n ", 2, "requires an argument"),
        ("call add 1 2 --exchange x", 2, "--routing-key"),
        ("call add 1 2 --serializer yaml", 2, "yaml"),
        ("call add 1 2 --routing-key nobody.listens", 1, "nobody.listens"),
        ("beat --detach", 2, "it stays in the foreground"),
        ("--config celeryconfig worker", 2, "app.config_from_object"),
        ("flower --port=5555", 2, "`aioqueue -A shop -b memory:// workers`"),
        ("multi start w1", 2, "--processes"),
        ("list bindings", 2, "memory:// queues`"),
        ("migrate redis://a redis://b", 2, "not moved"),
        ("upgrade settings x", 2, "app.config_from_object"),
        ("shell", 2, "python -m asyncio"),
        ("graph workers", 2, "workflow show ID"),
        ("logtool stats", 2, "--logformat json"),
        ("amqp", 2, "queues purge NAME"),
        ("inspect active", 69, "No worker"),
        ("status -d w1,w2", 69, "No answer within 1.0 s from w1, w2"),
        ("status -d w*", 69, "none called w*"),
        ("inspect ping -d ,", 2, "names no worker"),
        ("inspect reserved more", 2, "nothing more"),
        ("inspect active -t soon", 2, "no span of time"),
        ("control ping -t 0", 2, "the seconds to wait"),
        ("inspect scheduled", 2, "`aioqueue -A shop -b memory:// queues show NAME`"),
        ("inspect pign", 2, "Did you mean 'ping'"),
        ("control enable_events", 2, "app.control.enable_events"),
        ("control shutdown", 2, "SIGTERM"),
        ("control rate_limit shop.add 1/s", 2, "later version"),
        ("worker -I none.at.all", 1, "there is no module \x27none.at.all\x27"),
    ]
    for (line, code, text), run in zip(
        lines, run_all(folder_shell, *(f"-A shop -b memory:// {line}" for line, _, _ in lines)), strict=True
    ):
        assert (run.code, run.out) == (code, ""), line
        assert text in run.err, line
        assert "Traceback" not in run.err


def test_spellings_of_celerys(folder_shell: Shell) -> None:
    tasks, traceback, fatal, call = run_all(
        folder_shell,
        "-A shop tasks -j",
        "-A shop result some-id --traceback -t shop.add -b memory://",
        "-A shop worker --burst -b memory:// -l FATAL -n w1@%h --logfile=./%n%I-%i.log",
        "-A shop call add 1 2 --serializer json --compression zlib -j -b memory://",
    )
    assert [one["name"] for one in tasks.json][:1] == ["shop.add"]
    assert fatal.code == 0, fatal.err
    assert (folder_shell.folder / "w1-0.log").exists()
    assert call.json["task"] == "shop.add"
    assert (traceback.code, "--task has no effect" in traceback.err) == (3, True)


def test_processes_have_files_of_their_own(folder_shell: Shell) -> None:
    words = "-A shop worker --burst --processes 2 -n w1@%h --logfile=%n%I.log"
    run = folder_shell(*words.split(), AIOQUEUE_DATA_DIR=str(folder_shell.folder / "data"))
    assert run.code == 0, run.err
    assert {file.name for file in folder_shell.folder.glob("w1*.log")} == {"w1.log", "w1-1.log", "w1-2.log"}


def test_advice_is_about_the_same_app(folder_shell: Shell) -> None:
    after, last, no_app, module = run_all(
        folder_shell, "flower -A shop", "amqp --app=shop", "flower", "-b memory:// inspect shop scheduled"
    )
    assert "`aioqueue -A shop workers`" in after.err and "`aioqueue -A shop queues`" in last.err
    assert "`aioqueue workers`" in no_app.err
    assert "`aioqueue -A shop -b memory:// queues show NAME`" in module.err


def test_pools_by_celerys_names(folder_shell: Shell) -> None:
    prefork, gevent = run_all(
        folder_shell, *(f"-A shop worker -P {pool} --burst -b memory://" for pool in ("prefork", "gevent"))
    )
    assert prefork.code == gevent.code == 0
    assert "has no effect" not in prefork.err + gevent.err


def test_words_that_do_it(aioqueue: Shell) -> None:
    lines = [f"-A shop {words}" for words in ("status", "inspect ping", "control ping")]
    assert [run.code for run in run_all(aioqueue, *lines)] == [69, 69, 69], "nobody is alive"
    sent, _, _ = run_all(
        aioqueue, "call shop:app add 1 2", "call shop:app sleep 1", "call shop:app add 1 2 -Q elsewhere"
    )
    id = sent.out.strip()
    registered, revoke, query, purge, queues, rest = run_all(
        aioqueue,
        "-A shop inspect registered",
        f"-A shop control revoke {id}",
        f"-A shop inspect query_task {id}",
        "-A shop purge -f",
        "queues shop --json",
        "-A shop purge -f -Q elsewhere",
    )
    assert "shop.add(x: int, y: int)" in registered.out
    assert revoke.out == f"{id}  revoked\n"
    assert "REVOKED" in query.out
    assert (purge.code, "slow: 1 task dropped" in purge.out, "elsewhere" in purge.out) == (0, True, False)
    assert [one["waiting"] for one in queues.json if one["queue"] == "elsewhere"] == [1]
    assert rest.out == "elsewhere: 1 task dropped\n"


def test_report(folder_shell: Shell) -> None:
    folder_shell.write("shop.py", SHOP.replace('AioQueue("shop")', 'AioQueue("shop", result_expires=60)'))
    inspected, run = run_all(folder_shell, "-A shop inspect report --json", "-A shop report -b redis://:s3cret@h/1")
    assert inspected.json["settings"] == {"result_expires": 60.0}
    assert run.code == 0
    assert re.search(r"^result_expires +60\.0$", run.out, re.MULTILINE)
    assert re.search(r"^broker +'redis://:\*\*\*@h/1'$", run.out, re.MULTILINE)
