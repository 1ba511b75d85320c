"""`aioqueue events`, in this process."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import types

import pytest
from support.apps import working
from support.waiting import until

from aioqueue import AioQueue
from aioqueue.cli.root import main

EVENTS = ["-A", "heard_tasks:app", "events"]


@pytest.fixture
def app(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AioQueue:
    app = AioQueue("heard", broker=redis_url)
    module = types.ModuleType("heard_tasks")
    module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "heard_tasks", module)
    return app


async def test_lines(app: AioQueue, capsys: pytest.CaptureFixture[str]) -> None:
    @app.task(name="work")
    async def work(order: int, token: str) -> str:
        if order < 0:
            raise ValueError("no\x1b[31m order")
        return f"order {order}"

    async with working(app, hostname="w@here"):
        # It begins with the worker, and is switched on before that.
        assert await asyncio.to_thread(main, [*EVENTS, "--enable", "-n", "1"]) == 0
        told = capsys.readouterr()
        assert re.fullmatch(r"[\d:.]{12}  worker_heartbeat      w@here  runs 0 of 10  default\n", told.out)
        assert "Events of 'heard' are on, as 1 worker says." in told.err
        sent = [await work.send(17, token="t"), await work.send(-1, token="t")]
        await until(lambda: _all_told(app))
        names = ["task-received", "task-succeeded", "task_fail*"]
        assert await asyncio.to_thread(main, [*EVENTS, *names, "--since", "", "-n", "4"]) == 0
        out = capsys.readouterr().out
        assert re.search(rf"task_received +work\[{sent[0].id}\]  w@here  17, token=\*\*\*\n", out)
        assert re.search(rf"task_success +work\[{sent[0].id}\]  w@here  \d+ ms  'order 17'\n", out)
        assert re.search(rf"task_failure +work\[{sent[1].id}\]  w@here  \d+ ms  ValueError: no\\x1b\[31m order\n", out)

        assert await asyncio.to_thread(main, [*EVENTS, "task_success", "--since", "", "-n", "1", "--json"]) == 0
        event = json.loads(capsys.readouterr().out)
        assert (event["name"], event["task_id"], event["result"]) == ("task_success", sent[0].id, "'order 17'")
        assert {"at", "cursor", "worker", "runtime"} <= event.keys()

        assert await asyncio.to_thread(main, [*EVENTS, "--disable"]) == 0
        assert "are off, as 1 worker says" in capsys.readouterr().err
        assert not app.publisher.is_on


async def _all_told(app: AioQueue) -> bool:
    async with asyncio.timeout(20):
        ends = 0
        async for _ in app.events("task_postrun", since=""):
            ends += 1
            if ends == 2:
                return True
    return False


def test_wrong_words(app: AioQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*EVENTS, "task_failrue"]) == 1
    assert "Did you mean 'task_failure'" in capsys.readouterr().err
    assert main([*EVENTS, "--since", "yesterday"]) == 1
    assert "since='yesterday'" in capsys.readouterr().err
    assert main([*EVENTS, "--enable", "--disable"]) == 2
