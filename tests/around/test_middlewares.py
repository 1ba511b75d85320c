"""What a middleware may be, and what it costs where there is none."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from aioqueue import AioQueue, Middleware, shared_task
from aioqueue.around import sending
from aioqueue.canvas import layout
from aioqueue.exceptions import ConfigurationError


class Sync(Middleware):
    def around_send(self, message: Any, next: Any) -> Any:  # type: ignore[override]
        return next(message)


class Yielding(Middleware):
    async def around_task(self, ctx: Any, next: Any) -> Any:  # type: ignore[override]
        yield await next(ctx)


class Misspelt(Middleware):
    async def around_tasks(self, ctx: Any, next: Any) -> Any:
        return await next(ctx)


class Short(Middleware):
    async def around_worker(self, next: Any) -> Any:  # type: ignore[override]
        return await next()


class Alike:
    async def around_task(self, ctx: Any, next: Any) -> Any:
        return await next(ctx)


class Nothing(Middleware):
    pass


WRONG: list[tuple[Any, str]] = [
    (Sync(), r"Sync.around_send is no coroutine function.*`async def`"),
    (Yielding(), r"Yielding.around_task is no coroutine function"),
    (Misspelt(), r"Misspelt has a method around_tasks, which nobody would call. Did you mean 'around_task'\?"),
    (Short(), r"Short.around_worker\(next: 'Any'\) -> 'Any' takes other arguments"),
    (Alike(), r"not <.*Alike.*>. Let its class inherit from it: class Alike\(Middleware\)"),
    (Nothing, r"not <class .*Nothing'>. Give an instance: Nothing\(\)"),
    (print, "subclass of aioqueue.Middleware, not <built-in function print>"),
    (None, "subclass of aioqueue.Middleware, not None"),
]


@pytest.mark.parametrize(("given", "what"), WRONG, ids=lambda value: getattr(value, "__name__", type(value).__name__))
def test_what_is_no_middleware_is_refused(given: Any, what: str) -> None:
    app = AioQueue("tests", broker="memory://")
    with pytest.raises(ConfigurationError, match=what):
        app.add_middleware(given)
    with pytest.raises(ConfigurationError, match=what):
        app.task(name="add", middleware=[given])(_add)
    assert not app.middlewares and not app.tasks and not app.passes_through


async def _add(x: int) -> int:
    return x


@pytest.mark.parametrize("given", [Nothing(), "text", 7, None])
def test_those_of_a_task_are_a_list(given: Any) -> None:
    app = AioQueue("tests", broker="memory://")
    with pytest.raises(ConfigurationError, match="option middleware of the task add is a list of middlewares"):
        app.task(name="add", middleware=given)(_add)


async def test_one_that_leaves_all_out_may_be_given(app: AioQueue) -> None:
    app.add_middleware(Nothing())
    add = app.task(name="add", middleware=[Nothing()])(_add)
    async with app.testing() as t:
        assert await t.run(add, 2) == 2
    assert add.surroundings is None and not app.passes_through


async def test_without_any_that_stands_around_sends_no_message_is_made_to_pass(
    app: AioQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Around(Middleware):
        async def around_task(self, ctx: Any, next: Any) -> Any:
            return await next(ctx)

    def paid(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("something was paid for")

    add = app.task(name="add", middleware=[Around()])(_add)
    app.add_middleware(Around())
    for place, names in ((sending, ("pass_one", "pass_all", "passage")), (layout, ("HeldParts",))):
        for name in names:
            monkeypatch.setattr(place, name, paid)
    for name in ("pass_one", "pass_all", "passage"):
        monkeypatch.setattr(f"aioqueue.dispatch.{name}", paid)
    async with app.testing():
        await add.send(1)
        await app.send_many([add.s(1), add.s(2)])
        await (add.s(1) | add.s()).send()
        app.add_middleware(_Around())
        with pytest.raises(AssertionError, match="paid for"):
            await add.send(1)


class _Around(Middleware):
    async def around_send(self, message: Any, next: Any) -> Any:
        return await next(message)


async def test_a_shared_task_has_its_own_too(no_shared_tasks: None) -> None:
    seen: list[str] = []

    class Seeing(Middleware):
        async def around_send(self, message: Any, next: Any) -> Any:
            seen.append(message.name)
            return await next(message)

    shared = shared_task(name="seen", middleware=[Seeing()])(_add)
    app = AioQueue("tests", broker="memory://")
    async with app.testing() as t:
        assert await t.run(shared, 3) == 3
    assert seen == ["seen"]


async def test_those_of_a_class_are_those_of_its_tasks(app: AioQueue) -> None:
    from aioqueue import Task

    class Watched(Task[..., Any]):
        middleware = (_Around(),)

    add = app.task(name="add", base=Watched)(_add)
    assert add.middleware == Watched.middleware and app.passes_through
    assert partial(app.task, name="other")()(_add).middleware == ()
