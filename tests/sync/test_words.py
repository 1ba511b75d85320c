"""What Celery's users type next: it is there, or an error says what to write."""

from __future__ import annotations

import importlib.util
import pkgutil
import sys
from pathlib import Path
from typing import Any

import pytest

import aioqueue
from aioqueue import AioQueue, AsyncResult, GroupResult, chain, chord, group, other_words, shared_task, signature
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


# Results


def test_a_synchronous_result_has_what_celerys_has(app: AioQueue) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    @app.task
    def fail() -> None:
        raise KeyError("x")

    with app.testing() as t:
        sent, failed, members = add.sync.delay(1, 2), fail.sync.delay(), group(add.s(1, 2)).sync.delay()
        assert sent.maybe_throw() is None and members.waiting()
        t.drain()
        assert (sent.task_id, sent.queue, sent.worker, sent.retries) == (sent.id, "default", "testing", 0)
        assert sent.date_done == sent.task_info().timings.ended and sent.date_done is not None
        assert sent.get(interval=0.1, disable_sync_subtasks=False) == sent.wait(1, interval=0.1) == 3
        assert sent.maybe_throw() == 3 and isinstance(failed.maybe_throw(propagate=False), KeyError)
        with pytest.raises(KeyError):
            failed.maybe_throw()
        assert members.join() == members.join_native(5, True) == members.get(interval=0.1) == [3]
        assert not members.waiting()
    app.portal.close()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("args", r"task_info\(\)"),
        ("kwargs", r"task_info\(\), in its args"),
        ("collect", r"Write result\.graph\(\)"),
        ("get_leaf", "get"),
        ("as_tuple", r"app\.sync\.result\(id\) finds it again"),
        ("then", "link"),
        ("iterate", r"Write for index, value in result\.as_completed\(\)"),
        ("save", r"app\.sync\.result\(id\) finds it again"),
        ("restore", r"app\.sync\.result\(id\) finds it again"),
    ],
)
def test_what_a_synchronous_result_has_not(app: AioQueue, name: str, says: str) -> None:
    with app.testing():
        members = group(app.signature("shop.add")).sync.send()
        with pytest.raises(AttributeError, match=f"has no '{name}'.*{says}"):
            getattr(members, name)
    app.portal.close()


async def test_what_a_result_calls_otherwise(app: AioQueue) -> None:
    result: Any = app.result("an-id")
    for name, says in (
        ("task_id", r"result\.id"),
        ("wait", r"await result\.get\(timeout"),
        ("date_done", r"await result\.info\(\), as its timings\.ended"),
        ("iterate", r"async for index, value in result\.as_completed"),
        ("join", r"await result\.get"),
        ("colour", "has no attribute 'colour'"),
    ):
        with pytest.raises(AttributeError, match=says):
            getattr(result, name)
    with pytest.raises(AttributeError, match=r"await app\.result|app\.result\(id\) finds it again"):
        _ = GroupResult.restore  # type: ignore[attr-defined]


# Canvases


def test_celerys_ways_to_send_and_to_run_a_canvas(app: AioQueue) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    @app.task
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    assert add.s(1).sync.apply((2,)).get() == 3
    with app.testing() as t:
        header = [add.s(1, 1), add.s(2, 2)]
        sent: list[Any] = [
            chain(add.s(1, 2), add.s(1)).sync(),
            group(header).sync(),
            chord(header).sync(total.s()),
            chord(header, total.s()).sync(),
            add.chunks([(1, 2)], 1).sync(),
        ]
        t.drain()
        assert [result.get() for result in sent] == [4, [2, 4], 6, 6, [[3]]]
        with pytest.raises(TypeError, match=r"runs its function here and now.*\.sync\.send"):
            add.s(1, 2).sync()
    with pytest.raises(ConfigurationError, match="has links of its own, and apply"):
        add.s(1, 2).set(link=add.s(1)).sync.apply()
    app.portal.close()


async def test_a_map_that_is_called_runs_for_each_item(app: AioQueue) -> None:
    @app.task
    def add(x: int, y: int = 1) -> int:
        return x + y

    @app.task
    async def double(x: int) -> int:
        return 2 * x

    assert add.map([1, 2])() == [2, 3] and add.starmap([(1, 2), (3, 4)])() == [3, 7]
    assert add.map()([1, 2]) == [2, 3] and await double.map([1, 2])() == [2, 4]


async def test_a_signature_has_what_celerys_has(app: AioQueue) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    sig: Any = add.s(1, y=2).set(queue="high")
    assert await (await add.s(1).apply((2,))).get() == 3
    assert (sig["task"], sig["args"], sig["kwargs"], sig["options"]) == (add.name, (1,), {"y": 2}, {"queue": "high"})
    sig.set_immutable(True)
    assert sig.immutable and sig["immutable"]
    with pytest.raises(TypeError, match="there are task, args, kwargs"):
        _ = sig["chord_size"]
    with pytest.raises(TypeError, match=r"await add\.s\(\.\.\.\)\.call\(\), or.*add\.s\(\.\.\.\)\.sync\.call\(\)"):
        _ = ~sig
    for name, says in (("freeze", r"set\(task_id=\.\.\.\)"), ("name", r"signature\.task"), ("keys", r"to_dict\(\)")):
        with pytest.raises(AttributeError, match=says):
            getattr(sig, name)
    for name, says in (("apply", r"app\.testing\(\)"), ("set_immutable", r"task\.si"), ("skew", "countdown")):
        with pytest.raises(AttributeError, match=says):
            getattr(group(sig), name)


# Apps


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("add_periodic_task", r"Write @app\.periodic"),
        ("on_after_configure", r"no signal to wait for\. Write @app\.periodic"),
        ("on_after_finalize", r"Write @app\.periodic"),
        ("worker_main", r"app\.worker\(\.\.\.\).*aioqueue worker"),
        ("start", "aioqueue worker"),
        ("connection", "async with app"),
        ("backend", r"app\.result\(id\)"),
        ("GroupResult", r"await app\.result\(id\)\.group\(\)"),
        ("finalize", "Leave it out"),
        ("Worker", r"app\.worker"),
        ("Beat", "aioqueue beat"),
    ],
)
def test_what_an_app_has_not(app: AioQueue, name: str, says: str) -> None:
    with pytest.raises(AttributeError, match=f"There is no '{name}'.*{says}"):
        getattr(app, name)
    assert name not in dir(app) and not hasattr(app, name)


def test_what_an_app_is_made_with(app: AioQueue) -> None:
    make: Any = AioQueue
    with pytest.raises(ConfigurationError, match=r"has no option 'set_as_current'.*app\.set_default\(\)"):
        make("m", set_as_current=False)
    with pytest.raises(ConfigurationError, match=r"app\.config_from_object"):
        make("m", config_source="shop.settings")
    with pytest.raises(AttributeError, match=r"AioQueue\(\.\.\., task_cls=Audited\); or.*@app\.task\(base=Audited\)"):
        app.Task = type("Audited", (app.Task,), {})
    with pytest.raises(ConfigurationError, match=r"app\.conf\.task_always_eager = True"):
        app.task_always_eager = True  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match=r"app\.conf\.broker_url = 'redis://a'"):
        app.broker_url = "redis://a"  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match=r"no setting 'DEBUG'.*namespace='CELERY'"):
        app.conf.update({"DEBUG": True})  # type: ignore[arg-type]
    app.custom = 1  # type: ignore[attr-defined]


async def test_which_of_several_apps_is_meant() -> None:
    """Flask's factory calls `set_default`."""

    @shared_task
    async def add(x: int, y: int) -> int:
        return x + y

    first, second = AioQueue("first", broker="memory://"), AioQueue("second", broker="memory://")
    first.set_default()
    assert add.app is first
    second.set_default()
    assert add.app is second and signature(add.name, (1, 2)).app is second
    assert first.tasks[add.name].app is first and second.tasks[add.name].app is second
    async with first.testing() as a, second.testing() as b:
        sent = await add.send(1, 2)
        assert not a.sent() and b.assert_sent(add, 1, 2)
        await b.drain()
        assert await sent.get() == 3
    first.set_current()

    @shared_task
    async def later() -> None: ...

    assert add.app is later.app is first


def test_a_commit_is_waited_for_by_django(app: AioQueue) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    task: Any = add
    for ask, how in (
        (lambda: task.delay_on_commit(1, 2), "delay"),
        (lambda: task.sync.delay_on_commit(1, 2), "delay"),
        (lambda: task.apply_async_on_commit((1, 2)), "apply_async"),
    ):
        with pytest.raises(AttributeError, match=rf"transaction\.on_commit\(lambda: task\.sync\.{how}\("):
            ask()


async def test_what_is_no_signature_is_not_sent(app: AioQueue) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    send: Any = app.send_many
    async with app.testing() as t:
        with pytest.raises(ConfigurationError, match=r"not of 3\. Nothing was sent"):
            await send([add.s(1, 2), add(1, 2)])
        with pytest.raises(ConfigurationError, match=r"Use task\.s\(\.\.\.\)"):
            await send([add])
        with pytest.raises(ConfigurationError, match="takes a list of signatures"):
            await send(add.s(1, 2))
        assert t.sent() == []


def test_near_names_do_not_mislead(app: AioQueue) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    wrong: Any = app.task
    with pytest.raises(ConfigurationError, match="Did you mean 'max_retries'"):
        add.options(retires=1)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="Hooks are methods of a class of tasks"):
        wrong(on_failure=print)(print)
    with pytest.raises(ConfigurationError, match="Hooks are methods of a class of tasks"):
        app.conf.task_annotations = {"*": {"on_failure": print}}
    with pytest.raises(ConfigurationError, match="retry_on_worker_lost=True"):
        wrong(reject_on_worker_lost=False)(print)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("from aioqueue.utils.log import get_task_logger", "from aioqueue import get_task_logger"),
        ("from aioqueue.signals import task_prerun", r"@app\.on"),
        ("from aioqueue.backends.base import BaseBackend", "results are kept in the broker"),
        ("from aioqueue.worker.autoscale import Autoscaler", "worker_concurrency"),
        ("from aioqueue.schedules import schedule", r"every\(seconds\)"),
        ("from aioqueue.result import GroupResult", "from aioqueue import GroupResult"),
        ("from aioqueue.result import allow_join_result", "not needed"),
        ("from aioqueue.canvas import maybe_signature", r"signature\(\.\.\.\)"),
        ("from aioqueue import states", r"aioqueue\.message\.State"),
        ("import aioqueue.states", r"from aioqueue\.message import State"),
        ("from aioqueue.contrib.testing.worker import start_worker", r"app\.testing\(\)"),
    ],
)
def test_imports_with_another_name(line: str, says: str) -> None:
    with pytest.raises(ImportError, match=says):
        exec(line, {})


def test_no_word_hides_what_there_is() -> None:
    assert not [name for name in other_words.OF_APP_OPTIONS if name in AioQueue("shop", broker="memory://").conf]
    assert not [name for name in other_words.OF_APPS if hasattr(AioQueue, name)]


def test_no_name_is_a_module_of_ours() -> None:
    """It would hide it."""
    known = {module.name for module in pkgutil.iter_modules(aioqueue.__path__)}
    assert known & {*other_words.NAMES, *other_words.MODULES} == set()
    assert importlib.util.find_spec("aioqueue.result") and not importlib.util.find_spec("aioqueue.no_such_module")
