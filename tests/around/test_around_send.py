"""What `around_send` sees, changes, refuses and answers; on each broker, for each way to send."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest
from support.apps import MakeApp, is_empty, lengths, outcome, working
from support.waiting import until, within

from aioqueue import AioQueue, AsyncResult, Middleware, OutgoingMessage, TaskContext, chain, chord, group
from aioqueue.exceptions import AioQueueError, ConfigurationError, PayloadError, QueueFull

Next = Callable[[OutgoingMessage], Awaitable[Any]]


class Seen(Middleware):
    """Notes what passes, and when."""

    def __init__(self, name: str = "", log: list[str] | None = None) -> None:
        self.name = name
        self.log = [] if log is None else log
        self.messages: list[OutgoingMessage] = []
        self.given: list[Any] = []

    async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
        self.messages.append(message)
        self.log.append(f"{self.name}>{message.name}")
        given = await next(message)
        self.given.append(given)
        self.log.append(f"{self.name}<{message.name}")
        return given


class Refusing(Middleware):
    """Refuses the message whose first argument is `what`."""

    def __init__(self, what: Any) -> None:
        self.what = what

    async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
        if message.args and message.args[0] == self.what:
            raise PermissionError(self.what)
        return await next(message)


class Tasks:
    """Tasks to send."""

    def __init__(self, app: AioQueue) -> None:
        @app.task(name="add")
        async def add(x: int, y: int = 10) -> int:
            return x + y

        @app.task(name="total")
        async def total(numbers: list[int]) -> int:
            return sum(numbers)

        @app.task(name="tell", bind=True)
        async def tell(ctx: TaskContext, *args: Any, **kwargs: Any) -> dict[str, Any]:
            return {"args": list(args), "kwargs": kwargs, "headers": ctx.headers, "queue": ctx.queue, "id": ctx.id}

        @app.task(name="fail")
        async def fail() -> None:
            raise KeyError("broken")

        self.add, self.total, self.tell, self.fail = add, total, tell, fail


@pytest.fixture
def tasks(app: AioQueue) -> Tasks:
    return Tasks(app)


# One message


async def test_it_stands_around_each_way_to_send_one(app: AioQueue, tasks: Tasks) -> None:
    seen = Seen()
    app.add_middleware(seen)
    async with working(app):
        results = [
            await tasks.add.send(1),
            await tasks.add.delay(1),
            await tasks.add.apply_async((1,)),
            await tasks.add.options(priority=3).send(1),
            await tasks.add.s(1).send(),
            await app.send_task("add", (1,)),
        ]
        assert [await result.get(timeout=20) for result in results] == [11] * 6
    assert [message.name for message in seen.messages] == ["add"] * 6
    assert seen.given == results
    assert [message.args for message in seen.messages] == [(1,)] * 6
    assert [message.options for message in seen.messages] == [{}, {}, {}, {"priority": 3}, {}, {}]


async def test_the_first_that_is_added_is_the_outermost_and_those_of_the_task_come_last(app: AioQueue) -> None:
    log: list[str] = []

    @app.task(name="own", middleware=[Seen("task", log)])
    async def own() -> None: ...

    @app.task(name="other")
    async def other() -> None: ...

    app.add_middleware(Seen("first", log))
    app.add_middleware(Seen("second", log))
    async with app:
        await own.send()
        assert log == ["first>own", "second>own", "task>own", "task<own", "second<own", "first<own"]
        log.clear()
        await other.send()
    assert log == ["first>other", "second>other", "second<other", "first<other"]


async def test_it_changes_name_arguments_headers_and_options(app: AioQueue, tasks: Tasks) -> None:
    class Changing(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            message.name = "tell"
            message.args = (*message.args, 2)
            message.kwargs["z"] = 3
            message.headers["tenant"] = "a"
            message.options["queue"] = "high"
            return await next(message)

    app.add_middleware(Changing())
    headers = {"own": 1}
    async with working(app, queues=["high"]):
        found = await (await tasks.add.options(headers=headers).send(1)).get(timeout=20)
        headers_of_many = (await (await app.send_many([tasks.add.s(1)]))[0].get(timeout=20))["headers"]
    del found["id"]
    assert found == {"args": [1, 2], "kwargs": {"z": 3}, "headers": {"own": 1, "tenant": "a"}, "queue": "high"}
    assert headers_of_many == {"tenant": "a"}
    assert headers == {"own": 1}, "the caller's own are left alone"
    assert tasks.add.send_options == {}


@pytest.mark.parametrize(
    ("change", "error", "what"),
    [
        (lambda message: setattr(message, "args", (1, 2, 3, 4)), PayloadError, "add"),
        (lambda message: setattr(message, "args", "text"), ConfigurationError, "args"),
        (lambda message: setattr(message, "name", 7), ConfigurationError, "name"),
        (lambda message: message.kwargs.update(x=object()), PayloadError, "x"),
        (lambda message: message.options.update(queu="a"), ConfigurationError, "Did you mean 'queue'"),
        (lambda message: message.options.update(priority=10), ConfigurationError, "0 to 9"),
        (lambda message: message.options.update(link=[]), ConfigurationError, "link"),
        (lambda message: message.options.update(headers={}), ConfigurationError, "message.headers"),
        (lambda message: setattr(message, "headers", [1]), ConfigurationError, "headers"),
        (lambda message: message.headers.update({1: 2}), ConfigurationError, "headers"),
    ],
)
async def test_a_wrong_change_is_an_error_and_nothing_was_sent(
    app: AioQueue, tasks: Tasks, change: Callable[[OutgoingMessage], Any], error: type[Exception], what: str
) -> None:
    class Changing(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            change(message)
            return await next(message)

    app.add_middleware(Changing())
    async with app:
        sendings: list[Callable[[], Awaitable[Any]]] = [
            lambda: tasks.add.send(1),
            lambda: app.send_many([tasks.add.s(1), tasks.add.s(2)]),
            lambda: chain(tasks.add.s(1)).send(),
        ]
        for sending in sendings:
            with pytest.raises(error, match=what) as raised:
                await sending()
            assert "nothing was sent" in str(raised.value).lower()
        assert await is_empty(app)


async def test_it_refuses_by_raising(app: AioQueue, tasks: Tasks) -> None:
    app.add_middleware(seen := Seen())
    app.add_middleware(Refusing(5))
    async with app:
        with pytest.raises(PermissionError):
            await tasks.add.send(5)
        assert await is_empty(app)
        assert not seen.given


async def test_it_answers_itself_and_nothing_is_sent(app: AioQueue, tasks: Tasks) -> None:
    known: AsyncResult[Any] = app.result("known")

    class Answering(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            return known

    app.add_middleware(seen := Seen())
    app.add_middleware(Answering())
    async with app:
        assert await tasks.add.send(5) is known
        assert await app.send_many([tasks.add.s(5), tasks.add.s(6)]) == [known, known]
        assert await is_empty(app)
    assert seen.given == [known] * 3


class Cached(Middleware):
    """Answers with what is no result."""

    async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
        return {"cached": message.args[0]}


async def test_what_it_answers_with_is_what_whoever_waits_gets(app: AioQueue, tasks: Tasks) -> None:
    app.add_middleware(Cached())
    async with app:
        assert await tasks.add.call(5) == {"cached": 5}
        assert await tasks.add.s(5).call() == {"cached": 5}
        assert await is_empty(app)
    async with app.testing() as t:
        assert await t.run(tasks.add, 5) == {"cached": 5}
        assert await t.run(tasks.add, 6) == {"cached": 6}


def test_what_it_answers_with_for_threads(app: AioQueue, tasks: Tasks) -> None:
    app.add_middleware(Cached())
    given: list[Any] = [tasks.add.sync.send(5), tasks.add.sync.call(5), *app.sync.send_many([tasks.add.s(5)])]
    assert given == [{"cached": 5}] * 3


async def test_to_forget_the_result_of_next_does_no_harm(app: AioQueue, tasks: Tasks) -> None:
    class Forgetful(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            await next(message)

    app.add_middleware(Forgetful())
    async with working(app):
        assert await (await tasks.add.send(1)).get(timeout=20) == 11


async def test_to_call_next_never_or_twice_is_an_error(app: AioQueue, tasks: Tasks) -> None:
    class Never(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            pass

    class Twice(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            given = await next(message)
            with pytest.raises(ConfigurationError, match=r"Twice.around_send has called next twice"):
                await next(message)
            return given

    class Other(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            return await next(message.name)  # type: ignore[arg-type]

    never = app.task(name="never", middleware=[Never()])(_nothing)
    twice = app.task(name="twice", middleware=[Twice()])(_nothing)
    other = app.task(name="other", middleware=[Other()])(_nothing)
    async with app:
        with pytest.raises(ConfigurationError, match=r"Never.around_send has neither called next nor .* Nothing was"):
            await never.send()
        with pytest.raises(ConfigurationError, match=r"gives next 'other'.* Nothing was sent"):
            await other.send()
        assert await is_empty(app)
        await twice.send()
        assert await lengths(app) == (1, 0, 0)


async def _nothing() -> None: ...


async def test_what_is_raised_after_the_message_has_left_is_logged(
    app: AioQueue, tasks: Tasks, caplog: pytest.LogCaptureFixture
) -> None:
    class Late(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            await next(message)
            raise OSError("too late")

    app.add_middleware(seen := Seen())
    app.add_middleware(Late())
    async with working(app):
        with caplog.at_level(logging.ERROR, "aioqueue"):
            one = await tasks.add.send(1)
            many = await app.send_many([tasks.add.s(2), tasks.add.s(3)])
        assert [await result.get(timeout=20) for result in (one, *many)] == [11, 12, 13]
    assert caplog.text.count("Late.around_send failed after the message of add was sent") == 3
    assert [given.id for given in seen.given] == [one.id, *(result.id for result in many)]


async def test_it_hears_why_a_message_could_not_be_sent(make_app: MakeApp) -> None:
    app = make_app(queue_max_length=1)
    tasks = Tasks(app)

    class Softly(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            try:
                return await next(message)
            except QueueFull:
                return "full"

    app.add_middleware(Softly())
    async with app:
        await tasks.add.send(1)
        assert await tasks.add.send(2) == "full"


async def test_one_message_passes_in_the_context_of_its_sender(app: AioQueue, tasks: Tasks) -> None:
    tenant: ContextVar[str] = ContextVar("tenant", default="none")

    class Setting(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            message.headers["tenant"] = tenant.get()
            tenant.set("seen")
            return await next(message)

    app.add_middleware(Setting())
    async with working(app):
        tenant.set("b")
        result = await tasks.tell.send()
        assert tenant.get() == "seen"
        assert (await result.get(timeout=20))["headers"] == {"tenant": "b"}


# Many


async def test_all_of_a_batch_pass_before_any_is_sent(app: AioQueue, tasks: Tasks) -> None:
    app.add_middleware(seen := Seen())
    calls = [tasks.add.s(number) for number in range(2_500)]
    async with app:
        results = await app.send_many(calls)
    assert [result.id for result in results] == [given.id for given in seen.given]
    assert len({result.id for result in results}) == 2_500
    assert seen.log == [">add"] * 2_500 + ["<add"] * 2_500
    assert [message.args for message in seen.messages] == [(number,) for number in range(2_500)]


async def test_of_a_batch_with_one_that_is_refused_nothing_is_sent(app: AioQueue, tasks: Tasks) -> None:
    heard: list[str] = []

    class Hearing(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            try:
                return await next(message)
            except Exception as error:
                heard.append(f"{message.args[0]}: {type(error).__name__}: {error}")
                raise

    app.add_middleware(Hearing())
    app.add_middleware(Refusing(1))
    async with app:
        with pytest.raises(PermissionError):
            await app.send_many([tasks.add.s(number) for number in range(3)])
        assert await is_empty(app)
    others = "AioQueueError: Nothing was sent with this message: 1"
    assert sorted(heard) == [f"0: {others}", "1: PermissionError: 1", f"2: {others}"]


async def test_the_messages_of_a_batch_pass_beside_each_other(app: AioQueue, tasks: Tasks) -> None:
    all_there = asyncio.Event()
    there = 0

    class Waiting(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            nonlocal there
            there += 1
            if there == 3:
                all_there.set()
            await within(all_there.wait())
            return await next(message)

    app.add_middleware(Waiting())
    async with app:
        await app.send_many([tasks.add.s(number) for number in range(3)])
        there = 0
        all_there.clear()
        await group(tasks.add.s(number) for number in range(3)).send()


class OneAtATime(Middleware):
    """Holds around `next` what there is one of."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.heard: list[str] = []

    async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
        async with self.lock:
            try:
                return await next(message)
            except Exception as error:
                self.heard.append(str(error))
                raise


async def test_a_batch_that_waits_for_itself_is_refused(make_app: MakeApp) -> None:
    app = make_app(send_timeout=0.3)
    tasks = Tasks(app)
    app.add_middleware(Seen())
    app.add_middleware(one := OneAtATime())
    app.add_middleware(Seen())
    async with app:
        sendings: list[Callable[[], Awaitable[Any]]] = [
            lambda: app.send_many([tasks.add.s(1), tasks.add.s(2), tasks.add.s(3)]),
            lambda: chain(tasks.add.s(1), tasks.add.s(2)).send(),
        ]
        for sending in sendings:
            one.heard.clear()
            with pytest.raises(
                AioQueueError, match=r"^OneAtATime\.around_send has not called next for \d of \d"
            ) as raised:
                await within(sending())
            assert "side by side" in str(raised.value) and str(raised.value).endswith("Nothing was sent.")
            assert one.heard == [f"Nothing was sent with this message: {raised.value}"]
            assert not one.lock.locked()
        assert await is_empty(app)
        assert (await tasks.add.send(1)).id, "one alone has nobody to wait for"


async def test_a_batch_that_comes_slowly_is_sent(make_app: MakeApp) -> None:
    app = make_app(send_timeout=0.5)
    tasks = Tasks(app)
    limit = asyncio.Lock()

    class Slowly(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            async with limit:
                await asyncio.sleep(0.1)
            return await next(message)

    app.add_middleware(Slowly())
    async with app:
        assert len(await app.send_many([tasks.add.s(number) for number in range(8)])) == 8


async def test_a_batch_in_which_only_some_have_something_around_them(app: AioQueue, tasks: Tasks) -> None:
    seen = Seen()
    own = app.task(name="own", middleware=[seen])(_own)
    async with working(app):
        results = await app.send_many([tasks.add.s(1), own.s(2), tasks.add.s(3), own.s(4)])
        assert [await result.get(timeout=20) for result in results] == [11, 2, 13, 4]
    assert [message.args for message in seen.messages] == [(2,), (4,)]
    assert [given.id for given in seen.given] == [results[1].id, results[3].id]


async def _own(x: int) -> int:
    return x


async def test_a_batch_in_which_one_is_answered_for(app: AioQueue, tasks: Tasks) -> None:
    known: AsyncResult[Any] = app.result("known")

    class Answering(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            return known if message.args == (2,) else await next(message)

    app.add_middleware(Answering())
    async with working(app):
        first, second, third = await app.send_many([tasks.add.s(number) for number in (1, 2, 3)])
        assert second is known
        assert [await result.get(timeout=20) for result in (first, third)] == [11, 13]


async def test_a_sender_that_is_cancelled_takes_the_messages_with_it(app: AioQueue, tasks: Tasks) -> None:
    inside, ended = asyncio.Event(), 0

    class Waiting(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            nonlocal ended
            inside.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended += 1

    app.add_middleware(Waiting())
    async with app:
        sending = asyncio.create_task(app.send_many([tasks.add.s(1), tasks.add.s(2)]))
        await within(inside.wait())
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert ended == 2
        assert await is_empty(app)


async def test_when_a_part_of_a_batch_is_sent_each_message_hears_its_own(make_app: MakeApp) -> None:
    app = make_app(queue_max_length=1_500)
    tasks = Tasks(app)
    heard: dict[int, str] = {}

    class Hearing(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            try:
                given = await next(message)
            except QueueFull:
                heard[message.args[0]] = "full"
                raise
            heard[message.args[0]] = given.id
            return given

    app.add_middleware(Hearing())
    async with app:
        with pytest.raises(QueueFull) as raised:
            await app.send_many([tasks.add.s(number) for number in range(2_000)])
    sent = raised.value.sent
    assert 0 < len(sent) < 2_000
    assert [heard[number] for number in range(2_000)] == [*sent, *["full"] * (2_000 - len(sent))]


# Canvases


async def test_each_message_of_a_canvas_passes(app: AioQueue, tasks: Tasks) -> None:
    class Marking(Seen):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            message.headers["marked"] = len(self.messages)
            return await super().around_send(message, next)

    app.add_middleware(seen := Marking())
    async with working(app):
        result = await chord((tasks.add.s(number) for number in range(3)), tasks.total.s() | tasks.tell.s(1)).send()
        found = await result.get(timeout=20)
    assert [message.name for message in seen.messages] == ["add"] * 3 + ["total", "tell"]
    assert found["args"] == [33, 1]
    assert found["headers"] == {"marked": 4}
    assert [given.id for given in seen.given][-1] == found["id"] == result.id
    assert seen.log[:5] == [">add", ">add", ">add", ">total", ">tell"], "all pass before any is sent"


async def test_links_and_error_handlers_pass_too(app: AioQueue, tasks: Tasks) -> None:
    ran: list[str] = []

    @app.task(name="linked", bind=True)
    async def linked(ctx: TaskContext, value: Any) -> None:
        ran.append(f"linked {ctx.headers}")

    @app.task(name="handler", bind=True)
    async def handler(ctx: TaskContext, failure: Any) -> None:
        ran.append(f"handler {ctx.headers} {failure.name}")

    class Marking(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            message.headers["seen"] = message.name
            return await next(message)

    app.add_middleware(Marking())
    async with working(app):
        await tasks.add.options(link=linked.s()).send(1)
        await tasks.fail.options(link_error=handler.s()).send()
        await until(lambda: len(ran) == 2)
    assert sorted(ran) == ["handler {'seen': 'handler'} fail", "linked {'seen': 'linked'}"]


async def test_of_a_canvas_with_one_that_is_refused_nothing_is_sent(app: AioQueue, tasks: Tasks) -> None:
    app.add_middleware(Refusing(599))
    async with app:
        with pytest.raises(PermissionError):
            await group(tasks.add.s(number) for number in range(600)).send()
        assert await is_empty(app)


@pytest.mark.parametrize("refused", range(5))
async def test_of_a_batch_with_canvases_nothing_is_sent_either(app: AioQueue, tasks: Tasks, refused: int) -> None:
    app.add_middleware(Refusing(refused))
    add = tasks.add
    linked = add.s(2)
    linked.link(tasks.tell.s())
    async with app:
        with pytest.raises(PermissionError):
            await app.send_many([add.s(0), chain(add.s(1), add.s()), linked, group(add.s(3)), add.s(4)])  # type: ignore[list-item]
        assert await is_empty(app)


async def test_a_batch_with_canvases_and_one_that_is_answered_for(app: AioQueue, tasks: Tasks) -> None:
    known: AsyncResult[Any] = app.result("known")

    class Answering(Seen):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            return known if message.args == (0,) else await super().around_send(message, next)

    app.add_middleware(seen := Answering())
    add = tasks.add
    async with working(app):
        calls: list[Any] = [chain(add.s(1), add.s()), add.s(0), group(add.s(2), add.s(3)), add.s(4)]
        first, second, third, fourth = await app.send_many(calls)
        assert second is known
        assert [await result.get(timeout=20) for result in (first, third, fourth)] == [11 + 10, [12, 13], 14]
    assert len(seen.given) == 5


async def test_what_has_left_of_a_batch_with_canvases_is_told(make_app: MakeApp) -> None:
    app = make_app(queue_max_length=2)
    app.add_middleware(Seen())
    tasks = Tasks(app)
    calls: list[Any] = [tasks.add.s(1), chain(tasks.add.s(2), tasks.add.s()), tasks.add.s(3)]
    async with app:
        with pytest.raises(QueueFull, match="The first 2 of the 3") as raised:
            await app.send_many(calls)
        assert len(raised.value.sent) == 2


async def test_no_part_of_a_canvas_can_be_answered_for(app: AioQueue, tasks: Tasks) -> None:
    class Answering(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            return app.result("known") if message.args == (2,) else await next(message)

    app.add_middleware(Answering())
    async with app:
        with pytest.raises(ConfigurationError, match=r"answered for add itself, which is a part of a canvas.* Nothing"):
            await group(tasks.add.s(1), tasks.add.s(2)).send()
        with pytest.raises(ConfigurationError, match="answered for add"):
            await chain(tasks.add.s(2)).send()
        assert await is_empty(app)


async def test_ids_within_a_canvas_stay(app: AioQueue, tasks: Tasks) -> None:
    class Naming(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            message.options["task_id"] = "mine"
            return await next(message)

    app.add_middleware(Naming())
    async with app:
        assert (await tasks.add.send(1)).id == "mine"
        with pytest.raises(ConfigurationError, match=r"changed the task_id of add.* Nothing was sent"):
            await chain(tasks.add.s(1), tasks.add.s(2)).send()


async def test_parts_of_a_canvas_go_elsewhere_and_become_others(app: AioQueue, tasks: Tasks) -> None:
    class Moving(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            message.options["queue"] = "second" if message.name == "total" else "first"
            if message.args == (3,):
                message.name, message.args = "tell", ()
            return await next(message)

    app.add_middleware(Moving())
    async with working(app, queues=["first", "second"]):
        result = await (group(tasks.add.s(1), tasks.add.s(2)) | tasks.total.s() | tasks.add.s(3)).send()
        found = await result.get(timeout=20)
    assert found["args"] == [23]
    assert found["queue"] == "first"


async def test_a_large_canvas_is_cut_into_parts_all_the_same(app: AioQueue, tasks: Tasks) -> None:
    class Fattening(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            message.headers["fat"] = "x" * 3_000
            return await next(message)

    app.add_middleware(Fattening())
    async with working(app, concurrency=100):
        result = await (group(tasks.add.s(number) for number in range(1_200)) | tasks.total.s()).send()
        assert await result.get(timeout=60) == sum(range(1_200)) + 12_000


async def test_replacements_and_additions_pass(app: AioQueue, tasks: Tasks) -> None:
    app.add_middleware(seen := Seen())

    @app.task(name="replaced", bind=True)
    async def replaced(ctx: TaskContext) -> None:
        raise ctx.replace(tasks.add.s(1) | tasks.add.s(2))

    @app.task(name="adding", bind=True)
    async def adding(ctx: TaskContext) -> int:
        await ctx.add_to_group(tasks.add.s(100))
        return 1

    async with working(app):
        assert await (await replaced.send()).get(timeout=20) == 13
        assert await (await (group([adding.s()]) | tasks.total.s()).send()).get(timeout=20) == 111
    names = [message.name for message in seen.messages]
    assert names == ["replaced", "add", "add", "adding", "total", "add"]


async def test_a_replacement_that_is_refused_is_the_failure_of_the_task(app: AioQueue, tasks: Tasks) -> None:
    app.add_middleware(Refusing(1))

    @app.task(name="replaced", bind=True)
    async def replaced(ctx: TaskContext) -> None:
        raise ctx.replace(tasks.add.s(1))

    async with working(app):
        assert isinstance(await outcome(await replaced.send()), PermissionError)


async def test_a_retry_is_no_new_message(app: AioQueue, tasks: Tasks) -> None:
    app.add_middleware(seen := Seen())

    @app.task(name="again", bind=True, max_retries=1)
    async def again(ctx: TaskContext) -> int:
        if not ctx.retries:
            raise ctx.retry(countdown=0)
        return ctx.retries

    async with working(app):
        assert await (await again.send()).get(timeout=20) == 1
    assert len(seen.messages) == 1


# Elsewhere


async def test_what_runs_where_it_is_sent_passes_too(make_app: MakeApp) -> None:
    app = make_app(task_always_eager=True)
    tasks = Tasks(app)

    class Changing(Middleware):
        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            if message.name == "add":
                message.kwargs["y"] = 1
            return await next(message)

    app.add_middleware(Changing())
    app.add_middleware(Refusing(5))
    async with app:
        assert await (await tasks.add.send(1)).get() == 2
        assert await (await (group(tasks.add.s(1), tasks.add.s(2)) | tasks.total.s()).send()).get() == 5
        assert [await one.get() for one in await app.send_many([tasks.add.s(1), tasks.add.s(2)])] == [2, 3]
        with pytest.raises(PermissionError):
            await tasks.add.send(5)


def test_from_threads(app: AioQueue, tasks: Tasks) -> None:
    app.add_middleware(seen := Seen())
    app.add_middleware(Refusing(5))
    tasks.add.sync.send(1)
    with pytest.raises(PermissionError):
        app.sync.send_many([tasks.add.s(5), tasks.add.s(6)])
    assert [message.args for message in seen.messages] == [(1,), (5,), (6,)]
