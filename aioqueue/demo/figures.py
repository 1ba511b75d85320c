"""The figures of a run, while it goes on and at its end."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Percentiles(msgspec.Struct, frozen=True):
    """In seconds."""

    p50: float
    p95: float
    p99: float


def percentiles(seconds: Iterable[float]) -> Percentiles | None:
    """Of measured times; None when there are none."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    return Percentiles(*(ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95, 0.99)))


class WorkerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process.

    Attributes:
        name, pid: which one.
        runs: how many runs it has ended.
        running: how many it is in the middle of.
        end: how it ended: "killed", "stopped" or "failed"; "" while it works.
        exit_code: as Python says it: negative for a signal.
    """

    name: str
    pid: int
    runs: int
    running: int
    end: str = ""
    exit_code: int | None = None


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """A run while it goes on.

    Attributes:
        seconds: since the first task was sent.
        total: how many tasks there will be.
        sent: how many have been sent.
        ended: how many have an end in the queue's records.
        failed: how many of these ends are failures.
        recovered: how many were taken over from a killed worker, and ran.
        rate: ends per second, lately.
        wait: from sending a task to its first run.
        run: how long the runs took.
        workers: the processes.
    """

    seconds: float
    total: int
    sent: int
    ended: int
    failed: int
    recovered: int
    rate: float
    wait: Percentiles | None
    run: Percentiles | None
    workers: list[WorkerFigures]


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """The SIGKILL.

    Attributes:
        worker, pid: who got it.
        after: seconds after the first task was sent.
        ended: how many tasks had ended by then.
        running: how many the worker was in the middle of.
        recovered_after: seconds until the last of the tasks that it held had run elsewhere; None if it held none.
    """

    worker: str
    pid: int
    after: float
    ended: int
    running: int
    recovered_after: float | None = None


class FailedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A task that failed.

    Attributes:
        file: below the folder.
        error: the exception.
        retries: how often it was tried again.
        dead: it lies among the dead letters, from where it can be sent again.
    """

    file: str
    error: str
    retries: int
    dead: bool


class LanguageFigures(msgspec.Struct, frozen=True):
    """What the tasks found out about the files of one language."""

    files: int
    lines: int
    bytes: int
    longest_line: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run; printed by `--json`.

    Attributes:
        ok: nothing was lost, and nothing ran twice without a killed worker for a reason.
        version, python: of this program.
        broker: what and where.
        broker_started_in: seconds; None if it ran already.
        folder, texts_found: which files there were.
        files: how many were chosen, and sent as a task each.
        not_text: how many of them are binary files, on purpose.
        succeeded, failed: the ends in the queue's records.
        lost: tasks without an end.
        lost_files: theirs, below the folder.
        recovered: tasks that a killed worker held, and that ran elsewhere.
        twice: tasks whose body ran more often than their retries say.
        twice_unexplained: those of them of which no run was in a killed worker.
        retried: runs that were retries.
        seconds: from the first task's sending to the last end.
        sent_in: seconds that the sending took.
        rate: ends per second until the kill, or until all was done.
        rate_after_kill: the same for the workers that were left, without the wait for the lease of the killed one.
        wait: from sending a task, among all the others, to its first run.
        run: how long the runs took.
        alone: from sending to having the result, of `alone_count` tasks that were sent one at a time beforehand.
        kill: who was killed when; None if nobody was.
        kill_wanted: somebody was to be killed.
        workers: the processes.
        failures: what failed.
        languages: what the tasks found out.
        total: seconds of everything, from starting the broker to its end.
        left_running: what could not be stopped.
        server: whether the embedded server has "stopped", or "stays" as others use it; "" for another broker.
    """

    ok: bool
    version: str
    python: str
    broker: str
    broker_started_in: float | None
    folder: str
    texts_found: int
    files: int
    not_text: int
    succeeded: int
    failed: int
    lost: int
    lost_files: list[str]
    recovered: int
    twice: int
    twice_unexplained: int
    retried: int
    seconds: float
    sent_in: float
    rate: float
    rate_after_kill: float | None
    wait: Percentiles | None
    run: Percentiles | None
    alone: Percentiles | None
    alone_count: int
    kill: Kill | None
    kill_wanted: bool
    workers: list[WorkerFigures]
    failures: list[FailedFile]
    languages: dict[str, LanguageFigures]
    total: float = 0.0
    left_running: list[str] = []
    server: str = ""
