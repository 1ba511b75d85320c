"""Chains, groups, chords, stamps and error handlers, as Celery's documents write them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.apps import working

from aioqueue import AioQueue, AsyncResult, GroupResult, TaskContext, chain, chord, chunks, group, signature
from aioqueue.exceptions import ChordError, ConfigurationError, UpstreamFailed


class Shop:
    """Tasks of the documents."""

    def __init__(self, app: AioQueue) -> None:
        @app.task(name="add")
        def add(x: int, y: int) -> int:
            return x + y

        @app.task(name="tsum")
        def tsum(numbers: list[int]) -> int:
            return sum(numbers)

        @app.task(name="fail")
        def fail(*args: Any) -> None:
            raise LookupError("no such order", *args)

        @app.task(name="stamps", bind=True)
        def stamps(self: TaskContext, before: Any = None) -> dict[str, Any]:
            return self.request.stamps

        self.add, self.tsum, self.fail, self.stamps = add, tsum, fail, stamps


async def test_compositions_are_sent_by_calling_them(app: AioQueue) -> None:
    shop = Shop(app)
    async with working(app):
        chained = await chain(shop.add.s(2, 2) | shop.add.s(8))()
        assert await chained.get(timeout=10) == 12
        assert await (await chain(shop.add.s(2), shop.add.s(8))(3)).get(timeout=10) == 13
        grouped = await group(shop.add.s(i, i) for i in range(3))()
        assert isinstance(grouped, GroupResult)
        assert await grouped.get(timeout=10) == [0, 2, 4]
        job = await chord(shop.add.s(i, i) for i in range(3))(shop.tsum.s())
        assert isinstance(job, AsyncResult)
        assert await job.get(timeout=10) == 6
        workflow = await chord([shop.add.s(1, 1)], shop.tsum.s())(queue="default")
        assert await workflow.get(timeout=10) == 2
        # What chord(header)(body) gives is still a chord.
        assert await (chord([shop.add.s(1, 1)])(shop.tsum.s()) | shop.add.s(1)).call(timeout=10) == 3
        parts = await shop.add.chunks([(n, n) for n in range(4)], 2)()
        assert await parts.get(timeout=10) == [[0, 2], [4, 6]]
        assert shop.add.s(2, 2)() == 4, "a single one runs here and now, in Celery as well"


async def test_a_task_that_returns_a_chord_has_sent_it(app: AioQueue) -> None:
    """A plain function, as it is in Celery; a coroutine is told to await it."""
    shop = Shop(app)

    @app.task
    def aggregate(numbers: list[int]) -> Any:
        return chord([shop.add.s(n, n) for n in numbers])(shop.tsum.s())

    @app.task
    async def forgets(numbers: list[int]) -> Any:
        return chord([shop.add.s(n, n) for n in numbers])(shop.tsum.s())

    async with working(app):
        sent = await aggregate.call([1, 2], timeout=10)
        assert await sent.get(timeout=10) == 6
        with pytest.raises(ConfigurationError, match=r"returned a .*chord that nobody awaits"):
            await forgets.call([1, 2], timeout=10)


def test_what_was_not_sent_has_no_result(app: AioQueue) -> None:
    shop = Shop(app)
    for canvas, name in ((chord([shop.add.s(1, 1)])(shop.tsum.s()), "chord"), (shop.add.s(1, 1), "Signature")):
        with pytest.raises(AttributeError, match=rf"This {name} has not been sent, so it has no 'get': result = await"):
            canvas.get(timeout=10)  # type: ignore[attr-defined]  # pyright: ignore
    with pytest.raises(AttributeError, match="'chord' object has no attribute 'gett'"):
        chord([shop.add.s(1, 1)]).gett  # type: ignore[attr-defined]  # pyright: ignore  # noqa: B018


async def test_a_chord_of_groups_in_a_chain(app: AioQueue) -> None:
    """The documents' mails: validated side by side, sent side by side, and then a note of all."""
    shop = Shop(app)
    body = group(shop.tsum.s() for _ in range(2))
    workflow = chain(chord(group(shop.add.s(n, 1) for n in range(3)), body), shop.tsum.s())
    async with working(app):
        assert await (await workflow.apply_async()).get(timeout=10) == 12


async def test_chunks_of_a_signature_with_arguments(app: AioQueue) -> None:
    with pytest.raises(ConfigurationError, match="take their positional arguments from the items alone"):
        chunks(Shop(app).tsum.s([1, 2, 3]), n=3)


async def test_stamps_by_name_and_value(app: AioQueue) -> None:
    shop = Shop(app)
    sig = signature("stamps", app=app)
    sig.stamp("priority", "high")
    sig.stamp("retry", max_retries=3)
    sig.stamp(tenant=7)
    step = shop.stamps.s().stamp("validation", strict=True)
    async with working(app):
        stamps = await sig.call(timeout=10)
        assert stamps == {"priority": "high", "retry": {"max_retries": 3}, "tenant": 7}
        assert await chain(shop.add.s(1, 1), step).call(timeout=10) == {"validation": {"strict": True}}


async def test_error_handlers_with_celerys_signature(app: AioQueue) -> None:
    shop = Shop(app)
    heard: asyncio.Queue[Any] = asyncio.Queue()

    @app.task
    async def handle_order_error(request: Any, exc: Exception, traceback: str, order_id: int) -> None:
        about = (request.task, request.id, request.args, request.kwargs, request.retries, request.get("tenant"))
        await heard.put((order_id, *about, repr(exc), "LookupError: ('no such order', 3)" in traceback))

    @app.task
    async def other_names(first: Any, second: Any, third: Any, /) -> None:
        await heard.put((first.task, repr(second), type(third)))

    @app.task
    async def of_any_number(request: Any, exc: Any, traceback: Any, *more: Any) -> None:
        await heard.put((request.task, type(exc), more))

    @app.task(bind=True)
    async def bound(self: TaskContext, failure: Any, *more: Any) -> None:
        await heard.put((type(failure).__name__, failure.request.task, more))

    async with working(app):
        failing = shop.fail.s().set(headers={"tenant": "a"}).on_error(handle_order_error.s(7))
        sent = await chain(shop.add.s(1, 2), failing).send()
        about = ("fail", sent.id, (3,), {}, 0, "a")
        assert await heard.get() == (7, *about, "LookupError('no such order', 3)", True)
        await shop.fail.s(1).on_error(other_names.s()).send()
        assert await heard.get() == ("fail", "LookupError('no such order', 1)", str)
        await shop.fail.s(1).on_error(of_any_number.s("a", "b")).send()
        assert await heard.get() == ("fail", LookupError, ("a", "b"))
        await shop.fail.s(1).on_error(bound.s("a", "b")).send()
        assert await heard.get() == ("TaskFailure", "fail", ("a", "b"))
        body = shop.tsum.s().on_error(of_any_number.s())
        await chord([shop.fail.s(1)], body).send()
        name, kind, _ = await heard.get()
        assert name == "tsum" and issubclass(kind, ChordError)
        with pytest.raises(TypeError, match=r"handle_order_error.*nothing was sent"):
            await shop.fail.s(1).on_error(handle_order_error.s()).send()


async def test_what_a_step_raised_is_caught_around_the_whole(app: AioQueue) -> None:
    shop = Shop(app)

    @app.task
    def opens(path: str) -> None:
        raise FileNotFoundError(2, "No such file", path)

    async with working(app):
        result = await chain(shop.fail.s(1), shop.tsum.s()).send()
        with pytest.raises(LookupError) as caught:
            await result.get(timeout=10)
        error = caught.value
        assert isinstance(error, UpstreamFailed) and isinstance(error.__cause__, LookupError)
        assert str(error).startswith("Task fail[") and repr(error).startswith("UpstreamFailed(")
        result = await chord([shop.add.s(1, 1), opens.s("a.csv")], shop.tsum.s()).send()
        with pytest.raises(OSError) as chord_caught:
            await result.get(timeout=10)
        assert isinstance(chord_caught.value, ChordError) and chord_caught.value.errno == 2
        returned: Any = await result.get(timeout=10, propagate=False)
        assert isinstance(returned, FileNotFoundError) and isinstance(returned, ChordError)
        # A task that lets it through has failed with both, too.

        @app.task
        async def waits() -> None:
            await chain(shop.fail.s(1), shop.tsum.s()).call(timeout=10)

        with pytest.raises(LookupError) as through:
            await waits.call(timeout=10)
        assert isinstance(through.value, UpstreamFailed)
