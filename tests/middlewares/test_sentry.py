"""What Sentry gets, through a transport that keeps it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from support.apps import outcome, working
from support.waiting import until

from aioqueue import AioQueue, Ignore, Reject, TaskContext
from aioqueue.exceptions import ConfigurationError
from aioqueue.middlewares import Sentry

sentry_sdk = pytest.importorskip("sentry_sdk")


class Kept(sentry_sdk.Transport):  # type: ignore[misc,name-defined]
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.items += [json.loads(item.payload.get_bytes()) for item in envelope.items if item.payload is not None]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [item for item in self.items if item.get("level") == "error"]

    @property
    def transactions(self) -> list[dict[str, Any]]:
        return [item for item in self.items if item.get("type") == "transaction"]


@pytest.fixture
def kept() -> Iterator[Kept]:
    """A Sentry that records all traces."""
    transport = Kept()
    with sentry_sdk.isolation_scope():
        sentry_sdk.init("http://key@localhost/1", transport=transport, traces_sample_rate=1.0)
        yield transport
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)


async def test_a_failure_with_its_task_and_without_hidden_arguments(app: AioQueue, kept: Kept) -> None:
    app.add_middleware(Sentry())

    @app.task(name="charge", queue="money")
    def charge(order: int, password: str, *, api_token: str = "") -> None:
        secret_of_mine = password + "!"
        raise KeyError(f"{order} {len(secret_of_mine)}")

    async with working(app):
        result = await charge.send(7, "hunter2", api_token="xyz")
        assert isinstance(await outcome(result), KeyError)
    (error,) = kept.errors
    (value,) = error["exception"]["values"]
    assert (value["type"], value["mechanism"]["type"], value["mechanism"]["handled"]) == ("KeyError", "aioqueue", False)
    assert error["transaction"] == "charge"
    assert error["tags"] == {"aioqueue.task": "charge", "aioqueue.task_id": result.id, "aioqueue.queue": "money"}
    about = error["contexts"]["aioqueue"]
    assert about["arguments"] == "7, ***, api_token=***"
    assert (about["task_id"], about["retries"], about["deliveries"]) == (result.id, 0, 1)
    variables = next(f["vars"] for f in value["stacktrace"]["frames"] if f["function"] == "charge")
    assert variables["order"] == "7"
    assert variables["password"] == variables["secret_of_mine"] == "[Filtered]"


async def test_words_of_the_apps_own_are_hidden_in_frames(make_app: Any, kept: Kept) -> None:
    number = "".join(["DE", "01"])  # nor is it in the lines of the source
    app = make_app(hidden_arguments=["iban"])
    app.add_middleware(Sentry())

    @app.task(name="pay")
    async def pay(IBAN: str) -> None:
        raise ValueError("no")

    async with working(app):
        await outcome(await pay.send(number))
    assert number not in json.dumps(kept.errors)
    assert kept.errors


async def test_each_failure_is_reported_once_though_it_is_logged(app: AioQueue, kept: Kept) -> None:
    app.add_middleware(Sentry())

    @app.task(name="fail")
    async def fail() -> None:
        raise KeyError("x")

    @app.task(name="endless", time_limit=0.05)
    async def endless() -> None:
        await __import__("asyncio").Event().wait()

    async with working(app):
        await outcome(await fail.send())
        assert [error["exception"]["values"][0]["type"] for error in kept.errors] == ["KeyError"]
        await outcome(await endless.send())
    assert len(kept.errors) == 2, "what ends a task from outside is an error in the log"
    assert "TimeLimitExceeded" in json.dumps(kept.errors[1])


async def test_retries_are_no_failures_until_the_last(app: AioQueue, kept: Kept) -> None:
    app.add_middleware(Sentry())

    @app.task(name="automatic", autoretry_for=(KeyError,), max_retries=2, default_retry_delay=0)
    async def automatic() -> None:
        raise KeyError("a")

    @app.task(name="by_hand", bind=True, max_retries=1)
    async def by_hand(ctx: TaskContext) -> None:
        raise ctx.retry(exc=OSError("b"), countdown=0)

    @app.task(name="bare", bind=True, max_retries=0)
    async def bare(ctx: TaskContext) -> None:
        raise ctx.retry(countdown=0)

    async with working(app):
        for task in (automatic, by_hand, bare):
            await outcome(await task.send())
    reported = [(error["transaction"], error["exception"]["values"][-1]["type"]) for error in kept.errors]
    assert reported == [("automatic", "KeyError"), ("by_hand", "OSError"), ("bare", "MaxRetriesExceeded")]
    assert [error["contexts"]["aioqueue"]["retries"] for error in kept.errors] == [2, 1, 0]


async def test_retries_are_reported_where_that_is_asked_for(app: AioQueue, kept: Kept) -> None:
    app.add_middleware(Sentry(capture_retries=True))

    @app.task(name="automatic", autoretry_for=(KeyError,), max_retries=1, default_retry_delay=0)
    async def automatic() -> None:
        raise KeyError("a")

    async with working(app):
        await outcome(await automatic.send())
    assert len(kept.errors) == 2


async def test_what_a_task_says_of_itself_is_no_failure(app: AioQueue, kept: Kept) -> None:
    app.add_middleware(Sentry())

    @app.task(name="other")
    async def other() -> int:
        return 1

    @app.task(name="says", bind=True)
    async def says(ctx: TaskContext, what: str) -> None:
        if what == "ignore":
            raise Ignore
        if what == "replace":
            raise ctx.replace(other.s())

    async with working(app):
        await (await says.send("replace")).get(timeout=20)
        ignored = await says.send("ignore")
        await (await other.send()).get(timeout=20)
        await outcome(ignored)
    assert kept.errors == []
    assert len(kept.transactions) == 4


async def test_what_is_rejected_is_reported_by_nothing(app: AioQueue, kept: Kept) -> None:
    app.add_middleware(Sentry())

    @app.task(name="rejects")
    async def rejects() -> None:
        raise Reject("not mine")

    async with working(app):
        await outcome(await rejects.send())
    assert kept.errors == []


async def test_the_status_of_a_run_tells_failures_from_what_a_task_says(app: AioQueue, kept: Kept) -> None:
    app.add_middleware(Sentry())

    @app.task(name="ok")
    async def ok() -> int:
        return 1

    @app.task(name="says", bind=True)
    async def says(ctx: TaskContext, what: str) -> None:
        match what:
            case "retry" if not ctx.retries:
                raise ctx.retry(countdown=0)
            case "reject":
                raise Reject("not mine")
            case "replace":
                raise ctx.replace(ok.s())
            case "ignore":
                raise Ignore
            case "fail":
                raise KeyError("x")
            case _:
                pass

    found: dict[str, list[str]] = {}
    for what, runs in {"retry": 2, "reject": 1, "replace": 2, "ignore": 1, "fail": 1}.items():
        kept.items.clear()
        async with working(app):
            await says.send(what)
            await until(lambda runs=runs: len(kept.transactions) == runs)
        found[what] = [one["contexts"]["trace"]["status"] for one in kept.transactions]
    assert found == {
        "retry": ["aborted", "ok"],
        "reject": ["aborted"],
        "replace": ["aborted", "ok"],
        "ignore": ["aborted"],
        "fail": ["internal_error"],
    }


async def test_a_trace_goes_on_from_the_sender_to_the_task_and_what_it_sends(app: AioQueue, kept: Kept) -> None:
    app.add_middleware(Sentry())

    @app.task(name="inner")
    def inner() -> None: ...

    @app.task(name="outer")
    async def outer() -> None:
        await (await inner.send()).get(timeout=20)

    async with working(app):
        with sentry_sdk.start_transaction(name="request") as request:
            result = await outer.send()
            many = await app.send_many([inner.s(), inner.s()])
        await result.get(timeout=20)
        for one in many:
            await one.get(timeout=20)
    traces = {(one["transaction"], one["contexts"]["trace"]["trace_id"]) for one in kept.transactions}
    assert traces == {(name, request.trace_id) for name in ("request", "outer", "inner")}
    assert len(kept.transactions) == 5
    (of_request,) = [one for one in kept.transactions if one["transaction"] == "request"]
    (of_outer,) = [one for one in kept.transactions if one["transaction"] == "outer"]
    published = {span["span_id"]: span["description"] for span in of_request["spans"] if span["op"] == "queue.publish"}
    assert sorted(published.values()) == ["inner", "inner", "outer"]
    trace = of_outer["contexts"]["trace"]
    assert published[trace["parent_span_id"]] == "outer"
    assert (trace["op"], trace["status"], trace["data"]["messaging.message.id"]) == ("queue.process", "ok", result.id)
    assert [span["description"] for span in of_outer["spans"]] == ["inner"]


async def test_without_a_trace_an_error_belongs_to_that_of_its_sender(app: AioQueue, kept: Kept) -> None:
    app.add_middleware(Sentry())

    @app.task(name="fail")
    async def fail() -> None:
        raise KeyError("x")

    async with working(app):
        trace_id = sentry_sdk.get_traceparent().split("-")[0]
        await outcome(await fail.send())
    assert kept.errors[0]["contexts"]["trace"]["trace_id"] == trace_id


async def test_scopes_of_tasks_are_their_own(app: AioQueue, kept: Kept) -> None:
    app.add_middleware(Sentry())

    @app.task(name="fail")
    async def fail(x: int) -> None:
        sentry_sdk.set_tag(f"only{x}", x)
        raise KeyError(x)

    async with working(app):
        for result in await app.send_many([fail.s(1), fail.s(2)]):
            await outcome(result)
    tags = [{name for name in error["tags"] if name.startswith("only")} for error in kept.errors]
    assert sorted(tags, key=sorted) == [{"only1"}, {"only2"}]


async def test_where_sentry_is_not_initialised_nothing_happens(app: AioQueue) -> None:
    app.add_middleware(Sentry())

    @app.task(name="tell", bind=True)
    async def tell(ctx: TaskContext) -> Any:
        return ctx.headers

    async with app.testing() as t:
        assert await t.run(tell) == {}


def test_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'aioqueue\[sentry\]'"):
        Sentry()


def test_it_is_imported_only_where_it_is_used() -> None:
    code = "import aioqueue.middlewares, sys; print('sentry_sdk' in sys.modules)"
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
