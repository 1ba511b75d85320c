"""What must come of a play, told by a plain recursive interpreter that knows neither brokers nor workflows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from .plays import Broken, Call, Chain, Chord, Chunks, Group, Handler, Spec, group_of, items_of, plain, value_of


class Origin(NamedTuple):
    """A failure that others fail of: the task that failed, and the handlers that were told of it where it stands."""

    n: int
    handlers: frozenset[int]


@dataclass
class End:
    """How a canvas ends.

    Attributes:
        value: when all is well.
        origins: the failures of which any may be named as the cause. None means that it ended well.
        errors: the types that may be raised by its result.
        given: what a chord that allows failures gives to its body for it.
        is_task: or it is a group.
        last: the tasks that ended with it.
        members: of a group, as it was sent.
        added: those that joined it later.
        sent: the arguments given to the first tasks; it is none of them that has ended.
    """

    value: Any = None
    origins: frozenset[Origin] = frozenset()
    errors: frozenset[str] = frozenset()
    given: str = ""
    is_task: bool = True
    last: frozenset[int] = frozenset()
    members: list[End] = field(default_factory=list)
    added: list[End] = field(default_factory=list)
    sent: list[Any] | None = None

    @property
    def args(self) -> list[Any]:
        """What the next one takes."""
        return [self.value] if self.sent is None else self.sent


@dataclass
class At:
    """What is around a canvas.

    Attributes:
        handlers: of failures in it.
        outer: those of the tasks in whose place it goes on.
        added: where members of its group are added.
        group: the handlers of that group; they hear of what fails in an added member.
        beyond: those of the tasks in whose place that group is; they do, too.
    """

    handlers: tuple[Handler, ...] = ()
    outer: tuple[Handler, ...] = ()
    added: list[End] | None = None
    group: tuple[Handler, ...] = ()
    beyond: tuple[Handler, ...] = ()

    def within(self, spec: Spec) -> At:
        return replace(self, handlers=(*self.handlers, *spec.handlers))


class Interpreter:
    """All that happens.

    Attributes:
        ran: how often which task ran with what, and which handler heard what.
        maybe: what handlers may hear besides, as it depends on which of several failures came first.
        after: tasks that run after others.
        end: of the whole.
    """

    def __init__(self, spec: Spec, sent: list[Any]) -> None:
        self.ran: Counter[str] = Counter()
        self.maybe: set[str] = set()
        self.after: set[tuple[int, int]] = set()
        self.end = self.run(spec, End(sent=sent), At())

    def run(self, spec: Spec, before: End, at: At) -> End:
        """What comes of it after something else, with its links."""
        at = at.within(spec)
        match spec:
            case Call():
                end = self.call(spec, before, at)
            case Chain():
                end = before
                for one in spec.of:
                    end = self.run(one, end, at)
            case Group():
                end = self.group(spec.of, before, at)
            case Chunks():
                end = self.group(in_chunks(spec), before, at)
            case Chord():
                header = self.run_header(spec, before, at)
                end = self.run(spec.body, header, at)
        self.links(spec, end)
        return end

    def links(self, spec: Spec, end: End) -> None:
        """No handler around it hears of what fails in a link, nor those of a task in whose place all of it goes on."""
        for link in spec.links:
            self.run(link, end, At())

    def run_header(self, spec: Chord, before: End, at: At) -> End:
        end = self.group(spec.header.of, before, at.within(spec.header), lenient=spec.lenient)
        self.links(spec.header, end)
        return end

    def call(self, spec: Call, before: End, at: At) -> End:
        if before.origins:
            return self.not_run(before, at)
        args = [] if spec.immutable else [plain(one) for one in before.args]
        if spec.items is not None:
            items = items_of(spec) if spec.items >= 0 else before.args[0]
            return self.spread(spec, items, before, at)
        for retry in range(spec.retries + 1):
            self.runs(spec.n, before, spec.n, retry, *args)
        if spec.gives == "failure":
            return self.failed(spec, at, hidden=has_errors(args))
        if spec.gives == "canvas":
            assert spec.canvas is not None
            end = self.instead(spec, spec.canvas, at)
        else:
            end = End(value_of(spec.n, args, spec.gives), last=frozenset([spec.n]))
        for one in spec.adds:
            assert at.added is not None
            at.added.append(self.elsewhere(one, spec.n, at.group, At(outer=(*at.group, *at.beyond))))
        return end

    def spread(self, spec: Call, items: list[Any], before: End, at: At) -> End:
        if spec.gives == "failure" and items:
            self.runs(spec.n, before, spec.n, 0, plain(items[0]))
            return self.failed(spec, at, hidden=has_errors(items))
        for item in items:
            self.runs(spec.n, before, spec.n, 0, plain(item))
        values = [value_of(spec.n, [plain(item)], spec.gives) for item in items]
        return End(values, last=frozenset([spec.n] if items else before.last))

    def runs(self, task: int, before: End, *what: Any) -> None:
        self.ran[json.dumps(what)] += 1
        self.after |= {(one, task) for one in before.last}

    def failed(self, spec: Call, at: At, *, hidden: bool) -> End:
        """It fails by itself, and all handlers around it hear of that."""
        for handler in (*at.handlers, *at.outer):
            self.hears(handler, "Broken", None if hidden else spec.n)
        origin = Origin(spec.n, frozenset(handler.n for handler in at.handlers))
        return End(None, frozenset([origin]), frozenset(["Broken"]), "!Broken", last=frozenset([spec.n]))

    def not_run(self, before: End, at: At) -> End:
        """It is not its turn, because of something before it. After a group, its handlers hear of that unless they have
        heard of the failure itself."""
        error = "UpstreamFailed" if before.is_task else "ChordError"
        if not before.is_task:
            for handler in at.handlers:
                heard = [handler.n in origin.handlers for origin in before.origins]
                if not any(heard):
                    self.hears(handler, "ChordError", None)
                elif not all(heard):
                    self.maybe.add(self.words(handler, "ChordError", None))
        return End(None, before.origins, frozenset([error]), f"!{error}")

    def hears(self, handler: Handler, error: str, n: int | None) -> None:
        self.ran[self.words(handler, error, n)] += 1

    def words(self, handler: Handler, error: str, n: int | None) -> str:
        return json.dumps(["heard by", handler.n, *([] if handler.immutable else [error, n])])

    def instead(self, spec: Call, canvas: Spec, at: At) -> End:
        """Something goes on in the place of a task."""
        inner = replace(at, handlers=(), outer=(*at.handlers, *at.outer))
        return self.elsewhere(canvas, spec.n, at.handlers, inner)

    def elsewhere(self, spec: Spec, n: int, handlers: tuple[Handler, ...], at: At) -> End:
        """A canvas that begins with the end of a task, and stands for a task."""
        end = self.run(spec, End(sent=[], last=frozenset([n])), at)
        if not end.is_task and end.origins:
            end.errors = frozenset(["ChordError"])
        origins = frozenset(Origin(one.n, frozenset(h.n for h in handlers)) for one in end.origins)
        return End(end.value, origins, end.errors, "!Broken", last=end.last)

    def group(self, of: list[Spec], before: End, at: At, *, lenient: bool = False) -> End:
        at = At(at.handlers, at.outer, [], at.handlers, at.outer)
        sent: list[End] = []
        self.members(of, before, at, sent)
        added = at.added or []
        members = [*sent, *added]
        bad = [one for one in members if one.origins]
        end = End(is_task=False, members=sent, added=added)
        end.last = frozenset[int]().union(*(one.last for one in members))
        if not members:
            end.last = before.last
        if lenient:
            end.value = [one.given if one.origins else one.value for one in members]
        elif bad or (before.origins and not members):
            end.origins = frozenset[Origin]().union(*(one.origins for one in bad or [before]))
            end.errors = frozenset[str]().union(*(one.errors for one in bad)) if bad else self.without_members(before)
            end.given = "!UpstreamFailed"
            end.last = frozenset()
        else:
            end.value = [one.value for one in members]
        return end

    def without_members(self, before: End) -> frozenset[str]:
        """What an empty group raises when it is not its turn."""
        kind = "UpstreamFailed" if before.is_task else "ChordError"
        return frozenset(kind if error == "Broken" else error for error in before.errors)

    def members(self, of: list[Spec], before: End, at: At, found: list[End]) -> None:
        """The members' ends, with those of a group directly in the group."""
        for one in of:
            inner = group_of(one)
            parts = in_chunks(inner) if isinstance(inner, Chunks) else inner.of if inner is not None else []
            if inner is None:
                found.append(self.run(one, before, at))
            elif not (inner.links or inner.handlers):
                self.members(parts, before, at, found)
            else:
                end = self.run(inner, before, at)
                found += end.members
                assert at.added is not None
                at.added += end.added


def in_chunks(spec: Chunks) -> list[Spec]:
    """The group that chunks are."""
    starts = range(0, spec.items, spec.size)
    return [Call(spec.n, items=min(spec.size, spec.items - start), first=start) for start in starts]


def has_errors(args: list[Any]) -> bool:
    """Such arguments cannot be told to a handler."""
    return any(
        one.startswith("!") if isinstance(one, str) else isinstance(one, list) and has_errors(one) for one in args
    )


def check(model: Interpreter, given: Any, ran: Counter[str], *, once: bool = True) -> None:
    """What was given, and what ran, is what should.

    Args:
        model: says what should.
        given: by the result: a value, or an exception.
        ran: what happened.
        once: nothing may have happened more often than it must.
    """
    missing, more = model.ran - ran, ran - model.ran
    unasked = [what for what in more if what not in model.maybe and (once or what not in model.ran)]
    assert not missing and not unasked, f"not run: {dict(missing)}; not asked for: {unasked}"
    if model.end.origins:
        assert isinstance(given, Exception), given
        assert type(given).__name__ in model.end.errors, repr(given)
        root: BaseException = given
        while root.__cause__ is not None:
            root = root.__cause__
        assert isinstance(root, Broken), repr(root)
        assert root.args[0] in {origin.n for origin in model.end.origins}
    else:
        assert plain(given) == plain(model.end.value)


def check_order(model: Interpreter, times: dict[int, list[float]]) -> None:
    """Nothing began before what it comes after had begun.

    Args:
        model: says what comes after what.
        times: when the runs of each task began.
    """
    for before, after in model.after:
        if before != after:
            assert max(times[before]) < min(times[after]), f"{after} ran before {before}"
