"""Messages on their way out, through the `around_send` of the middlewares.

Of what leaves together, each message goes through those that stand around it, beside the others, to its innermost
`next`. Is one refused, nothing of it is sent. Else all leave, and each `next` goes on with what stands for its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from aioqueue.around.layer import Layer, standing
from aioqueue.around.leaving import OutgoingMessage
from aioqueue.canvas.carried import OURS
from aioqueue.exceptions import AioQueueError, ConfigurationError
from aioqueue.logs import logger

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.task import Task

Leave = Callable[[Sequence[int], list[Any]], Awaitable[None]]
"""Sends those of a batch that have these places in it; if it raises, those only for which it has appended to the list
what stands for their results."""


class Call(NamedTuple):
    """A call with checked options."""

    target: Task[..., Any] | str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The task's name."""
        return self.target if isinstance(self.target, str) else self.target.name

    def changed(self, app: Core, message: OutgoingMessage) -> Call:
        """The call that its message has become.

        Raises:
            ConfigurationError: something of that cannot be so.
        """
        args, kwargs, options = message.checked()
        target = self.target if message.name == self.name else app.tasks.get(message.name) or message.name
        return Call(target, args, kwargs, options)


class Passage(NamedTuple):
    """A message, and what it has to go through."""

    layers: tuple[Layer, ...]
    message: OutgoingMessage


def passage(app: Core, call: Call) -> Passage:
    """What a call goes through: what stands around all of the app's, and then around its task."""
    name, target = call.name, call.target
    message = OutgoingMessage.of(name, call.args, call.kwargs, call.options)
    if name in OURS:  # of which users know nothing; what these bring goes through itself
        return Passage((), message)
    own: Sequence[Layer] = () if isinstance(target, str) else target.middleware
    return Passage(standing((*app.middlewares, *own), "around_send"), message)


class _Way:
    """The way of one message.

    Attributes:
        sent: it has left, so that whatever is raised from now on comes too late.
        given: what stands for its result then.
        level: of the layer that it came to last.
    """

    def __init__(self, layers: tuple[Layer, ...], leave: Callable[[OutgoingMessage], Awaitable[Any]]) -> None:
        self.layers = layers
        self.leave = leave
        self.sent = False
        self.given: Any = None
        self.level = 0

    async def go(self, message: OutgoingMessage, level: int = 0) -> Any:
        """Through the layers from a level on; gives what becomes the result of `send`."""
        if level == len(self.layers):
            self.given = await self.leave(message)
            self.sent = True
            return self.given
        layer, step = self.layers[level], _Step(self, level)
        self.level = level
        try:
            given = await layer.around_send(message, step)
        except Exception:
            if not self.sent:
                raise
            logger.exception("%s.around_send failed after the message of %s was sent", _name(layer), message.name)
            return self.given
        finally:
            step.is_over = True
        return step.given_by(layer, message) if given is None else given


class _Step:
    """`next`, as one layer gets it."""

    def __init__(self, way: _Way, level: int) -> None:
        self._way = way
        self._level = level
        self._called = False
        self._given: Any = None
        self._error: BaseException | None = None
        self.is_over = False

    async def __call__(self, message: OutgoingMessage) -> Any:
        name = _name(self._way.layers[self._level])
        if self._called:
            raise ConfigurationError(
                f"{name}.around_send has called next twice: a message leaves once. To send another one, send it: "
                "await task.send(...)."
            )
        if self.is_over:
            raise ConfigurationError(f"{name}.around_send calls next after it has returned. Nothing was sent.")
        if not isinstance(message, OutgoingMessage):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"{name}.around_send gives next {message!r}, not the message. Nothing was sent.")
        self._called = True
        try:
            self._given = await self._way.go(message, self._level + 1)
        except BaseException as error:
            self._error = error
            raise
        return self._given

    def given_by(self, layer: Layer, message: OutgoingMessage) -> Any:
        """What is meant by a layer that has returned nothing."""
        if self._error is not None:
            raise self._error
        if not self._called:
            raise ConfigurationError(
                f"{_name(layer)}.around_send has neither called next nor returned anything for {message.name}. Nothing "
                "was sent. Write `return await next(message)`; to refuse the message raise an error, or return what "
                "send is to return."
            )
        return self._given


async def pass_one(found: Passage, leave: Callable[[OutgoingMessage], Awaitable[Any]]) -> Any:
    """Let one message pass; gives what `send` returns.

    Args:
        found: the message, and what it goes through.
        leave: sends it, and gives what stands for its result.
    """
    return await _Way(found.layers, leave).go(found.message)


async def pass_all(batch: Sequence[Passage], leave: Leave, *, within: float, whole: Sequence[int] = ()) -> list[Any]:
    """Let messages pass that leave together.

    Args:
        batch: the messages, and what each goes through. They are changed in place.
        leave: sends those that are to be sent.
        within: for how long they wait, in seconds, when none of the others comes.
        whole: the places of those that may not be left out.

    Returns:
        What `send` returns for each, in order.

    Raises:
        AioQueueError: one of them did not come, and nothing was sent.
        Exception: what one of them was refused with, and nothing was sent; or what `leave` raises.
    """
    if len(batch) == 1 and not whole:
        one: list[Any] = []

        async def leave_alone(message: OutgoingMessage) -> Any:
            await leave((0,), one)
            return one[0]

        return [await _Way(batch[0].layers, leave_alone).go(batch[0].message)]
    return await _Together(batch, leave, whole, within).go()


class _Together:
    """Messages that leave together."""

    def __init__(self, batch: Sequence[Passage], leave: Leave, whole: Sequence[int], within: float) -> None:
        self._batch = batch
        self._leave = leave
        self._whole = whole
        self._within = within
        self._last_came = asyncio.get_running_loop().time()
        self._gates: dict[int, asyncio.Future[Any]] = {}
        self._at: dict[int, _Way] = {}
        self._under_way = sum(1 for one in batch if one.layers)
        self._all_there = asyncio.Event()
        self._refused = False

    async def go(self) -> list[Any]:
        loop = asyncio.get_running_loop()
        ways: dict[int, asyncio.Task[Any]] = {}
        try:
            for number, one in enumerate(self._batch):
                if one.layers:
                    ways[number] = loop.create_task(self._one(number, one))
            if self._under_way:
                await self._until_all_are_there(ways)
            going = [number for number in range(len(self._batch)) if number in self._gates or number not in ways]
            given = await self._part(going, ways)
            found: dict[int, Any] = dict(zip(going, given, strict=True))
            if ways:
                await asyncio.wait(ways.values())
            return [ways[number].result() if number in ways else found[number] for number in range(len(self._batch))]
        finally:
            # Of those that are left somebody has cancelled this, or one was refused: it is over for the others.
            for way in ways.values():
                way.cancel()
            await asyncio.gather(*ways.values(), return_exceptions=True)

    async def _until_all_are_there(self, ways: Mapping[int, asyncio.Task[Any]]) -> None:
        """Wait, but not for ever: one may wait for what another holds, which waits for it here.

        Raises:
            AioQueueError: none has come for too long.
        """
        loop = asyncio.get_running_loop()
        while not self._all_there.is_set():
            left = self._last_came + self._within - loop.time()
            if left <= 0:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._all_there.wait()
        else:
            return
        missing = [number for number, way in ways.items() if number not in self._gates and not way.done()]
        error = self._stuck(missing)
        for number in missing:
            ways[number].cancel()  # first: what the others let go of now is none of theirs any more
        for gate in self._gates.values():
            gate.set_exception(_beside(error))
        await asyncio.gather(*ways.values(), return_exceptions=True)
        raise error

    def _stuck(self, missing: Sequence[int]) -> AioQueueError:
        found = [self._at[number] for number in missing]
        names = sorted({_name(way.layers[way.level]) for way in found})
        return AioQueueError(
            f"{' and '.join(names)}.around_send has not called next for {len(missing)} of {len(self._batch)} messages, "
            f"and none has come for {self._within:g} s (send_timeout). The messages of a batch or a canvas pass side "
            "by side, and each waits in its next until all are there: hold nothing around next of which there are few, "
            "such as a lock, a semaphore or a connection of a pool. Nothing was sent."
        )

    async def _one(self, number: int, one: Passage) -> Any:
        def arrived() -> None:
            self._last_came = asyncio.get_running_loop().time()
            self._under_way -= 1
            if not self._under_way:
                self._all_there.set()

        async def leave(message: OutgoingMessage) -> Any:
            if message is not one.message:
                _copy(message, one.message)
            gate = self._gates[number] = asyncio.get_running_loop().create_future()
            arrived()
            return await gate

        way = self._at[number] = _Way(one.layers, leave)
        try:
            return await way.go(one.message)
        finally:
            if number not in self._gates:
                arrived()

    async def _part(self, going: Sequence[int], ways: dict[int, asyncio.Task[Any]]) -> list[Any]:
        """All have come as far as they could: send them, and open the gates."""
        given: list[Any] = []
        try:
            await self._none_refused(ways)
            if going:
                await self._leave(going, given)
        except Exception as error:
            if self._refused:
                error = _beside(error)
            self._open(going, given)
            for number in going[len(given) :]:
                if number in self._gates:
                    self._gates[number].set_exception(error)
            await asyncio.gather(*ways.values(), return_exceptions=True)
            raise
        self._open(going, given)
        return given

    async def _none_refused(self, ways: dict[int, asyncio.Task[Any]]) -> None:
        """Look at those that have ended before their innermost `next`: with an error, or with a result of their own."""
        self._refused = True
        for number, way in ways.items():
            if number not in self._gates:
                await asyncio.wait((way,))
                way.result()
                if number in self._whole:
                    raise ConfigurationError(
                        f"An around_send has answered for {self._batch[number].message.name} itself, which is a part "
                        "of a canvas: the others would wait for it in vain. Nothing was sent. Raise an error to refuse "
                        "the canvas."
                    )
        self._refused = False

    def _open(self, going: Sequence[int], given: Sequence[Any]) -> None:
        for number, result in zip(going, given, strict=False):
            if number in self._gates:
                self._gates[number].set_result(result)


def _beside(error: Exception) -> Exception:
    """What `next` raises where another message was refused."""
    found = AioQueueError(f"Nothing was sent with this message: {error}")
    found.__cause__ = error
    return found


def _copy(source: OutgoingMessage, to: OutgoingMessage) -> None:
    to.name, to.args, to.kwargs = source.name, source.args, source.kwargs
    to.headers, to.options = source.headers, source.options


def _name(layer: Layer) -> str:
    return type(layer).__name__
