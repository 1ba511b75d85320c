"""A thread that waits, and calls in the meantime what would be called in threads.

Where a task is run for the one who waits for it, its plain functions belong into that thread: what hangs on a thread,
such as a database's connection with its transaction, is theirs too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class LentThread:
    """The thread that has made it."""

    def __init__(self) -> None:
        self._ident = threading.get_ident()
        self._inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._is_open = True

    @property
    def is_here(self) -> bool:
        """Whether this code runs in it."""
        return self._is_open and threading.get_ident() == self._ident

    def give(self, work: Callable[[], None]) -> bool:
        """Have something called in it; False: it is not to be had any more."""
        with self._lock:
            if self._is_open:
                self._inbox.put(work)
            return self._is_open

    def work_until(self, future: Future[T]) -> T:
        """Call what is given, one after the other, until the future is done; gives what that gives."""
        future.add_done_callback(lambda _: self._inbox.put(None))
        try:
            while not future.done():
                if (work := self._inbox.get()) is not None:
                    work()
        except BaseException:
            future.cancel()
            raise
        return future.result()

    def end(self) -> None:
        """It is not to be had any more; what is left is called in threads of its own."""
        with self._lock:
            self._is_open = False
        while not self._inbox.empty():
            if (work := self._inbox.get()) is not None:
                threading.Thread(target=work, daemon=True).start()


_lent: ContextVar[LentThread | None] = ContextVar("aioqueue_lent_thread", default=None)


def lent_thread() -> LentThread | None:
    """The thread that waits for what runs here, and is lent to it."""
    return _lent.get()


def is_lent() -> bool:
    """Whether this thread is lent already."""
    thread = _lent.get()
    return thread is not None and thread.is_here


@contextmanager
def lend() -> Generator[LentThread]:
    """Lend this thread to all that is begun in the block."""
    thread = _lent.get()
    if thread is not None and thread.is_here:
        yield thread
        return
    thread = LentThread()
    before = _lent.set(thread)
    try:
        yield thread
    finally:
        _lent.reset(before)
        thread.end()
