"""The peers: their versions, how each is run, and what it guarantees when it is run so.

Versions are pinned here and nowhere else. How a peer is configured stands in its module in `benchmarks/peers/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

REDIS = ("redis==8.1.0", "hiredis==3.5.0")
UVLOOP = ("uvloop==0.23.0",)


@dataclass(frozen=True)
class Peer:
    """One that is measured.

    Attributes:
        name: for people.
        module: in `benchmarks/peers/`; also names its environment.
        packages: what pip installs into that.
        configuration: what differs from the defaults, and why.
        acknowledges: when a task leaves the queue for good.
        killed: what becomes of running and fetched tasks when a worker is killed.
        results: whether they are stored.
        sends: one by one; how many, about two seconds' worth.
        tasks: that are sent at once and drained; some seconds' worth.
        sleeps: tasks that sleep; None if 500 of them at once are out of reach.
        beat: how its schedule for each second is made; None if it has none that is as fine, or is not measured.
        scheduler: it is a process of its own, not a part of the worker.
        only: the scenario that it is for, if it is not for all of them.
        variant: for a module that can be run in several ways.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    configuration: str
    acknowledges: str
    killed: str
    results: str
    sends: int
    tasks: int
    sleeps: int | None
    beat: str | None = None
    scheduler: bool = False
    only: str | None = None
    variant: str = ""


FLOOR = "floor"

PEERS = (
    Peer(
        FLOOR,
        "floor",
        (*REDIS, *UVLOOP, "msgspec==0.22.0"),
        "60 lines of redis-py and msgspec on uvloop, 500 tasks a batch: no queue, the least that one would cost",
        "late, one script a batch",
        "stay pending; nobody takes them over",
        "stored",
        sends=12_000,
        tasks=200_000,
        sleeps=15_000,
        beat="a loop that sleeps until each second, and sends",
        scheduler=True,
    ),
    Peer(
        "aioqueue",
        "aioqueue",
        ("-e", str(ROOT), *REDIS, *UVLOOP, "msgspec==0.22.0"),
        "defaults (100 at once), logging at warning",
        "late; end and result in one atomic step",
        "run again within 31 s",
        "stored",
        sends=10_000,
        tasks=120_000,
        sleeps=15_000,
        beat="`every(1)`, anchored; `aioqueue beat` beside a worker",
        scheduler=True,
    ),
    Peer(
        "aioqueue worker --beat",
        "aioqueue",
        ("-e", str(ROOT), *REDIS, *UVLOOP, "msgspec==0.22.0"),
        "the same, with the scheduler in the worker",
        "late; end and result in one atomic step",
        "run again within 31 s",
        "stored",
        sends=10_000,
        tasks=120_000,
        sleeps=15_000,
        beat="`every(1)`, anchored; in the worker",
        only="beat",
        variant="beat",
    ),
    Peer(
        "saq",
        "saq",
        ("saq==0.26.4", "redis==7.4.1", "hiredis==3.5.0", "typing-extensions==4.16.0"),
        "20 at once; many: 1,000 concurrent `enqueue`s",
        "late",
        "swept up within a minute after their timeout (10 s); run again if `retries` says so, by default lost",
        "stored",
        sends=6000,
        tasks=6000,
        sleeps=6000,
        beat="`CronJob` with a sixth field, that of the seconds; in the worker, which looks each second",
    ),
    Peer(
        "taskiq",
        "taskiq",
        ("taskiq==0.13.0", "taskiq-redis==1.2.4", *REDIS, *UVLOOP, "orjson==3.13.0"),
        "streams broker, 100 at once and 100 ahead, ORJSON, uvloop; many: 50 concurrent `kiq`s",
        "late, after the result is saved",
        "claimed by another worker after 10 minutes; so is a task that runs longer",
        "stored",
        sends=6000,
        tasks=6000,
        sleeps=5000,
        beat="`interval` of 1, its shortest; `taskiq scheduler`, which looks at each whole second",
        scheduler=True,
    ),
    Peer(
        "huey",
        "huey",
        ("huey==3.5.4", *REDIS),
        "8 threads, `notify_result`, connection pool of 2,000; many: a loop",
        "early, when it is fetched",
        "lost",
        "stored until read",
        sends=10_000,
        tasks=6000,
        sleeps=4000,
    ),
    Peer(
        "arq",
        "arq",
        ("arq==0.28.0", "redis==5.3.1", "hiredis==3.5.0"),
        "100 at once, 10,000 read at a poll; many: 50 concurrent `enqueue_job`s",
        "late",
        "run again when their mark expires (job timeout + 10 s: 310 s)",
        "stored",
        sends=5000,
        tasks=6000,
        sleeps=5000,
        beat="`cron` with all seconds, `microsecond=0`; in the worker, which polls each half second",
    ),
    Peer(
        "dramatiq",
        "dramatiq",
        ("dramatiq==2.2.1", *REDIS),
        "1 process, 8 threads, results middleware, connection pool of 2,000; many: `group`",
        "late",
        "requeued when the worker's heartbeat is a minute old",
        "stored",
        sends=8000,
        tasks=5000,
        sleeps=4000,
    ),
    Peer(
        "docket",
        "docket",
        ("pydocket==0.27.0", *REDIS, *UVLOOP),
        "250 at once, uvloop, connection pool of 2,000; many: `add_many`",
        "late",
        "redelivered after 5 minutes",
        "stored",
        sends=5000,
        tasks=5000,
        sleeps=4000,
    ),
    Peer(
        "streaq",
        "streaq",
        ("streaq==7.2.0", *UVLOOP),
        "32 at once, uvloop, no log line for a task; many: `enqueue_many`",
        "late",
        "run again after a minute without a sign of life",
        "stored",
        sends=6000,
        tasks=4000,
        sleeps=4000,
    ),
    Peer(
        "celery prefork",
        "celery",
        ("celery==5.7.0", "kombu==5.7.0", "packaging==26.0", *REDIS),
        "2 processes, prefetch 64 each, no gossip, mingle or heartbeat; many: `group`",
        "early, before it starts",
        "running ones lost; fetched ones restored after an hour",
        "stored",
        sends=3000,
        tasks=2500,
        sleeps=None,
        beat="a `schedule` of 1.0, relative; `celery beat`",
        scheduler=True,
        variant="prefork",
    ),
    Peer(
        "celery threads",
        "celery",
        ("celery==5.7.0", "kombu==5.7.0", "packaging==26.0", *REDIS),
        "2 threads, prefetch 64 each, no gossip, mingle or heartbeat; many: `group`",
        "early, before it starts",
        "running ones lost; fetched ones restored after an hour",
        "stored",
        sends=3000,
        tasks=2500,
        sleeps=4000,
        beat="a `schedule` of 1.0, relative; `celery beat`",
        scheduler=True,
        variant="threads",
    ),
    Peer(
        "rq",
        "rq",
        ("rq==3.0.0", *REDIS),
        "`SimpleWorker`, one at a time, no fork for each job; many: `enqueue_many`",
        "early, when it is fetched",
        "marked as failed after a minute or so without a heartbeat",
        "stored",
        sends=8000,
        tasks=1500,
        sleeps=None,
    ),
)


def named(names: list[str] | None) -> list[Peer]:
    """Those peers, in the order above; all if there are no names. "celery" is both of its pools.

    Raises:
        ValueError: there is no such peer.
    """
    known = {name for peer in PEERS for name in (peer.name, peer.module)}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ValueError(f"There is no peer {unknown[0]!r}. There are: {', '.join(peer.name for peer in PEERS)}.")
    return [peer for peer in PEERS if names is None or {peer.name, peer.module} & set(names)]
