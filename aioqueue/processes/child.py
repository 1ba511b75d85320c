"""What runs in a child: it imports the app, and then calls one function after the other."""

from __future__ import annotations

import logging
import os
import signal
import threading
import traceback
from queue import SimpleQueue
from types import FrameType

from aioqueue.exiting import leave
from aioqueue.logs import logger
from aioqueue.processes.connection import Connection
from aioqueue.processes.dying import die, die_with_parent
from aioqueue.processes.frames import Broken, Call, Leave, Ready, Reply, Show, Soften, Start
from aioqueue.processes.reaching import Reach, ToTheWorker
from aioqueue.processes.softening import Softening


def main(descriptor: int) -> None:
    """Do what the worker says, until it says that this is all, or is gone.

    Args:
        descriptor: of the socket to it.
    """
    die_with_parent()
    connection = Connection(descriptor)
    start = connection.read()
    if not isinstance(start, Start) or os.getppid() != start.parent:  # it died in the meantime
        os._exit(1)
    # What stops a worker may be sent to its children, too, by a service manager or a terminal: the worker decides.
    # With a function, for what is ignored would be so in the programs that a task starts.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, _nothing)
    softening = Softening()
    calls: SimpleQueue[Call | None] = SimpleQueue()
    reach = Reach(connection, softening)
    _log_to(ToTheWorker(connection, softening), start)
    listening = threading.Thread(
        target=_listen, args=(connection, softening, reach, calls), name="aioqueue-worker", daemon=True
    )
    listening.start()
    leave(_work(connection, start, softening, reach, calls))


def _log_to(handler: logging.Handler, start: Start) -> None:
    """As the worker logs; before the app is imported, so that what sets up a logging where there is none leaves it."""
    logging.getLogger().addHandler(handler)
    for name, level in start.levels.items():
        logging.getLogger(name or None).setLevel(level)


def _listen(connection: Connection, softening: Softening, reach: Reach, calls: SimpleQueue[Call | None]) -> None:
    while True:
        frame = connection.read()
        if isinstance(frame, Call):
            calls.put(frame)
        elif isinstance(frame, Soften):
            softening.soften(frame.number)
        elif isinstance(frame, Reply):
            reach.answered(frame)
        elif isinstance(frame, Show):
            _show(frame.head)
        elif isinstance(frame, Leave):
            calls.put(None)
        else:
            die()


def _work(
    connection: Connection, start: Start, softening: Softening, reach: Reach, calls: SimpleQueue[Call | None]
) -> int:
    try:
        from aioqueue.processes.calling import Caller
        from aioqueue.processes.importing import imported

        caller = Caller(imported(start), softening, reach)
    except BaseException:  # whatever a module does when it is imported
        connection.say(Broken(traceback.format_exc()))
        return 1
    connection.say(Ready())
    while (call := calls.get()) is not None:
        connection.say(caller.call(call))
    return 0


def _show(head: str) -> None:
    from aioqueue.worker.stacks import of_thread, where

    stack = where(of_thread(threading.main_thread().ident))
    logger.warning("%s, in process %d. %s", head, os.getpid(), stack)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass
