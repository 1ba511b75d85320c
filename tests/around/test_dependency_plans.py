"""What is found out about dependencies when a task is made: what they are, and what they cannot be."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, Optional, Protocol, TypeVar
from unittest.mock import AsyncMock, Mock

import pytest

import aioqueue
from aioqueue import AioQueue, Depends, TaskContext, shared_task
from aioqueue.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator as Session
    from typing import Any as NotThere

app = AioQueue("tests", broker="memory://")


async def session() -> AsyncIterator[str]:
    yield "s"


SessionDep = Annotated[str, Depends(session)]


def refused(function: Callable[..., Any], *parts: str, **options: Any) -> None:
    """The task is not made, and the error says why."""
    with pytest.raises(ConfigurationError) as raised:
        app.task(name="charge", **options)(function)
    text = str(raised.value)
    for part in (*parts, "The task charge was not made."):
        assert part in text, text
    assert "charge" not in app.tasks


def first(x: Annotated[int, Depends(second)]) -> int:
    return x


def second(x: Annotated[int, Depends(third)]) -> int:
    return x


def third(x: Annotated[int, Depends(first)]) -> int:
    return x


def test_circles() -> None:
    async def charge(order: int, x: int = Depends(first)) -> None: ...

    refused(charge, "Dependencies in a circle: first, which needs second, which needs third, which needs first.")


def test_a_parameter_that_nothing_fills() -> None:
    def pool(dsn: str) -> str:
        return dsn

    def session(pool: str = Depends(pool)) -> str:
        return pool

    async def charge(order: int, s: str = Depends(session)) -> None: ...

    refused(charge, "The dependency pool has a parameter 'dsn' that nothing fills", "TaskContext")


def test_a_context_without_its_annotation() -> None:
    def session(ctx) -> str:  # type: ignore[no-untyped-def]
        return ""

    async def charge(order: int, s: str = Depends(session)) -> None: ...

    refused(charge, "The dependency session has a parameter 'ctx' that nothing fills", "the annotation TaskContext")


@pytest.mark.parametrize(
    "annotation", ["TaskContext", "Context.TaskContext", "aioqueue.TaskContext", "TaskContext[int]"]
)
async def test_the_context_is_known_by_its_annotation(annotation: str) -> None:
    """Also where the name is there for type checkers only."""
    app = AioQueue("tests", broker="memory://")

    def name(ctx) -> str:  # type: ignore[no-untyped-def]
        return ctx.name  # type: ignore[no-any-return]

    name.__annotations__["ctx"] = annotation

    @app.task(name="charge")
    async def charge(name: str = Depends(name)) -> str:
        return name

    async with app.testing() as t:
        assert await t.run(charge) == "charge"


def test_where_send_would_fill_it() -> None:
    async def before(s: str = Depends(session), order: int = 0) -> None: ...
    async def collected(s: str = Depends(session), *orders: int) -> None: ...
    async def annotated(s: SessionDep, order: int) -> None: ...
    async def only(order: int, s: str = Depends(session), /) -> None: ...
    async def bound(ctx: str = Depends(session), order: int = 0) -> None: ...
    async def several(*s: SessionDep) -> None: ...

    refused(before, "session, the dependency 's' of charge,", "'order', which send fills by position")
    refused(collected, "session, the dependency 's' of charge,", "'orders', which send fills by position")
    refused(annotated, "session, the dependency 's' of charge,", "'order', which send fills by position")
    refused(only, "session, the dependency 's' of charge,", "behind the /")
    refused(bound, "session, the dependency 'ctx' of charge,", "bind=True", bind=True)
    refused(several, "'s' of charge", "collects arguments")


def test_what_the_worker_shares_and_a_task_has() -> None:
    def pool(s: str = Depends(session)) -> str:
        return s

    def of_context(ctx: TaskContext) -> str:
        return ctx.name

    async def charge(p: str = Depends(pool, scope="worker")) -> None: ...
    async def named(p: str = Depends(of_context, scope="worker")) -> None: ...

    refused(charge, "The dependency pool has the scope 'worker', and needs session", "Depends(session, scope='worker')")
    refused(named, "The dependency of_context has the scope 'worker', and takes the context", "'ctx'")


def test_more_than_one_in_a_parameter() -> None:
    async def twice(s: Annotated[str, Depends(session)] = Depends(lambda: "")) -> None: ...
    async def inside(s: list[Annotated[str, Depends(session)]]) -> None: ...
    async def optional(s: Annotated[str, Depends(session)] | None) -> None: ...
    async def nothing(s=Depends()) -> None: ...  # type: ignore[no-untyped-def]
    async def no_class(s: str | None = Depends()) -> None: ...
    async def as_type(s: Depends(session)) -> None: ...  # type: ignore[valid-type]
    async def uncalled(s=Depends) -> None: ...  # type: ignore[no-untyped-def]
    async def uncalled_mark(s: Annotated[str, Depends]) -> None: ...

    refused(twice, "'s' of charge has 2 dependencies")
    refused(as_type, "'s' of charge names Depends where it says nothing: write s: T = Depends(f)")
    refused(uncalled, "'s' of charge names Depends where it says nothing")
    refused(uncalled_mark, "Annotated[T, Depends(f)]")
    refused(inside, "'s' of charge has a Depends inside of its annotation")
    refused(optional, "'s' of charge has a Depends inside of its annotation")
    refused(nothing, "'s' of charge is a dependency, and nothing says on what")
    refused(no_class, "'s' of charge is a dependency, and str | None does not say which of them it gets")


def test_a_name_that_is_not_there() -> None:
    async def charge(s: Annotated[str, Depends(defined_later)]) -> None: ...  # type: ignore[name-defined] # noqa: F821
    async def other(s: Annotated[str, Depends(aioqueue.nothing)]) -> None: ...  # type: ignore[attr-defined]

    refused(charge, "'s' of charge depends on defined_later, which is not defined")


def test_what_cannot_be_a_dependency() -> None:
    @app.task(name="other")
    async def other() -> None: ...

    @contextmanager
    def opened() -> Any:
        yield

    with pytest.raises(ConfigurationError, match="cannot be called"):
        Depends("session")  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match=r"other.*is a task"):
        Depends(other)
    with pytest.raises(ConfigurationError, match="called already"):
        Depends(session())  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="called already"):
        Depends(opened())  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match=r"'task' or 'worker'\. Did you mean 'worker'"):
        Depends(session, scope="workers")  # type: ignore[call-overload]


def test_it_is_no_part_of_what_is_sent() -> None:
    @app.task
    async def charge(order: int, s: str = Depends(session), *, note: str = "", **more: int) -> None: ...

    @app.task
    async def annotated(order: int, s: SessionDep) -> None: ...

    assert list(charge.parameters.signature.parameters) == ["order", "note", "more"]
    assert list(annotated.parameters.signature.parameters) == ["order"]
    assert "session" not in repr(charge)


async def test_it_cannot_be_given_by_accident() -> None:
    app = AioQueue("tests", broker="memory://")

    @app.task(name="charge")
    async def charge(order: int, s: str = Depends(session), **more: int) -> None: ...

    async with app.testing() as t:
        for send in (
            charge.send(42, "mine"),
            charge.send(42, s="mine"),
            charge.s(42, s="mine").send(),
            app.send_task("charge", (42,), {"s": "mine"}),
            app.send_many([charge.s(1), charge.s(42, "mine")]),
        ):
            with pytest.raises(TypeError, match="'s'"):
                await send
        with pytest.raises(TypeError, match="'s' is a dependency"):
            charge.si(42, s="mine")
        assert t.sent() == []


async def test_a_message_that_gives_it(caplog: pytest.LogCaptureFixture) -> None:
    """From a program that does not know the task, or knew another one of that name."""
    app = AioQueue("tests", broker="memory://")

    async with app.testing() as t:
        await app.send_task("charge", (42,), {"s": "mine"})

        @app.task(name="charge")
        async def charge(order: int, s: str = Depends(session)) -> None: ...

        await t.drain()
        (letter,) = await app.dead_letters.list()
    assert "'s' is a dependency" in str(letter.exception)


async def test_annotations_of_a_function_around_it() -> None:
    """Texts, as `from __future__ import annotations` makes them; some names are there for type checkers only."""
    app = AioQueue("tests", broker="memory://")

    class Service:
        name = "service"

    async def local(ctx: TaskContext) -> str:
        return ctx.name

    async def outer(found: Annotated[str, Depends(local)], other: Annotated[NotThere, Depends(session)]) -> str:
        return found + other  # type: ignore[no-any-return]

    @app.task(name="charge")
    async def charge(
        order: int,
        found: Annotated[str, Depends(outer)],
        s: Annotated[Session[Any, Any, Any], Depends(session)],
        service: Annotated[Service, Depends()],
    ) -> list[Any]:
        return [found, s, service.name]

    async with app.testing() as t:
        assert await t.run(charge, 42) == ["charges", "s", "service"]  # type: ignore[call-arg]
        with app.override(session, lambda: "x"):  # it is read again, where those names cannot be seen
            assert await t.run(charge, 42) == ["chargex", "x", "service"]  # type: ignore[call-arg]


@dataclass
class Common:
    order: str = "none"
    s: str = Depends(session)


class Service:
    def __init__(self, ctx: TaskContext, common: Common = Depends()) -> None:
        self.text = f"{ctx.name} {common.s} {common.order}"


async def test_the_class_of_the_annotation() -> None:
    app = AioQueue("tests", broker="memory://")

    @app.task(name="charge")
    async def charge(service: Service = Depends()) -> str:
        return service.text

    async with app.testing() as t:
        assert await t.run(charge) == "charge s none"


T = TypeVar("T")


class Repo(Generic[T]):
    def __init__(self, ctx: TaskContext, s: str = Depends(session)) -> None:
        self.s = s


class HasText(Protocol):
    text: str


async def test_a_generic_class() -> None:
    """The class itself is called, whatever types it is given; so it is one dependency, overridden as one."""
    app = AioQueue("tests", broker="memory://")

    @app.task
    async def charge(
        a: Repo[int] = Depends(), b: Repo[str] = Depends(Repo[str]), *, c: Annotated[Repo[Any], Depends()]
    ) -> list[Any]:
        return [a.s, a is b is c]

    class Fake(Repo[T]):
        def __init__(self) -> None:
            self.s = "fake"

    async with app.testing() as t:
        assert await t.run(charge) == ["s", True]
        t.override(Repo[int], Fake[int])
        assert await t.run(charge) == ["fake", True]


def test_annotations_of_which_nothing_can_be_made() -> None:
    def union(x: Service | None = Depends()) -> None: ...

    def optional(x: Optional[Service] = Depends()) -> None: ...  # noqa: UP045

    def protocol(x: HasText = Depends()) -> None: ...

    def container(x: list[int] = Depends()) -> None: ...

    refused(union, "'x' of charge is a dependency, and", "Service | None does not say which of them it gets")
    refused(optional, "does not say which of them it gets")
    refused(protocol, "'x' of charge depends on HasText, a Protocol, of which no object can be made")
    refused(container, "'x' of charge is a dependency, and nothing says on what")


async def test_defaults_and_positions_of_dependencies() -> None:
    app = AioQueue("tests", broker="memory://")

    def found(a: int = 1, s: str = Depends(session), /, b: int = 2, *more: int, c: SessionDep, **others: int) -> str:
        return f"{a}{s}{b}{c}{more}{others}"

    @app.task
    async def charge(f: str = Depends(found), p: str = Depends(functools.partial(found, 5))) -> list[str]:
        return [f, p]

    async with app.testing() as t:
        assert await t.run(charge) == ["1s2s(){}", "5s2s(){}"]


async def test_a_default_beside_the_annotation() -> None:
    """For calls as a function, and for type checkers."""
    app = AioQueue("tests", broker="memory://")

    @app.task
    async def charge(
        order: int, s: Annotated[str, Depends(session)] = "default", x: Annotated[str, Depends(session)] = Depends()
    ) -> str:
        return s + x

    async with app.testing() as t:
        assert await t.run(charge, 42) == "ss"


async def test_mocks() -> None:
    app = AioQueue("tests", broker="memory://")

    mock = Mock(return_value="p")

    @app.task
    async def charge(s: Any = Depends(session), p: Any = Depends(mock)) -> list[Any]:
        return [s, p]

    async with app.testing() as t:
        with app.override(session, AsyncMock(return_value="fake")):
            assert await t.run(charge) == ["fake", "p"]


def test_shared_tasks(no_shared_tasks: None) -> None:
    @shared_task(name="shared")
    async def charge(s: str = Depends(session)) -> str:
        return s

    one, other = (AioQueue(name, broker="memory://") for name in "ab")

    async def both() -> tuple[Any, ...]:
        async with one.testing() as t, other.testing() as u:
            with one.override(session, lambda: "one"):
                return await t.run(one.tasks["shared"]), await u.run(other.tasks["shared"])

    assert asyncio.run(both()) == ("one", "s")


def test_a_task_that_depends_on_nothing() -> None:
    @app.task
    async def charge(order: int) -> None: ...

    assert charge.dependencies is None
    assert charge.surroundings is None
