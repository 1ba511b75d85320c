"""Arguments and results of every kind, through a real send."""

from __future__ import annotations

import dataclasses
import enum
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from support.apps import MakeApp, ended, is_empty, lengths, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue
from aioqueue.exceptions import PayloadError, PayloadTooLarge


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


class Line(msgspec.Struct):
    start: Point
    end: Point


class Plain(pydantic.BaseModel):
    id: UUID
    paid: datetime | None = None


class Order(pydantic.BaseModel):
    id: UUID
    lines: list[Plain]
    where: Point


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Pair(NamedTuple):
    left: int
    right: str


class Options(TypedDict):
    depth: int


ID = UUID("12345678-1234-5678-1234-567812345678")
MOMENT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

VALUES: list[tuple[Any, Any]] = [
    (Point, Point(1, 2.5)),
    (Line, Line(Point(1), Point(2))),
    (Plain, Plain(id=ID, paid=MOMENT)),
    (datetime, MOMENT),
    (datetime, MOMENT.replace(tzinfo=None)),
    (date, MOMENT.date()),
    (time, time(1, 2, 3)),
    (timedelta, timedelta(days=1, microseconds=5)),
    (UUID, ID),
    (Decimal, Decimal("1.10")),
    (bytes, b"\x00\xff"),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (tuple[int, str], (1, "a")),
    (Colour, Colour.RED),
    (Colour, Colour.BLUE),
    (Level, Level.LOW),
    (Pair, Pair(1, "a")),
    (Options, {"depth": 3}),
    (Path, Path("/tmp/a b")),
    (list[Point], [Point(1), Point(2)]),
    (dict[str, UUID], {"a": ID}),
    (Point | None, None),
    (Point | None, Point(3)),
    (int | str, "a"),
    (float, 1.5),
    (int, 2**63 - 1),
    (bool, True),
    (str, "naïve ✓ \x00"),
    (Any, {"a": [1, None, {"b": 2.5}]}),
]


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
async def test_every_type_there_and_back(app: AioQueue, serializer: str) -> None:
    tasks: list[Any] = []
    arrived: list[Any] = []
    for number, (kind, _) in enumerate(VALUES):

        async def echo(value: Any, *, named: Any = None) -> Any:
            arrived.append((value, named))
            return value

        echo.__annotations__.update({"value": kind, "named": kind | None if kind is not Any else Any, "return": kind})
        tasks.append(app.task(name=f"echo{number}", serializer=serializer)(echo))
    async with working(app, concurrency=1):
        for task, (kind, value) in zip(tasks, VALUES, strict=True):
            returned = await task.call(value, named=value, timeout=PATIENCE)
            assert (returned, type(returned)) == (value, type(value)), kind
            for given in arrived[-1]:
                assert (given, type(given)) == (value, type(value)), kind


async def test_a_model_that_holds_other_kinds(app: AioQueue) -> None:
    @app.task
    async def total(order: Order, *more: Point, **named: Point) -> float:
        assert type(order) is Order and all(type(point) is Point for point in (*more, *named.values()))
        assert order.lines == [Plain(id=ID, paid=MOMENT)]
        return order.where.x + sum(point.x for point in (*more, *named.values()))

    order = Order(id=ID, lines=[Plain(id=ID, paid=MOMENT)], where=Point(2))
    async with working(app):
        assert await total.call(order, Point(10), a=Point(100), timeout=PATIENCE) == 112


async def test_results_by_an_id_are_converted_too(app: AioQueue) -> None:
    @app.task
    async def make() -> Point:
        return Point(1, 2)

    async with working(app):
        result = await make.send()
        await result.get(timeout=PATIENCE)
        again = app.result(result.id)
        assert await again.get(timeout=PATIENCE) == (await again.info()).result == Point(1, 2)


async def test_what_is_not_known_stays_plain(make_app: MakeApp) -> None:
    app = make_app()

    @app.task(name="make")
    async def make(point: Any) -> Any:
        return point

    async with working(app):
        assert await make.call(Point(1, 2), timeout=PATIENCE) == {"x": 1, "y": 2}


# What cannot be sent


@pytest.mark.parametrize(
    ("args", "kwargs", "parts"),
    [
        ((object(),), {}, ["'x'", "object"]),
        ((1, [1, {"a": object()}]), {}, ["'y'", "object"]),
        ((1,), {"z": lambda: 1}, ["'z'", "function"]),
        ((1, 2, 3, object()), {}, ["'*more[1]'", "object"]),
        ((open,), {}, ["'x'"]),
        ((10**5000,), {}, ["'x'"]),
    ],
)
async def test_unsendable(app: AioQueue, args: Any, kwargs: Any, parts: list[str]) -> None:
    @app.task(name="work")
    async def work(x: Any, y: Any = None, *more: Any, z: Any = None) -> None: ...

    async with app:
        for way in (work.send(*args, **kwargs), work.s(*args, **kwargs).send(), work.apply_async(args, kwargs)):
            with pytest.raises(PayloadError) as caught:
                await way
            for part in (*parts, "of work", "nothing was sent"):
                assert part in str(caught.value)
        assert await lengths(app) == (0, 0, 0)


async def test_unsendable_by_a_name(app: AioQueue) -> None:
    async with app:
        with pytest.raises(PayloadError) as caught:
            await app.send_task("elsewhere.job", (object(),))
        assert "elsewhere.job" in str(caught.value) and "nothing was sent" in str(caught.value).lower()


async def test_too_large(make_app: MakeApp) -> None:
    app = make_app(max_payload_size=1000)

    @app.task(name="work")
    async def work(size: int, data: bytes = b"") -> bytes:
        return b"a" * size

    async with working(app):
        assert len(await work.call(900, b"a" * 900, timeout=PATIENCE)) == 900
        with pytest.raises(PayloadTooLarge) as caught:
            await work.send(1, b"a" * 1001)
        for part in ("arguments of work", "max_payload_size=1,000", "nothing was sent"):
            assert part in str(caught.value)
        info = await ended(await work.send(1001))
        assert info.state == "FAILURE" and isinstance(info.exception, PayloadTooLarge)
        assert "result of work" in str(info.exception) and "max_payload_size" in str(info.exception)
        with pytest.raises(PayloadTooLarge):
            await work.options(compression="zlib").send(1, b"a" * 100_000)


async def test_large_ones_arrive(app: AioQueue) -> None:
    @app.task
    async def echo(data: bytes) -> bytes:
        return data

    data = bytes(range(256)) * 8192  # 2 MiB
    async with working(app):
        assert await echo.call(data, timeout=PATIENCE) == data
        result = await echo.send(data)
        assert [info.result == data async for info in result.watch()][-1]


async def test_an_argument_that_does_not_convert(app: AioQueue) -> None:
    ran: list[int] = []

    @app.task(name="work")
    async def work(x: int, point: Point) -> None:
        ran.append(x)

    async with working(app):
        result = await app.send_task("work", (1, {"x": "not a number"}))
        info = await ended(result)
        assert info.state == "FAILURE" and info.dead
        assert isinstance(info.exception, PayloadError)
        assert "argument 'point' of work" in str(info.exception) and "Point" in str(info.exception)
        (dead,) = await app.dead_letters.list()
        assert (dead.id, dead.args) == (result.id, (1, {"x": "not a number"}))
        await until(lambda: is_empty(app))
    assert ran == []


async def test_a_call_that_does_not_fit_the_workers_function(app: AioQueue) -> None:
    # The sender has an older version of the code.
    @app.task(name="work")
    async def work(x: int) -> None: ...

    async with app:
        del app.tasks["work"]
        result = await app.send_task("work", (1, 2, 3))
        app.tasks["work"] = work
        async with app.worker():
            error = await outcome(result)
        assert isinstance(error, TypeError | PayloadError), error


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff", b"\xc1" * 10, b"not msgpack at all", b"\x81\xa4task\x01", b"\x80", b"\x91" * 5000],
)
async def test_malformed_messages_go_to_the_dead_letters(app: AioQueue, raw: bytes) -> None:
    from aioqueue.brokers.protocol import Outgoing

    @app.task
    async def fine() -> int:
        return 1

    async with working(app):
        broker = await app.broker()
        await broker.send([Outgoing("bad", "default", 0, raw)], timeout=5)
        error = await outcome(app.result("bad"))
        assert isinstance(error, PayloadError) and "cannot be read" in str(error)
        (dead,) = await app.dead_letters.list()
        assert (dead.id, dead.raw, dead.name, dead.queue) == ("bad", raw, "", "default")
        assert await fine.call(timeout=PATIENCE) == 1, "the worker goes on"


async def test_secrets_are_not_shown(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    @app.task(name="login")
    async def login(user: str, password: str, *, api_token: str = "") -> None: ...

    async with working(app):
        info = await ended(await login.send("ann", "hunter2", api_token="t0ken"))
        assert info.args == "'ann', ***, api_token=***"
    assert "hunter2" not in caplog.text and "t0ken" not in caplog.text
