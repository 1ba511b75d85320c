"""The names of Celery's settings: `broker_url`, `BROKER_URL`, `CELERY_BROKER_URL`, `CELERYD_CONCURRENCY`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from aioqueue.celery.meanings import MEANINGS

# Old names of which the rest after the prefix is none of the new ones, with or without a family's name before it.
_OLD: Final = {
    "celery_disable_rate_limits": "worker_disable_rate_limits",
    "celery_eager_propagates_exceptions": "task_eager_propagates",
    "celery_max_cached_results": "result_cache_max",
    "celery_message_compression": "task_compression",
    "celery_result_dburi": "database_url",
    "celery_result_db_short_lived_sessions": "database_short_lived_sessions",
    "celery_result_db_tablenames": "database_table_names",
    "celery_result_engine_options": "database_engine_options",
    "celery_send_events": "worker_send_task_events",
    "celery_send_task_sent_event": "task_send_sent_event",
    "celery_task_result_expires": "result_expires",
}
# Each prefix, and what may stand in its place; the whole name counts first.
_PREFIXES: Final = (
    ("celeryd_", ("worker_", "", "task_")),
    ("celerybeat_", ("beat_",)),
    ("celery_", ("", "task_", "worker_")),
)


def canonical(name: str, ours: Collection[str]) -> str | None:
    """The setting that a name is a spelling of, in small letters: one of `ours`, else one of Celery's, else None.

    Args:
        name: as it was given.
        ours: the settings of this package, which come first where both have one.
    """
    small = name.lower()
    if _is_known(small, ours):
        return small
    if (old := _OLD.get(small)) is not None:
        return old
    for prefix, families in _PREFIXES:
        if small.startswith(prefix):
            rest = small.removeprefix(prefix)
            found = (family + rest for family in families if _is_known(family + rest, ours))
            return next(found, _OLD.get(f"celery_{rest}"))
    return None


def in_namespace(name: str, ours: Collection[str]) -> str | None:
    """The same, of what is left of a name whose `CELERY_` has been taken off."""
    return canonical(name, ours) or canonical(f"celery_{name}", ours)


def _is_known(name: str, ours: Collection[str]) -> bool:
    return name in ours or name in MEANINGS
