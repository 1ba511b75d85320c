"""`aioqueue worker --reload`: the worker begins again whenever the code changes.

What watches imports no code of the app: it stays up while that cannot be imported, and begins again at the next change.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from aioqueue.stop_signals import QUIT, Wish, Wishes, on_stop_signals, pass_on
from aioqueue.wording import few

_logger = logging.getLogger("aioqueue.worker")

_PATIENCE = 2.0
"""Seconds that running tasks have to end when the code has changed, before they are handed back."""
_LAST_PATIENCE = 5.0
"""Seconds after which a process is killed that was told to leave."""


class Reloader:
    """Keeps one process of a command, as the code is now.

    Args:
        words: its command; its standard input ends with this process.
        folder: where the code is, in folders below as well.

    Raises:
        UsageError: the extra is not installed.
    """

    def __init__(self, words: list[str], folder: Path) -> None:
        try:
            import watchfiles
        except ImportError:
            raise click.UsageError("--reload needs watchfiles: pip install 'aioqueue[reload]'.") from None
        self._watchfiles: Any = watchfiles
        self._words = words
        self._folder = folder
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self._wishes = Wishes()
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> int:
        """Until it is told to stop, or the worker ends well by itself; returns the exit code."""
        watching = asyncio.create_task(self._watch(), name="aioqueue reload")
        try:
            with on_stop_signals(self._signalled):
                _logger.info("Changes of %s begin the worker again", self._folder)
                while True:
                    self._changed.clear()
                    code = await self._one()
                    if code is not None:
                        return code
        finally:
            watching.cancel()

    async def _one(self) -> int | None:
        """One process, until the next change; the exit code when there is to be no other one."""
        process = self._process = await asyncio.create_subprocess_exec(
            *self._words, stdin=asyncio.subprocess.PIPE, process_group=0
        )
        if self._stop.is_set():
            pass_on(process, signal.SIGTERM)
        ended = asyncio.create_task(process.wait())
        await self._first(ended, self._changed, self._stop)
        if self._stop.is_set():
            code = await ended  # it has limits of its own
            return code if code >= 0 else 1
        if not ended.done():
            await self._end(process, ended)
            return None
        if not (code := ended.result()):
            return 0
        _logger.error("The worker has ended with code %d; it begins again at the next change", code)
        await self._first(self._changed, self._stop)
        return 1 if self._stop.is_set() else None

    async def _end(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        """The code has changed: its tasks have a moment, and are handed back then."""
        for number, patience in ((signal.SIGTERM, _PATIENCE), (QUIT or signal.SIGTERM, _LAST_PATIENCE)):
            pass_on(process, number)
            if (await asyncio.wait({ended}, timeout=patience))[0]:
                return
        pass_on(process, signal.SIGKILL)
        await ended

    async def _first(self, *events: asyncio.Event | asyncio.Task[int]) -> None:
        waits = [one if isinstance(one, asyncio.Task) else asyncio.create_task(one.wait()) for one in events]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait, one in zip(waits, events, strict=True):
            if wait is not one:
                wait.cancel()

    async def _watch(self) -> None:
        kinds = self._watchfiles.PythonFilter()
        async for changes in self._watchfiles.awatch(self._folder, watch_filter=kinds, debounce=300):
            _logger.warning("Changed: %s", few(sorted(_names(self._folder, changes))))
            self._changed.set()

    def _signalled(self, number: signal.Signals) -> None:
        wish = self._wishes.of(number)
        if wish is None:
            return
        again = self._stop.is_set()
        self._stop.set()
        if self._process is not None and not (again and wish is Wish.WARM):
            pass_on(self._process, signal.SIGTERM if wish is Wish.WARM else QUIT or number)


def own_command() -> list[str]:
    """The command of this process, without --reload, for one that stops with this one."""
    words = [word for word in sys.orig_argv[1:] if word != "--reload"]
    return [sys.executable, *words, "--stops-with-stdin"]


def _names(folder: Path, changes: Iterable[tuple[Any, str]]) -> set[str]:
    return {os.path.relpath(path, folder) for _, path in changes}
