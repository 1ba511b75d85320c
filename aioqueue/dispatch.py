"""The one way out: what is sent alone or by the thousand, canvases, replacements and additions, and dead letters.

Tasks leave in batches, and a canvas begins with its last part. Each batch, and each last part, goes through
`Dispatch.hand_over`: there it waits for room in a full queue, and the app's observers hear of it. A dead letter is only
moved, in the broker (`Dispatch.again`): it waits for no room, and nobody is told of a new task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import msgspec

from aioqueue.around.leaving import OutgoingMessage
from aioqueue.around.sending import Call, pass_all, pass_one, passage
from aioqueue.around.sent import tell_sent
from aioqueue.brokers.protocol import Broker, Lengths, Outgoing
from aioqueue.brokers.shares import MOST_ITEMS, shares
from aioqueue.canvas.base import Canvas, check_canvas
from aioqueue.canvas.carried import as_message
from aioqueue.canvas.layout import At, Layout
from aioqueue.canvas.signatures import Signature
from aioqueue.context import current
from aioqueue.core import Core
from aioqueue.exceptions import AioQueueError, ConfigurationError, QueueFull
from aioqueue.family import result_of
from aioqueue.outgoing import Role, outgoing
from aioqueue.result import AsyncResult
from aioqueue.routing.addressing import addressed, bound_of
from aioqueue.routing.queue import lengths_of
from aioqueue.shape import Shape
from aioqueue.task import Task
from aioqueue.workflow import Part

R = TypeVar("R")
T = TypeVar("T")

BareCall = tuple[Task[..., Any] | str, tuple[Any, ...], dict[str, Any], Mapping[str, Any]]
"""What a `Call` is, too: many are sent of which nobody asks for more."""

_FULL_AGAIN = 0.05
# How much of what is sent at once is held ready, in bytes.
_MOST_HELD = 16 * 1024 * 1024


class Posting(msgspec.Struct, frozen=True, gc=False):
    """A call, and a message that it became. Of those there are many at once, and the collector need not look at them:
    nothing that they have knows of them.

    Attributes:
        options: those of the call and of its route.
        is_copy: the call has another message before this one, in another queue.
        let_go: how many bytes of the message are made again when it is its turn, and are not held until then.
    """

    target: Task[..., Any] | str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: Mapping[str, Any]
    message: Outgoing
    is_copy: bool = False
    let_go: int = 0


def postings(
    app: Core,
    target: Task[..., Any] | str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: Mapping[str, Any],
    now: int,
) -> tuple[Posting, ...]:
    """A call and its message. Where a topic finds several queues there is one for each, and each but the first is a
    task of its own, with its number after the id of the first.

    Raises:
        PayloadError: the arguments cannot be sent, or don't fit the task.
        RoutingError: no queue is found for it.
    """
    queues, options = addressed(app, target, args, kwargs, options)
    message = outgoing(app, target, args, kwargs, options, now, queue=queues[0])
    first = Posting(target, args, kwargs, options, message)
    if len(queues) == 1:
        return (first,)
    found = [first]
    for number, queue in enumerate(queues[1:], 2):
        id = f"{first.message.id}.{number}"
        said = {**options, "task_id": id} if "task_id" in options else options
        message = outgoing(app, target, args, kwargs, said, now, queue=queue, id=id)
        found.append(Posting(target, args, kwargs, said, message, is_copy=True))
    return tuple(found)


class Dispatch:
    """How what an app sends reaches its broker.

    Attributes:
        in_batches: many single tasks leave together, and not one after the other.
    """

    in_batches: ClassVar[bool] = True

    def __init__(self, app: Core) -> None:
        self._app = app

    async def hand_over(
        self, batch: Sequence[Posting], give: Callable[[], Awaitable[T]], *, into: Mapping[str, int] | None = None
    ) -> T:
        """Give a batch to the broker, once there is room for it, and tell the observers.

        Args:
            batch: what observers are told of.
            give: gives it; called again while there is no room.
            into: how many tasks of it a queue has to have room for at once; one for each of the batch, if not given.

        Raises:
            QueueFull: there is none; where the queue or `queue_full` says "wait", not within `send_timeout` either. Or
                there is never room for so many.
        """
        given = await self._when_there_is_room(give, batch if into is None else into)
        for observer in self._app.observers:
            for posting in batch:
                observer(posting.target, posting.args, posting.kwargs, posting.options, posting.message)
        return given

    async def _when_there_is_room(
        self, give: Callable[[], Awaitable[T]], into: Sequence[Posting] | Mapping[str, int]
    ) -> T:
        conf, loop = self._app.conf, asyncio.get_running_loop()
        deadline = loop.time() + conf.send_timeout
        while True:
            try:
                return await give()
            except QueueFull as error:
                bound = bound_of(conf, error.queue)
                if bound.most is not None and (count := _how_many(into, error.queue)) > bound.most:
                    raise QueueFull.of(error.queue, bound.most, is_own=bound.is_own, at_once=count) from None
                if bound.full == "raise" or loop.time() + _FULL_AGAIN > deadline:
                    if bound.is_own:
                        raise QueueFull.of(error.queue, bound.most, is_own=True) from None
                    raise
            await asyncio.sleep(_FULL_AGAIN)

    # Single tasks

    async def send(
        self,
        target: Task[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Mapping[str, Any],
    ) -> AsyncResult[Any]:
        """Send a task, or a name, with checked options."""
        app = self._app
        if "link" in options or "link_error" in options:
            name = target if isinstance(target, str) else target.name
            signature: Signature[Any] = Signature(app, name, args, kwargs, options)
            return await signature.send()
        if app.passes_through:
            return await self._past_layers(Call(target, args, kwargs, options))
        return await self.send_single((target, args, kwargs, options))

    async def _past_layers(self, call: Call) -> AsyncResult[Any]:
        """Send a task through what stands around it."""

        async def leave(message: OutgoingMessage) -> AsyncResult[Any]:
            return await self.send_single(call.changed(self._app, message))

        return await pass_one(passage(self._app, call), leave)

    async def send_single(self, call: BareCall) -> AsyncResult[Any]:
        """Send a task that has passed all that stands around it, and has no links."""
        broker = await self._app.broker()
        batch = postings(self._app, *call, broker.now())
        await self._send(broker, batch)
        return self._result(batch[0])

    async def _send(self, broker: Broker, batch: Sequence[Posting]) -> None:
        conf = self._app.conf
        messages = tuple([posting.message for posting in batch])
        lengths = conf.queue_max_length
        if conf.task_queues:
            lengths = self.lengths([message.queue for message in messages])
        await self.hand_over(batch, lambda: broker.send(messages, timeout=conf.send_timeout, max_length=lengths))
        await tell_sent(self._app, batch)

    def lengths(self, queues: Iterable[str]) -> Lengths | None:
        """How many tasks each of some queues may hold when more are sent."""
        conf = self._app.conf
        return lengths_of(conf.task_queues, conf.queue_max_length, queues)

    async def send_many(self, signatures: Iterable[Signature[R]]) -> list[AsyncResult[R]]:
        """See `AioQueue.send_many`."""
        if isinstance(signatures, Canvas):
            raise ConfigurationError(f"send_many takes a list of signatures: send_many([{signatures!r}]).")
        signed = list(signatures)
        for one in signed:
            check_canvas(one)
        targets = [one.target_in(self._app) if type(one) is Signature else "" for one in signed]
        is_plain = all(as_message(one) is not None for one in signed)
        if not self.in_batches or not (is_plain or self._app.passes_through):
            return await self._one_by_one(signed)
        if not is_plain:
            return await self._side_by_side(signed)
        found = [(target, one.args, one.kwargs, one.options) for target, one in zip(targets, signed, strict=True)]
        if not self._app.passes_through:
            results: list[AsyncResult[R]] = []
            await self._send_shares(found, results)
            return results
        calls = [Call(*call) for call in found]
        batch = [passage(self._app, call) for call in calls]

        async def leave(going: Sequence[int], given: list[Any]) -> None:
            changed = [calls[number].changed(self._app, batch[number].message) for number in going]
            await self._send_shares(changed, given)

        return await pass_all(batch, leave, within=self._app.conf.send_timeout)

    async def _one_by_one(self, calls: Sequence[Signature[R]]) -> list[AsyncResult[R]]:
        """Send each on its own."""
        done: list[AsyncResult[R]] = []
        for call in calls:
            try:
                done.append(await call.send())
            except AioQueueError as error:
                raise error.after([one.id for one in done if hasattr(one, "id")], len(calls)) from error.__cause__
        return done

    async def _side_by_side(self, calls: Sequence[Signature[R]]) -> list[AsyncResult[R]]:
        """Send each on its own, with canvases among them, when all of their messages have passed together."""
        app = self._app
        items: list[tuple[range, Layout | None]] = []
        passing: list[Call] = []
        for call in calls:
            plain = as_message(call)
            layout = None if plain is not None else await self._laid(call, *self._inherited())
            found = _calls_of(layout) if layout is not None else []
            if plain is not None:
                found.append(Call(plain.target_in(app), plain.args, plain.kwargs, plain.options))
            items.append((range(len(passing), len(passing) + len(found)), layout))
            passing += found
        batch = [passage(app, one) for one in passing]
        done: dict[int, AsyncResult[Any]] = {}

        async def leave(going: Sequence[int], given: list[Any]) -> None:
            changed = {place: passing[place].changed(app, batch[place].message) for place in going}
            for places, layout in items:
                if layout is not None:
                    _rewrite(layout, [changed[place] for place in places])
            for places, layout in items:
                try:
                    if layout is not None:
                        done[places[0]] = self._sent_canvas(await self._put(layout, layout.written(), None))
                        given += self._members(layout)
                    elif places[0] in changed:
                        done[places[0]] = await self.send_single(changed[places[0]])
                        given.append(done[places[0]])
                except AioQueueError as error:
                    raise error.after([one.id for one in done.values()], len(calls)) from error.__cause__

        whole = [place for places, layout in items if layout is not None for place in places]
        given = await pass_all(batch, leave, within=app.conf.send_timeout, whole=whole)
        return [given[places[0]] if layout is None else done[places[0]] for places, layout in items]

    async def _send_shares(self, calls: Sequence[BareCall], results: list[AsyncResult[Any]]) -> None:
        """All are made before the first is sent, for one may be wrong. Of what is heavy only that much is held that is
        on its way: the rest is made again when it is its turn. Those that are sent add to the results."""
        broker = await self._app.broker()
        now, held = broker.now(), 0
        drafts: list[Posting] = []
        for call in calls:
            for posting in postings(self._app, *call, now):
                size = len(posting.message.data)
                held += size
                if held > _MOST_HELD:
                    message = msgspec.structs.replace(posting.message, data=b"")
                    posting = msgspec.structs.replace(posting, message=message, let_go=size)
                drafts.append(posting)
        most = self._at_once(drafts)
        for share in shares(drafts, _weight, _is_copy, most):  # of a call all leave together, or nothing does
            batch = [self._made_again(posting, now) if posting.let_go else posting for posting in share]
            try:
                await self._send(broker, batch)
            except AioQueueError as error:
                raise error.after([one.id for one in results], len(calls)) from error.__cause__
            results += [self._result(posting) for posting in batch if not posting.is_copy]

    def _at_once(self, drafts: Sequence[Posting]) -> int:
        """How many messages leave at once: for a queue whose room is waited for, no more than it can ever hold."""
        conf = self._app.conf
        if conf.queue_max_length is None and not conf.task_queues:
            return MOST_ITEMS
        bounds = [bound_of(conf, queue) for queue in {posting.message.queue for posting in drafts}]
        return min([MOST_ITEMS, *(one.most for one in bounds if one.full == "wait" and one.most is not None)])

    def _made_again(self, posting: Posting, now: int) -> Posting:
        about = posting.target, posting.args, posting.kwargs, posting.options
        made = outgoing(self._app, *about, now, queue=posting.message.queue, again=True)
        message = msgspec.structs.replace(posting.message, data=made.data)
        return msgspec.structs.replace(posting, message=message, let_go=0)

    def _result(self, posting: Posting) -> AsyncResult[Any]:
        target, id, ignored = posting.target, posting.message.id, posting.options.get("ignore_result")
        queue = posting.message.queue
        if isinstance(target, str):
            return AsyncResult(self._app, id, name=target, queue=queue, ignored=bool(ignored))
        if ignored is None:
            ignored = self._app.conf.task_ignore_result if target.ignore_result is None else target.ignore_result
        keeps = ignored and target.keeps_errors
        return AsyncResult(self._app, id, name=target.name, queue=queue, ignored=ignored, keeps_errors=keeps)

    # Canvases

    async def send_canvas(
        self, canvas: Canvas[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        """Send a canvas whole; its parts are stored as they are made, and with the last one it begins."""
        at, inherited = self._inherited(args, kwargs)
        return self._sent_canvas(await self.put_workflow(canvas, at, inherited))

    def _inherited(self, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> tuple[At, Role]:
        """Where a canvas begins, and what it has of the running task."""
        parent = current.get()
        inherited = Role()
        if parent is not None and parent.id:
            inherited = Role(parent_id=parent.id, root_id=parent.root_id, stamps=parent.stamps)
        return At(args=args, kwargs=kwargs or {}, stamps=inherited.stamps), inherited

    def _sent_canvas(self, shape: Shape) -> AsyncResult[Any]:
        parent = current.get()
        if parent is not None and parent.id:
            parent.children.append(shape.id_of(shape.end))
        return result_of(self._app, shape)

    async def put_workflow(
        self, canvas: Canvas[Any], at: At, inherited: Role, *, later: list[Posting] | None = None
    ) -> Shape:
        """Put a canvas into the broker as a workflow.

        Args:
            later: given where something else is to start it; what is to be told of then is added to it.

        Raises:
            AioQueueError: as `Canvas.send`; then nothing of it is left.
        """
        app = self._app
        if not app.passes_through:
            layout = await self._layout(inherited)
            return await self._put(layout, layout.parts(canvas, at), later)
        layout = await self._laid(canvas, at, inherited)
        calls = _calls_of(layout)
        batch = [passage(app, call) for call in calls]

        async def leave(going: Sequence[int], given: list[Any]) -> None:
            _rewrite(layout, [calls[number].changed(app, batch[number].message) for number in going])
            await self._put(layout, layout.written(), later)
            given += self._members(layout)

        await pass_all(batch, leave, within=app.conf.send_timeout, whole=range(len(batch)))
        return layout.shape

    async def _layout(self, inherited: Role) -> Layout:
        app = self._app
        return Layout(
            app,
            now=(await app.broker()).now(),
            keep=int((app.conf.result_expires or 0) * 1000),
            inherited=inherited,
            held=app.passes_through,
        )

    async def _laid(self, canvas: Canvas[Any], at: At, inherited: Role) -> Layout:
        """A canvas whose messages are to pass before any part of it is made."""
        layout = await self._layout(inherited)
        for _ in layout.parts(canvas, at):
            pass  # there are none, until all messages have passed
        return layout

    def _members(self, layout: Layout) -> list[AsyncResult[Any]]:
        """What stands for each of the calls of a canvas."""
        shape = layout.shape
        return [AsyncResult(self._app, shape.id_of(laid.number), name=laid.node.task) for laid in layout.calls]

    async def _put(self, layout: Layout, parts: Iterable[Part], later: list[Posting] | None) -> Shape:
        """Put a workflow into the broker part by part; with the last one it begins."""
        conf, shape = self._app.conf, layout.shape
        broker = await self._app.broker()
        stored = False
        try:
            for part in parts:
                await broker.put_part(shape.id, part, None, timeout=conf.send_timeout)
                stored = True
            part, start = layout.last(held=later is not None)
            lengths = self.lengths(start.queues)
            made = [Posting(*about) for about in layout.sent]
            id = await self.hand_over(
                made if later is None else (),
                lambda: broker.put_part(shape.id, part, start, timeout=conf.send_timeout, max_length=lengths),
                into=start.queues,
            )
            if id != shape.id:  # the same canvas under the same ids was sent before, and goes on: it is that one
                if stored:
                    await broker.discard(shape.id)
                shape.id, made = id, []
        except BaseException:
            if stored:
                await broker.discard(shape.id)
            raise
        if later is None:
            await tell_sent(self._app, made)
        else:
            later += made
        return shape

    # Dead letters

    async def again(self, message: Outgoing) -> bool:
        """Send again what lies among the dead letters. False: it does not, any more."""
        broker = await self._app.broker()
        return await broker.requeue_dead(message)


def _how_many(into: Sequence[Posting] | Mapping[str, int], queue: str) -> int:
    """How many tasks a queue is to take at once."""
    if isinstance(into, Mapping):
        return into.get(queue, 0)
    messages = [posting.message for posting in into if posting.message.queue == queue]
    return sum(not (message.delay or message.due) for message in messages)


def _calls_of(layout: Layout) -> list[Call]:
    return [Call(laid.target, laid.args, laid.kwargs, laid.options) for laid in layout.calls]


def _rewrite(layout: Layout, calls: Sequence[Call]) -> None:
    """Make the messages of a canvas from what its calls have become.

    Raises:
        ConfigurationError: something of that cannot be so.
    """
    for laid, call in zip(layout.calls, calls, strict=True):
        if call.options.get("task_id") != laid.options.get("task_id"):
            raise ConfigurationError(
                f"An around_send has changed the task_id of {laid.node.task}, by which the other parts of its "
                "canvas know it. Nothing was sent."
            )
        if call.name != laid.node.task:
            laid.node.task = layout.shape.tasks[laid.number] = call.name
        layout.write(laid._replace(**call._asdict()))


def _is_copy(posting: Posting) -> bool:
    return posting.is_copy


def _weight(posting: Posting) -> int:
    """How many bytes go to the broker."""
    return posting.let_go or len(posting.message.data)
