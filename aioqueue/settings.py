"""Settings: one typed record, and the places its values come from.

Later places win: the defaults below, `[tool.aioqueue]` in the nearest `pyproject.toml`, the environment
(`AIOQUEUE_VISIBILITY_TIMEOUT=30`), what is given to `AioQueue(...)`, and what is set on `app.conf` afterwards.
All times are in seconds, or timedeltas; all sizes in bytes, or texts such as "200MB".
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack, cast, get_args, get_type_hints

import msgspec

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError
from aioqueue.given import AllSettingsGiven, Given, default
from aioqueue.kinds import Seconds
from aioqueue.options import COMPRESSION, SERIALIZER, check_accepted, check_limits
from aioqueue.payload.serializers import read_serializer
from aioqueue.routing import Queue, QueuesGiven, Routes, read_routes
from aioqueue.routing.queues import Queues, queues_of
from aioqueue.routing.routes import RouteTable
from aioqueue.task_annotations import read_annotations
from aioqueue.url import masked

if TYPE_CHECKING:
    from aioqueue.beat_schedule import BeatSchedule
else:
    BeatSchedule = Any  # schedules are what most apps do without

ENVIRONMENT_PREFIX = "AIOQUEUE_"
_MIB = 1024 * 1024
_APP: Final = "AioQueue(...)"
_OF_THE_APP: Final = ("lifespan", "include", "task_cls")  # what it takes beside settings

# Names under AIOQUEUE_ that are not settings: they say where things are, before an app exists.
_OTHER_VARIABLES = frozenset({"app", "debug", "server_binary", "runtime_dir", "data_dir"})


HIDDEN: Final = ("password", "passwd", "token", "secret", "api_key", "authorization", "cookie")
"""The default of `hidden_arguments`."""
_URLS: Final = frozenset({"broker", "backend"})


class Settings(msgspec.Struct, kw_only=True):
    """Everything that can be set on an app.

    Attributes:
        broker: the broker's URL; None is a private embedded server. Passwords in it are never shown.
        backend: the URL of a result backend; None keeps results in the broker.
        namespace: the prefix of every key in the broker; None is the app's name.
        partitions: into how many parts a namespace is split (more than one only helps a Redis Cluster).
        timezone: for schedules that name none.

        visibility_timeout: for how long a worker may be silent before its tasks are given to others; at least 1.
        max_deliveries: how often a task may take its worker down with it before it goes to the dead letters.
        send_timeout: for how long `send` tries to reach the broker before it raises `BrokerUnavailable`.
        broker_connection_retry_on_startup: a worker or `aioqueue beat` that finds its broker away waits for it; else it
            gives up after `send_timeout`. A burst never waits.
        max_payload_size: of a task's arguments or its result, encoded and also decompressed.
        queue_max_length: tasks that may wait or run in one queue when more are sent; None is no limit.
        queue_full: what `send` does at that limit: "raise" `QueueFull`, or "wait" for up to `send_timeout`.
        dead_letters_max_length: the oldest dead letters beyond this many are dropped.

        task_default_queue: the queue of tasks that name none.
        task_default_priority: from 0 to 9, higher runs first.
        task_routes: how tasks are sent, by their name: queues, and whatever else can be said of a sending.
        task_annotations: options of tasks, by their names or "*", which count before what the tasks say themselves.
        task_queues: queues of which something is to be said, each a `Queue`, and what workers consume.
        task_create_missing_queues: tasks may go to queues that are not among `task_queues`.
        task_serializer: "msgpack", "json", or one that was registered by `register_serializer`.
        task_compression: None, "zlib", "gzip", "bz2", "lzma" or "zstd", for payloads from 1 KiB on.
        accept_content: the serializers of what is read: tasks in others go to the dead letters, unread. None is
            msgpack, JSON, and those in which the app and its tasks are sent, but pickle.
        task_acks_late: acknowledge at the end (True, at least once) or before the start (False, at most once).
        task_track_started: record STARTED when a task starts; costs a write each.
        task_ignore_result: keep no results.
        task_store_errors_even_if_ignored: keep failures even so.
        task_dead_letters_on_failure: keep each failed call among the dead letters, also one that was never retried.
        task_time_limit: end tasks that run for longer.
        task_soft_time_limit: raise `SoftTimeLimitExceeded` in tasks that run for longer.
        task_max_retries: for tasks that say nothing themselves; None retries for ever.
        task_default_retry_delay: between retries without a backoff.
        task_always_eager: run tasks at `send`, in the caller's process.
        task_eager_propagates: let the exceptions of such tasks out of `send`.
        task_store_eager_result: keep their results, so that `app.result(id)` knows them; they are kept in memory.
        result_compression: of results, in the place of what their tasks have. A call has no say in it.
        result_expires: for how long results are kept; None or 0 is for ever.

        worker_concurrency: coroutines and threads that run tasks at once in a worker process.
        worker_pool: "async": coroutines on the event loop, plain functions in threads. "threads" is the same here.
            "processes": plain functions in processes of a pool, as with pool="process". "solo": one task at a time,
            plain functions in the thread of the event loop.
        worker_process_concurrency: processes of a worker's pool, for tasks with pool="process"; None is one for each
            core.
        worker_prefetch: tasks held ready beyond those; None follows the rate at which tasks end.
        worker_prefetch_multiplier: in its place: how many times its concurrency a worker holds, those that run
            included. 1 holds none ready; None and 0 are no such limit.
        loop_stall_limit: a worker process whose event loop has not turned for so long is killed and replaced, under
            `aioqueue worker`; its tasks run again. None is never.
        signal_timeout: for how long a handler of a signal, or a hook after a task's end, may run.
        worker_shutdown_timeout: for how long a stopping worker lets its tasks run on.
        worker_max_tasks: tasks after which a worker process is replaced; None is no limit.
        worker_max_memory: resident memory after which a worker process is replaced; None is no limit.
        beat_schedule: schedules by name, in Celery's form; see `aioqueue beat`.
        events: programs and workers tell of their tasks in a stream, for `app.events()`; `app.control.enable_events()`
            and `disable_events()` come before this.
        events_max_length: about so many events are kept, the newest ones.
        hidden_arguments: names of arguments whose values are not shown in logs, lists and events.
    """

    broker: str | None = None
    backend: str | None = None
    namespace: str | None = None
    partitions: int = 1
    timezone: str = "UTC"

    visibility_timeout: Given[float, Seconds] = default(30.0)
    max_deliveries: int = 5
    send_timeout: Given[float, Seconds] = default(5.0)
    broker_connection_retry_on_startup: bool = True
    max_payload_size: Given[int, int | str] = default(8 * _MIB)
    queue_max_length: int | None = None
    queue_full: Literal["raise", "wait"] = "raise"
    dead_letters_max_length: int = 10_000

    task_default_queue: str = "default"
    task_default_priority: int = 0
    task_routes: Given[Any, Routes] = default(msgspec.field(default_factory=RouteTable))
    task_annotations: Any = msgspec.field(default_factory=dict)
    task_queues: Given[list[Queue], QueuesGiven] = default(msgspec.field(default_factory=Queues))
    task_create_missing_queues: bool = True
    task_serializer: str = "msgpack"
    task_compression: str | None = None
    accept_content: Given[list[str] | None, list[str] | tuple[str, ...] | None] = default(None)
    task_acks_late: bool = True
    task_track_started: bool = False
    task_ignore_result: bool = False
    task_store_errors_even_if_ignored: bool = False
    task_dead_letters_on_failure: bool = False
    task_time_limit: Given[float | None, Seconds | None] = default(None)
    task_soft_time_limit: Given[float | None, Seconds | None] = default(None)
    task_max_retries: int | None = 3
    task_default_retry_delay: Given[float, Seconds] = default(180.0)
    task_always_eager: bool = False
    task_eager_propagates: bool = False
    task_store_eager_result: bool = True
    result_compression: str | None = None
    result_expires: Given[float | None, Seconds | None] = default(86_400.0)

    worker_concurrency: int = 100
    worker_pool: Literal["async", "threads", "processes", "solo"] = "async"
    worker_process_concurrency: int | None = None
    worker_prefetch: int | None = None
    worker_prefetch_multiplier: int | None = None
    loop_stall_limit: Given[float | None, Seconds | None] = default(None)
    signal_timeout: Given[float, Seconds] = default(10.0)
    worker_shutdown_timeout: Given[float, Seconds] = default(30.0)
    worker_max_tasks: int | None = None
    worker_max_memory: Given[int | None, int | str | None] = default(None)
    beat_schedule: Given[dict[str, Any], BeatSchedule] = default(msgspec.field(default_factory=dict))
    events: bool = False
    events_max_length: int = 100_000
    hidden_arguments: Given[list[str], list[str] | tuple[str, ...]] = default(
        msgspec.field(default_factory=lambda: list(HIDDEN))
    )

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self._shown())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return list(self._shown())

    def _shown(self) -> Iterator[tuple[str, Any]]:
        """Names and values, without passwords."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            yield name, masked(value) if name in _URLS and value is not None else value

    if not TYPE_CHECKING:  # they would take any name; names of Celery's are none of ours to them

        def __setattr__(self, name: str, value: Any) -> None:
            self._set(_values({name: value}, "app.conf.{}", "app.conf", self.broker))

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            return _under_celerys_name(self, name)

    # As a mapping, which it is in Celery.

    def __getitem__(self, name: str) -> Any:
        """The value of a setting by its name; by Celery's name and in Celery's unit, too: `conf["broker_url"]`.

        Raises:
            KeyError: there is none of that name.
        """
        try:
            return getattr(self, name) if name in _TYPES else _under_celerys_name(self, name)
        except AttributeError as error:
            raise KeyError(str(error)) from None

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name, _TYPES) is not _TYPES

    def __iter__(self) -> Iterator[str]:
        return iter(self.__struct_fields__)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a setting by its name, or by Celery's; `default` where there is none of that name."""
        try:
            return self[name]
        except KeyError:
            return default

    def update(self, values: Mapping[str, Any] | None = None, /, **more: Unpack[AllSettingsGiven]) -> None:
        """Set several settings at once.

        Raises:
            ConfigurationError: for an unknown name or a value of the wrong kind; then nothing is changed.
        """
        self._set(_values({**(values or {}), **more}, "{}", "app.conf.update", self.broker))

    def read_from(self, values: Mapping[str, Any], source: str, *, beside_others: bool = False) -> list[str]:
        """Set what a settings module says. What Celery has and this package has not is told in one warning.

        Args:
            values: by name, in any of Celery's spellings.
            source: where they are from.
            beside_others: names that no setting has may be for somebody else, and are told in that warning, too.

        Returns:
            Modules that are to be imported before a worker starts.

        Raises:
            ConfigurationError: for an unknown name or a value of the wrong kind; then nothing is changed.
        """
        from aioqueue.celery.reading import read, tell

        found = read(values, _TYPES, self.broker)
        if found.unknown and not beside_others:
            raise _unknown(
                found.unknown[0],
                more=f" So says {source}. If that holds more than settings, give those a prefix: namespace='CELERY'.",
            )
        wanted = {
            name: _checked(name, value, f"{found.names[name]} (from {source})")
            for name, value in found.values.items()
            if value is not None or name not in _NOT_NONE
        }
        self._set(wanted)
        tell(found, _TYPES, source)
        return found.modules

    def put_back(self, values: Mapping[str, Any]) -> None:
        """Set several settings to what they were, each by its name here."""
        self._set(values)

    def _set(self, values: Mapping[str, Any]) -> None:
        """Set what is checked, if it goes together with the rest."""
        after = {name: getattr(self, name) for name in self.__struct_fields__} | dict(values)
        if after["backend"] is not None and after["backend"] != after["broker"]:
            raise ConfigurationError("Results are kept in the broker in this version: leave `backend` out.")
        check_limits(after["task_soft_time_limit"], after["task_time_limit"])
        check_accepted(after["task_serializer"], after["accept_content"])
        for name, value in values.items():
            super().__setattr__(name, value)

    def check(self) -> None:
        """Look again at those that may have been changed in place, as by `conf.task_routes["mail.*"] = "mail"`.

        Raises:
            ConfigurationError: for a value that has no effect, or is not understood.
        """
        for name in self.__struct_fields__:
            if name in _READ or isinstance(getattr(self, name), dict | list):
                _checked(name, getattr(self, name), f"app.conf.{name}")
        check_accepted(self.task_serializer, self.accept_content)
        if not (self.task_create_missing_queues or self.task_queues):
            raise ConfigurationError(
                "task_create_missing_queues=False, and task_queues is empty: then there is no queue that a task could "
                "go to. Say which there are: task_queues=[Queue('default'), ...]."
            )

    @classmethod
    def load(cls, given: Mapping[str, Any], *, directory: Path | None = None) -> Settings:
        """The settings of an app that was given `given`, in the environment and project of this process."""
        settings, found = cls(), dict[str, Any]()
        for source, values in (
            ("[tool.aioqueue] in pyproject.toml", _from_pyproject(directory or Path.cwd())),
            ("the environment", _from_environment(os.environ)),
            (_APP, given),
        ):
            found |= _values(values, f"{{}} (from {source})", source, found.get("broker"))
        settings._set(found)
        return settings


_TYPES: dict[str, Any] = get_type_hints(Settings)
_READ: Final = {"task_routes": read_routes, "task_queues": queues_of, "task_annotations": read_annotations}
_SIZES: Final = frozenset({"max_payload_size", "worker_max_memory"})
_WITHOUT_EFFECT: Final = {"partitions": "Redis Cluster"}
_POSITIVE = frozenset(
    {
        "partitions",
        "max_deliveries",
        "send_timeout",
        "max_payload_size",
        "queue_max_length",
        "dead_letters_max_length",
        "events_max_length",
        "task_time_limit",
        "task_soft_time_limit",
        "worker_concurrency",
        "worker_process_concurrency",
        "worker_max_tasks",
        "worker_max_memory",
        "loop_stall_limit",
        "signal_timeout",
    }
)
_NOT_NEGATIVE = frozenset(
    {
        "task_max_retries",
        "task_default_retry_delay",
        "result_expires",
        "worker_prefetch",
        "worker_prefetch_multiplier",
        "worker_shutdown_timeout",
        "task_default_priority",
    }
)


def _values(given: Mapping[str, Any], where: str, source: str, broker: str | None) -> dict[str, Any]:
    """Checked values of settings by their names, of which Celery's are read as what they are here.

    Args:
        where: which setting, as a format over its name.
        source: where they are from.
        broker: its URL as it is.

    Raises:
        ConfigurationError: for an unknown name or a value of the wrong kind, or one that asks for what is not here.
    """
    if given.keys() <= _TYPES.keys():
        return {name: _checked(name, value, where.format(name)) for name, value in given.items()}
    from aioqueue.celery.reading import read, refusal, tell  # what most apps do without

    found = read(given, _TYPES, broker)
    if found.unknown:
        more = _FOR_OTHERS if source == "app.conf.update" and found.unknown[0].isupper() else ""
        raise _unknown(found.unknown[0], _OF_THE_APP if source == _APP else (), more)
    if found.modules:
        raise ConfigurationError("The modules to import are the app's: AioQueue(..., include=['shop.tasks']).")
    if why := refusal(found):
        raise ConfigurationError(why)
    values = {name: _checked(name, value, where.format(found.names[name])) for name, value in found.values.items()}
    tell(found, _TYPES, source)
    return values


_FOR_OTHERS = (
    " Of what holds more than settings, as a web framework's configuration does, take a part, such as "
    "app.config['CELERY'], or give those a prefix: app.config_from_object(dict(app.config), namespace='CELERY')."
)
_FAMILIES = ("task_", "worker_", "broker_", "result_", "beat_", "accept_content", "CELERY")


def _under_celerys_name(settings: Settings, name: str) -> Any:
    from aioqueue.celery.reading import value_under

    return value_under(name, _TYPES, settings)


def _unknown(name: str, beside: tuple[str, ...] = (), more: str = "") -> ConfigurationError:
    """`beside` may be meant, too; `more` is said, too."""
    from aioqueue.celery.reading import suggestion

    return ConfigurationError(
        f"There is no setting {name!r}.{suggestion(name, (*_TYPES, *beside))} All are listed in the reference, and by "
        "`python -c 'import aioqueue.settings; help(aioqueue.settings.Settings)'`." + more
    )


def is_setting(name: str) -> bool:
    """Whether a name is a setting's, of ours or by its beginning one of Celery's."""
    return name in _TYPES or name.startswith(_FAMILIES)


def _checked(name: str, value: Any, where: str) -> Any:
    """`value` as the setting `name` wants it."""
    if name == "broker" and isinstance(value, str) and _CELERYS.match(value):
        from aioqueue.celery.broker import redis_url

        value = redis_url(value)
    if name == "worker_pool":
        return POOL.of(f"The setting {where}", value)
    if name in _SIZES and isinstance(value, str):
        value = kinds.BYTES.of(f"The setting {where}", value)
    if name in _READ:
        return _READ[name](where, value)
    if isinstance(value, timedelta) and _TYPES[name] in (float, float | None):
        value = kinds.seconds(value)
    try:
        value = msgspec.convert(value, _TYPES[name], strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"The setting {where} cannot be {value!r}: {error}.") from None
    if name in _WITHOUT_EFFECT and value not in (None, (default := getattr(_DEFAULTS, name))):
        raise ConfigurationError(
            f"The setting {where} must be {default!r} in this version, which has no {_WITHOUT_EFFECT[name]}, not "
            f"{value!r}."
        )
    if isinstance(value, float):
        value = kinds.DELAY.of(f"The setting {where}", value)
    elif isinstance(value, int) and value > (most := kinds.MOST_BYTES if name in _SIZES else kinds.MOST):
        raise ConfigurationError(f"The setting {where} must be {most} or less, not {kinds.shown(value)}.")
    if name in _POSITIVE and value is not None and value <= 0:
        raise ConfigurationError(f"The setting {where} must be more than 0, not {value!r}.")
    if name in _NOT_NEGATIVE and value is not None and value < 0:
        raise ConfigurationError(f"The setting {where} must be 0 or more, not {value!r}.")
    if name == "visibility_timeout" and float(value or 0) < 1:
        raise ConfigurationError(f"The setting {where} must be at least 1 second, not {value!r}.")
    if name == "result_expires" and value and value < 0.001:
        raise ConfigurationError(f"The setting {where} must be at least 0.001 seconds, or 0 for ever, not {value!r}.")
    if name == "task_default_priority" and int(value or 0) > 9:
        raise ConfigurationError(f"The setting {where} must be from 0 to 9, not {value!r}.")
    if name == "task_default_queue" and not kinds.is_name(value):
        raise ConfigurationError(
            f"The setting {where} is the name of a queue, 1 to 255 printable characters without spaces, not {value!r}."
        )
    if name == "namespace" and value is not None:
        _NAMESPACE.of(f"The setting {where}", value)
    if name == "hidden_arguments":
        _WORDS.of(f"The setting {where}", value)
    if name == "task_serializer":
        value = SERIALIZER.of(f"The setting {where}", value)
    if name in ("task_compression", "result_compression"):
        value = COMPRESSION.or_none().of(f"The setting {where}", value)
    if name == "accept_content":
        value = _SERIALIZERS.or_none().of(f"The setting {where}", value)
    if name == "beat_schedule" and value:
        from aioqueue.beat_schedule import check_entries  # what most apps do without

        check_entries(cast("Any", value))
    if name == "timezone" and value != "UTC":
        from aioqueue.schedules.zones import zone

        zone(cast("Any", value), f"The setting {where}")
    return value


def _namespace(value: str) -> str:
    if not (0 < len(value) <= 255 and value.isprintable()):
        raise ValueError
    return value


def _pool(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    from aioqueue.celery.meanings import pool_of

    return kinds.one_of(("async", "threads", "processes", "solo")).read(pool_of(value) or value)


def _words(value: list[str]) -> list[str]:
    if not all(value):
        raise ValueError
    return value


def _serializers(value: list[str]) -> list[str]:
    if not value:
        raise ValueError
    return [read_serializer(one) for one in value]


_SERIALIZERS: Final = kinds.Kind("a list of names of serializers, such as ['msgpack', 'json']", _serializers)
_NAMESPACE: Final = kinds.Kind("1 to 255 printable characters, or None for the app's name", _namespace)
_CELERYS: Final = re.compile(r"(sentinels?|redis\+socket)://|.*[?&]ssl_cert_reqs=CERT_", re.IGNORECASE)
"""URLs of brokers that are written another way here."""
POOL: Final = kinds.Kind("'async', 'threads', 'processes' or 'solo'", _pool)
_WORDS: Final = kinds.Kind("a list of names, none of them empty", _words)
_DEFAULTS: Final = Settings()
_NOT_NONE: Final = frozenset(
    name for name, kind in _TYPES.items() if kind is not Any and type(None) not in get_args(kind) and name not in _READ
)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, text in environment.items():
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if variable.startswith(ENVIRONMENT_PREFIX) and name not in _OTHER_VARIABLES:
            found[name] = _from_text(name, text)
    return found


def _from_text(name: str, text: str) -> Any:
    """A variable's text as a value: JSON for lists and tables, the text itself for the rest; empty is None."""
    if not text:
        return None
    if text[0] in "[{":
        try:
            return msgspec.json.decode(text.encode())
        except msgspec.DecodeError as error:
            raise ConfigurationError(f"{ENVIRONMENT_PREFIX}{name.upper()} is not valid JSON: {error}.") from None
    return text


def _from_pyproject(directory: Path) -> dict[str, Any]:
    for folder in (directory, *directory.parents):
        file = folder / "pyproject.toml"
        try:
            content = file.read_text(encoding="utf-8")
        except OSError:
            continue
        try:
            return dict(tomllib.loads(content).get("tool", {}).get("aioqueue", {}))
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{file} is not valid TOML: {error}.") from None
    return {}
