"""What a worker says of itself when it is asked."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from aioqueue._version import __version__
from aioqueue.arguments import arguments_text, calls_text, hidden_words
from aioqueue.options import moment
from aioqueue.payload.json_form import json_form
from aioqueue.questions import ActiveQueue, Found, HeldTask, Revoked, WorkerStats
from aioqueue.worker.memory import resident_memory
from aioqueue.worker.run import Run
from aioqueue.worker.runner import Runner
from aioqueue.worker.stacks import stack_of

if TYPE_CHECKING:
    from aioqueue.worker.worker import Worker

# Of the tasks in its hands, so many are listed.
_MOST = 1000


def _ping(worker: Worker, runner: Runner, _: None) -> str:
    return "pong"


def _active(worker: Worker, runner: Runner, _: None) -> list[HeldTask]:
    return _held(worker, sorted(runner.running, key=lambda run: run.started))


def _reserved(worker: Worker, runner: Runner, _: None) -> list[HeldTask]:
    return _held(worker, runner.ready_runs())


def _query_task(worker: Worker, runner: Runner, found: Found) -> dict[str, HeldTask]:
    wanted = set(found.ids)
    runs = [run for run in (*runner.running, *runner.ready_runs()) if run.delivery.id in wanted]
    held = {task.id: task for task in _held(worker, runs)}
    if found.stack:
        for run in runs:
            if run.started and run.delivery.id in held:
                held[run.delivery.id] = replace(held[run.delivery.id], stack=stack_of(run))
    return held


def _registered(worker: Worker, runner: Runner, _: None) -> list[str]:
    return sorted(worker.app.tasks)


def _active_queues(worker: Worker, runner: Runner, _: None) -> list[ActiveQueue]:
    weights, limits = worker.consuming.weights or {}, worker.consuming.said("concurrency")
    return [ActiveQueue(name=one, weight=weights.get(one), concurrency=limits.get(one)) for one in worker.queues]


def _conf(worker: Worker, runner: Runner, _: None) -> dict[str, Any]:
    conf = worker.app.conf
    defaults = dict(type(conf)().__rich_repr__())
    changed = {name: value for name, value in conf.__rich_repr__() if value != defaults[name]}
    return json_form({name: "***" if _is_secret(name) else value for name, value in changed.items()})


def _stats(worker: Worker, runner: Runner, _: None) -> WorkerStats:
    status = worker.incarnation.status if worker.incarnation is not None else None
    return WorkerStats(
        id=worker.id,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=__version__,
        python=platform.python_version(),
        started_at=moment(status.started) if status is not None else None,
        pool=worker.pool,
        queues=worker.queues,
        concurrency=worker.concurrency,
        prefetch=worker.prefetch,
        running=len(runner.running),
        reserved=runner.waiting,
        stuck=len(runner.stuck),
        begun=runner.started_count,
        processed=runner.ended_count,
        memory=resident_memory(),
    )


def _revoked(worker: Worker, runner: Runner, _: None) -> Revoked:
    ids = [run.delivery.id for run in runner.ready_runs() if run.delivery.revoked]
    return Revoked(ids=ids[:_MOST], stamps=json_form(runner.revocations.stamps.known()[:_MOST]))


def _held(worker: Worker, runs: Iterable[Run]) -> list[HeldTask]:
    hidden = hidden_words(worker.app.conf.hidden_arguments)
    return [_task(run, hidden) for run in list(runs)[:_MOST]]


def _task(run: Run, hidden: frozenset[str]) -> HeldTask:
    delivery, message = run.delivery, run.message
    names = run.task.parameters.positional_names
    shown = ""
    if message.spread is not None and run.args:
        shown = calls_text(run.args[0], run.kwargs, names, hidden)
    elif run.args or run.kwargs:
        shown = arguments_text(run.args, run.kwargs, names, hidden)
    return HeldTask(
        id=delivery.id,
        name=message.task,
        queue=delivery.queue,
        args=shown,
        priority=message.priority,
        retries=message.retries,
        deliveries=delivery.deliveries,
        started=moment(run.started or None),
    )


def _is_secret(name: str) -> bool:
    return any(word in name for word in ("key", "password", "secret", "token"))


LOOKS: Mapping[str, tuple[Any, Callable[[Worker, Runner, Any], Any]]] = {
    "ping": (None, _ping),
    "active": (None, _active),
    "reserved": (None, _reserved),
    "query_task": (Found, _query_task),
    "registered": (None, _registered),
    "active_queues": (None, _active_queues),
    "conf": (None, _conf),
    "stats": (None, _stats),
    "revoked": (None, _revoked),
}
"""What can be asked: the type of what is said with it, and who answers."""
