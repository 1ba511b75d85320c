"""Celery's settings: read as what they are here, or told why not."""

from __future__ import annotations

import json
import logging
import ssl
import subprocess
import sys
import types
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aioqueue import AioQueue, Queue
from aioqueue.celery.meanings import MEANINGS
from aioqueue.celery.names import canonical
from aioqueue.exceptions import ConfigurationError
from aioqueue.settings import Settings

DEFAULTS = Settings()


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AioQueue:
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    return AioQueue("shop")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def changed(app: AioQueue) -> dict[str, Any]:
    return {name: app.conf[name] for name in app.conf if app.conf[name] != getattr(DEFAULTS, name)}


READ: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"broker_url": "redis://h/1"}, {"broker": "redis://h/1"}),
    ({"worker_max_tasks_per_child": 100}, {"worker_max_tasks": 100}),
    ({"worker_max_memory_per_child": 200_000}, {"worker_max_memory": 200_000 * 1024}),
    ({"worker_max_memory_per_child": "200MB"}, {"worker_max_memory": 200_000_000}),
    ({"worker_prefetch_multiplier": 4}, {"worker_prefetch_multiplier": 4}),
    ({"worker_disable_prefetch": True}, {"worker_prefetch": 0}),
    ({"worker_concurrency": 4}, {"worker_concurrency": 4}),
    ({"worker_autoscale": (10, 3)}, {"worker_concurrency": 10}),
    ({"worker_autoscale": (3, 10)}, {"worker_concurrency": 10}),
    ({"worker_pool": "solo"}, {"worker_pool": "solo"}),
    ({"worker_pool": "gevent"}, {}),
    ({"worker_pool": "prefork"}, {"worker_pool": "processes"}),
    ({"worker_soft_shutdown_timeout": 12.0}, {"worker_shutdown_timeout": 12.0}),
    ({"result_expires": 3600}, {"result_expires": 3600}),
    ({"result_backend": None}, {"task_ignore_result": True}),
    ({"result_backend": "disabled://"}, {"task_ignore_result": True}),
    ({"task_compression": "bzip2"}, {"task_compression": "bz2"}),
    (
        {"accept_content": ["application/json"], "task_serializer": "json", "result_serializer": "json"},
        {"accept_content": ["json"], "task_serializer": "json"},
    ),
    ({"timezone": None, "worker_concurrency": None, "task_default_priority": None}, {}),
    (
        {"task_annotations": {"*": {"time_limit": 5}}},
        {"task_annotations": {"*": {"time_limit": 5}}},
    ),
    # Values that ask for no more than what is so here.
    ({"enable_utc": True, "result_extended": True, "result_persistent": True, "task_protocol": 2}, {}),
    ({"worker_cancel_long_running_tasks_on_connection_loss": True, "task_reject_on_worker_lost": True}, {}),
    ({"task_default_rate_limit": None, "broker_transport_options": {}, "worker_send_task_events": False}, {}),
    # All that is said of the broker is its URL.
    (
        {
            "broker_url": "sentinel://:pw@a:26379;b:26379/name/0",
            "broker_transport_options": {"sentinel_kwargs": {"password": "p2"}, "max_connections": 20},
        },
        {"broker": "redis+sentinel://:pw@a:26379,b:26379/name/0?sentinel_password=p2&max_connections=20"},
    ),
    (
        {
            "broker_url": "sentinel://a:26379;sentinel://b:26379/2",
            "broker_transport_options": {"master_name": "main", "socket_timeout": 5.0, "fanout_prefix": True},
        },
        {"broker": "redis+sentinel://a:26379,b:26379/main?db=2"},
    ),
    (
        {
            "broker_url": "redis://h/0",
            "broker_connection_timeout": 4.0,
            "broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_NONE},
        },
        {"broker": "rediss://h/0?socket_connect_timeout=4&ssl_cert_reqs=none"},
    ),
    ({"broker_url": "rediss://h/0?ssl_cert_reqs=CERT_REQUIRED"}, {"broker": "rediss://h/0?ssl_cert_reqs=required"}),
    ({"broker_url": "redis+socket:///tmp/r.sock?virtual_host=3"}, {"broker": "unix:///tmp/r.sock?db=3"}),
]


@pytest.mark.parametrize(("given", "expected"), READ, ids=[", ".join(given) for given, _ in READ])
def test_read_with_their_meaning(
    app: AioQueue, caplog: pytest.LogCaptureFixture, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    """In each spelling, and by each way."""
    app.config_from_object(given)
    assert changed(app) == expected
    for spelled in ({name.upper(): value for name, value in given.items()}, given):
        other = AioQueue("shop")
        other.config_from_object(types.SimpleNamespace(**spelled))
        assert changed(other) == expected
    django = AioQueue("shop")
    theirs = {f"CELERY_{name.upper()}": value for name, value in given.items()}
    django.config_from_object({**theirs, "SECRET_KEY": "x", "BASE_DIR": "/srv"}, namespace="CELERY")
    assert changed(django) == expected
    if None not in given.values():
        by_hand = AioQueue("shop")
        by_hand.conf.update(given)
        assert changed(by_hand) == expected
        given_at_once = AioQueue("shop", **given)
        assert changed(given_at_once) == expected
    assert told(caplog) == []


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("CELERY_ACKS_LATE", "task_acks_late"),
        ("CELERY_TASK_ACKS_LATE", "task_acks_late"),
        ("CELERY_ALWAYS_EAGER", "task_always_eager"),
        ("CELERY_EAGER_PROPAGATES_EXCEPTIONS", "task_eager_propagates"),
        ("CELERY_ENABLE_UTC", None),
        ("CELERYD_TASK_TIME_LIMIT", "task_time_limit"),
        ("CELERYD_CONCURRENCY", "worker_concurrency"),
        ("CELERYD_MAX_TASKS_PER_CHILD", "worker_max_tasks"),
        ("CELERY_TASK_RESULT_EXPIRES", "result_expires"),
        ("CELERY_RESULT_EXPIRES", "result_expires"),
        ("CELERY_IGNORE_RESULT", "task_ignore_result"),
        ("CELERY_TRACK_STARTED", "task_track_started"),
        ("CELERY_MAX_TASKS", "worker_max_tasks"),
    ],
)
def test_old_spellings(app: AioQueue, name: str, setting: str | None) -> None:
    app.config_from_object({name: 1})
    assert changed(app).keys() <= {setting}
    if setting is not None:
        assert app.conf[setting] == 1
        assert app.conf.get(name) == 1


def test_of_two_spellings_the_younger_one_counts(app: AioQueue) -> None:
    app.config_from_object({"CELERY_RESULT_EXPIRES": 3600, "CELERY_TASK_RESULT_EXPIRES": 1800})
    assert app.conf.result_expires == 3600
    app.config_from_object({"CELERY_RESULT_EXPIRES": 60, "CELERY_TASK_RESULT_EXPIRES": 90}, namespace="CELERY")
    assert app.conf.result_expires == 60


def test_what_has_no_meaning_is_told_in_one_warning(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    app.config_from_object(
        {
            "CELERY_BROKER_URL": "redis://h",
            "CELERY_RESULT_BACKEND": "redis://h/1",
            "CELERY_BROKER_POOL_LIMIT": 10,
            "CELERY_BROKER_TRANSPORT_OPTIONS": {"visibility_timeout": 43_200},
            "CELERY_TASK_DEFAULT_RATE_LIMIT": "10/m",
            "CELERY_BEAT_SCHEDULER": "django_celery_beat.schedulers:DatabaseScheduler",
            "CELERY_WORKER_POOL": "shop.pools:Own",
            "CELERY_ONCE": {"backend": "x"},
            "CELERY_IMPORTS": ("shop.tasks", "shop.mail"),
            "OTHER": 1,
        },
        namespace="CELERY",
    )
    assert changed(app) == {"broker": "redis://h"}
    assert app.include == ("shop.tasks", "shop.mail")
    [text] = told(caplog)
    assert text.startswith("7 settings have no effect (dict, CELERY_…):\n  ")
    lines = {line.strip().partition(":")[0]: line for line in text.splitlines()[1:]}
    assert set(list(lines)[:2]) == {"beat_scheduler", "task_default_rate_limit"}, "what is missed comes first"
    for name, why in {
        "result_backend": "results are kept in the broker",
        "broker_pool_limit": "a few connections",
        "broker_transport_options": "how long a worker may be silent",
        "task_default_rate_limit": "rate limits are not here yet",
        "beat_scheduler": "app.schedules",
        "worker_pool": "there is no such pool",
        "ONCE": "no setting has that name",
    }.items():
        assert why in lines[name]


def test_by_hand_what_would_be_missed_is_an_error(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    for name, value, why in (
        ("task_default_rate_limit", "10/m", "rate limits are not here yet"),
        ("CELERY_TASK_DEFAULT_RATE_LIMIT", "10/m", "rate limits are not here yet"),
        ("security_key", "/k", "signed messages are not here yet"),
        ("broker_host", "h", "broker='redis://"),
        ("imports", ["a"], r"include=\['shop.tasks'\]"),
        ("worker_pool", "sollo", "'solo'"),
        ("task_annotations", {"*": {"rate_limit": "1/s"}}, "rate limits are not here yet"),
        ("task_annotations", {"*": {"time_limt": 1}}, "'time_limit'"),
        ("task_annotations", 5, "a dict of options by the task's name"),
        ("task_annotations", {"a": {"time_limit": "x"}}, "time_limit of 'a'"),
        ("broker_url", 5, "broker_url is text"),
        ("worker_max_memory_per_child", "lots", "number of KiB"),
    ):
        for act in (partial(app.conf.update, {name: value}), partial(setattr, app.conf, name, value)):
            with pytest.raises(ConfigurationError, match=why):
                act()
        if name.islower():
            with pytest.raises(ConfigurationError, match=why):
                AioQueue("shop", **{name: value})
    assert changed(app) == {}
    app.conf.broker_pool_limit = 10  # type: ignore[attr-defined]
    assert told(caplog) == [
        "A setting has no effect (app.conf):\n  broker_pool_limit: a process has a few connections, however many tasks "
        "it sends or runs"
    ]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("task_default_rate_limt", "'task_default_rate_limit' (rate limits are not here yet)"),
        ("worker_max_tasks_per_chld", "'worker_max_tasks_per_child' ('worker_max_tasks' here)"),
        ("CELERY_TASK_ACKS_LAT", "'task_acks_late'"),
        ("visibilty_timeout", "'visibility_timeout'"),
        ("broker_ur", "'broker_url' ('broker' here)"),
    ],
)
def test_a_near_name_is_the_one_that_is_meant(app: AioQueue, name: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match="There is no setting") as caught:
        app.conf.update({name: 1})
    assert f"Did you mean {near}?" in str(caught.value)
    with pytest.raises(AttributeError, match="no setting"):
        getattr(app.conf, name)
    with pytest.raises(KeyError):
        app.conf[name]
    assert app.conf.get(name, 3) == 3
    assert name not in app.conf


def test_conf_is_read_and_written_by_celerys_names(app: AioQueue) -> None:
    conf: Any = app.conf
    conf.broker_url = "sentinel://a:26379;b:26379"
    conf.broker_transport_options = {"master_name": "main"}
    conf["worker_max_memory_per_child"] = 1000
    conf.CELERY_TASK_ACKS_LATE = False
    assert conf.broker == conf.broker_url == conf["BROKER_URL"] == "redis+sentinel://a:26379,b:26379/main"
    assert (conf.worker_max_memory, conf.worker_max_memory_per_child) == (1_024_000, 1000)
    assert conf.result_backend is None
    assert "task_acks_late" in conf and "CELERY_ACKS_LATE" in conf and "update" not in conf
    assert conf.task_acks_late is False
    with pytest.raises(AttributeError, match=r"broker_pool_limit is no setting here: a process has a few"):
        _ = conf.broker_pool_limit


# Where they come from


def test_modules_classes_and_places(app: AioQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "celeryconf_a.py").write_text(
        "from __future__ import annotations\nimport os\nfrom pathlib import Path\n"
        "_HERE = 5\nhelper = Path('/')\ndef once(): ...\nclass Production:\n    task_time_limit = 7\n"
        "result_expires = 60\nCELERYD_CONCURRENCY = 3\ndef task_routes(name, args, kwargs, options): return 'q'\n"
    )
    app.config_from_object("celeryconf_a")
    assert changed(app).keys() == {"result_expires", "worker_concurrency", "task_routes"}
    app.config_from_object("celeryconf_a:Production")
    assert app.conf.task_time_limit == 7
    app.config_from_object("celeryconf_a.Production", force=True)
    app.config_from_object(sys.modules["celeryconf_a"].Production)
    monkeypatch.setenv("SHOP_CONFIG", "celeryconf_a")
    app.config_from_envvar("SHOP_CONFIG")
    with pytest.raises(ConfigurationError, match="NO_CONFIG is not set"):
        app.config_from_envvar("NO_CONFIG")
    for place in ("celeryconf_a:Nothing", "no.such.module", "celeryconf_a.Nothing"):
        with pytest.raises(ConfigurationError, match=f"settings module '{place}' cannot be imported"):
            app.config_from_object(place)
        app.config_from_object(place, silent=True)
    with pytest.raises(ConfigurationError, match="'BASE_DIR'"):
        app.config_from_object({"BASE_DIR": "/x"})


def test_djangos_settings(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    django = pytest.importorskip("django.conf", reason="Django is not installed")
    if not django.settings.configured:
        django.settings.configure(SECRET_KEY="x")
    with _set(django.settings, CELERY_BROKER_URL="redis://h/3", CELERY_TASK_TIME_LIMIT=30 * 60):
        app.config_from_object("django.conf:settings", namespace="CELERY")
    assert changed(app) == {"broker": "redis://h/3", "task_time_limit": 1800}
    assert told(caplog) == []


class _set:
    """Settings of Django, for as long as a block lasts."""

    def __init__(self, settings: Any, **values: Any) -> None:
        self._settings, self._values = settings, values

    def __enter__(self) -> None:
        for name, value in self._values.items():
            setattr(self._settings, name, value)

    def __exit__(self, *_: object) -> None:
        for name in self._values:
            delattr(self._settings, name)


# What is more than a value


def test_annotations_of_tasks(app: AioQueue) -> None:
    @app.task(time_limit=60)
    def before() -> None: ...

    app.config_from_object(
        {"task_annotations": [{"*": {"acks_late": False}}, {before.name: {"time_limit": 10, "queue": "slow"}}]}
    )

    @app.task(acks_late=True)
    def after() -> None: ...

    assert (before.time_limit, before.queue, before.acks_late) == (10, "slow", False)
    assert (after.time_limit, after.acks_late) == (None, False)


async def test_annotations_that_are_set_later(app: AioQueue) -> None:
    @app.task
    async def work() -> None: ...

    app.conf.update(broker="memory://", task_annotations={work.name: {"queue": "slow"}})
    async with app:
        assert (await work.send()).queue == "slow"


class Router:
    def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> Any:
        return {"queue": "by-router"} if task == "mine" else None


@pytest.mark.parametrize("router", [Router(), Router, f"{__name__}:Router", [{"other": "q"}, f"{__name__}.Router"]])
async def test_routers_of_celery(app: AioQueue, router: Any) -> None:
    app.conf.update(broker="memory://", task_routes=router)
    async with app:
        assert (await app.send_task("mine")).queue == "by-router"
        assert (await app.send_task("yours")).queue == "default"


def test_wrong_routes_are_told_where_they_are_set(app: AioQueue) -> None:
    routes: Any = app.conf.task_routes
    for pattern, to, why in (
        (5, "q", "task_routes has 5: the name of a task is text"),
        ("a", {"que": "q"}, "'queue'"),
        ("a", {"queue": "q", "exchange": "e"}, "there are no exchanges"),
        ("a", {"queue": "q", "broker": "redis://h"}, "make an app for each broker"),
        ("a", 7, "takes the name of a queue"),
    ):
        for act in (
            partial(routes.__setitem__, pattern, to),
            partial(routes.update, {pattern: to}),
            partial(routes.setdefault, pattern, to),
            partial(app.conf.update, task_routes={pattern: to}),
        ):
            with pytest.raises(ConfigurationError, match=why):
                act()
    assert routes == {}
    routes |= {"a": "q"}
    assert app.conf.task_routes == {"a": "q"}


def test_queues_of_kombu(app: AioQueue) -> None:
    kombu = pytest.importorskip("kombu", reason="kombu is not installed")
    mail = kombu.Exchange("mail", type="topic")
    app.conf.task_queues = [  # type: ignore[assignment]
        kombu.Queue("default"),
        kombu.Queue("email", mail, routing_key="mail.#", max_length=10, max_priority=4),
    ]
    assert app.conf.task_queues == [
        Queue("default"),
        Queue("email", topic="mail.#", max_length=10, priorities=5),
    ]


# The table


def test_every_setting_of_celery_is_understood(tmp_path: Path) -> None:
    program = "from celery.app.defaults import _TO_NEW_KEY as old; import json; print(json.dumps(old))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    if done.returncode:
        pytest.skip("Celery is not installed")
    ours = Settings.__struct_fields__
    assert {
        name: setting for name, setting in json.loads(done.stdout).items() if canonical(name, ours) != setting
    } == {}
    assert {name for name in json.loads(done.stdout).values() if canonical(name, ours) != name} == set()


def test_nothing_in_the_table_is_a_setting_of_ours() -> None:
    assert MEANINGS.keys() & set(Settings.__struct_fields__) == set()


async def test_celerys_variable_is_told_and_not_read(
    app: AioQueue, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Exception):
        pass

    def acquire(*_: object) -> None:
        raise Stop

    monkeypatch.setattr("aioqueue.embedded.acquire_async", acquire)
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://h")
    with pytest.raises(Stop):
        await app.open()
    assert [text for text in told(caplog) if "AIOQUEUE_BROKER" in text]
