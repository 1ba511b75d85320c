"""Wrong uses that typing cannot say, or that nobody looks at with a type checker, are errors at the call."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, get_type_hints

import pytest

from aioqueue import AioQueue, Depends, Task, Worker, beat_schedule, chain, chord, group
from aioqueue.exceptions import AioQueueError, ConfigurationError, PayloadError
from aioqueue.given import AllSettingsGiven
from aioqueue.settings import Settings
from aioqueue.worker.options import WorkerOptions


async def session() -> AsyncIterator[str]:
    yield "session"


class Shop:
    """An app of its own, and tasks."""

    def __init__(self) -> None:
        app = self.app = AioQueue("shop", broker="memory://")

        @app.task(name="add")
        async def add(x: int, y: int = 0) -> int:
            return x + y

        @app.task(name="mail")
        async def mail(
            to: str, cc: list[str] | None = None, *numbers: float, urgent: bool = False, **headers: str
        ) -> None: ...

        @app.task(name="loose")
        async def loose(value: Any, old: str = "", when: datetime | None = None, both: int | str = 0) -> None: ...

        @app.task(name="total")
        async def total(numbers: list[int]) -> int:
            return sum(numbers)

        @app.task(name="nothing")
        async def nothing() -> None: ...

        @app.task(name="charge")
        async def charge(order: int, s: str = Depends(session)) -> None: ...

        self.add, self.mail, self.loose, self.total, self.nothing = add, mail, loose, total, nothing
        self.charge = charge


@pytest.fixture
def shop() -> Shop:
    return Shop()


# Settings and options


def test_what_is_declared_for_types_is_what_there_is() -> None:
    assert list(AllSettingsGiven.__annotations__.keys() ^ set(Settings.__struct_fields__)) == []
    assert get_type_hints(AllSettingsGiven, localns=vars(beat_schedule)).keys() == get_type_hints(Settings).keys()
    parameters = inspect.signature(Worker).parameters.keys() - {"app", "retry_now", "is_eager"}
    assert WorkerOptions.__annotations__.keys() == parameters


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda shop: AioQueue("x", brokr="memory://"), r"no setting 'brokr'\. Did you mean 'broker'\?"),  # type: ignore
        (lambda shop: AioQueue("x", lifspan=None), r"no setting 'lifspan'\. Did you mean 'lifespan'\?"),  # type: ignore
        (
            lambda shop: setattr(shop.app.conf, "task_max_retris", 4),
            r"'task_max_retris'\. Did you mean 'task_max_retries'\?",
        ),
        (lambda shop: shop.app.worker(concurency=3), r"'concurency'\. Did you mean 'concurrency'\?.* No worker"),  # type: ignore
        (lambda shop: shop.app.worker(concurrency="3"), r"concurrency is a whole number from 1 on, .*not '3'"),  # type: ignore
        (lambda shop: shop.app.asgi_lifespan(concurrency=3), r"write app\.asgi_lifespan\(worker=True, concurrency=3\)"),  # type: ignore
        (lambda shop: shop.app.asgi_lifespan(True, concurency=3), r"'concurency'\. Did you mean 'concurrency'\?"),  # type: ignore
        (lambda shop: shop.app.asgi_lifespan(workr=True), r"'workr'\. Did you mean 'worker'\?"),  # type: ignore
        (lambda shop: chain(shop.add.s(1), quue="high"), r"no option 'quue' .*Did you mean 'queue'\?"),  # type: ignore
        (lambda shop: group([shop.add.s(1)], contdown=3), r"no option 'contdown' .*Did you mean 'countdown'\?"),  # type: ignore
        (lambda shop: chord([shop.add.s(1)], shop.total), r"A canvas is made of .*Use task\.s\(\.\.\.\)"),  # type: ignore
    ],
)
def test_names_and_kinds(shop: Shop, call: Callable[[Shop], Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        call(shop)


@pytest.mark.parametrize("worker", [False, True])
def test_options_of_a_worker_that_may_not_be_there(shop: Shop, worker: bool) -> None:
    assert isinstance(shop.app.asgi_lifespan(worker, concurrency=3)(None), AbstractAsyncContextManager)


def test_a_task_that_is_not_registered_can_be_shown(shop: Shop) -> None:
    class Adding(Task[[int, int], int]):
        def run(self, x: int, y: int) -> int:
            return x + y

    assert repr(Adding()) == "<Adding, not registered>"
    assert repr(shop.app.register_task(Adding())).startswith("<Task ")


# Arguments


@pytest.mark.parametrize(
    ("task", "args", "kwargs", "message"),
    [
        (
            "add",
            ("x", 2),
            {},
            r"doesn't fit .*add\(x: int, y: int = 0\) -> int: 'x' is int, not the str given; nothing",
        ),
        ("add", (1,), {"y": "x"}, "'y' is int, not the str given"),
        ("add", ([1], 2), {}, "'x' is int, not the list given"),
        ("add", (1,), {"z": 2}, r"unexpected keyword argument 'z'; nothing was sent"),
        ("mail", (5,), {}, "'to' is str, not the int given"),
        ("mail", ("a", "b"), {}, r"'cc' is list\[str\] \| None, not the str given"),
        ("mail", ("a", None, 1, "2"), {}, r"'\*numbers\[1\]' is float, not the str given"),
        ("mail", ("a",), {"urgent": "yes"}, "'urgent' is bool, not the str given"),
        ("mail", ("a",), {"tag": 5}, "'tag' is str, not the int given"),
        ("loose", (1, 2), {}, "'old' is str, not the int given"),
        ("loose", (1,), {"both": [1]}, r"'both' is int \| str, not the list given"),
        ("charge", (42, "session"), {}, "too many positional arguments .*the worker fills that in"),
        ("charge", (42,), {"s": "session"}, "'s' is a dependency, which the worker fills in"),
    ],
)
async def test_arguments_of_another_type(
    shop: Shop, task: str, args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    app, nothing, called = shop.app, shop.nothing, getattr(shop, task)
    async with app.testing() as t:
        for _ in range(2):  # what fits is remembered
            for send in (
                lambda: called.send(*args, **kwargs),
                lambda: called.apply_async(args, kwargs),
                lambda: called.call(*args, **kwargs),
                lambda: app.send_task(called.name, args, kwargs),
                lambda: called.s(*args, **kwargs).send(),
                lambda: app.send_many([called.s(*args, **kwargs)]),
                lambda: group([called.s(*args, **kwargs), nothing.si()]).send(),
                lambda: chain(nothing.s(), called.si(*args, **kwargs)).send(),
            ):
                with pytest.raises(TypeError, match=message) as caught:
                    await send()
                assert isinstance(caught.value, PayloadError)
        assert t.sent() == []


@pytest.mark.parametrize(
    ("task", "args", "kwargs"),
    [
        ("add", (1.5, True), {}),
        ("mail", ("a", ("b", "c"), 1, 2.5), {"urgent": 1, "tag": "x"}),
        ("mail", ("a", None), {}),
        ("add", (None, None), {}),
        ("loose", (object, None, "2026-01-01T00:00:00Z", "both"), {}),
        ("loose", (None,), {"when": datetime(2026, 1, 1), "both": 5}),
        ("total", ({1, 2},), {}),
    ],
)
async def test_arguments_that_may_be_meant(
    shop: Shop, task: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    for _ in range(2):
        getattr(shop, task).parameters.check(args, kwargs)


async def test_the_steps_of_a_canvas(shop: Shop) -> None:
    add, mail, total, nothing = shop.add, shop.mail, shop.total, shop.nothing
    async with shop.app.testing() as t:
        for wrong, message in [
            (chord([add.s(1), add.s(2)], add.s(3)), "'x' is int, not the list given"),
            (chord([add.s(1), add.s(2)], nothing.s()), "too many positional arguments"),
            (group(add.s(1), add.s(2)) | mail.s(), "'to' is str, not the list given"),
            (chain(add.s(1), add.s("x")), "'y' is int, not the str given"),
            (add.map([1, "x"]), "'x' is int, not the str given"),
            (add.starmap([(1, 2), (1, "x")]), "'y' is int, not the str given"),
            (add.chunks([(1, 2), ("x", 2)], 10), "'x' is int, not the str given"),
        ]:
            with pytest.raises(AioQueueError, match=message):
                await wrong.send()
        assert t.sent() == []
        right = await chord([add.s(1), add.s(2)], total.s()).send()
        await t.drain()
        assert await right.get() == 3


async def test_what_a_test_asks_for(shop: Shop) -> None:
    add = shop.add
    async with shop.app.testing() as t:
        await add.options(queue="high").send(1, 2)
        t.assert_sent(add.options(queue="high"), 1, 2)
        t.assert_sent(add, queue="high")
        for wrong in (("x",), (1, [2])):
            with pytest.raises(TypeError, match=r"does not fit .*add\(x: int, y: int = 0\) -> int: '[xy]' is int"):
                t.assert_sent(add, *wrong)
            with pytest.raises(TypeError, match="does not fit"):
                t.assert_not_sent(add, *wrong)
