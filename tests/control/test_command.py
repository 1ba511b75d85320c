"""`aioqueue inspect active`, in this process."""

from __future__ import annotations

import asyncio
import json
import sys
import types

import pytest
from support.apps import Gate, working
from support.waiting import until

from aioqueue import AioQueue
from aioqueue.cli.root import main


@pytest.fixture
def app(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AioQueue:
    app = AioQueue("asked", broker=redis_url)
    module = types.ModuleType("asked_tasks")
    module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "asked_tasks", module)
    return app


async def test_what_runs(app: AioQueue, capsys: pytest.CaptureFixture[str]) -> None:
    gate = Gate()

    @app.task(name="work")
    async def work(order: int) -> None:
        await gate.wait()

    async with working(app, hostname="w@here"):
        sent = await work.send(17)
        await until(lambda: gate.inside)
        inspect = ["-A", "asked_tasks:app", "inspect"]
        assert await asyncio.to_thread(main, [*inspect, "active", "--json"]) == 0
        [task] = json.loads(capsys.readouterr().out)["w@here"]
        assert (task["id"], task["name"], task["args"]) == (sent.id, "work", "17")
        assert await asyncio.to_thread(main, [*inspect, "active"]) == 0
        out = capsys.readouterr().out
        assert "w@here" in out and sent.id in out
        assert await asyncio.to_thread(main, [*inspect, "reserved", "-d", "gone,w@*"]) == 69
        assert "No answer within 1.0 s from gone" in capsys.readouterr().err
        await app.revoke_by_stamp("tenant", "a")
        await until(lambda: app.inspect.revoked())
        assert await asyncio.to_thread(main, [*inspect, "revoked"]) == 0
        gate.open()
