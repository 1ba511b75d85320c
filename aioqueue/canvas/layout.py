"""From a canvas to the nodes of a workflow.

The canvas is walked once, from its beginning to its end, and each node is given out as soon as all that follows it
directly is known; so what is held in memory is the frontier, and not the whole. A composition is not a node of its own,
but for groups, which are joins; every canvas has one node whose end is its end:

    task     itself
    chain    the end of its last element; each element comes after the end of the one before
    group    a join, after whose members' ends it ends
    chord    the end of its body, which comes after the join that the header is
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from aioqueue.canvas.base import Canvas
from aioqueue.canvas.composites import chain, chord, group
from aioqueue.canvas.forms import as_group, flat, group_of, is_single, plain_single
from aioqueue.canvas.parts import HeldParts, Parts
from aioqueue.canvas.signatures import Signature
from aioqueue.exceptions import ConfigurationError
from aioqueue.ids import new_id
from aioqueue.options import over
from aioqueue.outgoing import Role, outgoing
from aioqueue.routing.addressing import addressed_once
from aioqueue.shape import Shape
from aioqueue.workflow import HANDLER, JOIN, LENIENT, PAGE, SOURCE, TASK, Node, Part, Start

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.task import Task

_STARTING = ("countdown", "eta")


class At(NamedTuple):
    """Where in a workflow a canvas is put, and what it inherits there.

    Attributes:
        before: the node before it.
        group: the join that it belongs to.
        joins: those that the members of this group belong to as well, as it stands directly in them.
        options: those of the compositions around it.
        first: those that count for the first tasks only.
        args, kwargs: given at send to the first tasks.
        stamps: of what is around it.
        handlers: the error handlers of what is around it.
        id: of the task at its end.
        wanted: somebody takes its result.
        lenient: it is the header of a chord that allows failures.
        linked: it is a link, or a part of one.
    """

    before: int = SOURCE
    group: int = 0
    joins: tuple[int, ...] = ()
    options: Mapping[str, Any] = {}
    first: Mapping[str, Any] = {}
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}
    stamps: Mapping[str, Any] = {}
    handlers: tuple[int, ...] = ()
    id: str | None = None
    wanted: bool = False
    lenient: bool = False
    linked: bool = False


class Call(NamedTuple):
    """A call in a workflow, of which a message is to be made.

    Attributes:
        number, node: its node, of which all is known but what the message says.
        role: its role.
        target, args, kwargs, options: as of any call.
    """

    number: int
    node: Node
    role: Role
    target: Task[..., Any] | str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: Mapping[str, Any]


_Call = tuple[int, Node, Role, "Task[..., Any] | str", tuple[Any, ...], dict[str, Any], Mapping[str, Any]]
_Walk = Generator["tuple[Canvas[Any], At] | None", int, int]


class _Draft:
    """A node of which not everything is known yet."""

    __slots__ = ("members", "node", "to")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.to = array("q")
        self.members = array("q")


class Layout:
    """A workflow in the making.

    Args:
        app: sends it.
        now: ms since the epoch, by the broker's clock.
        keep: ms to keep it after its end.
        inherited: the role of the task that it goes on for, whose workflow, group and relatives are its own.
        held: the messages are made later: `parts` gives nothing then, each of `calls` is to be written (`write`), and
            the parts are `written`.
        routed: its tasks are to go somewhere; False: it is only to be seen whether they can be sent.

    Attributes:
        shape: how the nodes belong together; complete when `parts` is through.
        sent: what observers of the app, and those who listen to `task_sent`, are told.
        calls: those whose messages are to be made.
    """

    def __init__(
        self,
        app: Core,
        *,
        now: int,
        keep: int,
        inherited: Role | None = None,
        held: bool = False,
        routed: bool = True,
    ) -> None:
        self.shape = Shape(new_id())
        self.calls: list[Call] = []
        self.sent: list[tuple[Any, ...]] = []
        self._app = app
        self._now = now
        self._routed = routed
        self._keep = keep
        self._inherited = inherited or Role()
        self._root = self._inherited.root_id
        self._taken: str | None = None
        self._drafts: dict[int, _Draft] = {SOURCE: _Draft(Node(kind=JOIN, id=""))}
        self._held = HeldParts(self.shape.names) if held else None
        self._parts: Parts = self._held or Parts(self.shape.names)
        self._open = 0
        self._queues: dict[str, int] = {}
        self._ids: set[str] = set()
        self._claims: set[str] = set()

    # The walk

    def parts(self, canvas: Canvas[Any], at: At) -> Iterator[Part]:
        """The parts of the workflow, all but the last; then `last` has it.

        Raises:
            PayloadError: a call cannot be sent, or does not fit its task.
            ConfigurationError: a composition is empty, or an option is wrong.
        """
        self._taken = at.id
        # A stack of our own: canvases nest without limits.
        stack: list[_Walk] = [self._walk(canvas, at)]
        value: int | None = None
        while stack:
            try:
                request = stack[-1].send(cast("Any", value))
            except StopIteration as stop:
                stack.pop()
                value = stop.value
                continue
            value = None
            if request is not None:
                stack.append(self._walk(*request))
            yield from self._parts.take()
        self.shape.end = cast("int", value)
        self._close(self.shape.end)
        self._close(SOURCE)
        yield from self._parts.take()

    def last(self, *, held: bool = False) -> tuple[Part, Start]:
        """The last part, and what is to be said when it is there."""
        shape, claims = self.shape, sorted(self._claims)
        part, call = self._parts.last()
        return part, Start(
            end=shape.end,
            total=len(shape.before) - 1,
            open=self._open,
            keep=self._keep,
            names={name: number for number, name in shape.names.items()},
            queues=self._queues,
            held=held,
            claims=claims,
            call=call if claims else "",
        )

    def _walk(self, canvas: Canvas[Any], at: At) -> _Walk:
        canvas = as_group(canvas)
        at = self._enter(canvas, at)
        inner = at._replace(wanted=at.wanted or bool(canvas.links))
        walk = self._kinds.get(type(canvas))
        if walk is None:
            raise ConfigurationError(f"{canvas!r} cannot be sent. Nothing was sent.")
        end = yield from walk(self, canvas, inner)
        for link in canvas.links:
            linked = yield link, At(before=end, stamps=self._stamps_of(canvas, at), linked=True)
            self._close(linked)
        return end

    def _enter(self, canvas: Canvas[Any], at: At) -> At:
        """What the parts of a canvas inherit from it."""
        if is_single(canvas):
            handlers = self._handlers(canvas, at)
            return at._replace(handlers=handlers) if handlers is not at.handlers else at
        options: dict[str, Any] = dict(canvas.options)
        stamps: dict[str, Any] = {**at.stamps, **(options.pop("stamps", None) or {})}
        first = {name: options.pop(name) for name in _STARTING if name in options} or at.first
        id = options.pop("task_id", None)
        self._parts.is_named = self._parts.is_named or id is not None
        return at._replace(
            options=over(at.options, options),
            first=first,
            stamps=stamps,
            id=id or at.id,
            handlers=self._handlers(canvas, at._replace(stamps=stamps)),
        )

    def _stamps_of(self, canvas: Canvas[Any], at: At) -> Mapping[str, Any]:
        return {**at.stamps, **(canvas.options.get("stamps") or {})} if is_single(canvas) else at.stamps

    def _handlers(self, canvas: Canvas[Any], at: At) -> tuple[int, ...]:
        if not canvas.errbacks:
            return at.handlers
        stamps = self._stamps_of(canvas, at)
        made = [self._handler(cast("Signature[Any]", errback), stamps) for errback in canvas.errbacks]
        return (*at.handlers, *made)

    def _chain(self, canvas: chain[Any], at: At) -> _Walk:
        elements = list(flat(canvas))
        if not elements:
            raise ConfigurationError("An empty chain has nothing to do: give it at least one task. Nothing was sent.")
        end = at.before
        for position, element in enumerate(elements):
            last = position == len(elements) - 1
            inside = at._replace(before=end, id=None, lenient=False)
            if position:
                inside = inside._replace(first={}, args=(), kwargs={})
            inside = inside._replace(id=at.id, wanted=at.wanted) if last else inside._replace(wanted=True)
            previous = end
            if (single := plain_single(element)) is not None:
                end = self._task(single, inside)
            else:
                end = yield element, inside
            if position:
                self._close(previous)
                if self._parts.full:
                    yield None
        return end

    def _group(self, canvas: group[Any], at: At) -> _Walk:
        number = self.shape.add(at.before, "")
        kind = LENIENT if at.lenient else JOIN
        if at.lenient:
            self.shape.lenient.add(number)
        if at.id:
            self._name(number, at.id)
        join = _Draft(
            Node(
                kind=kind,
                id=self.shape.id_of(number),
                before=at.before,
                on_error=at.handlers,
                wanted=at.wanted,
                group=at.group,
                linked=at.linked,
                joins=at.joins,
            )
        )
        self._drafts[number] = join
        self._open += 1
        joins = (number, *at.joins)
        inside = at._replace(group=number, joins=(), id=None, lenient=False)
        # A bare group directly in a group is unrolled: its members are this one's.
        iterators: list[tuple[Iterator[Canvas[Any]], At]] = [(canvas.members(), inside)]
        while iterators:
            members, inside = iterators[-1]
            member = next(members, None)
            if member is None:
                iterators.pop()
                continue
            member = as_group(member)
            inner = group_of(member)
            if inner is not None and not inner.links and not inner.errbacks and "task_id" not in inner.options:
                iterators.append((inner.members(), self._enter(inner, inside)))
                continue
            if inner is not None:  # it has something of its own, so it is a join, but its members are this one's
                end = yield member, inside._replace(joins=joins)
                join.members.extend(self._drafts[end].members)
            else:
                if (single := plain_single(member)) is not None:
                    end = self._task(single, inside)
                else:
                    end = yield member, inside
                join.members.append(end)
                for belongs in joins:
                    self._connect(end, belongs)
            self._close(end)
            join.node.members += 1
            if self._parts.full:
                yield None
        count = join.node.members = len(join.members)
        if not count:
            self._connect(at.before, number)
        self._parts.count(number, count or 1)
        self.shape.joins[number] = join.members
        return number

    def _chord(self, canvas: chord[Any], at: At) -> _Walk:
        if canvas.body is None:
            raise ConfigurationError("This chord has no body: chord(header, body). Nothing was sent.")
        header = yield (
            canvas.header,
            at._replace(id=None, wanted=True, lenient=canvas.allow_failures),
        )
        end = yield (
            canvas.body,
            at._replace(before=header, first={}, args=(), kwargs={}, lenient=False),
        )
        self._close(header)
        return end

    def _single(self, canvas: Signature[Any], at: At) -> _Walk:
        yield from ()
        return self._task(canvas, at)

    _kinds: ClassVar[dict[type, Callable[[Layout, Any, At], _Walk]]] = {
        Signature: _single,
        chain: _chain,
        group: _group,
        chord: _chord,
    }

    # Nodes

    def _task(self, signature: Signature[Any], at: At) -> int:
        options: Mapping[str, Any] = signature.options
        if at.options or at.first:
            options = over(over(at.options, at.first), options)
        id = at.id or options.get("task_id")
        shape = self.shape
        number = shape.add(at.before, signature.task)
        if id:
            self._name(number, id)
        args, kwargs = signature.args, signature.kwargs
        if (at.args or at.kwargs) and not signature.immutable:
            args, kwargs = signature.complete(at.args, at.kwargs)
        takes = at.before if at.before != SOURCE and not signature.immutable else None
        draft = self._drafts.get(at.before)
        parent = draft.node.id if draft is not None and draft.node.kind == TASK else self._inherited.parent_id
        role = Role(
            workflow=shape.id,
            node=number,
            id=shape.id_of(number),
            takes=takes,
            gathers=draft is not None and draft.node.kind != TASK,
            wanted=at.wanted,
            spread=signature.spread,
            group_id=f"{shape.id}.{at.group}" if at.group else self._inherited.group_id,
            parent_id=parent,
            root_id=self._root or shape.id_of(number),
            stamps=at.stamps,
        )
        self._root = role.root_id
        node = Node(
            kind=TASK,
            id=role.id,
            task=signature.task,
            before=at.before,
            on_error=at.handlers,
            wanted=at.wanted,
            group=at.group,
            linked=at.linked,
            takes=takes is not None,
        )
        self._drafts[number] = _Draft(node)
        self._open += 1
        self._give((number, node, role, signature.target_in(self._app), args, kwargs, options))
        self._connect(at.before, number)
        return number

    def _name(self, number: int, id: str) -> None:
        self._parts.is_named = True
        if id in self._ids:
            raise ConfigurationError(
                f"The task_id {id!r} is given to two parts of this canvas, whose results would be taken for each "
                "other's. Nothing was sent."
            )
        self._ids.add(id)
        if id != self._taken:  # that is the id of the task that it goes on for
            self._claims.add(id)
        self.shape.names[number] = id

    def _handler(self, signature: Signature[Any], stamps: Mapping[str, Any]) -> int:
        if signature.links or signature.errbacks:
            raise ConfigurationError(
                f"The error handler {signature!r} has callbacks or error handlers of its own, which nobody would call: "
                "let its task send what is to follow. Nothing was sent."
            )
        number = self.shape.add(SOURCE, signature.task)
        role = Role(
            workflow=self.shape.id,
            node=number,
            id=f"{self.shape.id}.{number}",
            handles=not signature.immutable,
            root_id=self._root,
            parent_id=self._inherited.parent_id,
            stamps=stamps,
        )
        node = Node(kind=HANDLER, id=role.id, task=signature.task)
        target = signature.target_in(self._app)
        self._give((number, node, role, target, signature.args, signature.kwargs, signature.options))
        self._parts.add(number, node)
        return number

    # Messages

    def _give(self, call: _Call) -> None:
        if self._held is None:
            self.write(call)
        else:
            self.calls.append(Call(*call))

    def write(self, call: _Call) -> None:
        """Make the message of a node.

        Raises:
            PayloadError: it cannot be sent, or does not fit its task.
            RoutingError: there is no queue for it, or more than one.
        """
        number, node, role, target, args, kwargs, options = call
        queue = self._app.conf.task_default_queue
        if self._routed:
            queue, options = addressed_once(self._app, target, args, kwargs, options, role.spread)
        if self._app.conf.task_always_eager:
            options = _undelayed(options)
        message = outgoing(self._app, target, args, kwargs, options, self._now, queue=queue, role=role)
        node.queue, node.priority, node.data = message.queue, message.priority, message.data
        if message.due:
            node.due = message.due
        if message.delay:
            node.delay = message.delay
        queues = self._queues
        if node.kind == HANDLER:
            queues.setdefault(message.queue, 0)
            return
        if self._is_ignored(target, options):
            self.shape.ignored.add(number)
            if not isinstance(target, str) and target.keeps_errors:
                self.shape.keeping_errors.add(number)
        if self._app.observers or "task_sent" in self._app.signals.heard:
            self.sent.append((target, args, kwargs, options, message))
        if node.before == SOURCE and not message.due and not message.delay:
            queues[message.queue] = queues.get(message.queue, 0) + 1
        else:
            queues.setdefault(message.queue, 0)

    def written(self) -> Iterator[Part]:
        """The parts of the workflow, all but the last, once all messages are made."""
        assert self._held is not None
        return self._held.let_go()

    def _is_ignored(self, target: Any, options: Mapping[str, Any]) -> bool:
        ignored = options.get("ignore_result")
        if ignored is None and not isinstance(target, str):
            ignored = target.ignore_result
        return bool(self._app.conf.task_ignore_result if ignored is None else ignored)

    def _connect(self, before: int, number: int) -> None:
        self._drafts[before].to.append(number)

    def _close(self, number: int) -> None:
        """All that follows a node directly is known."""
        draft = self._drafts.pop(number)
        node = draft.node
        if len(draft.to) <= PAGE:
            node.to = draft.to.tolist()
        else:
            node.pages = self._parts.add_successors(number, draft.to)
        self._parts.add_members(number, draft.members)
        self._parts.add(number, node)


def _undelayed(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """What runs where it is sent is not waited for."""
    return {name: value for name, value in options.items() if name not in _STARTING}
