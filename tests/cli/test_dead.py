"""`aioqueue dead`."""

from __future__ import annotations

import pytest

from .conftest import Shell


@pytest.fixture
def ids(aioqueue: Shell) -> list[str]:
    """Three dead letters: two from the queue `default`, one from `other`, the newest."""
    ids: list[str] = []
    for queue in ("default", "default", "other"):
        ids.append(aioqueue("call", "shop", "reject", "-Q", queue).out.strip())
        assert aioqueue("worker", "shop", "--burst", "-Q", queue).code == 0
    return ids


def listed(aioqueue: Shell, *words: str) -> list[str]:
    return [letter["id"] for letter in aioqueue("dead", "list", "shop", "--json", *words).json]


def test_the_list(aioqueue: Shell, ids: list[str]) -> None:
    assert listed(aioqueue) == ids[::-1]
    assert listed(aioqueue, "--queue", "other") == ids[2:]
    assert listed(aioqueue, "--limit", "1") == ids[2:]
    lines = aioqueue("dead", "shop").out.splitlines()
    assert lines[0].split() == ["id", "task", "queue", "deliveries", "died", "reason"]
    assert [line.split()[:4] for line in lines[1:]] == [
        [id, "shop.reject", queue, "1"] for id, queue in zip(ids[::-1], ["other", "default", "default"], strict=True)
    ]
    assert all("not for me" in line for line in lines[1:])


def test_show(aioqueue: Shell, ids: list[str]) -> None:
    shown = aioqueue("dead", "show", "shop:app", ids[0])
    assert shown.code == 0
    assert "shop.reject" in shown.out
    assert "not for me" in shown.out
    data = aioqueue("dead", "show", "-A", "shop", ids[0], "--json").json
    assert (data["task"], data["queue"], data["args"], data["deliveries"]) == ("shop.reject", "default", [], 1)
    missing = aioqueue("dead", "show", "-A", "shop", "no-such")
    assert (missing.code, missing.out) == (1, "")
    assert "no dead letter 'no-such'" in missing.err


def test_what_is_hidden(aioqueue: Shell) -> None:
    """It is written nowhere, nor in the message as it arrived."""
    secret = (
        "from aioqueue import Reject\n@app.task\nasync def mail(to: str, password: str) -> None: raise Reject('no')\n"
    )
    aioqueue.write("shop.py", (aioqueue.folder / "shop.py").read_text() + secret)
    id = aioqueue("call", "shop", "mail", "ann", "swordfish").out.strip()
    assert aioqueue("worker", "shop", "--burst").code == 0
    for words in (f"show shop {id}", f"show -A shop {id}", "list shop"):
        for form in ("", " --json"):
            run = aioqueue("dead", *(words + form).split())
            assert "swordfish" not in run.out, words
    data = aioqueue("dead", "show", "-A", "shop", id, "--json").json
    assert (data["args"], data["raw"]) == (["ann", "***"], None)


def test_requeue(aioqueue: Shell, ids: list[str]) -> None:
    run = aioqueue("dead", "requeue", "shop:app", ids[0], "no-such")
    assert run.code == 1
    assert run.out == f"{ids[0]}  sent again\n"
    assert "no dead letter 'no-such'" in run.err
    assert listed(aioqueue) == [ids[2], ids[1]]
    some = aioqueue("dead", "requeue", "shop", "--all", "--queue", "other", "--json")
    assert some.json == [{"id": ids[2], "requeued": True, "problem": None}]
    assert aioqueue("dead", "requeue", "-A", "shop", "--all").code == 0
    assert listed(aioqueue) == []
    assert {queue["queue"]: queue["waiting"] for queue in aioqueue("queues", "shop", "--json").json} == {
        "default": 2,
        "other": 1,
    }
    assert "nothing to send" in aioqueue("dead", "requeue", "shop", "--all").err


def test_requeue_wants_to_know_which(aioqueue: Shell) -> None:
    for words in ([], ["some-id", "--all"], ["some-id", "--queue", "x"]):
        assert aioqueue("dead", "requeue", "-A", "shop", *words).code == 2


def test_remove_and_purge(aioqueue: Shell, ids: list[str]) -> None:
    run = aioqueue("dead", "remove", "shop:app", ids[0], "no-such")
    assert (run.code, run.out) == (1, f"{ids[0]}  removed\nno-such  was not there\n")
    assert aioqueue("dead", "purge", "shop").code == 2
    assert aioqueue("dead", "purge", "shop", "--queue", "other", "--yes").out == "1 dead letter dropped\n"
    assert listed(aioqueue) == [ids[1]]
    assert aioqueue("dead", "purge", "shop", "--yes", "--json").json == {"dropped": 1}


def test_a_message_that_cannot_be_read(aioqueue: Shell, redis_url: str) -> None:
    import redis

    aioqueue("call", "shop", "add", "1", "2")
    # Spoil the message in its stream, whatever the fields are called.
    with redis.Redis.from_url(redis_url) as client:
        (stream,) = [key for key in client.scan_iter("*") if client.type(key) == b"stream"]
        ((_, fields),) = client.xrange(stream)
        spoiled = {
            name: b"\xc1\x1b[31m" if len(value) > 30 and name != b"id" else value for name, value in fields.items()
        }
        client.xtrim(stream, maxlen=0)
        client.xadd(stream, spoiled)
    assert aioqueue("worker", "shop", "--burst").code == 0
    (letter,) = aioqueue("dead", "shop", "--json").json
    assert letter["task"] is None
    shown = aioqueue("dead", "show", "-A", "shop", letter["id"])
    assert "cannot be read" in shown.out
    assert "\x1b" not in shown.out
    again = aioqueue("dead", "requeue", "-A", "shop", letter["id"])
    assert (again.code, "cannot be sent again" in again.err) == (1, True)
