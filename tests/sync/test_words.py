"""What Celery's users type next: it is there, or an error says what to write."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from aioqueue import AioQueue, AsyncResult
from aioqueue.exceptions import ConfigurationError, PayloadError


@pytest.fixture
def app() -> AioQueue:
    """In memory."""
    return AioQueue("shop", broker="memory://")


async def test_results_by_their_ids(app: AioQueue) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    async with app.testing() as t:
        sent = await add.send(1, 2)
        await t.drain()
        for again in (app.AsyncResult(sent.id), add.AsyncResult(sent.id), app.result(sent.id)):
            assert await again.get() == 3


def test_a_result_that_does_not_know_its_app(app: AioQueue) -> None:
    made: Any = AsyncResult
    with pytest.raises(
        ConfigurationError, match=r"AsyncResult\('an-id'\) does not say.*write `app\.result\('an-id'\)`"
    ):
        made("an-id")
    with pytest.raises(ConfigurationError, match=r"write `app\.result\('an-id'\)`"):
        made("an-id", app=app)
    with pytest.raises(ConfigurationError, match="not ''"):
        app.result("")


async def test_an_option_among_the_arguments(app: AioQueue) -> None:
    @app.task(name="shop.add")
    async def add(x: int, y: int) -> int:
        return x + y

    @app.task
    async def wait(countdown: int) -> int:
        return countdown

    message = r"unexpected keyword argument 'countdown'.*nothing was sent.*add\.options\(countdown=\.\.\.\)\.send"
    wrong: Any = add
    with pytest.raises(PayloadError, match=message):
        await wrong.send(1, 2, countdown=5)
    with pytest.raises(TypeError, match=r"add\.options\(queue=\.\.\., priority=\.\.\.\)"):
        await wrong.s(1, 2, queue="high", priority=3).send()
    with pytest.raises(PayloadError) as caught:
        await wrong.send(1, 2, z=5)
    assert "options" not in str(caught.value)
    assert (await wait.send(countdown=5)).id


def test_a_method_is_no_task(app: AioQueue) -> None:
    with pytest.raises(ConfigurationError, match=r"Shop\.add is a method, and a worker has no Shop to call it on"):

        class Shop:
            @app.task
            def add(self, x: int) -> int:
                return x

    class Other:
        @app.task
        @staticmethod
        def add(x: int) -> int:
            return x

    assert Other.add(1) == 1


def test_without_asyncio(app: AioQueue) -> None:
    trio = pytest.importorskip("trio")

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    async def send() -> None:
        await add.send(1, 2)

    async def test() -> None:
        async with app.testing():
            pass

    for wrong in (send, test):
        with pytest.raises(ConfigurationError, match=r"runs on asyncio's.*trio\.to_thread\.run_sync\(task\.sync\.send"):
            trio.run(wrong)

    async def in_a_thread() -> str:
        return (await trio.to_thread.run_sync(add.sync.send, 1, 2)).id

    assert trio.run(in_a_thread)
    app.portal.close()


def _packages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "warehouse/__init__.py": "",
        "warehouse/tasks.py": "from aioqueue import shared_task\n@shared_task\ndef pack(): ...\n",
        "warehouse/apps.py": "",
        "office/__init__.py": "",
        "office/jobs.py": "from aioqueue import shared_task\n@shared_task\ndef write(): ...\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(folder)
    for name in ("warehouse", "warehouse.tasks", "warehouse.apps", "office", "office.jobs"):
        monkeypatch.delitem(sys.modules, name, raising=False)


async def test_modules_of_tasks_by_their_name(app: AioQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _packages(tmp_path, monkeypatch)
    app.autodiscover_tasks(["warehouse.apps.WarehouseConfig", "office"])
    app.autodiscover_tasks(lambda: ["office"], related_name="jobs")
    assert list(app.tasks) == [], "a worker does it"
    async with app.worker():
        assert list(app.tasks) == ["warehouse.tasks.pack", "office.jobs.write"]


def test_modules_that_are_wanted_now(app: AioQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _packages(tmp_path, monkeypatch)
    app.autodiscover_tasks(["warehouse"], force=True)
    assert list(app.tasks) == ["warehouse.tasks.pack"]
    with pytest.raises(ConfigurationError, match="there is no package 'nowhere'"):
        app.autodiscover_tasks(["nowhere"], force=True)
