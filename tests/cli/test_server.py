"""`aioqueue server`, and apps without a broker."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Shell


@pytest.fixture
def aioqueue(folder_shell: Shell) -> Iterator[Shell]:
    """Without a broker's URL; servers have folders of their own and are stopped with the test."""
    root = Path(tempfile.mkdtemp(prefix="aq-"))  # short: a socket's path may have about 100 characters
    folder_shell.environment["AIOQUEUE_RUNTIME_DIR"] = str(root / "run")
    folder_shell.environment["AIOQUEUE_DATA_DIR"] = str(root / "data")
    yield folder_shell
    for server in folder_shell("server", "--json").json:
        folder_shell("server", "stop", server["name"])
    assert not any(server["running"] for server in folder_shell("server", "--json").json)
    shutil.rmtree(root)


def test_nothing_has_been_started(aioqueue: Shell) -> None:
    assert aioqueue("server", "--json").json == []
    assert "No server has been used" in aioqueue("server", "status").err
    run = aioqueue("server", "status", "shop", "--json")
    assert (run.code, run.json["running"]) == (0, False)
    assert aioqueue("server", "stop", "shop").out == "The server of 'shop' was not running.\n"
    assert aioqueue("server", "start").code == 2


def test_start_status_stop(aioqueue: Shell) -> None:
    started = aioqueue("server", "start", "shop", "--json").json
    assert (started["running"], started["kept"], started["durable"]) == (True, True, True)
    for words in (["status", "shop:app"], ["-A", "shop"], ["status", "shop"]):
        shown = aioqueue("server", *words, "--json").json
        assert (shown["running"], shown["pid"]) == (True, started["pid"])
    line = aioqueue("server").out.splitlines()[1].split()
    assert line[:3] == ["shop", "running,", "kept"]
    shown = aioqueue("server", "shop").out
    assert str(started["pid"]) in shown
    assert started["data_dir"] in shown
    assert aioqueue("server", "stop", "-A", "shop").out == "The server of 'shop' has been stopped; its data are kept.\n"
    assert aioqueue("server", "status", "shop", "--json").json["running"] is False


def test_an_app_with_a_broker_has_no_server(aioqueue: Shell) -> None:
    run = aioqueue("server", "status", "shop:app", AIOQUEUE_BROKER="redis://:s3cret@somewhere/0")
    assert run.code == 1
    assert "redis://:***@somewhere/0" in run.err


def test_a_first_call_needs_nothing_but_the_app(aioqueue: Shell) -> None:
    sent = aioqueue("call", "shop:app", "add", "2", "3")
    assert sent.code == 0
    worker = aioqueue.worker()
    assert aioqueue("result", "shop:app", sent.out.strip(), "--wait", "--timeout", "30").code == 0
    assert aioqueue("call", "shop:app", "add", "2", "3", "--wait").out == "5\n"
    assert aioqueue("server", "shop", "--json").json["users"] == 1
    assert "embedded" in worker.err


def test_list_and_remove(aioqueue: Shell) -> None:
    assert aioqueue("call", "shop:app", "add", "2", "3").code == 0
    started = aioqueue("server", "start", "other", "--json").json
    found = {one["name"]: one for one in aioqueue("server", "list", "--json").json}
    assert set(found) == {"shop", "other"} and found["shop"]["size"] > 0
    lines = [line.split()[:2] for line in aioqueue("server", "list").out.splitlines()]
    assert lines[0] == ["server", "state"] and ["shop", "stopped"] in lines
    running = aioqueue("server", "remove", "other", "--yes")
    assert (running.code, "aioqueue server stop other" in running.err) == (1, True)
    assert Path(started["data_dir"]).exists()
    asked = aioqueue("server", "remove", "shop:app")
    assert (asked.code, "--yes" in asked.err) == (2, True)
    assert aioqueue("server", "remove", "shop:app", "--yes").out == "The server of 'shop' has been removed.\n"
    assert not Path(found["shop"]["data_dir"]).exists()
    gone = aioqueue("server", "remove", "shp", "--yes")
    assert (gone.code, "There are: other." in gone.err) == (1, True)
    assert aioqueue("queues", "shop:app", "--json").json == []


def test_two_projects_of_one_name(aioqueue: Shell, tmp_path: Path) -> None:
    assert aioqueue("call", "shop:app", "add", "2", "3").err == ""
    (tmp_path / "other").mkdir()
    other = Shell(tmp_path / "other", aioqueue.environment)
    other.write(
        "store.py", "from aioqueue import AioQueue\n\napp = AioQueue('shop')\n\n@app.task\ndef pack() -> None: ...\n"
    )
    told = other("queues", "store:app")
    assert told.code == 0
    assert f"{tmp_path / 'other'} and {tmp_path} both have an app named 'shop'" in told.err
    assert "both have" not in other("queues", "store:app", "-b", "embedded://shop").err
    assert "both have" not in other("queues", "--namespace", "shop").err
