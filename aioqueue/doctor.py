"""What may be wrong with an app as it stands: its software, its broker, and who works on its queues."""

from __future__ import annotations

import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Final

from aioqueue import advice
from aioqueue._version import __version__
from aioqueue.brokers.protocol import Broker, Finding, Health, QueueStatus, WorkerStatus
from aioqueue.exceptions import AioQueueError, ConfigurationError
from aioqueue.routing.addressing import known_queues
from aioqueue.wording import counted, few, span

if TYPE_CHECKING:
    from aioqueue.core import Core

_EXTRAS: Final[Mapping[str, str]] = {
    "solar": "solar(...) in schedules",
    "sentry": "the Sentry() middleware",
    "zstd": 'compression="zstd"',
    "reload": "aioqueue worker --reload",
}
"""The optional dependencies that change what users can do, and what that is."""
_REQUIREMENT: Final = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?\s*([^;]*)(?:;\s*(.*))?")
_APART: Final = 1.0
"""Seconds by which clocks may differ without a word."""
_MOST_LETTERS: Final = 1000


async def examine(app: Core) -> list[Finding]:
    """Look an app over, in the order in which a person would; changes nothing.

    Args:
        app: with its tasks imported, if what they need is to be looked at.

    Returns:
        What was found, good and bad. Where the broker cannot be reached there is nothing after that.
    """
    findings = _software()
    try:
        broker = await app.open()
    except ConfigurationError as error:
        return [*findings, Finding("broker", Health.PROBLEM, str(error), "Mend what it says, and ask again.")]
    except AioQueueError as error:
        return [*findings, Finding("broker", Health.PROBLEM, str(error), _where(app))]
    try:
        findings += [_broker(app, broker), _clock(broker), *await broker.examine()]
        looks = {
            "workers": _work(app, broker),
            "dead letters": _letters(app, broker),
            "schedules": _schedules(app, broker),
        }
        for check, look in looks.items():
            try:
                findings += await look
            except AioQueueError as error:  # a key is not what it should be, or this user may not look at it
                findings.append(Finding(check, Health.UNKNOWN, f"It could not be looked at: {error}"))
    finally:
        await app.close()
    return findings


# Software


def _software() -> list[Finding]:
    python = f"aioqueue {__version__} on {platform.python_implementation()} {platform.python_version()}"
    missing: list[str] = []
    extras = dict.fromkeys(_EXTRAS, True)
    for line in requires("aioqueue") or ():
        parts = _REQUIREMENT.fullmatch(line)
        if parts is None or not _applies(marker := parts[3] or ""):
            continue
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        if extra is not None and extra[1] not in extras:
            continue
        if wrong := _wrong_with(parts[1], parts[2]):
            if extra is None:
                missing.append(wrong)
            else:
                extras[extra[1]] = False
    findings = [Finding("software", Health.OK, f"{python}, with all that it needs.")]
    if missing:
        do = "Install aioqueue anew, with its dependencies. Small images may leave some out: see Deployment."
        findings = [Finding("software", Health.WARNING, f"{python}; of what it needs, {few(missing)}.", do)]
    there = [name for name, is_there in extras.items() if is_there]
    rest = [f"{name} (for {_EXTRAS[name]})" for name, is_there in extras.items() if not is_there]
    says = f"Installed: {', '.join(there) or 'none'}." + (f" Not installed: {', '.join(rest)}." if rest else "")
    how = "pip install 'aioqueue[NAME]', if you want one of them." if rest else ""
    return [*findings, Finding("extras", Health.OK, says, how)]


def _applies(marker: str) -> bool:
    """Whether a requirement counts here: as far as ours say, by system and by version."""
    if "sys_platform != 'win32'" in marker.replace('"', "'") and sys.platform == "win32":
        return False
    until = re.search(r"python_version < ['\"](\d+)\.(\d+)['\"]", marker)
    return until is None or sys.version_info < (int(until[1]), int(until[2]))


def _wrong_with(package: str, wanted: str) -> str:
    """Why a package does not do; "" if it does."""
    try:
        found = version(package)
    except PackageNotFoundError:
        return f"{package} is missing"
    least = re.search(r">=\s*([\d.]+)", wanted)
    if least is not None and _numbers(found) < _numbers(least[1]):
        return f"{package} is {found}, and {least[1]} is the oldest that does"
    return ""


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


# The broker


def _where(app: Core) -> str:
    if app.conf.broker:
        return "Is it running, reachable from here, and is the URL right? It is the setting broker, or AIOQUEUE_BROKER."
    return "The app has no broker's URL, and its private server does not start: set AIOQUEUE_BROKER, or broker=."


def _broker(app: Core, broker: Broker) -> Finding:
    says = f"{broker.version or 'It'} answers: {broker.description}, namespace {app.namespace!r}."
    if not broker.capabilities.shared:
        advice = "Set AIOQUEUE_BROKER, if workers in other processes are to run what is sent."
        return Finding("broker", Health.WARNING, f"{says} No other process sees what is in it.", advice)
    return Finding("broker", Health.OK, says)


def _clock(broker: Broker) -> Finding:
    apart = broker.now() / 1000 - time.time()
    if abs(apart) <= _APART:
        return Finding("clock", Health.OK, f"This machine and the broker are {abs(apart) * 1000:.0f} ms apart.")
    return Finding(
        "clock",
        Health.WARNING,
        f"This machine is {span(abs(apart))} {'behind' if apart > 0 else 'ahead of'} the broker, whose clock decides.",
        "Let NTP set both. Until then an eta that your code computes from datetime.now() comes off by that much.",
    )


# Who works


async def _work(app: Core, broker: Broker) -> list[Finding]:
    workers, queues = await broker.workers(), await broker.queues()
    return [*_workers(app, workers, queues), *_queues(app, workers, queues)]


def _workers(app: Core, workers: Sequence[WorkerStatus], queues: Sequence[QueueStatus]) -> list[Finding]:
    broken = [worker for worker in workers if worker.problem]
    findings = [Finding("workers", Health.PROBLEM, f"{worker.id}: {worker.problem}.") for worker in broken]
    if workers:
        names = few(sorted(worker.name for worker in workers))
        return [*findings, Finding("workers", Health.OK, f"{counted(len(workers), 'worker')} alive: {names}.")]
    waiting = sum(queue.waiting + queue.delayed for queue in queues)
    left = f", and {counted(waiting, 'task')} {'waits' if waiting == 1 else 'wait'}" if waiting else ""
    health = Health.PROBLEM if waiting else Health.WARNING
    return [Finding("workers", health, f"No worker is alive{left}.", f"Start one: {advice.command(app, 'worker')}")]


def _queues(app: Core, workers: Sequence[WorkerStatus], queues: Sequence[QueueStatus]) -> list[Finding]:
    consumers = Counter(name for worker in workers for name in set(worker.queues))
    findings = [
        Finding("queues", Health.PROBLEM, f"{queue.name}: {queue.problem}.", "Mend or remove that key by hand.")
        for queue in queues
        if queue.problem
    ]
    left = {queue.name: queue.waiting + queue.delayed for queue in queues if queue.waiting + queue.delayed}
    said = {queue.name for queue in app.conf.task_queues}
    used = {name for task in app.tasks.values() for name in known_queues(app, task)}
    for name in sorted({*left, *said, *used}):
        if consumers[name]:
            continue
        start = f"Start a worker for it: {advice.command(app, 'worker', '-Q', name)}"
        if count := left.get(name, 0):
            says = f"No worker consumes {name!r}, where {counted(count, 'task')} {'waits' if count == 1 else 'wait'}."
            findings.append(Finding("queues", Health.PROBLEM, says, start))
        elif workers:  # without any that is said already
            says = f"No worker consumes {name!r}, where tasks of this app go."
            findings.append(Finding("queues", Health.WARNING, says, start))
    if findings or not workers:
        return findings
    return [Finding("queues", Health.OK, "Each queue has a worker that consumes it.")]


async def _letters(app: Core, broker: Broker) -> list[Finding]:
    count = len(await broker.dead_letters(limit=_MOST_LETTERS))
    if not count:
        return [Finding("dead letters", Health.OK, "There are none.")]
    many = f"{count} or more" if count == _MOST_LETTERS else str(count)
    says = f"There {'is' if count == 1 else 'are'} {many}: tasks that did not come to a good end."
    return [Finding("dead letters", Health.WARNING, says, f"Look at them: {advice.command(app, 'dead', 'list')}")]


async def _schedules(app: Core, broker: Broker) -> list[Finding]:
    if not broker.capabilities.schedules:
        return []
    count = sum(not schedule.paused for schedule in await broker.schedules())
    declared = len(app.declared.of(app)) if app.declared is not None else 0
    if await broker.schedulers():
        return [Finding("schedules", Health.OK, f"A scheduler is alive, for {counted(count, 'schedule')}.")]
    if not count and not declared and not app.conf.beat_schedule:
        return []
    says = "There are schedules, and no scheduler is alive: nothing fires."
    do = f"{advice.command(app, 'beat')}, or --beat for some workers."
    return [Finding("schedules", Health.PROBLEM, says, do)]
