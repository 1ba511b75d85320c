"""The options of tasks and of their calls: what they take, and where each can be said."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, TypedDict

from aioqueue import kinds, other_words
from aioqueue.around.layer import LAYERS, Layer
from aioqueue.exceptions import ConfigurationError, MaxRetriesExceeded, Retry, suggest
from aioqueue.kinds import Kind, Seconds
from aioqueue.payload.compression import ALIASES, COMPRESSIONS, missing
from aioqueue.payload.serializers import PICKLE, read_serializer
from aioqueue.payload.signature import ArgumentsError, Parameters
from aioqueue.workflow import node_of

NOTHING_SENT: Final = " Nothing was sent."

Pool = Literal["thread", "process"]


class TaskOptions(TypedDict, total=False):
    """What `@app.task(...)` takes beside `bind` and `base`. Where it takes seconds, a timedelta does as well.

    Attributes:
        name: how the task is called in messages; by default `module.function`.
        queue: where it waits.
        routing_key: finds its queues by their topics, instead.
        priority: from 0 to 9, higher runs first.
        max_retries: None is no limit.
        default_retry_delay: seconds between retries without a backoff.
        autoretry_for: exceptions that are retried without being asked.
        dont_autoretry_for: exceptions among those that are not.
        retry_backoff: True for 1, 2, 4, … seconds, a number for multiples of it, False for `default_retry_delay`.
        retry_backoff_max: seconds; the longest backoff.
        retry_jitter: draw each backoff between 0 and its full length.
        retry_kwargs: of retries without being asked, in place of the above: `max_retries`, `countdown` (where there is
            no backoff), `eta`.
        soft_time_limit: seconds, after which `SoftTimeLimitExceeded` is raised inside the task.
        time_limit: seconds, after which it is ended.
        acks_late: acknowledge at the end (at least once) or before the start (at most once).
        ignore_result: keep no result.
        store_errors_even_if_ignored: but keep failures.
        dead_letters_on_failure: keep each failed call among the dead letters, also one that was never retried.
        track_started: record when it starts.
        expires: seconds after sending within which it must start.
        serializer: "msgpack", "json", or one that was registered.
        compression: "zlib", "gzip", "bz2", "lzma" or "zstd".
        middleware: what stands around its sends and its runs, inside the middlewares of the app.
        pool: where a plain function runs: "thread", or "process" for what computes.
        retry_on_worker_lost: retry it when the process of a pool that ran it has died.
    """

    name: str | None
    queue: str | None
    routing_key: str | None
    priority: int | None
    max_retries: int | None
    default_retry_delay: Seconds | None
    autoretry_for: type[BaseException] | Iterable[type[BaseException]]
    dont_autoretry_for: type[BaseException] | Iterable[type[BaseException]]
    retry_backoff: bool | Seconds
    retry_backoff_max: Seconds
    retry_jitter: bool
    retry_kwargs: Mapping[str, Any] | None
    soft_time_limit: Seconds | None
    time_limit: Seconds | None
    acks_late: bool | None
    ignore_result: bool | None
    store_errors_even_if_ignored: bool | None
    dead_letters_on_failure: bool | None
    track_started: bool | None
    expires: Seconds | None
    serializer: str | None
    compression: str | None
    middleware: Iterable[Layer]
    pool: Pool | None
    retry_on_worker_lost: bool


class RouteOptions(TypedDict, total=False):
    """What a route of `task_routes` can say of a sending; see `SendOptions`."""

    queue: str | None
    routing_key: str | None
    priority: int | None
    countdown: Seconds | None
    eta: datetime | None
    expires: Seconds | datetime | None
    headers: Mapping[str, Any] | None
    stamps: Mapping[str, Any] | None
    max_retries: int | None
    soft_time_limit: Seconds | None
    time_limit: Seconds | None
    ignore_result: bool | None
    serializer: str | None
    compression: str | None


class SendOptions(RouteOptions, total=False):
    """Options of one sending; None is the same as leaving one out.

    Attributes:
        queue: its name.
        routing_key: finds its queues by their topics (`task_queues`): one message for each, of which the first has the
            id, and the others are tasks of their own. Beside a `queue` it is data for whoever reads it.
        priority: from 0 to 9, higher runs first.
        countdown: seconds to wait before it may run. Here and below a timedelta does as well.
        eta: when it may run; a naive datetime is UTC.
        expires: seconds from now, or when: not to run later.
        task_id: the id, instead of a new one. As long as a task of that id waits or runs, the same call is that task,
            and another one is `DuplicateTask`; after its end the id is free.
        headers: values that travel along, of the types that need no annotation, read as `ctx.headers`.
        stamps: the same, inherited by everything that comes of the task, read as `ctx.stamps`.
        max_retries: in place of the task's own; None here is the task's own, not "for ever".
        soft_time_limit: seconds.
        time_limit: seconds.
        ignore_result: keep no result.
        serializer: "msgpack", "json", or one that was registered.
        compression: "zlib", "gzip", "bz2", "lzma" or "zstd".
        link: a canvas, or several, to call with the result when the task has ended well.
        link_error: a task, or several, to call with the `TaskFailure` when it has failed.
    """

    task_id: str | None
    link: Any
    link_error: Any


def advised(error: ArgumentsError, task: str, parameters: Parameters, kwargs: Mapping[str, Any]) -> ArgumentsError:
    """An error of a call that does not fit; of one that has options of the sending among its arguments, with where they
    go."""
    wrong = [name for name in kwargs if name in OF_CALLS and name not in parameters.signature.parameters]
    if not wrong:
        return error
    short, given = task.rpartition(".")[2], ", ".join(f"{name}=..." for name in wrong)
    return ArgumentsError(
        f"{error}. {' and '.join(wrong)}: options of the sending go before it, {short}.options({given}).send(...)"
    )


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are set, each of the right kind.

    Raises:
        ConfigurationError: an unknown option, or a value that it cannot have.
    """
    found: dict[str, Any] = {}
    for name, value in options.items():
        if (kind := OF_CALLS.get(name)) is None:
            if name in other_words.OF_CALLS and (value is None or (name == "retry" and value is True)):
                continue  # it says what is done anyway
            hint = other_words.instead(other_words.OF_CALLS, name) or suggest(name, OF_CALLS)
            raise ConfigurationError(f"There is no option {name!r} for sending a task.{hint} Nothing was sent.")
        if value is not None:
            found[name] = kind.of(f"The option {name}", value, NOTHING_SENT)
    if "countdown" in found and "eta" in found:
        raise ConfigurationError("Give a countdown or an eta, not both. Nothing was sent.")
    check_limits(found.get("soft_time_limit"), found.get("time_limit"), NOTHING_SENT)
    return found


def check_limits(soft: float | None, hard: float | None, after: str = "") -> None:
    """A soft limit that comes after the hard one never comes.

    Raises:
        ConfigurationError: it would.
    """
    if soft is not None and hard is not None and soft > hard:
        raise ConfigurationError(
            f"soft_time_limit={soft:g} is above time_limit={hard:g}: it would never be reached. Give the soft limit "
            f"fewer seconds than the hard one.{after}"
        )


def check_pickle(serializer: str, accept: Collection[str] | None, after: str) -> None:
    """Pickle is used by those only that say so.

    Raises:
        ConfigurationError: this is not said.
    """
    if serializer == PICKLE and PICKLE not in (accept or ()):
        raise ConfigurationError(
            "serializer='pickle' needs accept_content=[..., 'pickle'], also where tasks are sent: whoever can write to "
            f"the broker can run code in every process that accepts it.{after}"
        )


def check_accepted(serializer: str, accept: Collection[str] | None, task: str = "", after: str = "") -> None:
    """What an app reads, as it says itself, has to be what it sends.

    Args:
        serializer: in which it is sent.
        accept: `accept_content`.
        task: the task that says so; "" for the setting `task_serializer`.
        after: what became of it, as a sentence.

    Raises:
        ConfigurationError: it is not.
    """
    check_pickle(serializer, accept, f" So says the task {task}.{after}" if task else after)
    if accept is not None and serializer not in accept:
        said = f"serializer={serializer!r} of the task {task}" if task else f"task_serializer={serializer!r}"
        word = "serializer" if task else "task_serializer"
        raise ConfigurationError(
            f"{said}, and accept_content={list(accept)!r} has no {serializer!r}: what is sent would not be read. Set "
            f"{word}={next(iter(accept), 'msgpack')!r}, or accept_content={[*accept, serializer]!r}; settings that go "
            f"together are set at once, as by app.conf.update(...).{after}"
        )


def checked_retry(asked: Retry) -> Retry:
    """What `ctx.retry` gives, with its values as they are used.

    Raises:
        ConfigurationError: a value that one of them cannot have.
    """
    for name, kind in _RETRYING.items():
        setattr(asked, name, kind.of(f"The option {name.removeprefix('new_')} of ctx.retry()", getattr(asked, name)))
    return asked


def retry_refused(
    name: str, id: str, *, retries: int, limit: int | None, cause: BaseException | None
) -> BaseException | None:
    """What a task ends with whose retries are used up; None: it may be run again.

    Args:
        name, id: the task's.
        retries: how often it was retried.
        limit: how often it may be; None is without end.
        cause: what went wrong, if it is known.
    """
    if limit is None or retries < limit:
        return None
    return cause or MaxRetriesExceeded(f"{name}[{id}] was retried {limit} times, its limit.")


def arguments(args: Iterable[Any] | None, kwargs: Mapping[str, Any] | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call that are given as such.

    Raises:
        ConfigurationError: they are something else.
    """
    given = kinds.ARGUMENTS.of("What is given as args", () if args is None else args, NOTHING_SENT)
    return given, dict(kinds.MAPPING.of("What is given as kwargs", {} if kwargs is None else kwargs, NOTHING_SENT))


_TWO_WORDS: Final = {"countdown": "eta", "eta": "countdown", "queue": "routing_key", "routing_key": "queue"}
"""Two words for the same thing."""


def over(before: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """`before`, and over it what is said later. Of two words for one thing (countdown, eta) the later counts."""
    dropped = {_TWO_WORDS[name] for name in later if name in _TWO_WORDS}
    return {**{name: value for name, value in before.items() if name not in dropped}, **later}


def overlaid(before: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """`before`, and over it the options that are set, checked."""
    return over(before, checked(options))


def milliseconds(moment: datetime) -> int:
    """A datetime as ms since the epoch; a naive one is UTC, and one before the epoch is as good as that."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, int(moment.timestamp() * 1000))


def moment(milliseconds: int | None) -> datetime | None:
    """The reverse: an aware datetime in UTC; None where there is none, or it is beyond all that a datetime can say."""
    try:
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _own_id(value: Any) -> str:
    if node_of(kinds.NAME.read(value)) is not None:
        raise ValueError("it looks like one that a canvas gives to its tasks")
    return value


class Option(NamedTuple):
    """What is declared of an option. Its static types, and what it is for, are in `TaskOptions` and `SendOptions`; what
    it is when nobody says it, unless there is a setting, is the attribute of `Task`.

    Attributes:
        task: what `@app.task(...)` takes; None: it is no option of tasks.
        call: what a call takes, where None is the same as leaving it out; None: it is no option of calls.
        setting: what is in force when neither says it.
        travels: what a call says goes into the message's field of that name, as it is.
    """

    task: Kind | None = None
    call: Kind | None = None
    setting: str | None = None
    travels: bool = False


_RETRYING: Final[dict[str, Kind]] = {
    "exc": kinds.EXCEPTION.or_none(),
    "countdown": kinds.DELAY.or_none(),
    "eta": kinds.MOMENT.or_none(),
    "max_retries": kinds.COUNT.or_none(),
    "new_args": kinds.ARGUMENTS.or_none(),
    "new_kwargs": kinds.MAPPING.or_none(),
    "queue": kinds.NAME.or_none(),
}
_OF_ITSELF: Final = ("countdown", "eta", "max_retries")


def _retry_kwargs(value: Any) -> dict[str, Any]:
    found = dict(kinds.MAPPING.read(value))
    if unknown := [name for name in found if name not in _OF_ITSELF]:
        raise ValueError(f"it has {unknown[0]!r}{suggest(unknown[0], _OF_ITSELF)}")
    return {name: _RETRYING[name].of(f"The {name} of retry_kwargs", one) for name, one in found.items()}


_FLAG: Final = kinds.FLAG.or_none()
_LIMIT: Final = kinds.LIMIT.or_none()
SERIALIZER: Final = Kind("the name of a serializer, such as 'msgpack' or 'json'", read_serializer)


def _compression(value: Any) -> str:
    name = _COMPRESSIONS.read(ALIASES.get(value, value) if isinstance(value, str) else value)
    if (why := missing(name)) is not None:
        raise kinds.NotHere(why)
    return name


_COMPRESSIONS: Final = kinds.one_of(COMPRESSIONS)
COMPRESSION: Final = Kind(_COMPRESSIONS.takes, _compression)

OPTIONS: Final[dict[str, Option]] = {
    # Where it waits, and for how long.
    "queue": Option(kinds.NAME.or_none(), kinds.NAME, "task_default_queue"),
    "routing_key": Option(kinds.TEXT.or_none(), kinds.TEXT, travels=True),
    "priority": Option(kinds.PRIORITY.or_none(), kinds.PRIORITY, "task_default_priority"),
    "countdown": Option(call=kinds.SECONDS),
    "eta": Option(call=kinds.MOMENT),
    "expires": Option(_LIMIT, kinds.UNTIL),
    # What it is called, and what travels along.
    "task_id": Option(call=Kind(kinds.NAME.takes, _own_id)),
    "headers": Option(call=kinds.MAPPING),
    "stamps": Option(call=kinds.MAPPING),
    "serializer": Option(SERIALIZER.or_none(), SERIALIZER, "task_serializer"),
    "compression": Option(COMPRESSION.or_none(), COMPRESSION, "task_compression"),
    # How it is run.
    "pool": Option(kinds.one_of(("thread", "process")).or_none()),
    "acks_late": Option(_FLAG, setting="task_acks_late"),
    "track_started": Option(_FLAG, setting="task_track_started"),
    "middleware": Option(LAYERS),
    "soft_time_limit": Option(_LIMIT, kinds.LIMIT, "task_soft_time_limit", travels=True),
    "time_limit": Option(_LIMIT, kinds.LIMIT, "task_time_limit", travels=True),
    # When it is run again.
    "max_retries": Option(kinds.COUNT.or_none(), kinds.COUNT, "task_max_retries", travels=True),
    "default_retry_delay": Option(kinds.SECONDS.or_none(), setting="task_default_retry_delay"),
    "autoretry_for": Option(kinds.EXCEPTIONS),
    "dont_autoretry_for": Option(kinds.EXCEPTIONS),
    "retry_backoff": Option(kinds.BACKOFF),
    "retry_backoff_max": Option(kinds.LIMIT),
    "retry_jitter": Option(kinds.FLAG),
    "retry_on_worker_lost": Option(kinds.FLAG),
    "retry_kwargs": Option(
        Kind("a dict of what ctx.retry() takes: max_retries, countdown, eta", _retry_kwargs).or_none()
    ),
    # What is kept of its end, and what is called then.
    "ignore_result": Option(_FLAG, kinds.FLAG, "task_ignore_result", travels=True),
    "store_errors_even_if_ignored": Option(_FLAG, setting="task_store_errors_even_if_ignored"),
    "dead_letters_on_failure": Option(_FLAG, setting="task_dead_letters_on_failure"),
    "link": Option(call=kinds.ANYTHING),
    "link_error": Option(call=kinds.ANYTHING),
}
OF_TASKS: Final[dict[str, Kind]] = {name: option.task for name, option in OPTIONS.items() if option.task}
OF_CALLS: Final[dict[str, Kind]] = {name: option.call for name, option in OPTIONS.items() if option.call}
TRAVELLING: Final = tuple(name for name, option in OPTIONS.items() if option.travels)
