"""The demo's app and its one task."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from aioqueue import AioQueue, TaskContext
from aioqueue.demo.languages import language_of
from aioqueue.demo.ledger import LedgerWriter

NAME = "aioqueue-demo"
# Not AIOQUEUE_…: those are settings.
LEDGER = "_AIOQUEUE_DEMO_LEDGER"


class Facts(msgspec.Struct, frozen=True):
    """What the task finds out about a file."""

    sha256: str
    size: int
    language: str
    lines: int
    longest_line: int


@asynccontextmanager
async def _lifespan(app: AioQueue) -> AsyncGenerator[LedgerWriter | None]:
    """Opened once in each worker process; the task finds what it yields as `ctx.state`."""
    path = os.environ.get(LEDGER)
    if path is None:  # a worker that was not started by the demo
        yield None
        return
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    with LedgerWriter(path) as ledger:
        yield ledger


def _stop_with_parent() -> None:
    """Stop this worker when the demo is gone, however it went: then nobody holds the other end of stdin."""
    try:
        while os.read(0, 64):
            pass
    except OSError:
        pass
    os.kill(os.getpid(), signal.SIGTERM)


# All that the demo relies on is said here, so that no setting in the environment or a pyproject.toml changes it.
app = AioQueue(
    NAME,
    namespace=NAME,
    lifespan=_lifespan,
    visibility_timeout=2,
    max_deliveries=5,
    result_expires=3600,
    task_default_queue="files",
    task_always_eager=False,
    worker_shutdown_timeout=5,
)


# A plain function runs in a thread: reading from disk would keep the event loop waiting. A file may be missing or cut
# off because somebody is writing it, so both are tried again; what fails then is kept among the dead letters.
@app.task(
    bind=True,
    autoretry_for=(OSError, UnicodeDecodeError),
    max_retries=2,
    retry_backoff=0.05,
    retry_jitter=False,
    acks_late=True,
    ignore_result=False,
)
def measure(ctx: TaskContext, path: str) -> Facts:
    """Read a text file: its SHA-256, lines, longest line and language."""
    ledger: LedgerWriter | None = ctx.state
    if ledger is None:
        return facts(path)
    with ledger.run(ctx.id, ctx.retries, ctx.deliveries):
        return facts(path)


def facts(path: str) -> Facts:
    """The facts about a file.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not text.
    """
    data = Path(path).read_bytes()
    lengths = [len(line) for line in data.decode("utf-8").splitlines()]
    return Facts(
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        language=language_of(path) or "Other",
        lines=len(lengths),
        longest_line=max(lengths, default=0),
    )
