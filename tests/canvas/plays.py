"""Canvases as data that can be drawn at random, made into real ones, and told to a worker; and the tasks in them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator
from functools import reduce
from operator import or_
from typing import Any, Literal, cast

import msgspec

from aioqueue import AioQueue, TaskContext, TaskFailure, chain, chord, chunks, group
from aioqueue.canvas import Canvas, Signature

BIG = 20_000
"""Characters of a large result, which does not travel with the next message."""


class Broken(Exception):
    """What tasks of plays fail with: their number."""


# Data


class Handler(msgspec.Struct, tag=True):
    """An error handler.

    Attributes:
        n: the number of its task.
        immutable: it is not told of what.
        fails: it fails.
    """

    n: int = 0
    immutable: bool = False
    fails: bool = False


class Call(msgspec.Struct, tag=True):
    """A call of a task.

    Attributes:
        n: its number.
        gives: a value, nothing at all, a large value, a failure, or `canvas`, which goes on in its place.
        retries: how often it is retried before that.
        immutable: it takes no result.
        items: called for so many items of its own; -1 is for those that come before it.
        first: the number of its first item.
        thread: in a thread.
        later: with a countdown.
        named: with an id that its sender chose.
        adds: what it adds to its group.
    """

    n: int = 0
    gives: Literal["value", "nothing", "big", "failure", "canvas"] = "value"
    retries: int = 0
    immutable: bool = False
    items: int | None = None
    first: int = 0
    thread: bool = False
    later: bool = False
    named: bool = False
    canvas: Spec | None = None
    adds: list[Spec] = []
    links: list[Spec] = []
    handlers: list[Handler] = []


class Chain(msgspec.Struct, tag=True):
    """A chain; `piped` is made with `|`."""

    of: list[Spec]
    piped: bool = False
    links: list[Spec] = []
    handlers: list[Handler] = []

    @property
    def is_bare(self) -> bool:
        return not (self.links or self.handlers)


class Group(msgspec.Struct, tag=True):
    """A group; of a generator, if it is a stream."""

    of: list[Spec]
    stream: bool = False
    links: list[Spec] = []
    handlers: list[Handler] = []


class Chord(msgspec.Struct, tag=True):
    """A chord."""

    header: Group
    body: Spec
    lenient: bool = False
    links: list[Spec] = []
    handlers: list[Handler] = []


class Chunks(msgspec.Struct, tag=True):
    """So many items in chunks of a size."""

    n: int = 0
    items: int = 0
    size: int = 1
    links: list[Spec] = []
    handlers: list[Handler] = []


Spec = Call | Chain | Group | Chord | Chunks

encode = msgspec.json.Encoder().encode
decode: Callable[[bytes | str], Any] = msgspec.json.Decoder(Spec).decode


def tidied(drawn: Spec) -> Spec:
    """A copy in which each task has a number, and nothing is asked for that is known to be wrong."""
    spec = decode(encode(drawn))
    _tidy(spec, None)
    for n, task in enumerate(_tasks(spec)):
        task.n = n + 1
    return spec


def _tidy(spec: Spec, slot: list[None] | None, *, listed: bool = False) -> None:
    """Args:
    slot: is empty when somebody adds to the group already: with two of them, the order would be that of time.
    listed: it gets a list.
    """
    match spec:
        case Call():
            _tidy_call(spec, slot, listed)
        case Chain():
            for one in spec.of:
                _tidy(one, slot, listed=listed)
                listed = isinstance(one, Group | Chunks)
        case Group():
            _tidy_group(spec, [None], listed)
        case Chord():
            _tidy(spec.header, slot, listed=listed)
            _tidy(spec.body, slot, listed=True)
        case Chunks():
            pass
    for link in spec.links:
        _tidy(link, None, listed=isinstance(spec, Group | Chunks))


def _tidy_call(spec: Call, slot: list[None] | None, listed: bool) -> None:
    if spec.items is not None:
        spec.gives = spec.gives if spec.gives == "failure" else "value"
        spec.retries, spec.adds = 0, []
        spec.items = 2 if spec.items < 0 and not listed else spec.items
        spec.immutable = spec.items >= 0
    if spec.gives != "canvas" or spec.canvas is None or not has_tasks(spec.canvas):
        spec.gives = "value" if spec.gives == "canvas" else spec.gives
        spec.canvas = None
    spec.adds = [one for one in spec.adds if has_tasks(one)] if slot else []
    if slot and spec.adds:
        slot.pop()
    for one in spec.adds:
        _tidy(one, None)
    if spec.canvas is not None:
        _tidy(spec.canvas, slot)


def _tidy_group(spec: Group, slot: list[None], listed: bool) -> None:
    for one in spec.of:
        inner = group_of(one)
        if isinstance(inner, Group):
            _tidy_group(inner, slot, listed)
            for link in inner.links:
                _tidy(link, None, listed=True)
        else:
            _tidy(one, slot, listed=listed)


def group_of(spec: Spec) -> Group | Chunks | None:
    """The group that something is, and be it as the only element of a chain."""
    while isinstance(spec, Chain) and len(spec.of) == 1 and spec.is_bare:
        spec = spec.of[0]
    return spec if isinstance(spec, Group | Chunks) else None


def _parts(spec: Spec) -> list[Spec]:
    """What something is made of, links and replacements included."""
    match spec:
        case Call():
            inner = [*([spec.canvas] if spec.canvas is not None else []), *spec.adds]
        case Chain() | Group():
            inner = list(spec.of)
        case Chord():
            inner = [spec.header, spec.body]
        case Chunks():
            inner = []
    return [*inner, *spec.links]


def _tasks(spec: Spec) -> Iterator[Call | Chunks | Handler]:
    if isinstance(spec, Call | Chunks):
        yield spec
    yield from spec.handlers
    for part in _parts(spec):
        yield from _tasks(part)


def has_tasks(spec: Spec) -> bool:
    """Whether there is a task in it that may run; empty groups have none."""
    return any(isinstance(task, Call) or (isinstance(task, Chunks) and task.items) for task in _tasks(spec))


# Made real


def build(spec: Spec, app: AioQueue, play: str) -> Canvas[Any]:
    """The canvas. `play` is told with all that its tasks do."""
    match spec:
        case Call():
            canvas = _call(spec, app, play)
        case Chain():
            parts = [build(one, app, play) for one in spec.of]
            # What `|` gives may be one of its parts, which is not to get what belongs to the whole.
            canvas = reduce(or_, parts) if spec.piped and len(parts) > 1 and spec.is_bare else chain(*parts)
        case Group():
            members = [build(one, app, play) for one in spec.of]
            canvas = group(iter(members)) if spec.stream else group(members)
        case Chord():
            header = cast("group[Any]", build(spec.header, app, play))
            canvas = chord(header, build(spec.body, app, play), allow_failures=spec.lenient)
        case Chunks():
            task = app.tasks["act"].s(play=play, n=spec.n)
            canvas = chunks(task, [(item,) for item in items_of(spec)], spec.size)
    for link in spec.links:
        canvas.link(build(link, app, play))
    for handler in spec.handlers:
        task = app.tasks["hear"]
        kwargs = {"play": play, "n": handler.n, "fails": handler.fails}
        canvas.link_error(task.si(**kwargs) if handler.immutable else task.s(**kwargs))
    return canvas


def items_of(spec: Call | Chunks) -> list[str]:
    """What it is called for."""
    first = spec.first if isinstance(spec, Call) else 0
    return [f"item {item}" for item in range(first, first + (spec.items or 0))]


def _call(spec: Call, app: AioQueue, play: str) -> Signature[Any]:
    task = app.tasks["act in a thread" if spec.thread else "act"]
    kwargs: dict[str, Any] = {"play": play, "n": spec.n}
    if spec.gives != "value":
        kwargs["gives"] = spec.gives
    if spec.retries:
        kwargs["retries"] = spec.retries
    if spec.canvas is not None:
        kwargs["canvas"] = encode(spec.canvas).decode()
    if spec.adds:
        kwargs["adds"] = [encode(one).decode() for one in spec.adds]
    if spec.items is not None:
        call = task.map(items_of(spec) if spec.items >= 0 else None)
        call.kwargs.update(kwargs)
    else:
        call = task.si(**kwargs) if spec.immutable else task.s(**kwargs)
    if spec.later:
        call.set(countdown=0.02)
    if spec.named:
        call.set(task_id=f"{play}-{spec.n}")
    return call


def value_of(n: int, args: list[Any], gives: str) -> str | None:
    """What a task gives."""
    if gives == "nothing":
        return None
    digest = hashlib.sha1(json.dumps([n, args]).encode(), usedforsecurity=False).hexdigest()
    return f"{n} gave {digest[:12]}{' ' * BIG if gives == 'big' else ''}"


def plain(value: Any) -> Any:
    """An argument as it is written down."""
    match value:
        case BaseException():
            return f"!{type(value).__name__}"
        case list() | tuple():
            return [plain(one) for one in cast("list[Any]", value)]
        case str():
            return value.rstrip()
        case _:
            return value


# Played


Tell = Callable[[TaskContext, str, list[Any]], None]
"""Writes down what happened in which play."""


def add_tasks(app: AioQueue, tell: Tell, *, longest: float = 0.0) -> None:
    """The tasks of plays.

    Args:
        app: gets them.
        tell: is told of each run, before anything else happens in it.
        longest: seconds that a run may take.
    """

    def begins(
        ctx: TaskContext, args: tuple[Any, ...], play: str, n: int, gives: str, retries: int
    ) -> tuple[bool, str | None]:
        """Whether it is retried, and the value."""
        tell(ctx, play, [n, ctx.retries, *[plain(one) for one in args]])
        return ctx.retries < retries, value_of(n, [plain(one) for one in args], gives)

    def ends(
        ctx: TaskContext, n: int, play: str, gives: str, again: bool, canvas: str, value: str | None
    ) -> str | None:
        if again:
            raise ctx.retry(countdown=0)
        if gives == "failure":
            raise Broken(n)
        if gives == "canvas":
            raise ctx.replace(build(decode(canvas), app, play))
        return value

    async def act(
        ctx: TaskContext,
        *args: Any,
        play: str,
        n: int,
        gives: str = "value",
        retries: int = 0,
        canvas: str = "",
        adds: list[str] | None = None,
    ) -> Any:
        again, value = begins(ctx, args, play, n, gives, retries)
        for one in adds or ():
            await ctx.add_to_group(build(decode(one), app, play))
        if longest:
            await asyncio.sleep(random.uniform(0, longest))
        return ends(ctx, n, play, gives, again, canvas, value)

    def act_in_a_thread(
        ctx: TaskContext,
        *args: Any,
        play: str,
        n: int,
        gives: str = "value",
        retries: int = 0,
        canvas: str = "",
        adds: list[str] | None = None,
    ) -> Any:
        again, value = begins(ctx, args, play, n, gives, retries)
        for one in adds or ():
            ctx.add_to_group(build(decode(one), app, play))  # type: ignore[unused-awaitable]
        if longest:
            time.sleep(random.uniform(0, longest))
        return ends(ctx, n, play, gives, again, canvas, value)

    async def hear(ctx: TaskContext, *args: Any, play: str, n: int, fails: bool = False) -> None:
        heard: list[Any] = []
        for failure in args:
            assert isinstance(failure, TaskFailure)
            heard += [type(failure.exception).__name__, failure.kwargs.get("n")]
        tell(ctx, play, ["heard by", n, *heard])
        if fails:
            raise Broken(n)

    app.task(bind=True, name="act", max_retries=None)(act)
    app.task(bind=True, name="act in a thread", max_retries=None)(act_in_a_thread)
    app.task(bind=True, name="hear")(hear)
