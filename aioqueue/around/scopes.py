"""What the tasks of a worker process share: each opened once, when a task first needs it, and closed at the stop.

Each is opened and closed in one asyncio task of its own, as anyio's task groups want it, and which no task that waits
for it takes along when it is cancelled.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable
from typing import Any

from aioqueue.around.calling import InThread
from aioqueue.around.opening import close_provider, open_provider
from aioqueue.around.planning import Provider
from aioqueue.exceptions import AioQueueError
from aioqueue.logs import logger


class _Held:
    """One that is open, or is being opened.

    Attributes:
        value: what it is, once it is open.
        leave: set when it is to be closed.
        above: what was opened with it, and cannot go on without it.
    """

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.value: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.value.add_done_callback(_retrieved)
        self.leave = asyncio.Event()
        self.above: list[_Held] = []
        self.task: asyncio.Task[None] | None = None


class WorkerScope:
    """What is open in a worker process.

    Args:
        in_thread: calls a function in a thread.
    """

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._held: dict[Any, _Held] = {}
        self._order: list[_Held] = []
        self._closed = False
        # Not that of the task that asks first.
        self._variables = contextvars.copy_context()

    @property
    def is_used(self) -> bool:
        """Whether anything was opened."""
        return bool(self._held)

    async def value(self, provider: Provider) -> Any:
        """The value of a provider: opened if it is not, and the same for all who ask.

        Raises:
            Exception: it could not be opened; who asks next tries again.
        """
        return await asyncio.shield(self._held_of(provider).value)

    def _held_of(self, provider: Provider) -> _Held:
        held = self._held.get(provider.key)
        if held is None:
            if self._closed:
                raise AioQueueError(f"The dependency {provider.name} cannot be opened: the worker has stopped.")
            held = self._held[provider.key] = _Held(provider)
            holding = self._hold(held)
            held.task = asyncio.get_running_loop().create_task(
                holding, name=f"dependency {provider.name}", context=self._variables.copy()
            )
        return held

    async def close(self, within: Awaitable[Any] | None = None) -> None:
        """Close all, the last one first; what is still being opened is not.

        Args:
            within: when this is over, what is not closed is left.
        """
        self._closed = True
        closing = asyncio.ensure_future(self._close_all())
        ending = asyncio.ensure_future(within) if within is not None else None
        try:
            await asyncio.wait({closing, *([ending] if ending is not None else [])}, return_when="FIRST_COMPLETED")
        finally:
            if ending is not None:
                ending.cancel()
            if not closing.done():
                names = ", ".join(held.provider.name for held in self._order)
                logger.warning("Dependencies of the worker are not closed, for that took too long: %s", names)
            closing.cancel()
            for held in self._held.values():
                if held.task is not None:
                    held.task.cancel()

    async def _close_all(self) -> None:
        for held in list(self._held.values()):
            if not held.value.done() and held.task is not None:
                held.task.cancel()
        while self._order:
            held = self._order[-1]
            held.leave.set()
            if held.task is not None:
                await asyncio.wait({held.task})
            if self._order and self._order[-1] is held:
                self._order.pop()

    async def _hold(self, held: _Held) -> None:
        """Open one, hold it until it is to be left, and close it."""
        provider = held.provider
        try:
            values = {one: await self._below(one, held) for one in provider.needs}
            value, opened = await open_provider(provider, provider.call(values, None), self._in_thread)
        except BaseException as error:
            self._forget(held)
            held.value.set_exception(_told(provider, error))
            return
        self._order.append(held)
        held.value.set_result(value)
        ended: BaseException | None = None
        try:
            await held.leave.wait()
        except BaseException as error:
            ended = error
            if not self._closed:
                logger.error("The dependency %s of the worker has ended by itself; it is opened again", provider.name)
                self._replace(held)
                await self._close_above(held)
        try:
            if opened is not None:
                await close_provider(opened, ended, self._in_thread)
        except BaseException as error:
            if error is not ended:
                logger.error("The dependency %s of the worker failed as it was closed", provider.name, exc_info=error)
        finally:
            self._forget(held)

    async def _below(self, provider: Provider, held: _Held) -> Any:
        """The value of a provider, for one that is opened with it."""
        below = self._held_of(provider)
        value = await asyncio.shield(below.value)
        if self._held.get(provider.key) is not below:
            raise AioQueueError(f"The dependency {provider.name} has ended while {held.provider.name} was opened.")
        below.above = [*(one for one in below.above if one.task is None or not one.task.done()), held]
        return value

    async def _close_above(self, held: _Held) -> None:
        """Close what was opened with one that has ended, the last one first."""
        for above in reversed(held.above):
            if above.task is None or above.task.done():
                continue
            if self._replace(above) and above.value.done():
                logger.error(
                    "The dependency %s of the worker needs %s, and is closed with it; it is opened again",
                    above.provider.name,
                    held.provider.name,
                )
            await self._close_above(above)
            if above.value.done():
                above.leave.set()
            else:
                above.task.cancel()
            await asyncio.wait({above.task})

    def _replace(self, held: _Held) -> bool:
        """Whoever asks from now on gets another one. False: they do already."""
        is_asked = self._held.get(held.provider.key) is held
        if is_asked:
            del self._held[held.provider.key]
        return is_asked

    def _forget(self, held: _Held) -> None:
        self._replace(held)
        if held in self._order:
            self._order.remove(held)


def _told(provider: Provider, error: BaseException) -> BaseException:
    """What those are told who wait for one that could not be opened."""
    if isinstance(error, asyncio.CancelledError | StopIteration):  # which would be taken for their own
        told = AioQueueError(f"The dependency {provider.name} could not be opened: {type(error).__name__}.")
        told.__cause__ = error
        return told
    return error


def _retrieved(future: asyncio.Future[Any]) -> None:
    """Nobody may wait for it any more."""
    if not future.cancelled():
        future.exception()
