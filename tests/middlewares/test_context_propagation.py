"""Contextvars and traces that travel with messages."""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from support.apps import working

from aioqueue import AioQueue, TaskContext, chain
from aioqueue.exceptions import ConfigurationError, PayloadError
from aioqueue.middlewares import ContextPropagation
from aioqueue.middlewares.context_propagation import traceparent, tracestate

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

tenant: ContextVar[Any] = ContextVar("tenant")
since: ContextVar[Any] = ContextVar("since", default=None)


@pytest.fixture(autouse=True)
def fresh_context() -> Iterator[None]:
    """No value of another test."""
    tokens = [(variable, variable.set(None)) for variable in (since, traceparent, tracestate)]
    yield
    for variable, token in tokens:
        variable.reset(token)


def without_telemetry(app: AioQueue, *variables: ContextVar[Any], **options: Any) -> None:
    """Add it as where OpenTelemetry is not installed."""
    middleware = ContextPropagation(*variables, **options)
    middleware._telemetry = None
    app.add_middleware(middleware)


def seen() -> list[Any]:
    return [tenant.get("none"), since.get(), traceparent.get()]


async def test_values_are_there_in_coroutines_threads_and_what_these_send(app: AioQueue) -> None:
    without_telemetry(app, tenant, since)

    @app.task(name="inner")
    async def inner() -> list[Any]:
        return seen()

    @app.task(name="in_thread")
    def in_thread() -> list[Any]:
        return [*seen(), inner.sync.send().id]

    @app.task(name="outer")
    async def outer() -> list[Any]:
        return [*seen(), (await inner.send()).id]

    async with working(app):

        async def sends() -> list[Any]:
            tenant.set("a")
            since.set(date(2026, 5, 1))
            traceparent.set(PARENT)
            return [await in_thread.send(), await outer.send()]

        sent = await contextvars.copy_context().run(__import__("asyncio").create_task, sends())
        for result in sent:
            *values, id = await result.get(timeout=20)
            assert values == ["a", date(2026, 5, 1), PARENT]
            assert await app.result(id).get(timeout=20) == ["a", date(2026, 5, 1), PARENT]
        assert await (await inner.send()).get(timeout=20) == ["none", None, None]


async def test_they_are_there_in_retries_replacements_and_canvases(app: AioQueue) -> None:
    without_telemetry(app, tenant)

    @app.task(name="step")
    async def step(before: list[Any]) -> list[Any]:
        return [*before, tenant.get("none")]

    @app.task(name="again", bind=True, max_retries=1)
    async def again(ctx: TaskContext) -> list[Any]:
        if not ctx.retries:
            raise ctx.retry(countdown=0)
        return [tenant.get("none")]

    @app.task(name="replaced", bind=True)
    async def replaced(ctx: TaskContext, before: list[Any]) -> None:
        raise ctx.replace(step.si([*before, "replaced"]))

    async with working(app):
        tenant.set("a")
        result = await chain(again.s(), step.s(), replaced.s(), step.s()).send()
        assert await result.get(timeout=20) == ["a", "a", "replaced", "a", "a"]


async def test_what_the_sender_puts_into_headers_counts_for_more(app: AioQueue) -> None:
    without_telemetry(app, tenant, since)

    @app.task(name="tell", bind=True)
    async def tell(ctx: TaskContext) -> Any:
        return [*seen(), ctx.headers]

    async with working(app):
        tenant.set("a")
        since.set(1)
        traceparent.set(PARENT)
        other = PARENT.replace("4bf9", "0000")
        headers = {"aioqueue.context": {"tenant": "b"}, "traceparent": other}
        found = await (await tell.options(headers=headers).send()).get(timeout=20)
    assert found == ["b", 1, other, {"aioqueue.context": {"tenant": "b", "since": 1}, "traceparent": other}]


@pytest.mark.parametrize(
    "headers",
    [
        {"aioqueue.context": "text"},
        {"aioqueue.context": {"other": 1}},
        {"traceparent": 7},
        {"traceparent": "00-00000000000000000000000000000000-00f067aa0ba902b7-01"},
        {"traceparent": "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        {"traceparent": "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"},
        {"tracestate": "a=b"},
    ],
)
async def test_headers_that_others_have_written_do_no_harm(app: AioQueue, headers: dict[str, Any]) -> None:
    without_telemetry(app, since)

    @app.task(name="tell")
    async def tell() -> Any:
        return [since.get(), traceparent.get(), tracestate.get()]

    since.set(None)
    async with app.testing() as t:
        assert await t.run(tell.options(headers=headers)) == [None, None, None]


async def test_tracestate_goes_along_with_its_traceparent(app: AioQueue) -> None:
    without_telemetry(app)

    @app.task(name="tell")
    async def tell() -> Any:
        return [traceparent.get(), tracestate.get()]

    async with app.testing() as t:
        tracestate.set("a=1")
        assert await t.run(tell) == [None, None]
        traceparent.set(PARENT)
        assert await t.run(tell) == [PARENT, "a=1"]


async def test_another_header_and_no_trace(app: AioQueue) -> None:
    without_telemetry(app, since, header="vars", trace=False)

    @app.task(name="tell", bind=True)
    async def tell(ctx: TaskContext) -> Any:
        return ctx.headers

    async with app.testing() as t:
        since.set(5)
        traceparent.set(PARENT)
        assert await t.run(tell) == {"vars": {"since": 5}}


async def test_a_value_that_cannot_travel_is_refused(app: AioQueue) -> None:
    without_telemetry(app, since)

    @app.task(name="tell")
    async def tell() -> None: ...

    since.set(object())
    async with app:
        with pytest.raises(PayloadError, match=r"variable 'since' of .* with tell: a object can't .*Nothing was sent"):
            await tell.send()


@dataclasses.dataclass(frozen=True)
class User:
    id: int


class Colour(StrEnum):
    RED = "red"


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize("value", [User(5), [User(5)], {"user": (User(5),)}, {User(5)}, {User(5): 1}], ids=repr)
async def test_a_value_that_would_arrive_as_another_is_refused(app: AioQueue, value: Any) -> None:
    without_telemetry(app, tenant, since)

    @app.task(name="tell", bind=True)
    async def tell(ctx: TaskContext) -> Any:
        return ctx.headers

    async with working(app):
        since.set(value)
        with pytest.raises(PayloadError, match=r"variable 'since' of ContextPropagation .* tell: .*Nothing was sent"):
            await tell.send()
        own = {"aioqueue.context": {"since": 5}}
        assert await tell.options(headers=own).call(timeout=20) == own, "what is not sent is not looked at"


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        Name("ann"),
        2**70,
        {1: (date(2026, 5, 1), {Colour.RED}), None: [b"", float("inf")]},
        [Decimal("1.10"), frozenset({1})],
    ],
    ids=repr,
)
async def test_values_arrive_as_what_they_were(app: AioQueue, value: Any) -> None:
    without_telemetry(app, since)

    @app.task(name="tell")
    async def tell() -> None:
        told.append(since.get())

    told: list[Any] = []
    since.set(value)
    async with app.testing() as t:
        await t.run(tell)
    assert told == [value]


async def test_a_header_of_the_senders_own_is_left_alone(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    without_telemetry(app, since, header="context")

    @app.task(name="tell", bind=True)
    async def tell(ctx: TaskContext) -> Any:
        return [ctx.headers["context"], since.get()]

    async with working(app):
        since.set(5)
        for own in ("a text", ["a", "list"]):
            assert await tell.options(headers={"context": own}).call(timeout=20) == [own, None]
        assert await tell.call(timeout=20) == [{"since": 5}, 5]
    (line,) = [record.getMessage() for record in caplog.records if "of its sender's own" in record.getMessage()]
    assert "of tell has a header 'context'" in line


async def test_by_default_it_takes_no_name_that_senders_use(app: AioQueue) -> None:
    without_telemetry(app, since)

    @app.task(name="tell", bind=True)
    async def tell(ctx: TaskContext) -> Any:
        return ctx.headers

    async with app.testing() as t:
        since.set(5)
        sent = tell.options(headers={"context": {"page": 1}})
        assert await t.run(sent) == {"context": {"page": 1}, "aioqueue.context": {"since": 5}}


def test_what_it_takes() -> None:
    with pytest.raises(ConfigurationError, match="takes ContextVars, not 'tenant'"):
        ContextPropagation("tenant")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="two variables of the name 'tenant'"):
        ContextPropagation(tenant, ContextVar("tenant"))
    with pytest.raises(ConfigurationError, match="header"):
        ContextPropagation(tenant, header="")


async def test_the_trace_of_opentelemetry_goes_on(app: AioQueue) -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    context = pytest.importorskip("opentelemetry.context")
    app.add_middleware(ContextPropagation())

    @app.task(name="tell")
    def tell() -> list[str]:
        span = trace.get_current_span().get_span_context()
        return [trace.format_trace_id(span.trace_id), trace.format_span_id(span.span_id)]

    _, trace_id, span_id, _ = PARENT.split("-")
    span = trace.NonRecordingSpan(
        trace.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=trace.TraceFlags(1))
    )
    async with working(app):
        token = context.attach(trace.set_span_in_context(span))
        try:
            result = await tell.send()
        finally:
            context.detach(token)
        assert await result.get(timeout=20) == [trace_id, span_id]


async def test_baggage_of_opentelemetry_needs_no_span(app: AioQueue) -> None:
    baggage = pytest.importorskip("opentelemetry.baggage")
    context = pytest.importorskip("opentelemetry.context")
    trace = pytest.importorskip("opentelemetry.trace")
    app.add_middleware(ContextPropagation())

    @app.task(name="tell")
    async def tell() -> list[Any]:
        return [baggage.get_baggage("tenant"), trace.get_current_span().get_span_context().is_valid]

    async with working(app):
        token = context.attach(baggage.set_baggage("tenant", "a"))
        try:
            sent = [await tell.send(), await tell.options(headers={"traceparent": PARENT.upper()}).send()]
        finally:
            context.detach(token)
        own = await tell.options(headers={"baggage": "tenant=b", "traceparent": PARENT.upper()}).send()
        assert await sent[0].get(timeout=20) == ["a", False]
        assert await sent[1].get(timeout=20) == [None, False], "who gives a trace gives what belongs to it"
        assert await own.get(timeout=20) == ["b", False]
