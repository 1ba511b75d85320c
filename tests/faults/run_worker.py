"""A worker or a scheduler: `python -m faults.run_worker ORDER`, in the folder of the tests."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any, Literal

import msgspec

import aioqueue.beat.running
import aioqueue.beat.scheduler
import aioqueue.brokers.redis
import aioqueue.worker.departure
import aioqueue.worker.worker
from aioqueue.ids import short_id
from faults import tasks


class Order(msgspec.Struct):
    """What it is to be.

    Attributes:
        kind: of which class of `workers` it is.
        folder: of the records.
        log: where its stdout and stderr go.
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


def become(order: Order) -> None:
    """Work, or fire schedules; does not return."""
    status = 70
    try:
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
    become(msgspec.json.decode(sys.argv[1], type=Order))
