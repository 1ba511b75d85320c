"""Where settings come from, and what is said of wrong ones."""

from __future__ import annotations

import sys
import types
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.apps import working
from support.waiting import PATIENCE

from aioqueue import AioQueue
from aioqueue.exceptions import ConfigurationError
from aioqueue.settings import Settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which this process is."""
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


DEFAULTS: dict[str, Any] = {
    "broker": None,
    "backend": None,
    "namespace": None,
    "visibility_timeout": 30,
    "max_deliveries": 5,
    "task_default_queue": "default",
    "task_routes": {},
    "task_serializer": "msgpack",
    "result_expires": 86_400,
    "max_payload_size": 8 * 1024 * 1024,
    "queue_max_length": None,
    "worker_concurrency": 100,
    "worker_prefetch": None,
    "worker_shutdown_timeout": 30,
    "worker_max_tasks": None,
    "worker_max_memory": None,
    "loop_stall_limit": None,
    "send_timeout": 5,
    "partitions": 1,
    "timezone": "UTC",
    "beat_schedule": {},
    "task_always_eager": False,
}


def test_defaults(project: Path) -> None:
    app = AioQueue("shop")
    assert {name: getattr(app.conf, name) for name in DEFAULTS} == DEFAULTS
    assert app.namespace == app.name == "shop"


def test_later_places_win(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def timeout(**given: Any) -> float:
        return AioQueue("shop", **given).conf.visibility_timeout

    assert timeout() == 30
    (project / "pyproject.toml").write_text("[tool.aioqueue]\nvisibility_timeout = 11\nmax_deliveries = 3\n")
    assert timeout() == 11
    monkeypatch.setenv("AIOQUEUE_VISIBILITY_TIMEOUT", "12")
    assert timeout() == 12
    assert timeout(visibility_timeout=13) == 13
    app = AioQueue("shop", visibility_timeout=13)
    app.conf.update(visibility_timeout=14)
    assert app.conf.visibility_timeout == 14
    app.conf.visibility_timeout = 15
    assert app.conf.visibility_timeout == 15
    assert app.conf.max_deliveries == 3, "each setting by itself"


def test_the_nearest_pyproject(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pyproject.toml").write_text("[tool.aioqueue]\nmax_deliveries = 3\n")
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert AioQueue("shop").conf.max_deliveries == 3
    (project / "a" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert AioQueue("shop").conf.max_deliveries == 5


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("broker", "redis://localhost/1", "redis://localhost/1"),
        ("broker", "", None),
        ("namespace", "123", "123"),
        ("max_deliveries", "7", 7),
        ("visibility_timeout", "2.5", 2.5),
        ("task_acks_late", "false", False),
        ("task_acks_late", "0", False),
        ("task_acks_late", "true", True),
        ("queue_max_length", "", None),
        ("result_expires", "", None),
        ("task_routes", '{"mail.*": "email"}', {"mail.*": "email"}),
        ("hidden_arguments", '["pin"]', ["pin"]),
        ("task_serializer", "json", "json"),
    ],
)
def test_the_environment(project: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any) -> None:
    monkeypatch.setenv(f"AIOQUEUE_{name.upper()}", text)
    assert getattr(AioQueue("shop").conf, name) == value


def test_other_variables_are_none_of_its_business(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ("APP", "DEBUG", "SERVER_BINARY", "RUNTIME_DIR", "DATA_DIR")
    alike = ("OTHER", "BROKER", "MAX_DELIVERIES", "aioqueue_send_timeout", "MY_AIOQUEUE_NAMESPACE")
    for name in (*(f"AIOQUEUE_{name}" for name in ours), *alike):
        monkeypatch.setenv(name, "7")
    assert AioQueue("shop").conf == Settings()


# Wrong ones


UNKNOWN = ("visibility_timout", r"no setting 'visibility_timout'\. Did you mean 'visibility_timeout'\?")


def test_an_unknown_name_suggests_the_nearest(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, message = UNKNOWN
    with pytest.raises(ConfigurationError, match=message):
        AioQueue("shop", **{name: 3})
    app = AioQueue("shop")
    with pytest.raises(ConfigurationError, match=message):
        app.conf.update({name: 3})
    with pytest.raises(ConfigurationError, match=message):
        app.conf.visibility_timout = 3  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match=message):
        app.config_from_object(types.SimpleNamespace(visibility_timout=3))
    monkeypatch.setenv("AIOQUEUE_VISIBILITY_TIMOUT", "3")
    with pytest.raises(ConfigurationError, match=message):
        AioQueue("shop")
    monkeypatch.delenv("AIOQUEUE_VISIBILITY_TIMOUT")
    (project / "pyproject.toml").write_text("[tool.aioqueue]\nvisibility_timout = 3\n")
    with pytest.raises(ConfigurationError, match=message):
        AioQueue("shop")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_deliveries", "many", "max_deliveries.* cannot be 'many'"),
        ("max_deliveries", 0, "max_deliveries.* must be more than 0, not 0"),
        ("max_deliveries", 1.5, "max_deliveries.* cannot be 1.5"),
        ("visibility_timeout", 0.5, "visibility_timeout.* must be at least 1 second, not 0.5"),
        ("visibility_timeout", [], "visibility_timeout.* cannot be"),
        ("send_timeout", 0, "send_timeout.* must be more than 0"),
        ("result_expires", -1, "result_expires.* must be 0 or more, not -1"),
        ("queue_max_length", 0, "queue_max_length.* must be more than 0"),
        ("worker_concurrency", 0, "worker_concurrency.* must be more than 0"),
        ("worker_prefetch", -1, "worker_prefetch.* must be 0 or more"),
        ("worker_shutdown_timeout", -1, "worker_shutdown_timeout.* must be 0 or more"),
        ("task_serializer", "pickle", r"serializer='pickle' needs accept_content"),
        ("task_compression", "rar", "task_compression.* is 'zlib', 'gzip', .* not 'rar'"),
        ("queue_full", "drop", "queue_full.* cannot be 'drop'"),
        ("task_default_priority", 10, "task_default_priority.* must be from 0 to 9, not 10"),
        ("task_routes", ["a"], "task_routes.* has 'a': it takes a dict of routes"),
        ("task_routes", 5, "task_routes.* has 5: it takes a dict of routes"),
        ("task_time_limit", 0, "task_time_limit.* must be more than 0"),
        ("task_max_retries", -1, "task_max_retries.* must be 0 or more"),
        ("partitions", 2, "partitions.* must be 1 in this version"),
        ("task_default_queue", "two words", "two words"),
        ("timezone", "Mars/Olympus", "Mars/Olympus"),
        ("timezone", 5, "timezone"),
        ("beat_schedule", {"a": {"task": "b"}}, "no .schedule."),
        ("backend", "redis://localhost/3", "Results are kept in the broker in this version"),
        ("task_routes", {"a": {"que": "high"}}, r"task_routes has 'que' for a: .*Did you mean 'queue'\?"),
        ("task_routes", {"a": {"queue": "high", "priority": 10}}, "task_routes has .* for a: .*priority.*from 0 to 9"),
        ("task_routes", {"a": {"link": None}}, "task_routes has 'link' for a: .*how a task is sent"),
        ("task_routes", {"a": {"queue": "high", "broker": "redis://other"}}, "task_routes has 'broker' for a"),
        ("task_routes", {"a": {}}, "task_routes has {} for a: it takes the name of a queue"),
        ("task_routes", {"a": "two words"}, "task_routes has 'two words' for a"),
        ("task_routes", {"a": 5}, "task_routes has 5 for a"),
        ("worker_max_memory", "lots", "worker_max_memory.* is a number of bytes, or a text such as '200MB'"),
        ("task_time_limit", float("nan"), "task_time_limit"),
        ("visibility_timeout", float("inf"), "visibility_timeout"),
    ],
)
def test_wrong_values(project: Path, name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AioQueue("shop", **{name: value})
    app = AioQueue("shop")
    before = getattr(app.conf, name)
    with pytest.raises(ConfigurationError, match=message):
        setattr(app.conf, name, value)
    assert getattr(app.conf, name) == before


def test_the_error_says_where_it_comes_from(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"from AioQueue\(\.\.\.\)"):
        AioQueue("shop", max_deliveries=0)
    monkeypatch.setenv("AIOQUEUE_MAX_DELIVERIES", "0")
    with pytest.raises(ConfigurationError, match="from the environment"):
        AioQueue("shop")
    monkeypatch.setenv("AIOQUEUE_MAX_DELIVERIES", "[")
    with pytest.raises(ConfigurationError, match="AIOQUEUE_MAX_DELIVERIES is not valid JSON"):
        AioQueue("shop")
    monkeypatch.delenv("AIOQUEUE_MAX_DELIVERIES")
    (project / "pyproject.toml").write_text("[tool.aioqueue]\nmax_deliveries = 0\n")
    with pytest.raises(ConfigurationError, match=r"\[tool\.aioqueue\] in pyproject\.toml"):
        AioQueue("shop")
    (project / "pyproject.toml").write_text("[tool.aioqueue\n")
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml is not valid TOML"):
        AioQueue("shop")


def test_an_update_is_taken_whole_or_not_at_all(project: Path) -> None:
    app = AioQueue("shop")
    with pytest.raises(ConfigurationError):
        app.conf.update(max_deliveries=9, worker_concurrency=0)
    assert app.conf.max_deliveries == 5
    app.conf.update({"max_deliveries": 9}, worker_concurrency=3)
    assert (app.conf.max_deliveries, app.conf.worker_concurrency) == (9, 3)


def test_apps_do_not_share_settings(project: Path) -> None:
    one, other = AioQueue("one"), AioQueue("other")
    one.conf.task_routes["a"] = "b"
    one.conf.hidden_arguments.append("pin")
    assert other.conf.task_routes == {} and "pin" not in other.conf.hidden_arguments


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 101])
def test_a_wrong_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="The name of an app is 1 to 100 printable characters"):
        AioQueue(name)


def test_a_backend_of_its_own_is_refused(project: Path) -> None:
    with pytest.raises(ConfigurationError, match="leave `backend` out"):
        AioQueue("shop", broker="memory://", backend="redis://localhost")
    AioQueue("shop", broker="redis://a", backend="redis://a")


# From an object


def test_config_from_a_module(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "my_settings.py").write_text(
        "from __future__ import annotations\n"
        "import os\nfrom pathlib import Path\nfrom typing import Any\n"
        "VISIBILITY_TIMEOUT = 7\n"
        "max_deliveries: int = 2\n"
        "_PRIVATE = 1\n"
        "def helper() -> Any: ...\n"
    )
    monkeypatch.syspath_prepend(project)
    monkeypatch.delitem(sys.modules, "my_settings", raising=False)
    app = AioQueue("shop")
    app.config_from_object("my_settings")
    assert (app.conf.visibility_timeout, app.conf.max_deliveries) == (7, 2)


def test_config_from_a_class(project: Path) -> None:
    class Config:
        visibility_timeout = 9
        task_routes = {"a": "b"}  # noqa: RUF012

    app = AioQueue("shop")
    app.config_from_object(Config)
    assert (app.conf.visibility_timeout, app.conf.task_routes) == (9, {"a": "b"})


def test_config_from_a_module_that_is_not_there(project: Path) -> None:
    with pytest.raises(ConfigurationError, match="settings module 'not_there' cannot be imported"):
        AioQueue("shop").config_from_object("not_there")


# Effects


def test_the_namespace(project: Path) -> None:
    assert AioQueue("shop", namespace="other").namespace == "other"


async def test_namespaces_on_one_broker_do_not_meet(redis_url: str) -> None:
    one, other = AioQueue("shop", broker=redis_url, namespace="a"), AioQueue("shop", broker=redis_url, namespace="b")

    async def who(app: AioQueue) -> str:
        return app.namespace

    ran: list[str] = []

    @one.task(name="who")
    async def first() -> None:
        ran.append("one")

    @other.task(name="who")
    async def second() -> None:
        ran.append("other")

    async with one, working(other):
        await first.send()
        result = await second.send()
        await result.get(timeout=PATIENCE)
        assert await one.result(result.id).state() == "PENDING"
        statuses = await (await one.broker()).queues()
        assert [(status.name, status.waiting) for status in statuses] == [("default", 1)]
    assert ran == ["other"]


@pytest.mark.parametrize("names", [("ns{x}", "ns(x)"), ("ns{x}", "ns%7Bx%7D"), ("x", "x:0}:q:x"), ("}", "%7D")])
async def test_namespaces_of_whatever_names_do_not_meet(redis_url: str, names: tuple[str, str]) -> None:
    one, other = (AioQueue("shop", broker=redis_url, namespace=name) for name in names)
    ran: list[str] = []

    @one.task(name="who")
    async def first() -> None:
        ran.append("one")

    @other.task(name="who")
    async def second() -> None:
        ran.append("other")

    async with one, working(other):
        await first.send()
        await second.call(timeout=PATIENCE)
        assert [status.waiting for status in await (await one.broker()).queues()] == [1]
    assert ran == ["other"]


async def test_the_default_queue(redis_url: str) -> None:
    app = AioQueue("shop", broker=redis_url, task_default_queue="other")

    @app.task
    async def one() -> int:
        return 1

    async with working(app) as worker:
        assert worker.queues == ["other"]
        assert await one.call(timeout=PATIENCE) == 1


@pytest.mark.parametrize("broker", ["memory://", "redis://127.0.0.1:1"])
async def test_always_eager(broker: str) -> None:
    app = AioQueue("shop", broker=broker, task_always_eager=True)
    seen: list[Any] = []

    @app.task(bind=True, max_retries=3)
    async def work(ctx: Any, x: int) -> int:
        seen.append((ctx.is_eager, ctx.retries))
        await ctx.progress(1, 2)
        if ctx.retries < 2:
            raise ctx.retry(countdown=60)
        return x + 1

    @app.task
    def fail() -> None:
        raise ValueError("why")

    result = await work.send(1)
    assert await result.get() == 2
    assert await result.state() == "SUCCESS"
    assert (await result.info()).result == 2
    assert seen == [(True, 0), (True, 1), (True, 2)]
    failed = await fail.send()
    assert await failed.failed()
    with pytest.raises(ValueError, match="why"):
        await failed.get()
    app.conf.task_eager_propagates = True
    with pytest.raises(ValueError, match="why"):
        await fail.send()
    assert [await one.get() for one in await app.send_many([work.s(1), work.s(2)])] == [2, 3]


def test_seconds_may_be_timedeltas_and_sizes_texts(project: Path) -> None:
    app = AioQueue("shop", result_expires=timedelta(days=1), worker_max_memory="200MB", max_payload_size="1 MiB")
    app.conf.update(task_default_retry_delay=timedelta(minutes=3), visibility_timeout=timedelta(seconds=90))
    app.conf.worker_shutdown_timeout = timedelta(seconds=1.5)  # type: ignore[assignment]
    conf = app.conf
    assert (conf.result_expires, conf.task_default_retry_delay, conf.visibility_timeout) == (86_400, 180, 90)
    assert (conf.worker_shutdown_timeout, conf.worker_max_memory, conf.max_payload_size) == (1.5, 200_000_000, 2**20)


def test_limits_that_do_not_go_together(project: Path) -> None:
    app = AioQueue("shop", task_time_limit=10)
    with pytest.raises(ConfigurationError, match="soft_time_limit=20 is above time_limit=10"):
        app.conf.task_soft_time_limit = 20
    app.conf.update(task_soft_time_limit=20, task_time_limit=30)
    assert (app.conf.task_soft_time_limit, app.conf.task_time_limit) == (20, 30)
    with pytest.raises(ConfigurationError, match="is above"):
        AioQueue("shop", task_soft_time_limit=2, task_time_limit=1)


def test_what_has_no_effect_may_have_its_default(project: Path) -> None:
    conf = AioQueue(
        "shop", backend="redis://h", broker="redis://h", timezone="UTC", beat_schedule={}, partitions=1
    ).conf
    assert (conf.backend, conf.timezone, conf.beat_schedule, conf.partitions) == ("redis://h", "UTC", {}, 1)


async def test_a_route_that_was_put_in_later(project: Path) -> None:
    app = AioQueue("shop", broker="memory://")
    async with app:
        with pytest.raises(ConfigurationError, match="task_routes has 'que' for a"):
            app.conf.task_routes["a"] = {"que": "high"}
        app.conf.task_routes["a"] = {"queue": "high"}
        app.conf.task_routes["a"]["que"] = "higher"
        with pytest.raises(ConfigurationError, match="task_routes has 'que' for a"):
            await app.send_task("a")


@pytest.mark.parametrize(("name", "key", "value"), [("beat_schedule", "a", {"task": "b"}), ("task_routes", "queue", 5)])
async def test_what_was_put_in_later_is_looked_at_when_the_app_is_opened(name: str, key: str, value: Any) -> None:
    app = AioQueue("shop", broker="memory://", task_routes={"a": {"queue": "q"}})
    table = app.conf.task_routes["a"] if name == "task_routes" else getattr(app.conf, name)
    table[key] = value
    with pytest.raises(ConfigurationError, match=name):
        await app.open()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://localhost?foo=1", "an unknown option, foo"),
        (
            "redis://localhost/0?visibility_timeout=3",
            r"visibility_timeout is a setting.*\(\.\.\., visibility_timeout=",
        ),
        ("unix:///tmp/none.sock?foo=1", "an unknown option, foo"),
        ("rediss://localhost?db=0&foo=1", "an unknown option, foo"),
        ("redis+sentinel://localhost/name?foo=1", "an unknown option, foo"),
        ("embedded://shop?foo=1", "embedded:// takes none"),
        ("memory://?visibility_timeout=3", r"memory:// takes none.*AioQueue\(\.\.\., visibility_timeout="),
    ],
)
async def test_options_in_a_url_that_nobody_knows(project: Path, url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        await AioQueue("shop", broker=url).open()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, 2**70) for name in ("worker_concurrency", "worker_prefetch", "worker_max_tasks", "max_deliveries")],
        *[(name, 10**400) for name in ("queue_max_length", "dead_letters_max_length", "task_max_retries")],
        ("max_payload_size", "99999999999 GiB"),
        ("worker_max_memory", 2**70),
        ("result_expires", 0.0001),
        ("namespace", ""),
        ("namespace", "a\nb"),
        ("hidden_arguments", [""]),
        ("visibility_timeout", timedelta.max),
        ("task_time_limit", timedelta.max),
    ],
)
def test_values_that_would_break_late(project: Path, name: str, value: Any) -> None:
    app = AioQueue("shop")
    before = getattr(app.conf, name)
    with pytest.raises(ConfigurationError, match=f"{name}.* (must be|is|cannot be) "):
        setattr(app.conf, name, value)
    with pytest.raises(ConfigurationError, match=name):
        AioQueue("shop", **{name: value})
    assert getattr(app.conf, name) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": 5}, "name of an app"),
        ({"name": None}, "name of an app"),
        ({"lifespan": 5}, "lifespan of AioQueue is a function"),
        ({"include": "shop.tasks"}, "include of AioQueue is a list of the names of modules"),
        ({"include": [5]}, "include of AioQueue is a list"),
        ({"include": 5}, "include of AioQueue is a list"),
    ],
)
def test_wrong_arguments_of_an_app(project: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AioQueue(**{"name": "shop", **options})
