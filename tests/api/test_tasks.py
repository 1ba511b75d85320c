"""Making tasks, their names and options, their hooks, and calling them in place."""

from __future__ import annotations

import asyncio
import functools
import threading
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from support.apps import MakeApp, ended, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Retry, Task, TaskContext, shared_task
from aioqueue.exceptions import ConfigurationError, NotRegistered

from .steps import Fault


async def module_level(x: int) -> int:
    """Doubles."""
    return 2 * x


# Forms


async def test_bare_and_with_options_and_without_any(app: AioQueue) -> None:
    @app.task
    async def bare(x: int) -> int:
        return x + 1

    @app.task()
    async def empty(x: int) -> int:
        return x + 2

    @app.task(queue="other", priority=3)
    async def with_options(x: int) -> int:
        return x + 3

    async with working(app):
        assert [await task.call(1, timeout=PATIENCE) for task in (bare, empty, with_options)] == [2, 3, 4]


async def test_plain_functions_run_in_a_thread(app: AioQueue) -> None:
    @app.task
    def where() -> str:
        return threading.current_thread().name

    @app.task(pool="thread")
    def there() -> bool:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    async with working(app):
        assert await where.call(timeout=PATIENCE) != threading.current_thread().name
        assert await there.call(timeout=PATIENCE) is False


async def test_callables_of_other_kinds(app: AioQueue) -> None:
    class Adder:
        async def __call__(self, x: int) -> int:
            await asyncio.sleep(0)
            return x + 1

    add_ten = app.task(name="ten")(functools.partial(module_level_sum, 10))
    instance = app.task(name="instance")(Adder())
    async with working(app):
        assert await add_ten.call(5, timeout=PATIENCE) == 15
        assert await instance.call(5, timeout=PATIENCE) == 6


async def test_an_instance_whose_call_is_a_coroutine_says_how_it_is(app: AioQueue) -> None:
    class Counting:
        async def __call__(self, ctx: TaskContext) -> int:
            await asyncio.wait_for(_progress(ctx), PATIENCE / 2)
            return 1

    counting = app.task(name="counting", bind=True)(Counting())
    async with working(app):
        assert await counting.call(timeout=PATIENCE) == 1


async def _progress(ctx: TaskContext) -> None:
    await ctx.progress(1, 2)


def module_level_sum(x: int, y: int) -> int:
    return x + y


def test_a_task_looks_like_its_function(app: AioQueue) -> None:
    task = app.task(module_level)
    assert task.name == f"{__name__}.module_level"
    assert task.__name__ == task.__qualname__ == "module_level"
    assert task.__doc__ == "Doubles."
    assert task.__module__ == __name__
    assert task.__wrapped__ is module_level
    assert "module_level" in repr(task) and "x: int" in repr(task)
    assert app.tasks == {task.name: task}
    assert app.find(task.name) is task
    assert "1 task>" in repr(app)


async def test_a_name_of_its_own(app: AioQueue) -> None:
    task = app.task(name="mail.send")(module_level)
    assert task.name == "mail.send"
    async with working(app):
        assert await (await app.send_task("mail.send", (4,))).get(timeout=PATIENCE) == 8


def test_not_a_function(app: AioQueue) -> None:
    with pytest.raises(ConfigurationError, match="takes a function, not 'mail'; options go by name"):
        app.task("mail")  # type: ignore[call-overload]


# Registering


def test_two_tasks_of_one_name(app: AioQueue) -> None:
    app.task(name="same")(module_level)
    with pytest.raises(ConfigurationError) as caught:
        app.task(name="same")(module_level_sum)
    for part in ("'same'", "module_level", "module_level_sum", "@app.task(name=...)"):
        assert part in str(caught.value)


def test_the_same_function_again_replaces_it(app: AioQueue) -> None:
    # A module that is loaded again, as by a reloader.
    app.task(module_level)
    again = app.task(queue="high")(module_level)
    assert app.tasks[again.name] is again


def test_an_unknown_name_suggests_the_nearest(app: AioQueue) -> None:
    app.task(name="mail.send")(module_level)
    with pytest.raises(NotRegistered, match=r"No task 'mail\.sent' in the app 'tests'\. Did you mean 'mail\.send'\?"):
        app.find("mail.sent")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retires": 3}, "no option 'retires'.*module_level"),
        ({"queu": "x"}, "Did you mean 'queue'"),
        ({"max_retry": 3}, "Did you mean 'max_retries'"),
        ({"priority": 10}, "priority of .*module_level is a whole number from 0 to 9 .*, not 10"),
        ({"priority": -1}, r"from 0 to 9 \(9 runs first\), or None, not -1"),
        ({"priority": "high"}, r"from 0 to 9 \(9 runs first\), or None, not 'high'"),
        (
            {"time_limit": 0},
            "time_limit of .*module_level is a number of seconds above 0, .*, or None, not 0",
        ),
        (
            {"soft_time_limit": -1},
            "soft_time_limit of .* is a number of seconds above 0, .*, or None, not -1",
        ),
        ({"expires": 0}, "expires of .* is a number of seconds above 0"),
        (
            {"default_retry_delay": "3"},
            "default_retry_delay of .*module_level is a number of seconds from 0.*not '3'",
        ),
        ({"default_retry_delay": -1}, "default_retry_delay"),
        ({"autoretry_for": ("x",)}, r"autoretry_for of .* is an exception's class, or several.*\('x' is none\)"),
        ({"autoretry_for": "x"}, "autoretry_for.*'x' is none"),
        ({"autoretry_for": 5}, "autoretry_for"),
        ({"autoretry_for": ConnectionError("x")}, "autoretry_for"),
        ({"dont_autoretry_for": (int,)}, "dont_autoretry_for.*class 'int'"),
        ({"retry_backoff": "yes"}, "retry_backoff of .* is True, False, or a number of seconds.*not 'yes'"),
        ({"retry_backoff": -2}, "retry_backoff"),
        ({"retry_backoff_max": "10m"}, "retry_backoff_max"),
        ({"retry_jitter": "no"}, "retry_jitter of .* is True or False, not 'no'"),
        ({"max_retries": -1}, "max_retries of .* is a whole number from 0 on, or None, not -1"),
        ({"max_retries": "3"}, "max_retries"),
        ({"soft_time_limit": 10, "time_limit": 5}, "soft_time_limit=10 is above time_limit=5"),
        ({"serializer": "dill"}, "serializer of .* is the name of a serializer, .*, or None, not 'dill'"),
        ({"compression": "rar"}, "compression of .* is 'zlib', .* or 'zstd', or None, not 'rar'"),
        ({"acks_late": "yes"}, "acks_late of .* is True or False"),
        ({"ignore_result": 1}, "ignore_result"),
        ({"track_started": "x"}, "track_started"),
        ({"store_errors_even_if_ignored": "x"}, "store_errors_even_if_ignored"),
        ({"base": object}, "base of @app.task is a subclass of aioqueue.Task"),
        ({"base": "x"}, "base of @app.task is a subclass of aioqueue.Task"),
        ({"name": 5}, "name of @app.task is text of printable characters.* not 5"),
        ({"name": ""}, "name of @app.task is text .*not ''"),
        ({"pool": "thread"}, "is a coroutine: it runs on the event loop, not in a pool"),
    ],
)
def test_wrong_options(app: AioQueue, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        app.task(**options)(module_level)
    assert not app.tasks


def test_a_wrong_pool(app: AioQueue) -> None:
    with pytest.raises(ConfigurationError, match="'fiber'"):
        app.task(pool="fiber")(module_level_sum)  # type: ignore[call-overload]


@pytest.mark.parametrize("queue", ["two words", "", 5, b"x", True, "a\n", "x" * 256, ["a"]])
def test_a_wrong_name_of_a_queue(app: AioQueue, queue: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"The option queue of the task .* is a name of 1 to 255"):
        app.task(queue=queue)(module_level)
    assert not app.tasks


@pytest.mark.parametrize("bind", ["x", 1, None, [], "False"])
def test_bind_is_true_or_false(app: AioQueue, bind: Any) -> None:
    for make in (app.task, shared_task):
        with pytest.raises(ConfigurationError, match=r"The option bind .* is True or False"):
            make(bind=bind)(module_level)
    assert not app.tasks


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("base", 0),
        ("base", ""),
        ("name", ""),
        ("name", " x"),
        ("name", "x\ny"),
        ("autoretry_for", ""),
        ("autoretry_for", {ValueError: 1}),
        ("dont_autoretry_for", b""),
        ("time_limit", timedelta.max),
        ("expires", timedelta.max),
        ("retry_backoff", timedelta.max),
        ("default_retry_delay", timedelta.max),
    ],
)
def test_values_that_were_taken_and_did_nothing(app: AioQueue, option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"The option {option} of "):
        app.task(**{option: value})(module_level)
    assert not app.tasks


# In place


async def test_calling_runs_it_here(app: AioQueue) -> None:
    @app.task
    async def double(x: int) -> int:
        return 2 * x

    @app.task
    def here(x: int) -> tuple[int, str]:
        return x, threading.current_thread().name

    assert await double(2) == 4
    assert here(x=3) == (3, threading.current_thread().name)
    with pytest.raises(TypeError):
        here()  # type: ignore[call-arg]


async def test_calling_a_bound_task_gives_it_a_context(app: AioQueue) -> None:
    seen: list[TaskContext] = []

    @app.task(bind=True, max_retries=7)
    async def bound(ctx: TaskContext, x: int) -> int:
        seen.append(ctx)
        await ctx.progress(1, 2)
        await ctx.ack()
        return x

    @app.task(bind=True)
    def plain(ctx: TaskContext, x: int) -> int:
        ctx.progress(1, 2)
        ctx.update_state("COOKING", {"pan": 1})
        ctx.ack()
        return x

    assert await bound(3) == 3
    assert plain(4) == 4
    (ctx,) = seen
    assert (ctx.name, ctx.args, ctx.kwargs, ctx.retries, ctx.max_retries) == (bound.name, (3,), {}, 0, 7)
    assert ctx.is_eager
    assert ctx.request.called_directly


async def test_retry_in_place_raises(app: AioQueue) -> None:
    @app.task(bind=True)
    def again(ctx: TaskContext) -> None:
        raise ctx.retry(countdown=1)

    with pytest.raises(Retry):
        again()


async def test_a_task_that_calls_another_in_place_keeps_its_context(app: AioQueue) -> None:
    @app.task(bind=True)
    async def inner(ctx: TaskContext) -> str:
        return ctx.id

    @app.task(bind=True)
    async def outer(ctx: TaskContext) -> bool:
        return await inner() == ""

    async with working(app):
        assert await outer.call(timeout=PATIENCE)


# Hooks


class Recording(Task[..., Any]):
    """Hooks as Celery's users write them."""

    calls: ClassVar[list[tuple[Any, ...]]]
    default_retry_delay = 0.0

    def before_start(self, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.calls.append(("before_start", task_id, args, kwargs))

    def on_success(self, retval: Any, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.calls.append(("on_success", retval, task_id, args, kwargs))

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.calls.append(("on_failure", exc, task_id, args, kwargs, str(einfo)))

    def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.calls.append(("on_retry", exc, task_id, args, kwargs, str(einfo)))

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.calls.append(("after_return", status, retval, task_id, args, kwargs, str(einfo)))


class RecordingLater(Recording):
    """The same as coroutines."""

    async def before_start(self, *given: Any) -> None:
        await asyncio.sleep(0)
        super().before_start(*given)

    async def on_success(self, *given: Any) -> None:
        await asyncio.sleep(0)
        super().on_success(*given)

    async def on_failure(self, *given: Any) -> None:
        await asyncio.sleep(0)
        super().on_failure(*given)

    async def on_retry(self, *given: Any) -> None:
        await asyncio.sleep(0)
        super().on_retry(*given)

    async def after_return(self, *given: Any) -> None:
        await asyncio.sleep(0)
        super().after_return(*given)


@pytest.fixture(params=[Recording, RecordingLater], ids=["sync", "async"])
def base(request: pytest.FixtureRequest) -> type[Recording]:
    class Fresh(request.param):  # type: ignore[name-defined, misc]
        calls: ClassVar[list[tuple[Any, ...]]] = []

    return Fresh


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_hooks_of_a_success(app: AioQueue, base: type[Recording], kind: str) -> None:
    async def coroutine(x: int, y: int) -> int:
        base.calls.append(("body",))
        return x + y

    def function(x: int, y: int) -> int:
        base.calls.append(("body",))
        return x + y

    add = app.task(base=base, name="add")(coroutine if kind == "coroutine" else function)
    async with working(app):
        result = await add.send(1, y=2)
        assert await result.get(timeout=PATIENCE) == 3
    assert base.calls == [
        ("before_start", result.id, (1,), {"y": 2}),
        ("body",),
        ("on_success", 3, result.id, (1,), {"y": 2}),
        ("after_return", "SUCCESS", 3, result.id, (1,), {"y": 2}, ""),
    ]
    assert isinstance(add, base)


async def test_hooks_of_a_retry_and_a_failure(app: AioQueue, base: type[Recording]) -> None:
    @app.task(base=base, autoretry_for=(Fault,), max_retries=1)
    async def fail(x: int) -> None:
        raise Fault(x)

    async with working(app):
        result = await fail.send(1)
        assert isinstance(await outcome(result), Fault)
    assert [call[0] for call in base.calls] == [
        *("before_start", "on_retry"),
        *("before_start", "on_failure", "after_return"),
    ]
    _, retried, _, failed, last = base.calls
    assert isinstance(retried[1], Fault) and retried[2:5] == (result.id, (1,), {})
    assert isinstance(failed[1], Fault) and failed[2:5] == (result.id, (1,), {})
    assert "raise Fault(x)" in failed[5]
    assert last[1] == "FAILURE" and isinstance(last[2], Fault) and "raise Fault(x)" in last[6]


async def test_a_hook_that_fails_does_not_change_the_end(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(Task[..., Any]):
        def on_success(self, *given: Any) -> None:
            raise Fault("in the hook")

    @app.task(base=Clumsy)
    async def fine() -> int:
        return 1

    async with working(app):
        assert await fine.call(timeout=PATIENCE) == 1
    assert "hook" in caplog.text and fine.name in caplog.text


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
async def test_a_hook_cannot_end_the_worker(app: AioQueue, error: type[BaseException]) -> None:
    class Rude(Task[..., Any]):
        def after_return(self, *given: Any) -> None:
            raise error

    @app.task(base=Rude)
    async def fine() -> int:
        return 1

    async with working(app):
        assert [await fine.call(timeout=PATIENCE) for _ in range(2)] == [1, 1]


async def test_a_hook_that_takes_too_long_is_cut_off(app: AioQueue) -> None:
    class Slow(Task[..., Any]):
        async def on_success(self, *given: Any) -> None:
            await asyncio.sleep(PATIENCE)

    @app.task(base=Slow, time_limit=0.05)
    async def fine() -> int:
        return 1

    async with working(app) as worker:
        assert await fine.call(timeout=PATIENCE) == 1, "the function was in time"
        assert worker.incarnation is not None and worker.incarnation.runner is not None
        assert not worker.incarnation.runner.running and not worker.incarnation.runner.stuck


async def test_before_start_that_fails_fails_the_task(app: AioQueue) -> None:
    class Guarded(Task[..., Any]):
        def before_start(self, *given: Any) -> None:
            raise Fault("not today")

    ran: list[int] = []

    @app.task(base=Guarded)
    async def guarded() -> None:
        ran.append(1)

    async with working(app):
        info = await ended(await guarded.send())
    assert info.state == "FAILURE" and isinstance(info.exception, Fault) and not ran


async def test_a_base_brings_its_own_defaults(app: AioQueue) -> None:
    class Email(Task[..., Any]):
        queue = "email"
        max_retries = 9
        priority = 4

    @app.task(base=Email, max_retries=2, bind=True)
    async def mail(ctx: TaskContext) -> tuple[str, int | None, int]:
        return ctx.queue, ctx.max_retries, ctx.priority

    async with working(app):
        assert await mail.call(timeout=PATIENCE) == ("email", 2, 4)


# Shared


async def test_a_shared_task_belongs_to_apps_made_before_and_after(make_app: MakeApp) -> None:
    before = make_app("before")

    @shared_task(name="tests.shared.add")
    async def add(x: int, y: int) -> int:
        return x + y

    after = make_app("after")
    assert before.tasks["tests.shared.add"].app is before
    assert after.tasks["tests.shared.add"].app is after
    async with working(after):
        assert await (await after.send_task("tests.shared.add", (1, 2))).get(timeout=PATIENCE) == 3
        assert await after.tasks["tests.shared.add"].call(2, 2, timeout=PATIENCE) == 4
    assert await add(3, 3) == 6


async def test_a_bare_and_a_bound_shared_task(make_app: MakeApp) -> None:
    @shared_task
    def bare(x: int) -> int:
        return x + 1

    @shared_task(bind=True, queue="shared")
    async def bound(ctx: TaskContext, x: int) -> tuple[str, int]:
        return ctx.queue, x

    app = make_app()
    async with working(app):
        assert await app.tasks[bare.name].call(1, timeout=PATIENCE) == 2
        assert await app.tasks[bound.name].call(1, timeout=PATIENCE) == ("shared", 1)


def test_a_shared_task_without_an_app_says_so() -> None:
    from aioqueue.task import make_task

    task = make_task(None, module_level, False, {})
    with pytest.raises(ConfigurationError, match=r"belongs to no app yet: make one"):
        _ = task.app


async def test_tasks_of_two_apps_do_not_meet(make_app: MakeApp) -> None:
    first, second = make_app("first"), make_app("second")
    ran: list[str] = []

    @first.task(name="who")
    async def one() -> None:
        ran.append("first")

    @second.task(name="who")
    async def two() -> None:
        ran.append("second")

    async with first, working(second):
        await one.send()
        await two.send()
        await until(lambda: ran)
        assert ran == ["second"]
        async with first.worker():
            await until(lambda: len(ran) == 2)
    assert ran == ["second", "first"]
