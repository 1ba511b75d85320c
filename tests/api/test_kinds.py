"""A kind of container or object arrives as that kind, or its sender is told: annotated or not, wherever it goes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pytest
from pydantic import BaseModel
from support.apps import ended, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, TaskContext, chain, chord, group
from aioqueue.exceptions import PayloadError

T = TypeVar("T")


class Pair(NamedTuple):
    left: int
    right: Any = None


@dataclasses.dataclass
class One:
    x: int


@dataclasses.dataclass
class Other:
    x: int


@dataclasses.dataclass(frozen=True)
class Holder:
    rows: Sequence[int]
    named: Mapping[str, Sequence[One]] = dataclasses.field(default_factory=dict)


class Record(msgspec.Struct, frozen=True, rename="camel"):
    some_rows: Sequence[int]


class Rows(NamedTuple):
    one: Sequence[int]
    two: Sequence[int]


class Named(TypedDict):
    rows: Sequence[int]
    rest: Any


@dataclasses.dataclass
class Wide:
    x: int
    extra: int = 0


@dataclasses.dataclass
class Loose:
    """msgspec knows no such unions."""

    x: str | dt.date | None
    raw: str | bytes = ""
    many: list[int] | tuple[int, ...] = ()
    one: One | Wide | None = None
    inner: Loose | None = None

    def __post_init__(self) -> None:
        self.seen = True


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted(Generic[T]):
    x: T | str | dt.date
    rest: list[T] = dataclasses.field(default_factory=list)


class LooseRow(NamedTuple):
    x: str | dt.date
    one: One | Wide = One(0)


class LooseNamed(TypedDict, total=False):
    x: str | dt.date
    one: One | Wide


class LooseStruct(msgspec.Struct, rename="camel", tag="loose", forbid_unknown_fields=True):
    my_x: str | dt.date
    one: One | Wide | None = None


class LooseList(msgspec.Struct, array_like=True, tag=True):
    x: str | dt.date
    one: One | Wide | None = None


class NarrowStruct(msgspec.Struct):
    x: int


class WideStruct(msgspec.Struct):
    x: int
    extra: int = 0


@attrs.define
class LooseAttrs:
    _x: str | dt.date
    one: One | Wide | None = None
    rest: list[int] = attrs.Factory(list)


class NarrowModel(BaseModel):
    x: int


class WideModel(BaseModel):
    x: int
    extra: int = 0


@dataclasses.dataclass
class Told:
    one: One | Other


class OwnList(list[int]):
    pass


class OwnDict(dict[str, int]):
    pass


class OwnTuple(tuple[int, ...]):
    pass


class OwnSet(set[int]):
    pass


VALUES: list[Any] = [
    Pair(1, Pair(2, (3,))),
    OrderedDict(b=1, a=2),
    defaultdict(int, a=1),
    defaultdict(None, {(1, 2): OrderedDict(a=Pair(1))}),
    Counter("abba"),
    memoryview(b"ab\xff"),
    bytearray(b"ab"),
    frozenset({Pair(1, "a")}),
    {Pair(1, 2): [OrderedDict(), {"$o": "$n"}]},
    [defaultdict(list, a=[1])],
]
REFUSED: list[tuple[Any, str]] = [
    (OwnList([1]), r"send list\(value\)"),
    (OwnDict(a=1), r"send dict\(value\)"),
    (OwnTuple([1]), r"send tuple\(value\)"),
    (OwnSet([1]), r"send set\(value\)"),
    (defaultdict(lambda: 1), r"send dict\(value\)"),
    (memoryview(b"abcd").cast("I"), r"send value.tobytes\(\)"),
    (iter([1]), "can't be sent"),
]
ANNOTATED: list[tuple[Any, Any]] = [
    (Sequence[int], (1, 2)),
    (Sequence[int], [1, 2]),
    (Sequence[One], (One(1),)),
    (Collection[int], {1, 2}),
    (Collection[int], frozenset({1})),
    (list[Sequence[int]], [(1,), [2]]),
    (dict[str, Sequence[int]], {"a": (1,), "b": [1]}),
    (tuple[Sequence[int], ...], ((1,), [2])),
    (tuple[Sequence[int], int], ((1,), 2)),
    (Sequence[int] | None, (1,)),
    (OrderedDict[str, int], OrderedDict(a=1)),
    (OrderedDict[str, One], OrderedDict(a=One(1))),
    (defaultdict[str, int], defaultdict(int, a=1)),
    (Counter[str], Counter("aa")),
    (Mapping[str, int], OrderedDict(a=1)),
    (dict[str, int], OrderedDict(a=1)),
    (tuple[int, Any], Pair(1)),
    (Pair, Pair(1, (2,))),
    (Rows, Rows((1,), [2])),
    (Named, {"rows": (1,), "rest": OrderedDict(a=Pair(1))}),
    (list[Any], [(1,), [2], OrderedDict(a=(1,)), Pair(1)]),
    (dict[str, Any], {"a": (1,), "b": Counter("a"), "c": [{1}]}),
    (Sequence[Any] | Mapping[str, Any], OrderedDict(a=(1,))),
    (Sequence[Any] | Mapping[str, Any], (Pair(1), [2])),
    (list[Other | None] | None, [Other(1), None]),
    (Holder, Holder((1, 2), {"a": (One(1),), "b": [One(2)]})),
    (list[Holder], [Holder([1]), Holder((1,))]),
    (Record, Record((1, 2))),
    (Loose, Loose("2026-05-01", "eA==", [1], Wide(1, 2), Loose(dt.date(2026, 5, 1), b"x", (1,), One(1)))),
    (Loose | None, Loose(None)),
    (list[Loose], [Loose("x"), Loose(dt.date(2026, 5, 1))]),
    (dict[str, Loose], {"a": Loose(dt.date(2026, 5, 1), one=Wide(1))}),
    (tuple[int, Loose], (1, Loose(""))),
    (Annotated[list[Loose], "note"], [Loose(None)]),
    (Slotted[int], Slotted(dt.date(2026, 5, 1), [1])),
    (LooseRow, LooseRow(dt.date(2026, 5, 1), Wide(1, 2))),
    (LooseRow | None, LooseRow("x")),
    (LooseNamed, {"x": dt.date(2026, 5, 1), "one": Wide(1, 2)}),
    (LooseStruct, LooseStruct(dt.date(2026, 5, 1), Wide(1, 2))),
    (LooseList, LooseList("x", One(1))),
    (LooseAttrs, LooseAttrs(dt.date(2026, 5, 1), Wide(1, 2))),
    (One | Wide, Wide(1, 5)),
    (Wide | One, One(1)),
    (list[One | Wide], [Wide(1), One(1)]),
    (Wide | One | None, None),
    (NarrowStruct | WideStruct, WideStruct(1, 5)),
    (list[WideStruct | NarrowStruct], [NarrowStruct(1), WideStruct(1)]),
    (Pair | Rows, Rows([1], (2,))),
    (NarrowModel | WideModel, WideModel(x=1, extra=5)),
    (NarrowModel | WideStruct, WideStruct(1, 5)),
    (One | dict[str, int], {"y": 1}),
    (One | dict, {"x": 1}),
    (One | dict[str, int], One(1)),
    (One | Mapping[str, int], One(1)),
    (One | Other, One(1)),
    (One | None, One(1)),
    (One | int, One(1)),
]
serializers = pytest.mark.parametrize("serializer", ["msgpack", "json"])


def kinds(value: Any) -> Any:
    """A value, with the type of all that is in it."""
    inner: Any = value
    if isinstance(value, dict):
        inner = [(kinds(key), kinds(item)) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        inner = [kinds(item) for item in value]
    elif isinstance(value, set | frozenset):
        inner = sorted(map(kinds, value), key=repr)
    elif dataclasses.is_dataclass(value) or isinstance(value, msgspec.Struct):
        names = value.__struct_fields__ if isinstance(value, msgspec.Struct) else value.__match_args__
        inner = [kinds(getattr(value, name)) for name in names]
    return type(value), getattr(value, "default_factory", None), inner


@serializers
async def test_without_annotations(app: AioQueue, serializer: str) -> None:
    app.conf.task_serializer = serializer
    seen: list[Any] = []

    @app.task(name="same", bind=True)
    async def same(ctx: TaskContext, *args, named=None):  # type: ignore[no-untyped-def]
        seen.append((list(args), named, ctx.headers.get("h")))
        await ctx.update_state("BUSY", meta=VALUES)
        seen.append((await app.result(ctx.id).info()).meta)
        return list(args)

    async with working(app):
        task = same.options(headers={"h": VALUES})
        assert kinds(await task.call(*VALUES, named=VALUES, timeout=PATIENCE)) == kinds(VALUES)
        assert kinds(seen) == kinds([(VALUES, VALUES, VALUES), VALUES])


@serializers
async def test_through_canvases(app: AioQueue, serializer: str) -> None:
    app.conf.task_serializer = serializer

    @app.task(name="same")
    async def same(x):  # type: ignore[no-untyped-def]
        return x

    async with working(app):
        wait = {"timeout": PATIENCE}
        for canvas in (
            chain(same.s(VALUES), same.s(), same.s()),
            group(same.s(value) for value in VALUES),
            chord([same.s(value) for value in VALUES], same.s()),
            same.map(VALUES),
            same.starmap([(value,) for value in VALUES]),
        ):
            again: Any = app.signature(canvas.to_dict())
            assert kinds(list(await again.call(**wait))) == kinds(VALUES)
        chunks = await same.chunks([(value,) for value in VALUES], 3).call(**wait)
        assert kinds([value for chunk in chunks for value in chunk]) == kinds(VALUES)


async def test_error_handlers_and_requeued_dead_letters(app: AioQueue) -> None:
    seen: list[Any] = []

    @app.task(name="work", dead_letters_on_failure=True)
    async def work(*args):  # type: ignore[no-untyped-def]
        seen.append(list(args))
        if len(seen) == 1:
            raise ValueError("no")

    @app.task(name="handle")
    async def handle(failure):  # type: ignore[no-untyped-def]
        seen.append(list(failure.args))

    async with working(app):
        result = await work.s(*VALUES).on_error(handle.s()).send()
        await ended(result)
        await until(lambda: len(seen) == 2)
        (dead,) = await app.dead_letters.list()
        assert kinds(list(dead.args)) == kinds(VALUES)
        await app.dead_letters.requeue(dead.id)
        await until(lambda: len(seen) == 3)
    assert kinds(seen) == kinds([VALUES] * 3)


@serializers
@pytest.mark.parametrize(("value", "advice"), REFUSED, ids=lambda one: type(one).__name__)
async def test_what_would_arrive_as_another_kind_is_refused(
    app: AioQueue, serializer: str, value: Any, advice: str
) -> None:
    app.conf.task_serializer = serializer

    @app.task(name="work")
    async def work(x):  # type: ignore[no-untyped-def]
        ...

    @app.task(name="give")
    async def give(which: int) -> Any:
        return REFUSED[which][0]

    async with working(app):
        for given in (value, [value], {"a": (value,)}):
            for canvas in (work.s(given), group([work.s(given)]), chain(work.s(1), work.si(given))):
                with pytest.raises(PayloadError, match=rf"argument 'x' of work .*{advice}.*othing was sent"):
                    await canvas.send()
        with pytest.raises(PayloadError, match=advice):
            await work.options(headers={"a": value}).send(1)
        which = next(n for n, (one, _) in enumerate(REFUSED) if one is value)
        if not isinstance(value, Iterator):  # a generator is refused for another reason
            error = await outcome(await give.send(which))
            assert isinstance(error, PayloadError) and "result of give" in str(error)


@serializers
@pytest.mark.parametrize("eager", [False, True], ids=["sent", "eager"])
async def test_annotated(app: AioQueue, serializer: str, eager: bool) -> None:
    app.conf.task_serializer = serializer
    app.conf.task_always_eager = eager
    seen: list[Any] = []
    tasks: list[Any] = []
    for number, (kind, _) in enumerate(ANNOTATED):

        async def same(x: Any, *, named: Any = None) -> Any:
            seen.append((x, named))
            return x

        same.__annotations__.update({"x": kind, "named": kind, "return": kind})
        tasks.append(app.task(name=f"same{number}")(same))
    async with working(app):
        for task, (kind, value) in zip(tasks, ANNOTATED, strict=True):
            returned = await task.call(value, named=value, timeout=PATIENCE)
            assert kinds([returned, *seen.pop()]) == kinds([value] * 3), kind
            returned = await chain(task.s(value), task.s()).call(timeout=PATIENCE)
            assert kinds(returned) == kinds(value), kind
            assert kinds(list(seen)) == kinds([(value, None)] * 2), kind
            seen.clear()


UNTOLD: list[tuple[Any, Any]] = [
    (One | dict, One(1)),
    (One | Other | None, Other(1)),
    (list[One | dict], [One(1)]),
    (One | Mapping[str, int], {"x": 1}),
    (One | dict[str, int], {"x": 1}),
    (Told, Told(Other(1))),
    (list[Told], [Told(One(1)), Told(Other(1))]),
    (NarrowModel | One, One(1)),
]


@pytest.mark.parametrize(("kind", "value"), UNTOLD, ids=str)
async def test_what_an_annotation_cannot_tell_is_refused(app: AioQueue, kind: Any, value: Any) -> None:
    async def work(x: Any) -> Any: ...

    async def give() -> Any:
        return value

    work.__annotations__["x"] = give.__annotations__["return"] = kind
    task, giving = app.task(name="work")(work), app.task(name="give")(give)
    told = "its annotation does not tell"
    async with working(app):
        for canvas in (
            lambda: task.s(value),
            lambda: group([task.s(value)]),
            lambda: chain(giving.s(), task.si(value)),
        ):
            with pytest.raises(PayloadError, match=rf"argument 'x' of work .*{told}.*othing was sent"):
                await canvas().send()
        assert await task.options(ignore_result=True).send(None), "what is no member is not its business"
        error = await outcome(await giving.send())
        assert isinstance(error, PayloadError) and "result of give" in str(error) and told in str(error)


async def test_a_class_that_cannot_be_followed_is_refused(app: AioQueue) -> None:
    @dataclasses.dataclass
    class Hidden:
        x: Nowhere  # type: ignore[name-defined]  # noqa: F821

    async def work(x: Any) -> None: ...

    work.__annotations__["x"] = Hidden
    task = app.task(name="work")(work)
    async with working(app):
        with pytest.raises(PayloadError, match=r"argument 'x' of work .*would arrive as another kind"):
            await task.send(Hidden(1))
        await task.options(ignore_result=True).send({"x": 1})
