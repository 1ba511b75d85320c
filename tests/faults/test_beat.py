"""Schedulers that are killed, frozen, cut off and stopped: another takes over, and each due time fires once (D7)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.command import COMMAND, environment_without

from aioqueue import every

from .arena import SLACK, Arena, states, until
from .due_times import KEPT, STALE, TAKE_OVER, DueTimes
from .proxy import Loss, Proxy
from .workers import ChildProcess

_ENDLESS = {"aioqueue.beat.scheduler.LEASE": 600_000}
"""Leases of schedulers do not end while a test runs."""

_AT_ONCE = every(0.1, anchor=datetime(2026, 1, 1, tzinfo=UTC))
"""Several of these are due together, and claimed together."""


@pytest.fixture
def times(arena: Arena) -> DueTimes:
    return DueTimes(arena)


async def _leader(arena: Arena, *, after: ChildProcess | None = None) -> ChildProcess:
    """Who leads, as soon as somebody (else) does."""

    def found() -> ChildProcess | None:
        leader = arena.leader()
        return leader if leader is not after else None

    return await until(found, what="a scheduler to lead")


def _check_gap(times: DueTimes, since: int) -> None:
    assert times.longest_gap(since) <= TAKE_OVER + 1000 * SLACK


async def test_killed(arena: Arena, times: DueTimes) -> None:
    for _ in range(3):
        await arena.scheduler()
    for name in ("one", "other"):
        await times.add(name, misfire="all")
    await times.go_on()
    leader = await _leader(arena)
    await leader.kill()
    killed = arena.now()
    await _leader(arena, after=leader)
    await times.go_on()
    _check_gap(times, killed)
    await times.check()


_MOMENTS = pytest.mark.parametrize(
    ("loss", "name"), [(Loss.LATE_REQUEST, "claim_schedules"), (Loss.LATE_REPLY, "going_on")], ids=["claim", "draft"]
)


@_MOMENTS
async def test_frozen(arena: Arena, proxy: Proxy, times: DueTimes, loss: Loss, name: str) -> None:
    """Its claim is on its way; or it is about to claim what it has seen to be due. It comes too late with both."""
    leader = await arena.scheduler(url=proxy.url)
    assert await _leader(arena) is leader
    await arena.scheduler()
    for misfire in ("all", "once", "skip"):
        await times.add(misfire, schedule=_AT_ONCE, misfire=misfire, max_running=1000)
    await times.go_on()
    rule = proxy.lose(loss, name)
    await until(lambda: rule.done)
    leader.freeze()
    frozen = arena.now()
    await _leader(arena, after=leader)
    await times.go_on()
    seen = len(proxy.seen)
    proxy.heal()
    await times.go_on()
    leader.thaw()
    await until(lambda: arena.beats(leader), what="the thawed one to be heard of")
    if loss is Loss.LATE_REPLY:
        await until(lambda: "claim_schedules" in proxy.seen[seen:])
    await times.go_on()
    _check_gap(times, frozen)
    assert times.latest("skip") <= STALE + 1000 * SLACK
    await times.check()


@_MOMENTS
async def test_frozen_alone(arena: Arena, proxy: Proxy, times: DueTimes, loss: Loss, name: str) -> None:
    """Nobody has fired meanwhile what it claims: it is as stale."""
    scheduler = await arena.scheduler(url=proxy.url)
    for misfire in ("all", "once", "skip"):
        await times.add(misfire, schedule=_AT_ONCE, misfire=misfire, max_running=1000)
    await times.go_on()
    rule = proxy.lose(loss, name)
    await until(lambda: rule.done)
    scheduler.freeze()
    frozen = arena.now()
    await until(lambda: arena.now() > frozen + STALE + 1500 * SLACK)
    proxy.heal()
    scheduler.thaw()
    await times.go_on()
    assert times.latest("skip") <= STALE + 1000 * SLACK
    assert times.latest("all") >= STALE + 1000 * SLACK
    await times.check()


@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.REPLY, Loss.SILENCE])
async def test_cut_off(arena: Arena, proxy: Proxy, times: DueTimes, loss: Loss) -> None:
    leader = await arena.scheduler(url=proxy.url)
    assert await _leader(arena) is leader
    other = await arena.scheduler()
    for misfire in ("all", "once", "skip"):
        await times.add(misfire, misfire=misfire)
    await times.go_on()
    # With its replies alone, what it asks for is done; if it could ask, it would lead on.
    proxy.lose(loss, *(["claim_schedules", "due_schedules"] if loss is Loss.REPLY else []), times=None)
    cut = arena.now()
    assert await _leader(arena, after=leader) is other
    await times.go_on()
    proxy.heal()
    await until(lambda: arena.beats(leader), what="the one that was cut off to be heard of")
    await times.go_on()
    _check_gap(times, cut)
    assert times.latest("skip") <= STALE + 1000 * SLACK
    await times.check()


async def test_stopped(arena: Arena, times: DueTimes) -> None:
    """It hands over: nobody waits for its lease to end."""
    leader = await arena.scheduler(constants=_ENDLESS)
    assert await _leader(arena) is leader
    other = await arena.scheduler(constants=_ENDLESS)
    await times.add("poll", misfire="all")
    await times.go_on()
    leader.terminate()
    assert await leader.ended() == 0
    assert await _leader(arena, after=leader) is other
    await times.go_on()
    await times.check()


async def test_a_worker_that_stops_hands_over_before_its_tasks_end(arena: Arena, times: DueTimes) -> None:
    worker = await arena.worker(beat=True, constants=_ENDLESS)
    assert await _leader(arena) is worker
    other = await arena.scheduler(constants=_ENDLESS)
    await times.add("poll", misfire="all")
    await times.go_on()
    [running] = await arena.send("work", 60.0)
    await arena.started([running], worker=worker)
    worker.terminate()
    assert await _leader(arena, after=worker) is other
    await times.go_on()
    assert worker.exit_code is None
    assert arena.score.running(worker.pid)
    await times.check()


async def test_a_worker_with_beat_is_killed(arena: Arena, times: DueTimes) -> None:
    """Each due time comes to one end, whichever worker it is that fires it, and runs it."""
    for _ in range(2):
        await arena.worker(beat=True)
    await times.add("kept", misfire="all")
    work = arena.app.tasks["work"].s(0.05)
    await arena.app.schedules.add("worked", work, 0.1, misfire="all")
    await times.go_on()
    leader = await _leader(arena)
    await until(lambda: arena.score.running(leader.pid), what="the leader to work")
    await leader.kill()
    killed = arena.now()
    await _leader(arena, after=leader)
    await times.go_on()
    _check_gap(times, killed)
    await times.check()

    await arena.app.schedules.pause("worked")
    info = await arena.app.schedules.get("worked")
    assert info is not None
    await until(lambda: len(arena.score.runs()) >= info.runs)
    sent = [arena.app.result(id) for id, _ in arena.score.runs()]
    assert states(await arena.ended(sent)) == {"SUCCESS": info.runs}
    arena.check_repeats()


async def test_the_server_is_killed(arena: Arena, times: DueTimes) -> None:
    """With what it had on its disk it is started again; it is killed at any moment of claims that never pause."""
    for _ in range(2):
        await arena.scheduler()
    for number in range(20):
        await times.add(f"s{number}", misfire="all")
    for _ in range(3):
        await times.go_on(100)
        arena.server.kill()
        await arena.server.start()
    await times.go_on(100)
    await times.check()


async def test_all_are_killed(arena: Arena, times: DueTimes) -> None:
    """The schedules of the code are where they were when the next one comes, however late: what was missed is known."""
    entry = {"task": "work", "schedule": 0.1, "options": {"queue": KEPT}, "misfire": "all"}
    code = {"beat_schedule": {"poll": entry}}
    schedulers = [await arena.scheduler(**code) for _ in range(2)]
    await until(lambda: arena.app.schedules.get("poll"))
    await times.follow("poll")
    await times.go_on()
    for scheduler in schedulers:
        await scheduler.kill()
    killed = arena.now()
    await until(lambda: not any(map(arena.beats, schedulers)), what="their leases to end")
    await arena.scheduler(**code)
    await times.go_on(30)
    assert [one for one in times.fired("poll") if one.due <= killed + 1000 < one.at], "nothing was missed"
    await times.check()


# As people run it

_JOBS = """
from aioqueue import AioQueue, every

app = AioQueue("faults", broker={url!r})


@app.periodic(every(0.1), name="poll", misfire="all", options={{"queue": {queue!r}}})
@app.task
async def poll() -> None: ...
"""


@contextmanager
def _command(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str | None]]]:
    """The command `aioqueue`, and as which scheduler it leads, if it does."""
    log = folder / f"{'-'.join(words)}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*COMMAND, *words], cwd=folder, env=environment_without(), stdout=file, stderr=file, start_new_session=True
        )

    def leads_as() -> str | None:
        found = re.search(r"this scheduler \((\S+)\) leads", log.read_text())
        return found[1] if found else None

    try:
        yield process, leads_as
    except BaseException:
        print(log.read_text())
        raise
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("first", ["beat", "worker"])
async def test_commands(arena: Arena, times: DueTimes, tmp_path: Path, first: str) -> None:
    (tmp_path / "jobs.py").write_text(_JOBS.format(url=arena.server.url, queue=KEPT))
    words = {"beat": ("beat", "jobs:app"), "worker": ("worker", "jobs:app", "--beat")}
    with _command(tmp_path, *words.pop(first)) as (leader, leads_as):
        await until(leads_as)
        [(_, rest)] = words.items()
        with _command(tmp_path, *rest) as (other, other_leads_as):
            broker = await arena.app.broker()

            async def both() -> bool:
                return len(await broker.schedulers()) == 2

            await until(both)
            await times.follow("poll")
            await times.go_on()
            leader.send_signal(signal.SIGKILL)
            leader.wait()
            killed = arena.now()
            await until(other_leads_as)
            await times.go_on()
            _check_gap(times, killed)
            await times.check()
            os.kill(other.pid, signal.SIGTERM)
            await until(lambda: other.poll() is not None)
            assert other.returncode == 0
