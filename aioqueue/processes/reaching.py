"""From a running task in a child to its worker: what it says of itself, and what it logs."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Awaitable, Coroutine
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aioqueue.awaiting import Done
from aioqueue.context import Runtime
from aioqueue.exceptions import AioQueueError
from aioqueue.payload.codec import encode
from aioqueue.processes.connection import Connection
from aioqueue.processes.frames import Ask, Logged, Reply
from aioqueue.processes.softening import Softening
from aioqueue.task_logger import TaskFields

if TYPE_CHECKING:
    from aioqueue.canvas.base import Canvas
    from aioqueue.result import AsyncResult

_T = TypeVar("_T")
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN: Final = (type(None), bool, int, float, str)
_ANY_SIZE: Final = 2**31


class Reach:
    """Asks the worker for what only that can do."""

    def __init__(self, connection: Connection, softening: Softening) -> None:
        self._connection = connection
        self._softening = softening
        self._numbers = itertools.count(1)
        self._asked: dict[int, SimpleQueue[Reply]] = {}

    def ask(self, call: int, what: str, said: Any) -> None:
        """Have something done, and wait until it is; from any thread.

        Raises:
            Exception: what it failed with.
        """
        data, content = encode(said, max_size=_ANY_SIZE)
        request, answer = next(self._numbers), SimpleQueue[Reply]()
        self._asked[request] = answer
        try:
            self._connection.say(Ask(call, request, what, data, content), self._softening)
            reply = answer.get()
        finally:
            self._asked.pop(request, None)
        if reply.failure is not None:
            raise reply.failure.rebuild()

    def mention(self, call: int, what: str, said: Any) -> None:
        """The same, without waiting."""
        data, content = encode(said, max_size=_ANY_SIZE)
        self._connection.say(Ask(call, 0, what, data, content), self._softening)

    def answered(self, reply: Reply) -> None:
        """The worker has answered."""
        if (answer := self._asked.get(reply.request)) is not None:
            answer.put(reply)


class ChildRuntime(Runtime):
    """What a run in a child reaches."""

    _reach: Reach
    _call: int

    async def report(self, state: str, meta: Any) -> None:
        self._reach.ask(self._call, "report", [state, meta])

    async def acknowledge(self) -> None:
        self._reach.ask(self._call, "ack", None)

    def waits(self, subject: str, begins: bool) -> None:
        self._reach.mention(self._call, "waits", [subject, begins])

    def thread(self) -> int | None:
        return threading.main_thread().ident

    async def add_to_group(self, canvas: Canvas[_T]) -> AsyncResult[_T]:
        raise AioQueueError(
            "A task in a process cannot add to its group: return what is to be added to a task that can, or run it in "
            "a thread. Nothing was added."
        )

    def perform(self, action: Coroutine[Any, Any, _T]) -> Awaitable[_T]:
        try:
            action.send(None)
        except StopIteration as end:
            return Done(end.value)
        raise AssertionError("what is asked of the worker waits for nothing else")


class ToTheWorker(logging.Handler):
    """Has records written where the worker writes its own."""

    def __init__(self, connection: Connection, softening: Softening) -> None:
        super().__init__()
        self.addFilter(TaskFields())
        self._connection = connection
        self._softening = softening

    def emit(self, record: logging.LogRecord) -> None:
        """Send one."""
        try:
            traceback = record.exc_text or ""
            if record.exc_info and not traceback:
                traceback = logging.Formatter().formatException(record.exc_info)
            fields = {
                name: value if type(value) in _PLAIN else repr(value)
                for name, value in vars(record).items()
                if name not in _STANDARD
            }
            place = (record.pathname, record.lineno, record.funcName or "")
            line = Logged(record.name, record.levelno, record.getMessage(), record.created, traceback, place, fields)
            self._connection.say(line, self._softening)
        except Exception:  # as every handler does
            self.handleError(record)
