"""What is told of an end is what is recorded of it; and each end is what its task has said, however it has said it."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from support.apps import MakeApp, ended, is_empty, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Ignore, Reject, Retry, Task, TaskContext
from aioqueue.dispatch import Dispatch
from aioqueue.exceptions import (
    ConfigurationError,
    MaxRetriesExceeded,
    PayloadError,
    SoftTimeLimitExceeded,
    TimeLimitExceeded,
)
from aioqueue.threads import Threads

from .steps import Fault, Other

SHORT = 0.05


class Told(Task[..., Any]):
    """Writes down what its hooks are told."""

    told: ClassVar[list[tuple[str, ...]]]
    default_retry_delay = 0.0

    def on_success(self, *given: Any) -> None:
        self.told.append(("on_success",))

    def on_failure(self, exception: BaseException, *given: Any) -> None:
        self.told.append(("on_failure", type(exception).__name__))

    def on_retry(self, exception: BaseException, *given: Any) -> None:
        self.told.append(("on_retry", type(exception).__name__))

    def after_return(self, state: str, *given: Any) -> None:
        self.told.append(("after_return", state))


@pytest.fixture
def base() -> type[Told]:
    class Fresh(Told):
        told: ClassVar[list[tuple[str, ...]]] = []

    return Fresh


# What is told is what is recorded


@pytest.mark.parametrize("ignored", [False, True])
async def test_a_result_that_cannot_be_sent(
    app: AioQueue, base: type[Told], ignored: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @app.task(base=base, ignore_result=ignored)
    async def work() -> object:
        return object()

    async with working(app):
        result = await work.send()
        if ignored:
            await until(lambda: len(base.told) == 2 and "succeeded in" in caplog.text)
            assert base.told == [("on_success",), ("after_return", "SUCCESS")]
            return
        info = await ended(result)
    assert info.state == "FAILURE" and isinstance(info.exception, PayloadError)
    assert base.told == [("on_failure", "PayloadError"), ("after_return", "FAILURE")]
    assert "succeeded" not in caplog.text and "failed" in caplog.text


async def test_a_retry_that_cannot_be_made_is_told_as_the_failure_that_it_is(app: AioQueue, base: type[Told]) -> None:
    @app.task(base=base)
    async def work() -> None:
        raise Retry(countdown=float("nan"))

    async with working(app):
        info = await ended(await work.send())
    assert info.state == "FAILURE"
    assert [what for what, *_ in base.told] == ["on_failure", "after_return"]


async def test_one_that_is_given_up_is_told_as_failed(app: AioQueue, base: type[Told]) -> None:
    leave = asyncio.Event()

    @app.task(base=base, time_limit=SHORT)
    async def work() -> None:
        while not leave.is_set():
            try:
                await leave.wait()
            except asyncio.CancelledError:
                pass

    async with working(app, concurrency=1):
        result = await work.send()
        info = await ended(result)
        leave.set()
        await until(lambda: is_empty(app))
    assert isinstance(info.exception, TimeLimitExceeded)
    assert base.told == [("on_failure", "TimeLimitExceeded"), ("after_return", "FAILURE")]


async def test_a_hook_that_does_not_end_does_not_change_what_was_decided(app: AioQueue) -> None:
    leave = asyncio.Event()

    class Stubborn(Task[..., Any]):
        async def on_success(self, *given: Any) -> None:
            while not leave.is_set():
                try:
                    await leave.wait()
                except asyncio.CancelledError:
                    pass

    @app.task(base=Stubborn, time_limit=SHORT)
    async def work() -> int:
        return 1

    async with working(app):
        assert await work.call(timeout=PATIENCE) == 1
        leave.set()


@pytest.mark.parametrize("how", ["by itself", "at its limit"])
async def test_a_failing_hook_keeps_no_other_from_hearing(app: AioQueue, how: str) -> None:
    told: list[str] = []

    class Clumsy(Task[..., Any]):
        def on_failure(self, *given: Any) -> None:
            raise Fault("in the hook")

        def after_return(self, state: str, *given: Any) -> None:
            told.append(state)

    @app.task(base=Clumsy, time_limit=SHORT)
    async def work() -> None:
        if how == "at its limit":
            await asyncio.sleep(PATIENCE)
        raise Other

    async with working(app):
        error = await outcome(await work.send())
    assert isinstance(error, Other if how == "by itself" else TimeLimitExceeded)
    assert told == ["FAILURE"]


async def test_a_reject_is_no_failure_for_hooks(app: AioQueue, base: type[Told]) -> None:
    @app.task(base=base)
    async def work() -> None:
        raise Reject("not mine")

    async with working(app):
        await outcome(await work.send())
        await until(lambda: base.told != [])
    assert base.told == [("after_return", "FAILURE")]


@pytest.mark.parametrize("raised", [Ignore(), Reject(requeue=True), None], ids=repr)
async def test_after_return_is_called_once_at_the_end(app: AioQueue, base: type[Told], raised: Exception) -> None:
    runs: list[int] = []

    @app.task(base=base, bind=True)
    async def work(ctx: TaskContext) -> int:
        runs.append(1)
        if len(runs) < 3:
            if isinstance(raised, Reject):
                raise raised
            raise ctx.retry(countdown=0, exc=Fault())
        if isinstance(raised, Ignore):
            raise raised
        return 1

    async with working(app):
        await work.send()
        await until(lambda: len(runs) == 3)
        await until(lambda: is_empty(app))
    retried = [] if isinstance(raised, Reject) else [("on_retry", "Fault")] * 2
    end = [] if isinstance(raised, Ignore) else [("on_success",), ("after_return", "SUCCESS")]
    assert base.told == retried + end


# What was returned, and never run


async def _nothing() -> None: ...


def _generator() -> Any:
    yield 1


async def _asynchronous_generator() -> Any:
    yield 1


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize(
    "make",
    [_nothing, _generator, _asynchronous_generator, lambda: asyncio.get_running_loop().create_future()],
    ids=["coroutine", "generator", "asynchronous generator", "future"],
)
async def test_a_coroutine_that_returns_what_nobody_runs(
    app: AioQueue, make: Callable[[], Any], ignored: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @app.task(name="work", ignore_result=ignored)
    async def work() -> Any:
        return make()

    async with working(app):
        result = await work.send()
        await until(lambda: "that nobody" in caplog.text)
        assert "succeeded" not in caplog.text
        if not ignored:
            error = await outcome(result)
            assert isinstance(error, ConfigurationError) and "work returned a" in str(error)


async def test_one_of_many_that_returns_what_nobody_runs(app: AioQueue) -> None:
    @app.task(ignore_result=True)
    async def work(x: int) -> Any:
        return _nothing() if x else None

    async with working(app):
        error = await outcome(await work.map([0, 1]).set(ignore_result=False).send())
    assert isinstance(error, ConfigurationError) and "nobody awaits" in str(error)


async def test_a_handle_of_another_task_is_no_work_undone(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    @app.task
    async def other() -> None: ...

    @app.task(name="work", ignore_result=True)
    async def work() -> Any:
        return await other.send()

    async with working(app):
        await work.send()
        await until(lambda: "Task work" in caplog.text)
    assert "failed" not in caplog.text


async def test_plain_functions_that_give_coroutines_one_by_one(app: AioQueue) -> None:
    async def double(x: int) -> int:
        return 2 * x

    @app.task
    def work(x: int) -> Any:
        return functools.partial(double, x)()

    async with working(app):
        assert await work.map([1, 2]).call(timeout=PATIENCE) == [2, 4]


# What was made to be raised, and was not


def _dropped(ctx: TaskContext) -> None:
    ctx.retry(exc=Fault(), countdown=0)


def _swallowed(ctx: TaskContext) -> None:
    try:
        raise ctx.retry(countdown=0)
    except Exception:
        pass


def _stored(ctx: TaskContext) -> None:
    ctx.headers["kept"] = ctx.retry(countdown=0)


def _dropped_replacement(ctx: TaskContext) -> None:
    ctx.replace(ctx.task.si())


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("kind", ["coroutine", "function"])
@pytest.mark.parametrize("helper", [_dropped, _swallowed, _stored, _dropped_replacement])
async def test_what_was_made_and_not_raised_is_a_failure_that_is_kept(
    app: AioQueue, helper: Callable[[TaskContext], None], kind: str, ignored: bool
) -> None:
    runs: list[int] = []

    async def coroutine(ctx: TaskContext) -> str:
        return function(ctx)

    def function(ctx: TaskContext) -> str:
        runs.append(1)
        helper(ctx)
        return "done"

    options: Any = {"bind": True, "name": "work", "autoretry_for": (Exception,), "ignore_result": ignored}
    work = app.task(**options)(coroutine if kind == "coroutine" else function)
    async with working(app):
        result = await work.send()
        (letter,) = await until(app.dead_letters.list)
        assert letter.id == result.id and "did not raise" in letter.reason and "raise ctx.re" in letter.reason
        assert isinstance(letter.exception, ConfigurationError)
        if not ignored:
            assert await result.state() == "FAILURE"
        await until(lambda: is_empty(app))
    assert runs == [1]


@pytest.mark.parametrize("made", [Reject("no use"), Ignore(), Retry(countdown=0)], ids=repr)
async def test_what_was_returned_and_not_raised(app: AioQueue, made: Exception) -> None:
    @app.task(ignore_result=True, store_errors_even_if_ignored=True)
    async def work() -> Any:
        return made

    async with working(app):
        await work.send()
        (letter,) = await until(app.dead_letters.list)
    assert isinstance(letter.exception, ConfigurationError) and "returned what" in letter.reason


async def test_one_was_dropped_and_another_one_raised(app: AioQueue) -> None:
    @app.task(bind=True)
    async def work(ctx: TaskContext) -> int:
        if ctx.retries == 0:
            ctx.retry(countdown=3600)
            raise ctx.retry(countdown=0)
        return ctx.retries

    async with working(app):
        assert await work.call(timeout=PATIENCE) == 1
        assert await app.dead_letters.list() == []


async def test_one_was_dropped_and_an_error_raised(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    """As after `except ConnectionError as e: ctx.retry(exc=e)`, with what follows: the error counts, and tells why."""

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> int:
        ctx.retry(exc=ConnectionError(), countdown=0)
        raise Fault("what follows")

    async with working(app):
        info = await ended(await work.send())
    assert isinstance(info.exception, Fault)
    assert "write raise ctx.retry" in info.traceback and "write raise ctx.retry" in caplog.text


# One rule for what ran out of its tries


@pytest.mark.parametrize("how", ["asked", "asked with a cause", "by itself", "raised again", "another error", "limit"])
@pytest.mark.parametrize("ignored", [False, True])
async def test_what_ran_out_of_its_tries_is_kept_however_it_says_so(app: AioQueue, how: str, ignored: bool) -> None:
    options: Any = {"time_limit": SHORT} if how == "limit" else {}
    if how == "by itself":
        options["autoretry_for"] = (Fault,)

    @app.task(bind=True, max_retries=1, default_retry_delay=0, ignore_result=ignored, **options)
    async def work(ctx: TaskContext) -> None:
        if how == "by itself":
            raise Fault("busy")
        if ctx.retries == 0 or how == "asked":
            raise ctx.retry()
        if how == "asked with a cause":
            raise ctx.retry(exc=Fault("busy"))
        if how == "limit":
            await asyncio.sleep(PATIENCE)
        raise Other("other") if how == "another error" else Fault("busy")

    kinds = {"asked": MaxRetriesExceeded, "another error": Other, "limit": TimeLimitExceeded}
    async with working(app):
        await work.send()
        (letter,) = await until(app.dead_letters.list)
        assert letter.reason.startswith("failed after 1 retry:")
        assert isinstance(letter.exception, kinds.get(how, Fault))


async def test_a_failure_with_tries_left_is_not_kept(app: AioQueue) -> None:
    @app.task(bind=True, max_retries=5, default_retry_delay=0)
    async def work(ctx: TaskContext) -> None:
        if ctx.retries == 0:
            raise ctx.retry()
        raise Fault

    async with working(app):
        assert (await ended(await work.send())).dead is False
        assert await app.dead_letters.list() == []


@pytest.mark.parametrize("where", ["option", "class", "setting"])
async def test_all_failures_can_be_kept(make_app: MakeApp, where: str) -> None:
    class Kept(Task[..., Any]):
        dead_letters_on_failure = True

    app = make_app(**({"task_dead_letters_on_failure": True} if where == "setting" else {}))
    options: Any = {"option": {"dead_letters_on_failure": True}, "class": {"base": Kept}}.get(where, {})

    @app.task(**options)
    async def work(x: int) -> None:
        raise Fault(x)

    @app.task(dead_letters_on_failure=False)
    async def other() -> None:
        raise Fault

    async with working(app):
        info = await ended(await work.send(1))
        await ended(await other.send())
        (letter,) = await app.dead_letters.list()
    assert info.dead and letter.args == (1,) and letter.reason == "failed: api.steps.Fault: 1"


# Soft limits concern the body


@pytest.fixture
def late_thread(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Threads of tasks that do not begin; the call starts them. Those of hooks begin."""
    late: list[Any] = []
    work = Threads._work

    def wait(self: Threads, inbox: Any) -> None:
        if self._name == "aioqueue-task":
            late.append(lambda: work(self, inbox))
        else:
            work(self, inbox)

    monkeypatch.setattr(Threads, "_work", wait)
    return late


@pytest.mark.parametrize("retried", [False, True])
async def test_a_soft_limit_before_the_thread_has_begun(
    app: AioQueue, late_thread: list[Any], retried: bool, base: type[Told]
) -> None:
    ran: list[int] = []
    options: Any = {"autoretry_for": (SoftTimeLimitExceeded,), "max_retries": 1} if retried else {}

    @app.task(base=base, soft_time_limit=SHORT, **options)
    def work() -> None:
        ran.append(1)

    async with working(app):
        info = await ended(await work.send())
        assert isinstance(info.exception, SoftTimeLimitExceeded) and "did not run" in str(info.exception)
        assert info.retries == (1 if retried else 0)
        await until(lambda: is_empty(app))
    soft = "SoftTimeLimitExceeded"
    assert base.told == [*[("on_retry", soft)] * info.retries, ("on_failure", soft), ("after_return", "FAILURE")]
    assert ran == []


async def test_a_hard_limit_before_the_thread_has_begun(app: AioQueue, late_thread: list[Any]) -> None:
    @app.task(time_limit=SHORT)
    def work() -> None: ...

    async with working(app):
        assert isinstance(await outcome(await work.send()), TimeLimitExceeded)


@pytest.mark.parametrize("hook", ["on_success", "on_failure", "on_retry", "after_return"])
@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_a_soft_limit_during_a_hook(
    app: AioQueue, hook: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    async def slow(self: Any, *given: Any) -> None:
        await asyncio.sleep(3 * SHORT)
        heard.append("to the end")

    base = type("Slow", (Task,), {hook: slow})

    async def coroutine(ctx: TaskContext) -> int:
        return function(ctx)

    def function(ctx: TaskContext) -> int:
        if hook == "on_retry" and ctx.retries == 0:
            raise ctx.retry(countdown=0)
        if hook == "on_failure":
            raise Fault
        return 1

    work = app.task(name="work", bind=True, base=base, soft_time_limit=SHORT)(
        coroutine if kind == "coroutine" else function
    )
    async with working(app):
        result = await work.send()
        value = await outcome(result)
    assert isinstance(value, Fault) if hook == "on_failure" else value == 1
    assert heard == ["to the end"]
    assert "hook" not in caplog.text


@pytest.mark.parametrize("limit", ["soft_time_limit", "time_limit"])
async def test_a_limit_while_a_replacement_is_stored(
    app: AioQueue, limit: str, monkeypatch: pytest.MonkeyPatch, base: type[Told]
) -> None:
    put_workflow = Dispatch.put_workflow

    async def slow(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(4 * SHORT)
        return await put_workflow(*args, **kwargs)

    monkeypatch.setattr(Dispatch, "put_workflow", slow)

    @app.task
    async def instead() -> str:
        return "instead"

    @app.task(bind=True, base=base, **{limit: SHORT})  # type: ignore[arg-type]
    async def work(ctx: TaskContext) -> str:
        raise ctx.replace(instead.s())

    async with working(app):
        value = await outcome(await work.send())
    if limit == "soft_time_limit":
        assert value == "instead"
    else:
        assert isinstance(value, TimeLimitExceeded)
        assert base.told == [("on_failure", "TimeLimitExceeded"), ("after_return", "FAILURE")]


async def test_a_soft_limit_reaches_a_coroutine_that_a_function_returned(app: AioQueue) -> None:
    async def below() -> str:
        try:
            await asyncio.sleep(PATIENCE)
        except SoftTimeLimitExceeded:
            return "cleaned up"
        return "in time"

    @app.task(soft_time_limit=SHORT)
    def work() -> Any:
        return below()

    async with working(app):
        assert await work.call(timeout=PATIENCE) == "cleaned up"


async def test_a_soft_limit_ends_what_a_task_group_waits_for(app: AioQueue) -> None:
    below: list[str] = []

    async def child() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            below.append("cancelled")
            raise

    @app.task(soft_time_limit=SHORT)
    async def work() -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
        except* SoftTimeLimitExceeded:
            pass
        return "".join(below) or "left behind"

    async with working(app):
        assert await work.call(timeout=PATIENCE) == "cancelled"


# What is said in a task group


async def _say(error: BaseException) -> None:
    raise error


async def _grouped(*errors: BaseException, deep: int = 0) -> None:
    async with asyncio.TaskGroup() as group:
        for error in errors:
            group.create_task(_grouped(error, deep=deep - 1) if deep else _say(error))


@pytest.mark.parametrize("deep", [0, 2])
@pytest.mark.parametrize("beside", [False, True])
async def test_a_retry_in_a_task_group(app: AioQueue, deep: int, beside: bool) -> None:
    @app.task(bind=True)
    async def work(ctx: TaskContext) -> int:
        if ctx.retries < 2:
            await _grouped(*([Other()] if beside else []), ctx.retry(countdown=0), deep=deep)
        return ctx.retries

    async with working(app):
        assert await work.call(timeout=PATIENCE) == 2


async def test_a_retry_raised_beside_the_children(app: AioQueue) -> None:
    """They are cancelled, and it is that retry."""

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> int:
        async with asyncio.TaskGroup() as group:
            child = group.create_task(asyncio.sleep(PATIENCE))
            if ctx.retries == 0:
                raise ctx.retry(countdown=0)
            child.cancel()
        return ctx.retries

    async with working(app):
        assert await work.call(timeout=PATIENCE) == 1


async def test_a_rejection_in_a_task_group(app: AioQueue) -> None:
    @app.task
    async def work() -> None:
        await _grouped(Reject("no use"))

    async with working(app):
        info = await ended(await work.send())
        assert info.dead and info.state == "FAILURE"
        (letter,) = await app.dead_letters.list()
        assert letter.reason == "no use"


async def test_a_replacement_in_a_task_group(app: AioQueue) -> None:
    @app.task
    async def instead() -> str:
        return "instead"

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> str:
        await _grouped(ctx.replace(instead.s()))
        return "not so"

    async with working(app):
        assert await work.call(timeout=PATIENCE) == "instead"


async def test_ignore_in_a_task_group(app: AioQueue, base: type[Told], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    @app.task(base=base)
    async def work() -> None:
        await _grouped(Ignore())

    async with working(app):
        await work.send()
        await until(lambda: "ignored" in caplog.text)
    assert base.told == []


@pytest.mark.parametrize(
    ("errors", "runs"),
    [
        ([Fault()], 3),
        ([Fault(), ConnectionResetError()], 3),
        ([Fault(), Other()], 1),
        ([Fault(), TimeoutError()], 1),
        ([ExceptionGroup("in", [Fault(), ConnectionError()])], 3),
        ([ExceptionGroup("in", [Fault(), TimeoutError()])], 1),
        ([BaseExceptionGroup("in", [Fault(), asyncio.CancelledError()])], 3),
        ([BaseExceptionGroup("in", [asyncio.CancelledError()])], 1),
        ([BaseExceptionGroup("in", [Fault(), SystemExit(1)])], 1),
    ],
    ids=repr,
)
async def test_a_group_is_retried_if_all_in_it_is(app: AioQueue, errors: list[BaseException], runs: int) -> None:
    ran: list[int] = []

    @app.task(autoretry_for=(Fault, OSError), dont_autoretry_for=(TimeoutError,), max_retries=2, default_retry_delay=0)
    async def work() -> None:
        ran.append(1)
        await _grouped(*errors)

    async with working(app):
        assert (await ended(await work.send())).state == "FAILURE"
    assert len(ran) == runs
