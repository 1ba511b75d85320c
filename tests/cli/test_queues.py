"""`aioqueue queues`, `tasks` and `workers`."""

from __future__ import annotations

import pytest

from aioqueue.cli import terminal

from .conftest import SHOP, Shell


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
        assert (run.code, run.out) == (int(words[0] == "workers"), "")
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
    assert 0 <= data[0]["oldest_seconds"] < 600
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
    assert aioqueue("queues", "purge", "shop:app", "slow", "-y", "--json").json == [
        {"queue": "slow", "dropped": 1, "known": True}
    ]
    assert [queue["waiting"] for queue in aioqueue("queues", "shop", "--json").json] == [0, 0]


def test_what_waits_in_a_queue(aioqueue: Shell) -> None:
    aioqueue.write("shop.py", SHOP + "\n@app.task\nasync def login(user: str, password: str) -> None: ...\n")
    ids = [aioqueue("call", "shop", *words).out.strip() for words in (["add", "1", "2"], ["login", "ann", "s3cret"])]
    later = aioqueue("call", "shop", "add", "3", "4", "--countdown", "1h", "--priority", "5").out.strip()
    run = aioqueue("queues", "show", "shop:app", "default")
    assert run.code == 0
    lines = [line.split(maxsplit=2) for line in run.out.splitlines()[1:]]
    assert [line[:2] for line in lines] == [[ids[0], "shop.add"], [ids[1], "shop.login"], [later, "shop.add"]]
    assert run.out.splitlines()[2].endswith("'ann', ***")
    assert "s3cret" not in run.out
    assert "in 1 h" in run.out.splitlines()[3]
    data = aioqueue("queues", "show", "--namespace", "shop", "default", "--json").json
    assert [(one["id"], one["state"], one["args"]) for one in data] == [
        (ids[0], "waiting", "1, 2"),
        (ids[1], "waiting", "'ann', 's3cret'"),  # without the code nobody knows which argument that is
        (later, "delayed", "3, 4"),
    ]
    assert data[0]["since"].endswith("Z") and data[2]["due"].endswith("Z") and data[2]["priority"] == 5
    assert [one["id"] for one in aioqueue("queues", "show", "shop:app", "default", "-n", "1", "--json").json] == ids[:1]
    assert "Which queue?" in aioqueue("queues", "show", "shop:app").err
    unknown = aioqueue("queues", "show", "shop:app", "defualt")
    assert (unknown.code, unknown.out) == (1, "")
    assert "Did you mean 'default'?" in unknown.err
    assert aioqueue("queues", "show", "shop:app", "slow").code == 0  # in the code, if never used


def test_purge_of_what_is_delayed_and_of_what_is_not_there(aioqueue: Shell) -> None:
    for more in ([], ["--countdown", "1h"], ["--countdown", "2h"]):
        aioqueue("call", "shop", "add", "1", "2", *more)
    id = aioqueue("call", "shop", "sleep", "1", "--countdown", "1h").out.strip()
    run = aioqueue("queues", "purge", "shop:app", "default", "wolf", "--delayed", "--yes")
    assert (run.code, run.out) == (1, "default: 3 tasks dropped\n")
    assert "Nothing is known of a queue 'wolf' in 'shop'." in run.err
    assert [(queue["waiting"], queue["delayed"]) for queue in aioqueue("queues", "shop", "--json").json] == [
        (0, 0),
        (0, 1),
    ]
    assert aioqueue("result", "shop:app", id, "--json").json["state"] == "SENT"


def test_help_says_what_works(folder_shell: Shell) -> None:
    for group, default in (("queues", "list"), ("dead", "list"), ("schedule", "list"), ("server", "status")):
        text = " ".join(folder_shell(group, "--help").out.split())
        assert f"aioqueue {group} shop.tasks:app --json is aioqueue {group} {default} shop.tasks:app --json" in text
        assert f"aioqueue {group} [OPTIONS] [COMMAND] [MODULE:APP]" in text


def test_a_narrow_screen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "screen_width", lambda: 60)
    row = ["worker1@a-host-with-a-long-name", "12345", "1.5 s", "email,video,default"]
    terminal.table(["worker", "pid", "up", "queues"], [row, row], whole=True)
    one = ["worker1@a-host-with-a-long-name", "  pid     12345", "  up      1.5 s", "  queues  email,video,default"]
    assert capsys.readouterr().out.splitlines() == [*one, "", *one]
    terminal.table(["queue", "waiting"], [["default", "1"]])
    assert capsys.readouterr().out == "queue    waiting\ndefault  1\n"
    assert [terminal.size_text(n) for n in (0, 999, 4200, 99_950, 10**9)] == [
        "0 B",
        "999 B",
        "4.2 kB",
        "100 kB",
        "1.0 GB",
    ]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["worker", ""], {"shop:app", "pack.tasks:queue"}),
        (["-A", "sh"], {"shop:app"}),
        (["queues", ""], {"list", "show", "purge", "pause", "resume", "shop:app", "pack.tasks:queue"}),
        (["queues", "purge", "shop:app", "s"], {"slow"}),
        (["worker", "shop:app", "-Q", "default,s"], {"default,slow"}),
        (["call", "shop:app", "sl"], {"sleep"}),
        (["call", "shop:app", "add", ""], {"x=", "y="}),
        (["call", "shop:no", ""], set()),
        (["re"], {"result", "revoke"}),
    ],
)
def test_completion(folder_shell: Shell, words: list[str], offered: set[str]) -> None:
    folder_shell.write("pack/__init__.py", "")
    folder_shell.write("pack/tasks.py", "import aioqueue\n\nqueue: aioqueue.AioQueue = aioqueue.AioQueue('pack')\n")
    run = folder_shell(
        _AIOQUEUE_COMPLETE="bash_complete", COMP_WORDS=" ".join(["aioqueue", *words]), COMP_CWORD=str(len(words))
    )
    assert {line.partition(",")[2] for line in run.out.splitlines() if line} == offered


def test_who_is_alive(aioqueue: Shell) -> None:
    worker = aioqueue.worker()
    run = aioqueue("workers", "shop", "--json")
    assert (run.code, [one["pid"] for one in run.json]) == (0, [worker.pid])
    assert run.json[0]["started"].endswith("Z") and 0 < run.json[0]["lease"] <= 30


def test_pausing(aioqueue: Shell) -> None:
    aioqueue("call", "shop", "add", "1", "2")
    typo = aioqueue("queues", "pause", "shop:app", "default", "defalt")
    assert (typo.code, "Did you mean 'default'" in typo.err, "Nothing was changed" in typo.err) == (1, True, True)
    assert aioqueue("queues", "pause", "shop:app", "default", "slow").out == "default: paused\nslow: paused\n"
    shown = aioqueue("queues", "shop")
    assert "default (paused)" in shown.out and "Paused: default, slow." in shown.err
    assert [queue["paused"] for queue in aioqueue("queues", "shop", "--json").json] == [True, True]
    assert aioqueue("queues", "resume", "--namespace", "shop", "slow", "--json").json == [
        {"queue": "slow", "paused": False, "silent": []}
    ]
