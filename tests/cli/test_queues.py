"""`aioqueue queues`, `tasks` and `workers`."""

from __future__ import annotations

from .conftest import Shell


def test_tasks_as_data(folder_shell: Shell) -> None:
    found = {task["name"]: task for task in folder_shell("tasks", "shop", "--json").json}
    assert len(found) == 7
    add, sleep = found["shop.add"], found["shop.sleep"]
    assert (add["signature"], add["summary"], add["queue"]) == (
        "(x: int, y: int) -> int",
        "Add two numbers.",
        "default",
    )
    assert (sleep["queue"], sleep["kind"], found["shop.quiet"]["kind"]) == ("slow", "coroutine", "thread")


def test_nothing_yet(aioqueue: Shell) -> None:
    for words in (["queues", "shop"], ["workers", "shop"], ["dead", "shop"]):
        run = aioqueue(*words)
        assert (run.code, run.out) == (0, "")
        assert "'shop'" in run.err
        assert aioqueue(*words, "--json").json == []


def test_the_list(aioqueue: Shell) -> None:
    for words in (["add", "1", "2"], ["add", "1", "2"], ["sleep", "1"], ["add", "1", "2", "--countdown", "1h"]):
        assert aioqueue("call", "shop", *words).code == 0
    for words in (
        ["queues", "shop"],
        ["queues", "list", "-A", "shop"],
        ["-A", "shop", "queues"],
        ["queues", "-A", "shop"],
    ):
        lines = [line.split() for line in aioqueue(*words).out.splitlines()]
        assert lines[0] == ["queue", "waiting", "running", "delayed", "oldest", "workers"]
        assert [line[:4] for line in lines[1:]] == [["default", "2", "0", "1"], ["slow", "1", "0", "0"]]
        assert lines[1][4] != "-"
        assert [line[-1] for line in lines[1:]] == ["0", "0"]
    data = aioqueue("queues", "--namespace", "shop", "--json").json
    assert [queue["queue"] for queue in data] == ["default", "slow"]
    assert 0 <= data[0]["oldest_seconds"] < 60
    assert [queue["consumers"] for queue in data] == [0, 0]


def test_queues_that_nobody_has_used_or_nobody_consumes(aioqueue: Shell) -> None:
    aioqueue.write("shop.py", (aioqueue.folder / "shop.py").read_text() + "\napp.conf.task_queues = ['audit']\n")
    run = aioqueue("queues", "shop")
    assert [line.split() for line in run.out.splitlines()[1:]] == [["audit", "0", "0", "0", "-", "0"]]
    assert "No worker" not in run.err  # nothing waits there
    aioqueue("call", "shop", "sleep", "1")
    assert "No worker consumes slow: what waits there is not run." in aioqueue("queues", "shop").err
    aioqueue.worker("-Q", "audit:2,other:1")
    data = {queue["queue"]: queue["consumers"] for queue in aioqueue("queues", "shop", "--json").json}
    assert data == {"audit": 1, "other": 1, "slow": 0}


def test_purge_asks_first(aioqueue: Shell) -> None:
    for _ in range(2):
        aioqueue("call", "shop", "add", "1", "2")
    aioqueue("call", "shop", "sleep", "1")
    refused = aioqueue("queues", "purge", "shop:app", "default")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert aioqueue("queues", "purge", "-A", "shop", "default", "--yes").out == "default: 2 tasks dropped\n"
    assert aioqueue("queues", "purge", "shop:app", "slow", "-y", "--json").json == [{"queue": "slow", "dropped": 1}]
    assert [queue["waiting"] for queue in aioqueue("queues", "shop", "--json").json] == [0, 0]
