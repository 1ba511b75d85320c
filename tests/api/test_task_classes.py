"""Classes of tasks: what they share, what they do around a function, and what Celery's users wrote with them."""

from __future__ import annotations

import logging
import sys
import threading
from contextvars import ContextVar
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar

import pytest
from support.apps import MakeApp, ended, working
from support.waiting import PATIENCE

from aioqueue import AioQueue, Retry, Task, TaskContext, get_task_logger, shared_task
from aioqueue.exceptions import ConfigurationError
from aioqueue.message import Message


class Fault(Exception):
    """Raised by tests."""


class Connection:
    """To a database."""

    opened: ClassVar[int] = 0

    def __init__(self) -> None:
        Connection.opened += 1

    def rows(self) -> list[int]:
        return [1, 2]


@pytest.fixture(autouse=True)
def nothing_open() -> None:
    Connection.opened = 0


class DatabaseTask(Task[..., Any]):
    """As in Celery's documentation."""

    abstract = True
    _db: Connection | None = None

    @property
    def db(self) -> Connection:
        if self._db is None:
            self._db = Connection()
        return self._db

    @cached_property
    def settled(self) -> list[int]:
        return []

    def double(self, x: int) -> int:
        return 2 * x


# What a bound function reaches


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_what_the_class_has_is_reached_from_the_function(app: AioQueue, kind: str) -> None:
    def work(self: Any, x: int) -> tuple[list[int], int, str | None]:
        self.settled.append(x)
        return self.db.rows(), self.double(x), self.queue

    async def coroutine(self: Any, x: int) -> tuple[list[int], int, str | None]:
        return work(self, x)

    task: Any = app.task(name="work", bind=True, base=DatabaseTask)(coroutine if kind == "coroutine" else work)
    async with working(app):
        assert [await task.call(n, timeout=PATIENCE) for n in (1, 2)] == [
            ([1, 2], 2, "default"),
            ([1, 2], 4, "default"),
        ]
    assert Connection.opened == 1, "the property keeps it for the process"
    assert task.db.rows() == [1, 2] and task.settled == [1, 2]


async def test_the_class_of_the_context_is_typed(app: AioQueue) -> None:
    @app.task(bind=True, base=DatabaseTask)
    async def work(ctx: TaskContext[DatabaseTask]) -> list[int]:
        return ctx.task.db.rows()

    async with working(app):
        assert await work.call(timeout=PATIENCE) == [1, 2]
    assert await work() == [1, 2]


async def test_what_celerys_users_write(app: AioQueue) -> None:
    seen: list[Any] = []

    @app.task(bind=True, max_retries=1, name="work")
    def work(self: Any, x: int) -> str:
        seen.append((self.request.id, self.request.retries, self.request.delivery_info["routing_key"]))
        seen.append((self.name, self.max_retries, self.app is app, self.request.args, self.request.called_directly))
        self.update_state(state="PROGRESS", meta={"done": x})
        try:
            raise Fault(x)
        except Fault as exc:
            if self.request.retries == 0:
                raise self.retry(exc=exc, countdown=0)  # noqa: B904
        return self.request.get("tenant", "nobody")

    async with working(app):
        result = await work.options(headers={"tenant": "a"}).send(7)
        assert await result.get(timeout=PATIENCE) == "a"
    same = ("work", 1, True, (7,), False)
    assert seen == [(result.id, 0, "default"), same, (result.id, 1, "default"), same]


async def test_a_task_sends_itself_again(app: AioQueue) -> None:
    @app.task(bind=True)
    async def count(self: Any, n: int) -> str | None:
        if n == 0:
            return None
        return (await self.apply_async((n - 1,))).id

    async with working(app):
        result = await count.send(1)
        next_id = await result.get(timeout=PATIENCE)
        assert (await ended(app.result(next_id))).state == "SUCCESS"


async def test_what_the_function_sets_is_the_class_s(app: AioQueue) -> None:
    @app.task(bind=True, base=DatabaseTask)
    async def work(self: Any) -> str:
        self._db = "other"
        with pytest.raises(AttributeError, match="has no 'total' that could be set: give it one, total = None"):
            self.total = 1
        with pytest.raises(AttributeError, match="'retries' of a running task cannot be set"):
            self.retries = 1
        with pytest.raises(AttributeError, match=r"has 'retires'\. Did you mean 'retries'"):
            _ = self.retires
        return self.db

    async with working(app):
        assert await work.call(timeout=PATIENCE) == "other"


async def test_an_error_inside_a_property_is_its_own(app: AioQueue) -> None:
    class Broken(Task[..., Any]):
        @property
        def db(self) -> Any:
            return self.nothing  # type: ignore[attr-defined]

    @app.task(bind=True, base=Broken)
    async def work(self: Any) -> None:
        _ = self.db

    async with working(app):
        info = await ended(await work.send())
    assert "'Broken' object has no attribute 'nothing'" in str(info.exception)


# What its methods and hooks know


async def test_methods_and_hooks_know_the_run(app: AioQueue) -> None:
    seen: list[Any] = []

    class Reporting(Task[..., Any]):
        def step(self, n: int) -> Any:
            seen.append(("step", self.request.id, self.request.retries))
            return self.update_state(meta={"n": n})

        def again(self) -> Retry:
            return self.retry(countdown=0)

        def on_retry(self, *given: Any) -> None:
            seen.append(("on_retry", self.request.id))

        def on_success(self, *given: Any) -> None:
            seen.append(("on_success", self.request.id, self.request.retries))

    @app.task(bind=True, base=Reporting)
    async def work(self: Any) -> None:
        await self.step(1)
        if self.request.retries == 0:
            raise self.again()

    async with working(app):
        result = await work.send()
        await result.get(timeout=PATIENCE)
    assert [one for one in seen if one[0] == "step"] == [("step", result.id, 0), ("step", result.id, 1)]
    assert {one for one in seen if one[0] != "step"} == {("on_retry", result.id), ("on_success", result.id, 1)}
    assert work.request.id == "" and work.request.called_directly, "outside of a run"


# Around the function


tenant: ContextVar[str] = ContextVar("tenant", default="none")


class InContext(Task[..., Any]):
    """As in Flask's documentation."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = tenant.set(f"tenant of {self.request.id}")
        try:
            return self.run(*args, **kwargs)
        finally:
            tenant.reset(token)


class AsyncInContext(Task[..., Any]):
    """The same for coroutines."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = tenant.set(f"tenant of {self.request.id}")
        try:
            return await self.run(*args, **kwargs)
        finally:
            tenant.reset(token)


@pytest.mark.parametrize("bind", [True, False])
async def test_a_class_s_call_is_around_a_function(make_app: MakeApp, bind: bool) -> None:
    app = make_app(task_cls=InContext)

    def plain(x: int, *, y: int = 0) -> tuple[str, int, bool]:
        return tenant.get(), x + y, threading.current_thread() is threading.main_thread()

    def bound(self: Any, x: int, *, y: int = 0) -> tuple[str, int, bool]:
        assert self.request.args == (x,)
        return plain(x, y=y)

    task: Any = app.task(name="work", bind=True)(bound) if bind else app.task(name="work")(plain)
    async with working(app):
        result = await task.send(1, y=2)
        assert await result.get(timeout=PATIENCE) == (f"tenant of {result.id}", 3, False)
        mapped = await task.map([1, 2]).send()
        if not bind:
            assert await mapped.get(timeout=PATIENCE) == [(f"tenant of {mapped.id}", n, False) for n in (1, 2)]
    if not bind:
        assert task(1) == ("tenant of ", 1, True), "and when it is called as a function"


@pytest.mark.parametrize("base", [AsyncInContext, InContext])
async def test_a_class_s_call_is_around_a_coroutine(app: AioQueue, base: type[Task[..., Any]]) -> None:
    @app.task(bind=True, base=base, soft_time_limit=PATIENCE)
    async def work(self: Any, x: int) -> tuple[str, int]:
        assert self.request.args == (x,)
        return tenant.get(), x

    async with working(app):
        result = await work.send(1)
        # A plain __call__ has returned before the coroutine that it gives begins.
        around = f"tenant of {result.id}" if base is AsyncInContext else "none"
        assert await result.get(timeout=PATIENCE) == (around, 1)


async def test_failures_can_be_ordered_for_them_too(app: AioQueue) -> None:
    @app.task(base=AsyncInContext)
    async def work() -> int:
        return 1

    async with app.testing() as t:
        t.fail_next(work, Fault("ordered"))
        with pytest.raises(Fault, match="ordered"):
            await t.run(work)
        assert await t.run(work) == 1


# How they are made


async def test_one_object_in_a_process_that_knows_its_name(app: AioQueue) -> None:
    made: list[Any] = []

    class Counting(Task[..., Any]):
        queue = "counted"

        def __init__(self) -> None:
            made.append((self.name, self.app, self.queue, self.max_retries))
            self.count = 0

    @app.task(base=Counting, bind=True, max_retries=7, name="work")
    async def work(self: Any) -> int:
        self.count += 1
        return self.count

    async with working(app, queues=["counted"]):
        assert [await work.call(timeout=PATIENCE) for _ in range(3)] == [1, 2, 3]
    assert made == [("work", app, "counted", 7)]


def test_an_object_in_the_place_of_the_class(app: AioQueue) -> None:
    class Special(Task[..., Any]): ...

    with pytest.raises(ConfigurationError, match=r"an object of it: write base=Special, not base=Special\(\)\."):
        app.task(name="work", base=Special())(lambda: None)  # type: ignore[call-overload]
    assert "work" not in app.tasks


def test_a_class_that_cannot_be_made(app: AioQueue) -> None:
    class Needy(Task[..., Any]):
        def __init__(self, url: str) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Needy is made without arguments.*'url'.*work was not made"):
        app.task(name="work", base=Needy)(lambda: None)
    assert "work" not in app.tasks


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"rate_limit": "10/m"}, r"X\.rate_limit is nothing that aioqueue looks at"),
        ({"throws": (KeyError,)}, r"X\.throws is nothing that aioqueue looks at"),
        (
            {"on_success": lambda self, result: None},
            r"X\.on_success cannot be called with \(result, task_id, args, kwa",
        ),
        ({"run": lambda self: None}, r"X has a run of its own, and work would never be called.*__call__"),
        ({"max_retries": "many"}, "max_retries of the task work"),
        (
            {"trail": False},
            r"X\.trail is nothing that aioqueue looks at.* always kept among its children: leave it out",
        ),
        ({"on_bound": classmethod(lambda cls, app: None)}, r"X\.on_bound is nothing .* is done in its __init__"),
        ({"Strategy": "x:y"}, r"X\.Strategy is nothing .* around_task of a middleware"),
        ({"Request": dict}, r"X\.Request is nothing .* around_task of a middleware"),
        ({"apply_async": lambda self, *args, **options: None}, r"X\.apply_async would not be called.*around_send"),
        (
            {"delay": lambda self, *args, **kwargs: None},
            r"X\.delay would not be called for all that is sent.*around_send",
        ),
        (
            {"retry": lambda self, **options: None},
            r"X\.retry would not be called by a bound function, whose self\.retry",
        ),
        ({"request": property(lambda self: None)}, r"X\.request would not be called by a bound function"),
        ({"parameters": ("a", "b")}, r"X\.parameters would be taken for aioqueue's own parameters"),
        ({"bind": True}, r"X\.bind says nothing.*@app\.task\(bind=True\)"),
        ({"on_sucess": lambda self, *told: None}, r"X\.on_sucess is no hook.*Did you mean 'on_success'\?"),
        ({"on_failed": staticmethod(print)}, r"X\.on_failed is no hook.*Did you mean 'on_failure'\?"),
        ({"max_retrys": 3}, r"X\.max_retrys is no option.*Did you mean 'max_retries'\?"),
        (
            {"queue": property(lambda self: "q")},
            r"X\.queue is a property, and queue is an option.*task_routes.*task work",
        ),
    ],
)
def test_what_a_class_says_in_vain_is_refused(app: AioQueue, body: dict[str, Any], message: str) -> None:
    for base in (type("X", (Task,), body), type("Y", (type("X", (Task,), body),), {})):
        with pytest.raises(ConfigurationError, match=message.replace("X", base.__name__, 1)):
            app.task(name="work", base=base)(lambda: None)
    assert "work" not in app.tasks


def test_a_name_that_is_a_property_is_refused(app: AioQueue) -> None:
    class Named(Task[[], None]):
        @property
        def name(self) -> str:  # type: ignore[override]
            return "of its own"

        def run(self) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Named\.name is a property, and name is looked at once"):
        app.register_task(Named)


async def test_what_a_class_has_of_its_own_is_its_own(app: AioQueue) -> None:
    """Also what comes near to a word of ours, and Celery's words where they say what is so anyway."""

    class Mixin:
        def retry(self) -> str:
            return "hidden by Task"

    class Shop(Task[..., Any], Mixin):
        rate_limit = None
        throws = ()
        trail = typing = True
        queues = ("a", "b")
        _apply_async = 1
        expires = 60

        @cached_property
        def max_retries(self) -> int:  # type: ignore[override]
            return len(self.queues)

        @property
        def retries_max(self) -> int:
            return 5

        def on_order(self) -> str:
            return "an order"

        def on_success(self, *told: Any) -> None: ...

    task = app.task(name="work", base=Shop, rate_limit=None)(lambda: None)  # type: ignore[call-overload]
    assert (task.retry_limit, task.expires, task.on_order(), task.hooks) == (2, 60, "an order", {"on_success"})


def test_all_that_a_task_has_by_itself_is_known_to_be_so(app: AioQueue) -> None:
    task = app.task(name="work")(lambda: None)
    assert {one for one in vars(task) if one[:2] != "__"} <= {*vars(Task), *Task.__annotations__}


def test_hooks_may_take_anything_that_fits(app: AioQueue) -> None:
    class Lenient(Task[..., Any]):
        def on_success(self, retval: Any, *rest: Any, **more: Any) -> None: ...  # type: ignore[override]

        @staticmethod
        def on_failure(exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any, extra: Any = None) -> None: ...  # type: ignore[override]

    assert app.task(name="work", base=Lenient)(lambda: None).hooks == {"on_success", "on_failure"}


# For the whole app


class ShopTask(Task[..., Any]):
    max_retries = 7
    queue = "shop"


class Special(ShopTask):
    queue = "special"


def test_the_class_of_an_app_is_that_of_its_tasks(make_app: MakeApp) -> None:
    app = make_app(task_cls=ShopTask, task_max_retries=2)
    plain = app.task(name="plain")(lambda: None)
    own = app.task(name="own", base=Special, max_retries=1)(lambda: None)
    assert isinstance(plain, ShopTask) and (plain.queue, plain.retry_limit) == ("shop", 7)
    assert isinstance(own, Special) and (own.queue, own.retry_limit) == ("special", 1)
    assert app.Task is ShopTask and make_app().Task is Task


def test_the_class_of_an_app_may_be_told_by_where_it_is(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("shop_base")
    module.ShopTask = ShopTask
    apps = [make_app(task_cls=text) for text in ("shop_base:ShopTask", "shop_base.ShopTask")]
    missing = make_app(task_cls="shop_base:Nothing")
    monkeypatch.setitem(sys.modules, "shop_base", module)  # only with the first task it is looked for
    assert all(isinstance(app.task(name="work")(lambda: None), ShopTask) for app in apps)
    with pytest.raises(ConfigurationError, match="task_cls='shop_base:Nothing' of AioQueue is not there"):
        missing.task(name="work")(lambda: None)


@pytest.mark.parametrize("given", [object, 3, Message])
def test_a_class_of_an_app_is_one_of_tasks(make_app: MakeApp, given: Any) -> None:
    with pytest.raises(ConfigurationError, match="task_cls of AioQueue is a subclass"):
        make_app(task_cls=given)


async def test_shared_tasks_have_the_class_of_each_app(make_app: MakeApp) -> None:
    before = make_app("before", task_cls=ShopTask)

    @shared_task(name="tests.shared.plain", bind=True)
    def plain(self: Any) -> tuple[str, int | None]:
        return self.queue, self.max_retries

    @shared_task(name="tests.shared.own", base=Special, priority=3)
    def own() -> None: ...

    after = make_app("after")
    found = [(app.tasks["tests.shared.plain"], app.tasks["tests.shared.own"]) for app in (before, after)]
    assert [(type(one), type(other), other.priority) for one, other in found] == [
        (ShopTask, Special, 3),
        (Task, Special, 3),
    ]
    assert [(one.app, other.app) for one, other in found] == [(before, before), (after, after)]
    async with working(before, queues=["shop"]):
        task: Any = before.tasks["tests.shared.plain"]
        assert await task.call(timeout=PATIENCE) == ("shop", 7)


# Tasks that are classes


class Add(Task[[int, int], int]):
    """Adds."""

    name = "shop.add"
    max_retries = 4

    def run(self, x: int, y: int) -> int:
        return x + y + self.request.retries


async def test_a_class_with_a_run_is_a_task(app: AioQueue) -> None:
    add = app.register_task(Add())
    assert (
        app.tasks["shop.add"] is add and add.max_retries == 4 and repr(add) == "<Task shop.add(x: int, y: int) -> int>"
    )
    async with working(app):
        assert await add.call(1, 2, timeout=PATIENCE) == 3
        assert await (add.s(1, 2) | add.s(10)).call(timeout=PATIENCE) == 13
    assert add(2, 3) == 5


async def test_a_class_is_registered_by_itself(app: AioQueue) -> None:
    class Later(Task[..., Any]):
        async def run(self, x: int) -> str:
            return f"{self.request.id} {x}"

    task = app.register_task(Later)
    assert task.name == f"{__name__}.test_a_class_is_registered_by_itself.<locals>.Later" and task.is_coroutine
    async with working(app):
        result = await task.send(1)
        assert await result.get(timeout=PATIENCE) == f"{result.id} 1"


def test_what_is_no_task_by_itself(app: AioQueue) -> None:
    class Abstract(Task[..., Any]):
        abstract = True

        def run(self) -> None: ...

    class Derived(Abstract): ...

    with pytest.raises(ConfigurationError, match=r"DatabaseTask is abstract, so it is no task.*base=DatabaseTask"):
        app.register_task(DatabaseTask)
    with pytest.raises(ConfigurationError, match="ShopTask has no run"):
        app.register_task(ShopTask())
    with pytest.raises(ConfigurationError, match="Abstract is abstract"):
        app.register_task(Abstract)
    with pytest.raises(ConfigurationError, match=r"takes a subclass of aioqueue\.Task"):
        app.register_task(object())  # type: ignore[type-var]
    assert app.register_task(Derived).name.endswith("Derived")


# Logging


async def test_a_task_logger_knows_the_task(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    logger = get_task_logger("shop.mail")
    assert logger is logging.getLogger("shop.mail") is get_task_logger("shop.mail")

    def helper() -> None:
        logger.warning("sent %s", 1)

    @app.task(name="mail")
    async def mail() -> None:
        helper()

    @app.task(name="other")
    def other() -> None:
        helper()

    async with working(app):
        ids: dict[str, str] = {}
        for task in (mail, other):
            result = await task.send()
            await result.get(timeout=PATIENCE)
            ids[task.name] = result.id
    helper()
    records: list[Any] = [record for record in caplog.records if record.name == "shop.mail"]
    assert [(record.task_name, record.task_id) for record in records] == [*ids.items(), ("", "")]
    assert [record.getMessage() for record in records] == ["sent 1"] * 3
    logging.Formatter("%(task_id)s %(task_name)s %(task_queue)s %(task_retries)d").format(records[0])
    assert len(logger.filters) == 1
