"""`aioqueue call`, and `result` and `revoke` of what it sent."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import pytest
from support.waiting import eventually

from .conftest import SHOP, Shell


def sent(aioqueue: Shell, *words: str) -> str:
    """The id of a task that is sent."""
    run = aioqueue("call", "shop", *words)
    assert (run.code, run.err) == (0, ""), run.err
    return run.out.strip()


def burst(aioqueue: Shell) -> None:
    run = aioqueue("worker", "shop", "--burst", "-l", "warning", "-Q", "default,slow")
    assert run.code == 0, run.err


def test_it_prints_the_id_and_the_result_can_be_asked_for(aioqueue: Shell) -> None:
    id = sent(aioqueue, "add", "2", "3")
    waiting = aioqueue("result", "-A", "shop", id, "--json")
    assert (waiting.code, waiting.json["state"], waiting.json["ready"]) == (3, "SENT", False)
    burst(aioqueue)
    run = aioqueue("result", "shop:app", id)
    assert run.code == 0
    lines = dict(line.split(None, 1) for line in run.out.splitlines())
    assert (lines["id"], lines["state"], lines["result"]) == (id, "SUCCESS", "5")
    data = aioqueue("-A", "shop", "result", id, "--json").json
    assert (data["task"], data["result"], data["exception"], data["retries"]) == ("shop.add", 5, None, 0)
    assert data["sent"] <= data["started"] <= data["ended"]


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (["add", "2", "3"], 5),
        (["shop.add", "2", "y=3"], 5),
        (["add", "x=-2", "y=-3"], -5),
        (["add", "-2", "-3"], -5),
        (["add", "--wait", "-2", "--timeout", "20", "-3"], -5),
        (["add", "-a", "[2, 3]"], 5),
        (["add", "2", "--kwargs", '{"y": 3}'], 5),
        (["greet", "you"], "Hello, you!"),
        (["greet", "17", "loud=true"], "HELLO, 17!"),
        (["greet", "a=b"], "Hello, a=b!"),
        (["greet", '"name=x"'], "Hello, name=x!"),
        (
            ["echo", "1", "1.5", "true", "null", '"1"', "[1, {}]", "text", "k=[1]", "NaN", ""],
            [[1, 1.5, True, None, "1", [1, {}], "text", "NaN", ""], {"k": [1]}],
        ),
        (["echo", "--", "--wait"], [["--wait"], {}]),
        (["quiet"], 17),
    ],
)
def test_arguments_and_results(aioqueue: Shell, words: list[str], result: Any) -> None:
    process = aioqueue.start("call", "shop:app", "--json", "--timeout", "30", *words)
    eventually(lambda: aioqueue("queues", "shop", "--json").json, "the task in its queue")
    burst(aioqueue)
    assert process.wait() == 0, process.err
    assert json.loads(process.out)["result"] == result


def test_results_for_people(aioqueue: Shell) -> None:
    aioqueue.worker()
    assert aioqueue("call", "shop", "greet", "you", "--wait").out == "Hello, you!\n"
    assert aioqueue("call", "shop", "echo", "a", "b=1", "-w").out == '[["a"],{"b":1}]\n'
    assert aioqueue("call", "-A", "shop", "quiet", "--wait").out == "17\n"
    # Nothing that could act on a terminal.
    assert aioqueue("call", "shop", "greet", "\x1b]0;bad\x07", "--wait").out == "Hello, \\x1b]0;bad\\x07!\n"


def test_a_failing_task(aioqueue: Shell) -> None:
    aioqueue.worker()
    run = aioqueue("call", "shop", "fail", "oh dear", "--wait")
    assert (run.code, run.out) == (1, "")
    assert "raise ValueError(text)" in run.err
    assert run.err.endswith("Error: ValueError: oh dear\n")
    data = aioqueue("call", "shop", "fail", "--wait", "--json")
    assert (data.code, data.json["state"], data.json["exception"]) == (
        1,
        "FAILURE",
        {"type": "ValueError", "message": "no"},
    )
    shown = aioqueue("result", "shop:app", data.json["id"])
    assert shown.code == 1
    assert "ValueError: no" in shown.out
    assert "raise ValueError(text)" in shown.out


def test_waiting_ends_and_says_that_nobody_works(aioqueue: Shell) -> None:
    run = aioqueue("call", "shop", "add", "1", "2", "--wait", "--timeout", "1500ms")
    assert (run.code, run.out) == (3, "")
    assert "No worker consumes the queue 'default'" in run.err
    assert "this waits for one: aioqueue -A shop worker\n" in run.err, "one with -Q would consume no other queue"
    assert "has not ended yet (its state is SENT: no living worker consumes the queue 'default'" in run.err
    assert "--wait" in run.err


def test_ctrl_c_while_waiting(aioqueue: Shell) -> None:
    process = aioqueue.start("call", "shop", "add", "1", "2", "--wait")
    process.wait_for("No worker consumes")
    process.signal(signal.SIGINT)
    assert process.wait() == 130
    assert "Traceback" not in process.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ad", "1", "2"], "Did you mean 'add'?"),
        (["shop.ad", "1", "2"], "Did you mean 'shop.add'?"),
        (["add", "1"], "missing a required argument: 'y'"),
        (["add", "1", "2", "3"], "too many positional arguments"),
        (["add", "1", "z=2"], "no parameter 'z'"),
        (["add", "1", "2", "z=4"], "no parameter 'z'"),
        (["add", "2", "x"], "argument 'y' of shop.add is 'x', and its annotation says int; nothing was sent."),
        (["greet", "you", "loud=yes"], "argument 'loud'"),
        (["greet", "you", "luod=true"], "Did you mean 'loud'?"),
        (["add", "-a", "1"], "--args takes JSON"),
        (["add", "-k", "[1]"], "--kwargs takes JSON"),
        (["add", "1", "2", "--countdown", "1", "--eta", "2030-01-01"], "not both"),
        (["add", "1", "2", "--countdown", "soon"], "no span of time"),
        (["add", "1", "2", "--eta", "tomorrow"], "no date and time"),
        (["add", "1", "2", "--priority", "11"], "priority"),
        ([], "Which task?"),
    ],
)
def test_a_wrong_call_sends_nothing(aioqueue: Shell, words: list[str], said: str) -> None:
    run = aioqueue("call", "shop", *words)
    assert (run.code, run.out) == (2, "")
    assert said in run.err
    assert aioqueue("queues", "shop", "--json").json == []


def test_options_of_a_call(aioqueue: Shell) -> None:
    id = sent(
        aioqueue, "add", "1", "2", "--queue", "other", "--task-id", "order-17", "--priority", "9", "--expires", "1h"
    )
    assert id == "order-17"
    assert sent(aioqueue, "add", "1", "2", "--countdown", "2h", "-Q", "later")
    assert sent(aioqueue, "add", "1", "2", "--eta", "2999-01-01T00:00:00+02:00", "-Q", "later")
    queues = {queue["queue"]: queue for queue in aioqueue("queues", "shop", "--json").json}
    assert (queues["other"]["waiting"], queues["later"]["delayed"]) == (1, 2)
    data = aioqueue("call", "shop", "add", "1", "2", "--queue", "other", "--json").json
    assert (data["task"], data["queue"]) == ("shop.add", "other")


def test_without_the_code_of_the_app(aioqueue: Shell, redis_url: str) -> None:
    del aioqueue.environment["AIOQUEUE_BROKER"]
    run = aioqueue("call", "--namespace", "shop", "--broker", redis_url, "shop.add", "20", "3")
    assert run.code == 0, run.err
    assert aioqueue("worker", "shop", "-b", redis_url, "--burst").code == 0
    result = aioqueue("result", run.out.strip(), "-b", redis_url, "--namespace", "shop")
    assert (result.code, "23" in result.out) == (0, True)
    aioqueue.environment["AIOQUEUE_BROKER"] = redis_url
    assert aioqueue("result", run.out.strip(), AIOQUEUE_NAMESPACE="shop").code == 0
    elsewhere = aioqueue("result", run.out.strip(), "--namespace", "other")
    assert (elsewhere.code, "nothing is known of it" in elsewhere.out) == (3, True)


def test_result_waits_for_the_end(aioqueue: Shell) -> None:
    id = sent(aioqueue, "add", "1", "2")
    waiting = aioqueue.start("result", "shop:app", id, "--wait")
    burst(aioqueue)
    assert waiting.wait() == 0
    assert "SUCCESS" in waiting.out
    assert aioqueue("result", "shop:app", "unknown", "--timeout", "100ms").code == 3


def test_where_a_task_is_of_which_nothing_is_recorded(aioqueue: Shell) -> None:
    runs, waits = (sent(aioqueue, "sleep", "1000") for _ in range(2))
    worker = aioqueue.worker("-c", "1", "-n", "w1", "--prefetch-multiplier", "1")
    eventually((aioqueue.folder / "sleeps").exists, "the first one runs")
    about = aioqueue("result", "shop:app", runs)
    assert about.code == 3
    assert "STARTED  it runs in worker w1 since" in about.out and "shop.sleep(" in about.out
    data = aioqueue("result", "shop:app", runs, "--json").json
    assert (data["state"], data["worker"], data["task"]) == ("STARTED", "w1", "shop.sleep")
    assert data["started"] is not None
    about = aioqueue("result", "shop", waits)
    assert about.code == 3
    assert re.search("SENT  (worker w1 has|it is the next one in the queue)", about.out), about.out
    worker.signal(signal.SIGKILL)
    worker.wait()
    about = aioqueue("result", "shop", runs)
    assert "SENT  worker w1 has it, and does not answer" in about.out


def test_revoke(aioqueue: Shell) -> None:
    ids = [sent(aioqueue, "add", "1", "2") for _ in range(2)]
    run = aioqueue("revoke", "shop", *ids, ids[0], "--reason", "changed my mind")
    assert run.code == 0
    assert [line.split() for line in run.out.splitlines()] == [[id, "revoked"] for id in ids]
    again = aioqueue("-A", "shop", "revoke", ids[0], "--json")
    assert (again.code, again.json) == (1, [{"id": ids[0], "revoked": False, "known": True}])
    result = aioqueue("result", "shop:app", ids[0])
    assert result.code == 1
    assert "REVOKED" in result.out
    assert "changed my mind" in result.out


def test_revoke_terminates_what_runs(aioqueue: Shell) -> None:
    worker = aioqueue.worker()
    id = sent(aioqueue, "sleep", "1000")
    eventually(lambda: any(queue["running"] for queue in aioqueue("queues", "shop", "--json").json), "the task runs")
    assert aioqueue("revoke", "-A", "shop", id, "--terminate").code == 0
    worker.wait_for("was revoked while it ran")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0


def test_revoke_of_what_nobody_knows(aioqueue: Shell) -> None:
    waiting, later = sent(aioqueue, "add", "2", "3"), sent(aioqueue, "add", "2", "3", "--countdown", "1h")
    run = aioqueue("revoke", "shop:app", waiting, later, "01a1fd48-0000-747f-97d2-a68edc66caa0", "order-17")
    assert run.code == 1
    lines = [line.split(maxsplit=1)[1] for line in run.out.splitlines()]
    assert lines[:2] == ["revoked"] * 2
    assert all(line.startswith("nothing is known of it") for line in lines[2:]) and len(lines) == 4


def test_revoke_knows_what_runs(aioqueue: Shell) -> None:
    id = sent(aioqueue, "sleep", "60")
    aioqueue.worker("-Q", "slow")
    eventually(lambda: aioqueue("queues", "shop", "--json").json[0]["running"], "the task running")
    assert aioqueue("revoke", "shop:app", id, "--json").json == [{"id": id, "revoked": True, "known": True}]


ANSWER = """

from aioqueue import Middleware

class Answers(Middleware):
    async def around_send(self, message, next):
        return {"answer": message.args[0]}

app.add_middleware(Answers())
"""


def test_what_a_middleware_answers_with(aioqueue: Shell) -> None:
    aioqueue.write("shop.py", SHOP + ANSWER)
    for words in ([], ["--wait"]):
        run = aioqueue("call", "shop", "add", "2", "3", *words)
        assert (run.code, run.out) == (0, '{"answer":2}\n'), run.err
    data = aioqueue("call", "shop", "add", "2", "3", "--json").json
    assert data == {"id": None, "task": "shop.add", "queue": None, "answer": {"answer": 2}}


def test_a_broker_without_a_scheme(folder_shell: Shell) -> None:
    for url in ("localhost:6379", "127.0.0.1:6379/0", "redis.internal"):
        run = folder_shell("queues", "shop", "-b", url)
        assert (run.code, run.out) == (1, "")
        assert f"has no scheme. Did you mean redis://{url}?" in run.err
