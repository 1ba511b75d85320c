"""Processes of workers and schedulers, forked from one that has everything imported: `python run_worker.py`, orders on
its stdin.

An order is a line of JSON; the answers are `pid <pid>` when a process was made and `end <pid> <status>` when it ended,
however it did. When the orders end, so do they all.
"""

from __future__ import annotations

import asyncio
import logging
import os
import selectors
import signal
import sys
from pathlib import Path
from typing import Any, Literal

import msgspec

# Run by its path, it is in no package.
sys.path.insert(0, str(Path(__file__).parent.parent))

import aioqueue.beat.running
import aioqueue.beat.scheduler
import aioqueue.brokers.redis
import aioqueue.worker.departure
import aioqueue.worker.worker
from aioqueue.ids import short_id
from faults import tasks


class Order(msgspec.Struct):
    """A process to be made.

    Attributes:
        kind: of which class of `workers` it is.
        folder: of the records.
        log: where its log goes.
        url: of the broker.
        settings: of the app.
        options: of a worker.
        constants: values of constants in aioqueue's modules, by full name.
    """

    kind: Literal["WorkerProcess", "SchedulerProcess"]
    folder: str
    log: str
    url: str
    settings: dict[str, Any]
    options: dict[str, Any]
    constants: dict[str, float]


def main() -> None:
    """Follow orders until they end."""
    wakes, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(wakes, selectors.EVENT_READ)
    processes: set[int] = set()
    pending = b""
    while True:
        ready = {key.fd for key, _ in selector.select()}
        if wakes in ready:
            os.read(wakes, 4096)
        while processes and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            processes.discard(ended[0])
            say(f"end {ended[0]} {os.waitstatus_to_exitcode(ended[1])}")
        if 0 in ready:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, pending = (pending + read).split(b"\n")
            for line in lines:
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    become(msgspec.json.decode(line, type=Order))
                processes.add(pid)
                say(f"pid {pid}")
    for pid in processes:
        os.kill(pid, signal.SIGKILL)


def say(text: str) -> None:
    os.write(1, text.encode() + b"\n")


def become(order: Order) -> None:
    """Work, or fire schedules; does not return."""
    status = 70
    try:
        os.setsid()
        log = os.open(order.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        null = os.open(os.devnull, os.O_RDONLY)
        for stream, file in ((0, null), (1, log), (2, log)):
            os.dup2(file, stream)
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("aioqueue").setLevel(logging.INFO)
        tasks.writer.open(Path(order.folder))
        for name, value in order.constants.items():
            module, _, constant = name.rpartition(".")
            assert hasattr(sys.modules[module], constant), name
            setattr(sys.modules[module], constant, value)
        # Of a scheduler that leads the broker knows the id: so it is known which process that is.
        aioqueue.beat.scheduler.short_id = lambda: f"{os.getpid()}-{short_id()}"
        app = tasks.make_app(order.url, **order.settings)
        if order.kind == "SchedulerProcess":
            status = asyncio.run(aioqueue.beat.running.beat(app))
        else:
            worker = app.worker(**order.options, on_ready=lambda: tasks.writer.write("ready"))
            status = asyncio.run(worker.run())
    except BaseException:
        logging.exception("The process could not go on")
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
