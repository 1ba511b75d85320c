"""What each of Celery's settings is here: a setting of ours, perhaps in another unit; or nothing, and why.

Those that have the same name, meaning and unit here are not listed. Those of a broker are in `broker`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

from aioqueue.kinds import BYTES, Kind


class Meaning(NamedTuple):
    """What a setting of Celery's is here.

    Attributes:
        to: our setting; "" where there is none.
        read: from Celery's value to ours; None says nothing, and the setting stays as it is.
        shown: the reverse.
        why: there is none, and what to write instead, as a part of a sentence.
        fine: values that ask for no more than what is so here, or that ask for nothing.
        missed: what it asks for is not done by other means, so that it is an error to ask for it here, and a warning
            where Celery's settings are read.
    """

    to: str = ""
    read: Callable[[Any], Any] = lambda value: value
    shown: Callable[[Any], Any] = lambda value: value
    why: str = ""
    fine: tuple[Any, ...] = ()
    missed: bool = False

    def asks_for_nothing(self, value: Any) -> bool:
        """Whether nothing is lost when such a value is not heard."""
        return any(type(value) is type(one) and value == one for one in (*_NOTHING, *self.fine))


_NOTHING: Final[tuple[Any, ...]] = (None, False, 0, 0.0, "", {}, (), [])


def _none(why: str, *fine: Any) -> Meaning:
    return Meaning(why=why, fine=fine)


def _missed(why: str, *fine: Any) -> Meaning:
    return Meaning(why=why, fine=fine, missed=True)


_KIBIBYTES: Final = Kind("a number of KiB, as in Celery, or a text such as '200MB' or '1 GiB'", BYTES.read)


def _from_kibibytes(value: Any) -> Any:
    """Celery counts KiB; a text with a unit says itself what it counts."""
    number = _KIBIBYTES.of("worker_max_memory_per_child", value) if value is not None else None
    has_unit = isinstance(value, str) and not value.strip().isdigit()
    return number if number is None or has_unit else number * 1024


def _in_kibibytes(most: Any) -> Any:
    return None if most is None else most // 1024


def _held_when_off(value: Any) -> Any:
    return 0 if value else None


def _is_none(held: Any) -> bool:
    return held == 0


def _or_none(value: Any) -> Any:
    return value or None


def _most(value: Any) -> Any:
    """Of Celery's (most, least), in either order, the greater one: what is not used costs nothing here."""
    if not isinstance(value, list | tuple):
        return value
    pair = cast("list[Any]", value)
    return max(pair) if pair and all(type(one) is int for one in pair) else next(iter(pair), None)


_POOLS: Final[Mapping[str, str]] = {
    "prefork": "processes",
    "processes": "processes",
    "eventlet": "async",
    "gevent": "async",
    "threads": "threads",
    "thread": "threads",
    "solo": "solo",
    "async": "async",
}


def pool_of(name: str) -> str | None:
    """What a worker's pool is here, by the name that Celery or this package has for it; None where neither has it."""
    return _POOLS.get(name.rpartition(":")[2].rpartition(".")[2].lower())


UNKNOWN_POOL: Final = (
    "there is no such pool: coroutines run on the event loop, plain functions in threads, or with 'processes' in a "
    "pool of those"
)
KEPT_IN_THE_BROKER: Final = "results are kept in the broker in this version, and other backends are not here yet"
_NO_EXCHANGES: Final = (
    "there are no exchanges: a routing_key finds queues by their topics, Queue('email', topic='mail.#')"
)
_ONE_STREAM: Final = "events are a stream in the broker, of which events_max_length are kept"
_NO_REMOTE_CONTROL: Final = "remote control is not here yet"
_SERVICE: Final = "that is for what starts the process to say: systemd, Docker, supervisord"
_LOGGING: Final = "see --loglevel, --logformat and --logfile, or set up Python's logging before the worker starts"
_RATES: Final = "rate limits are not here yet"
_ONE_SCHEDULER: Final = "schedules are kept in the broker, and any number of schedulers may run"
_BY_ITSELF: Final = "the worker does that by itself, in its own way"
_NO_SIGNING: Final = "signed messages are not here yet"
_POLLING: Final = "nothing is polled: whoever waits for a chord or a result is told"

_OF_BACKENDS: Final = _none("it is for a result backend, and results are kept in the broker in this version")

_SETTINGS_OF_BACKENDS: Final[Mapping[str, tuple[str, ...]]] = {
    "arangodb": ("backend_settings",),
    "azureblockblob": (
        *("container_name", "base_path", "connection_timeout", "read_timeout"),
        *("retry_initial_backoff_sec", "retry_increment_base", "retry_max_attempts"),
    ),
    "cache": ("backend", "backend_options"),
    "cassandra": (
        *("entry_ttl", "keyspace", "port", "read_consistency", "servers", "bundle_path", "secure_bundle_path", "table"),
        *("write_consistency", "auth_provider", "auth_kwargs", "options"),
    ),
    "cosmosdbsql": (
        *("database_name", "collection_name", "consistency_level", "max_retry_attempts", "max_retry_wait_time"),
    ),
    "couchbase": ("backend_settings",),
    "database": (
        *("url", "engine_options", "engine_callback", "short_lived_sessions", "table_schemas", "table_names"),
        "create_tables_at_setup",
    ),
    "elasticsearch": ("retry_on_timeout", "max_retries", "timeout", "save_meta_as_text"),
    "gcs": ("bucket", "project", "base_path", "ttl"),
    "mongodb": ("backend_settings",),
    "redis": (
        *("backend_use_ssl", "backend_health_check_interval", "backend_credential_provider", "db", "host", "port"),
        *("max_connections", "username", "password", "socket_timeout", "socket_connect_timeout", "retry_on_timeout"),
        *("socket_keepalive", "client_name"),
    ),
    "s3": ("access_key_id", "secret_access_key", "bucket", "base_path", "endpoint_url", "region"),
}

MEANINGS: Final[dict[str, Meaning]] = {
    # Under another name, or in another unit.
    "worker_max_tasks_per_child": Meaning("worker_max_tasks", _or_none),
    "worker_max_memory_per_child": Meaning("worker_max_memory", _from_kibibytes, _in_kibibytes),
    "worker_autoscale": Meaning("worker_concurrency", _most),
    "worker_soft_shutdown_timeout": Meaning("worker_shutdown_timeout", _or_none),
    "worker_disable_prefetch": Meaning("worker_prefetch", _held_when_off, _is_none),
    "worker_send_task_events": Meaning("events", _or_none),
    # Modules to import: `reading` puts them beside those of AioQueue(include=...).
    "imports": _missed("give the modules to the app: AioQueue(..., include=['shop.tasks'])"),
    "include": _missed("give the modules to the app: AioQueue(..., include=['shop.tasks'])"),
    # What is read, and how it is written.
    "result_accept_content": _none("accept_content is for arguments and results alike"),
    "result_serializer": _none("a result is written with its task's serializer: task_serializer, or serializer= of it"),
    "enable_utc": _none("moments are kept in UTC, always; `timezone` is for schedules", True),
    "task_protocol": _none("messages have one form", 1, 2),
    "task_remote_tracebacks": _none("tracebacks arrive as text: (await result.info()).traceback", True),
    # Sending.
    "task_publish_retry": _none("send tries again for `send_timeout` seconds; set that", True),
    "task_publish_retry_policy": _none("send tries again for `send_timeout` seconds; set that"),
    "task_default_delivery_mode": _none("messages are as durable as the broker", 2, "persistent"),
    "task_default_exchange": _none(_NO_EXCHANGES),
    "task_default_exchange_type": _none(_NO_EXCHANGES, "direct"),
    "task_default_routing_key": _none("what has no routing_key goes to task_default_queue"),
    "task_default_queue_type": _none("queues are of one kind", "classic", "quorum"),
    "task_create_missing_queue_type": _none("queues are of one kind", "classic", "quorum"),
    "task_create_missing_queue_exchange_type": _none(_NO_EXCHANGES),
    "task_queue_max_priority": _none("every queue has the priorities 0 to 9; Queue(priorities=...) gives it fewer"),
    "task_inherit_parent_priority": _none("a task has the priority that it, its call or its route says"),
    "task_send_sent_event": _none("events=True tells of what is sent, too", True),
    "task_default_rate_limit": _missed(_RATES),
    "worker_disable_rate_limits": _none(_RATES, True),
    # Running.
    "task_reject_on_worker_lost": _none(
        "what a dead worker had is run again, always, and with acks_late=False at most once; where a process of its "
        "pool died, say retry_on_worker_lost=True of the task",
        True,
    ),
    "task_retry_on_worker_lost": _none(
        "what a dead worker had is run again, up to `max_deliveries` times; where a process of its pool died, say "
        "retry_on_worker_lost=True of the task",
        True,
    ),
    "task_repr_maxlevels": _none("arguments are shown as short text, without those of `hidden_arguments`"),
    "task_acks_on_failure_or_timeout": _missed(
        "a task that fails has ended; to have it run again, autoretry_for=..., or raise Reject(requeue=True)", True
    ),
    "task_acks_on_failure": _missed("a task that fails has ended; see autoretry_for", True),
    "task_acks_on_timeout": _missed("a task that is over its limit has ended; see autoretry_for", True),
    "task_allow_error_cb_on_chord_header": _none("it is the only way: a handler hears of each failed header", True),
    # Results.
    "result_cache_max": _none("no results are cached", -1),
    "result_exchange": _none(KEPT_IN_THE_BROKER, "celeryresults"),
    "result_exchange_type": _none(KEPT_IN_THE_BROKER, "direct"),
    "result_persistent": _none("results are as durable as the broker", True),
    "result_extended": _none("a task's name, arguments, worker and times are kept with its result, always", True),
    "result_backend_transport_options": _OF_BACKENDS,
    "result_backend_always_retry": _OF_BACKENDS,
    "result_backend_max_retries": _OF_BACKENDS,
    "result_backend_max_sleep_between_retries_ms": _OF_BACKENDS,
    "result_backend_base_sleep_between_retries_ms": _OF_BACKENDS,
    "result_backend_thread_safe": _OF_BACKENDS,
    "override_backends": _OF_BACKENDS,
    "result_chord_expires": _none("a chord is kept until it has ended, and `result_expires` after that"),
    "result_failure_expires": _none("failures are kept for as long as results: `result_expires`"),
    "result_chord_retry_interval": _none(_POLLING),
    "result_chord_join_timeout": _none(_POLLING),
    **{f"{kind}_{what}": _OF_BACKENDS for kind, names in _SETTINGS_OF_BACKENDS.items() for what in names},
    # The worker.
    "worker_agent": _none("there are no agents"),
    "worker_autoscaler": _none(
        "a worker's concurrency is `worker_concurrency`; what is idle of it costs nothing",
        "celery.worker.autoscale:Autoscaler",
    ),
    "worker_cancel_long_running_tasks_on_connection_loss": _none(
        "a worker ends what it runs when its lease is lost, for others run it then; a short loss disturbs nothing", True
    ),
    "worker_enable_soft_shutdown_on_idle": _none(_BY_ITSELF, True),
    "worker_consumer": _none(_BY_ITSELF, "celery.worker.consumer:Consumer"),
    "worker_consumer_args": _none(_BY_ITSELF),
    "worker_direct": _none("give the worker a queue of its own: -Q mine"),
    "worker_deduplicate_successful_tasks": _none("the end of a task is recorded once, always", True),
    "worker_detect_quorum_queues": _none("queues are of one kind", True),
    "worker_enable_remote_control": _none(_NO_REMOTE_CONTROL, True),
    "worker_enable_prefetch_count_reduction": _none(_BY_ITSELF, True),
    "worker_eta_task_limit": _none("what has an eta waits in the broker, not in a worker"),
    "worker_hijack_root_logger": _none("handlers that the program has set up are left alone", True),
    "worker_log_color": _none("colours are for terminals; $NO_COLOR turns them off", True),
    "worker_log_format": _none(_LOGGING),
    "worker_log_datefmt": _none(_LOGGING),
    "worker_task_log_datefmt": _none(_LOGGING),
    "worker_task_log_format": _none(f"{_LOGGING}; aioqueue.middlewares.StructuredLogging says which task wrote a line"),
    "worker_lost_wait": _none("what a dead worker had is run again when its lease is over: `visibility_timeout`"),
    "worker_pool_putlocks": _none(_BY_ITSELF, True),
    "worker_pool_start_method": _none("processes of the pool are started afresh (spawn), and import the app", "spawn"),
    "worker_pool_restarts": _none(_NO_REMOTE_CONTROL),
    "worker_proc_alive_timeout": _none(_BY_ITSELF),
    "worker_redirect_stdouts": _none("what a task prints goes where the worker's own output goes"),
    "worker_redirect_stdouts_level": _none("what a task prints goes where the worker's own output goes"),
    "worker_state_db": _none("what was revoked is kept in the broker"),
    "worker_timer": _none(_BY_ITSELF),
    "worker_timer_precision": _none(_BY_ITSELF),
    **{
        f"{who}_{what}": _none(_SERVICE)
        for who in ("worker", "beat", "events")
        for what in ("logfile", "pidfile", "uid", "gid", "umask", "executable")
    },
    # Beat.
    "beat_scheduler": _missed(
        f"{_ONE_SCHEDULER}; those of a database are not read: what changes at run time is app.schedules",
        *("celery.beat:PersistentScheduler", "celery.beat.PersistentScheduler"),
    ),
    "beat_schedule_filename": _none(_ONE_SCHEDULER, "celerybeat-schedule"),
    "beat_sync_every": _none(_ONE_SCHEDULER),
    "beat_max_loop_interval": _none("it sleeps until something is due, or changes"),
    "beat_enable_remote_control": _none(_NO_REMOTE_CONTROL),
    "beat_remote_control_max_tick_age": _none(_NO_REMOTE_CONTROL),
    "beat_cron_starting_deadline": _none("say misfire_grace=... of each schedule"),
    # Monitoring and control.
    **{
        f"control_{what}": _none(_NO_REMOTE_CONTROL, True)
        for what in ("queue_ttl", "queue_expires", "queue_exclusive", "queue_durable", "exchange")
    },
    **{
        f"event_{what}": _none(_ONE_STREAM, True)
        for what in (
            *("queue_expires", "queue_ttl", "queue_prefix", "queue_exclusive", "queue_durable"),
            *("serializer", "exchange"),
        )
    },
    # Signatures.
    **{f"security_{what}": _missed(_NO_SIGNING) for what in ("certificate", "cert_store", "key", "key_password")},
    "security_digest": _none(_NO_SIGNING),
    # The broker, but for what its URL can say: see `broker`.
    "broker_transport": _none("the scheme of the broker's URL says it"),
    "broker_read_url": _none("there is one broker"),
    "broker_write_url": _none("there is one broker"),
    **{
        f"broker_{what}": _missed("write all of it as one URL: broker='redis://user:password@host:6379/0'")
        for what in ("host", "port", "user", "password", "vhost")
    },
    "broker_connection_retry": _none("a worker connects again, always", True),
    "broker_connection_max_retries": _none("a worker tries for ever, and send for `send_timeout` seconds"),
    "broker_channel_error_retry": _none("a worker connects again, always", True),
    "broker_failover_strategy": _none("there is one URL; of several servers Redis Sentinel says which it is"),
    "broker_heartbeat": _none("a worker's lease says that it is alive: `visibility_timeout`"),
    "broker_heartbeat_checkrate": _none("a worker's lease says that it is alive: `visibility_timeout`"),
    "broker_login_method": _none("the broker's URL says it"),
    "broker_native_delayed_delivery_queue_type": _none("queues are of one kind", "quorum", "classic"),
    "broker_pool_limit": _none("a process has a few connections, however many tasks it sends or runs"),
    "broker_pool_acquire_timeout": _none("a process has a few connections, and nobody waits for one"),
    # What `reading` and `broker` read another way.
    "broker_url": Meaning("broker"),
    **{
        f"broker_{what}": Meaning(why="it is a part of the broker's URL, app.conf.broker")
        for what in ("transport_options", "use_ssl", "connection_timeout")
    },
    "result_backend": Meaning("backend"),
}
