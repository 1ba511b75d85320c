"""What workers are asked, and what they say: plain data, as it travels."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, TypeVar

import msgspec

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError

T = TypeVar("T")

Destination: TypeAlias = str | Iterable[str]
"""Names of workers, or globs over whole names such as `worker1@*`."""


class Replies(dict[str, T]):
    """What workers have answered, by their names.

    Two that have the same name are told apart: the second is `name (id)`.

    Attributes:
        silent: the names of living workers that were asked and have not answered in time: their event loop is blocked,
            their process stopped or just killed, or the network is in the way. Also names that were asked for and that
            no living worker has.
        errors: what workers answered that do not do what they were told to, by their names.
    """

    def __init__(self) -> None:
        super().__init__()
        self.silent: tuple[str, ...] = ()
        self.errors: dict[str, str] = {}


class HeldTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task in a worker's hands.

    Attributes:
        id: its id.
        name: the task's name.
        queue: where it came from.
        args: its arguments as short text, the hidden ones left out.
        priority: from 0 to 9.
        retries: how often it has been retried.
        deliveries: how often it has been delivered, this time included.
        started: when it began to run; None while it waits for a slot.
        stack: where it is, if that was asked for.
    """

    id: str
    name: str
    queue: str
    args: str = ""
    priority: int = 0
    retries: int = 0
    deliveries: int = 1
    started: datetime | None = None
    stack: str = ""


class ActiveQueue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue that a worker consumes.

    Attributes:
        name: its name.
        weight: its share; None where queues have none.
        concurrency: how many of its tasks the worker runs at once; None is no limit of its own.
    """

    name: str
    weight: int | None = None
    concurrency: int | None = None


class WorkerStats(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker is.

    Attributes:
        id: that of its incarnation, new for each start.
        host, pid: where it runs.
        version: of aioqueue.
        python: of Python.
        started_at: when it started.
        pool: where plain functions run.
        queues: what it consumes.
        concurrency: how many tasks it runs at once.
        prefetch: how many it holds beyond those; None follows the rate at which they end.
        running: how many run.
        reserved: how many wait in it for a slot.
        stuck: how many were told to end, and have not: they run on unheard.
        begun, processed: how many it has started, and how many of them have ended.
        memory: bytes of its process.
    """

    id: str
    host: str
    pid: int
    version: str
    python: str
    started_at: datetime | None
    pool: str
    queues: list[str]
    concurrency: int
    prefetch: int | None
    running: int
    reserved: int
    stuck: int
    begun: int
    processed: int
    memory: int


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A living worker.

    Attributes:
        name: its name.
        id: that of its incarnation, new for each start.
        host, pid: where it runs.
        queues: what it consumes.
        concurrency: how many tasks it runs at once.
        running, reserved, processed: how many run, wait in it for a slot, and have ended; None if it has not answered.
        started_at: when it started.
        lease_left: for how many seconds it may be silent from now, before its tasks go to others.
        version: of aioqueue; "" if it has not answered.
        silent: it was asked, and has not answered in time.
    """

    name: str
    id: str
    host: str
    pid: int
    queues: list[str]
    concurrency: int
    running: int | None = None
    reserved: int | None = None
    processed: int | None = None
    started_at: datetime | None = None
    lease_left: float = 0.0
    version: str = ""
    silent: bool = False


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker does not run, for it was revoked.

    Attributes:
        ids: of tasks that it holds.
        stamps: keys and values of stamps.
    """

    ids: list[str]
    stamps: list[tuple[str, Any]] = []


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks are asked for, and whether they are to say where they are."""

    ids: list[str]
    stack: bool = False


class NewLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Which limits a task is to have, in seconds; None leaves one as it is."""

    task: str
    soft: float | None = None
    hard: float | None = None


def destinations(given: Destination | None) -> tuple[str, ...]:
    """Names and globs as they were given; empty for all workers.

    Raises:
        ConfigurationError: they are none.
    """
    if given is None:
        return ()
    if isinstance(given, str):
        given = (given,)
    names: tuple[Any, ...] = kinds.ARGUMENTS.of("A destination", given)
    if not names:
        raise ConfigurationError("destination=[] names no worker: leave it out to ask all of them. Nobody was asked.")
    return tuple(kinds.NAME.of("Each name of a destination", name) for name in names)


def is_meant(name: str, to: Iterable[str]) -> bool:
    """Whether a worker is among those that are asked."""
    patterns = tuple(to)
    return not patterns or any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def is_glob(pattern: str) -> bool:
    """Whether it may stand for several names."""
    return any(mark in pattern for mark in "*?[")
