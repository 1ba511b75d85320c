"""What can be said about one sending of a task: on a call, on a signature, as a task's own default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypedDict, cast, get_type_hints

from aioqueue.exceptions import ConfigurationError, PayloadError, suggest


class SendOptions(TypedDict, total=False):
    """Options of one sending; None is the same as leaving one out.

    Attributes:
        queue: its name.
        routing_key: data for whoever reads it; of no effect.
        priority: from 0 to 9, higher runs first.
        countdown: seconds to wait before it may run.
        eta: when it may run; a naive datetime is UTC.
        expires: seconds from now, or when: not to run later.
        task_id: the id, instead of a new one. Sent again within a minute, while the task waits or runs, it is one task.
        headers: plain data that travel along, read as `ctx.headers`.
        stamps: the same, inherited by everything that comes of the task.
        max_retries: in place of the task's own; None here is the task's own, not "for ever".
        soft_time_limit: seconds.
        time_limit: seconds.
        ignore_result: keep no result.
        serializer: "msgpack" or "json".
        compression: "zlib" or "zstd".
        link: a canvas, or several, to call with the result when the task has ended well.
        link_error: a task, or several, to call with the `TaskFailure` when it has failed.
    """

    queue: str | None
    routing_key: str | None
    priority: int | None
    countdown: float | None
    eta: datetime | None
    expires: float | datetime | None
    task_id: str | None
    headers: Mapping[str, Any] | None
    stamps: Mapping[str, Any] | None
    max_retries: int | None
    soft_time_limit: float | None
    time_limit: float | None
    ignore_result: bool | None
    serializer: str | None
    compression: str | None
    link: Any
    link_error: Any


_KNOWN = frozenset(get_type_hints(SendOptions))


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are set, each of the right kind.

    Raises:
        ConfigurationError: an unknown option, or a value that it cannot have.
    """
    found: dict[str, Any] = {}
    for name, value in options.items():
        if name not in _KNOWN:
            raise ConfigurationError(f"There is no option {name!r} for sending a task.{suggest(name, _KNOWN)}")
        if value is None:
            continue
        if (check := _CHECKS.get(name)) is not None:
            value = check(name, value)
        found[name] = value
    if "countdown" in found and "eta" in found:
        raise ConfigurationError("Give a countdown or an eta, not both. Nothing was sent.")
    return found


def overlaid(before: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """`before`, and over it the options that are set, checked. Of a countdown and an eta the later word counts."""
    found = checked(options)
    replaced = {"countdown": "eta", "eta": "countdown"}
    dropped = {replaced[name] for name in found if name in replaced}
    return {**{name: value for name, value in before.items() if name not in dropped}, **found}


def milliseconds(moment: datetime) -> int:
    """A datetime as ms since the epoch; a naive one is UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def moment(milliseconds: int | None) -> datetime | None:
    """The reverse: an aware datetime in UTC."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def check_name(kind: str, name: Any) -> str:
    """`name` of a queue or an id of a task: 1 to 255 printable characters without spaces.

    Raises:
        PayloadError: it is not.
    """
    if isinstance(name, str) and 0 < len(name) <= 255 and name.isprintable() and " " not in name:
        return name
    shown = repr(name) if len(repr(name)) < 80 else repr(name)[:80] + "…"
    raise PayloadError(
        f"{shown} cannot be the {kind}: it takes 1 to 255 printable characters without spaces. Nothing was sent."
    )


def _priority(name: str, value: Any) -> int:
    if isinstance(value, int) and 0 <= value <= 9:
        return value
    raise ConfigurationError(
        f"A priority is a whole number from 0 to 9 (9 runs first), not {value!r}. Nothing was sent."
    )


def check_seconds(name: str, value: Any) -> float:
    """A number of seconds, of either sign, that can be waited for."""
    if isinstance(value, int | float) and not isinstance(value, bool) and -1e11 < value < 1e11:
        return value
    raise ConfigurationError(f"The option {name} is a number of seconds, not {value!r}.")


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11:
        return value
    raise ConfigurationError(f"The option {name} is a number of seconds from 0 on, not {value!r}. Nothing was sent.")


def _seconds_or_moment(name: str, value: Any) -> float | datetime:
    return value if isinstance(value, datetime) else _seconds(name, value)


def _datetime(name: str, value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    raise ConfigurationError(f"The option {name} is a datetime, not {value!r}. Nothing was sent.")


def _limit(name: str, value: Any) -> float:
    if _seconds(name, value) > 0:
        return value
    raise ConfigurationError(f"The option {name} must be more than 0 seconds. Nothing was sent.")


def _retries(name: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ConfigurationError(f"max_retries is a whole number from 0 on, not {value!r}. Nothing was sent.")


def _queue(name: str, value: Any) -> str:
    return check_name("name of a queue", value)


def _task_id(name: str, value: Any) -> str:
    return check_name("id of a task", value)


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    raise ConfigurationError(f"The option {name} is a dict, not {value!r}. Nothing was sent.")


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ConfigurationError(f"The option {name} is text, not {value!r}. Nothing was sent.")


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ConfigurationError(f"The option {name} is True or False, not {value!r}. Nothing was sent.")


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "headers": _mapping,
    "stamps": _mapping,
    "routing_key": _text,
    "ignore_result": _flag,
    "queue": _queue,
    "task_id": _task_id,
    "priority": _priority,
    "countdown": _seconds,
    "eta": _datetime,
    "expires": _seconds_or_moment,
    "max_retries": _retries,
    "soft_time_limit": _limit,
    "time_limit": _limit,
}
