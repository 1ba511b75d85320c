"""Right uses, with the types that they have. Read by type checkers, never run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, TextIO, assert_type
from zoneinfo import ZoneInfo

from aioqueue import (
    AioQueue,
    AsyncResult,
    Canvas,
    Depends,
    Graph,
    GroupResult,
    Middleware,
    OutgoingMessage,
    Queue,
    Schedule,
    Signature,
    Task,
    TaskContext,
    TaskInfo,
    Worker,
    chain,
    chord,
    chunks,
    crontab,
    current_context,
    every,
    get_task_logger,
    group,
    one_off,
    register_serializer,
    shared_task,
    signature,
    solar,
)
from aioqueue.around.middleware import Next
from aioqueue.beat.schedules import ScheduleInfo
from aioqueue.dead_letters import DeadTask
from aioqueue.middlewares import ContextPropagation, SlowTasks
from aioqueue.sync_results import SyncGroupResult, SyncResult
from aioqueue.testing.sent import Sent

app = AioQueue("shop", broker="memory://", result_expires=3600)


@app.task
async def add(x: int, y: int = 0) -> int:
    return x + y


@app.task
def thumbnail(path: str, *, size: int = 100) -> bytes:
    return path.encode()[:size]


@app.task(queue="email", priority=5, max_retries=None, autoretry_for=(ConnectionError,), retry_backoff=True)
async def mail(to: str) -> dict[str, str]:
    return {"to": to}


@app.task(time_limit=60.0, soft_time_limit=30, acks_late=True, expires=None)
def render(n: int) -> list[int]:
    return [n]


@app.task(bind=True, name="bound")
async def bound(ctx: TaskContext, order: int, *, fast: bool = False) -> str:
    assert_type(ctx.id, str)
    assert_type(ctx.retries, int)
    assert_type(ctx.max_retries, int | None)
    assert_type(ctx.queue, str)
    assert_type(ctx.eta, datetime | None)
    await ctx.progress(1, 2)
    await ctx.update_state("COOKING", {"pan": 1})
    await ctx.ack()
    if fast:
        raise ctx.retry(countdown=5)
    return str(order)


@app.task(bind=True)
def bound_plain(ctx: TaskContext, order: int) -> float:
    ctx.progress(1, 2)
    return order / 2


class Audited(Task[..., Any]):
    def on_failure(
        self, exception: BaseException, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any], traceback: str
    ) -> None: ...


@app.task(base=Audited)
async def audited(x: int) -> int:
    return x


class DatabaseTask(Task[..., Any]):
    max_retries = 3

    @property
    def db(self) -> list[int]:
        assert_type(self.request.retries, int)
        raise self.retry(countdown=5)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)


@app.task(bind=True, base=DatabaseTask, queue="q")
async def in_database(ctx: TaskContext[DatabaseTask], x: int) -> int:
    assert_type(ctx.task.db, list[int])
    assert_type(ctx.request.delivery_info, dict[str, Any])
    return x


@app.task(bind=True, base=DatabaseTask)
def of_any_class(ctx: TaskContext, x: int) -> int:
    return x + ctx.retries


@shared_task(bind=True, base=DatabaseTask)
def shared_in_database(ctx: TaskContext[DatabaseTask]) -> int:
    return len(ctx.task.db)


class Adding(Task[[int, int], int]):
    def run(self, x: int, y: int) -> int:
        return x + y


adding = app.register_task(Adding)
adding_too = app.register_task(Adding())
with_class = AioQueue("shop", task_cls=DatabaseTask, accept_content=["json"], task_serializer="json")
register_serializer("plain", lambda value: repr(value).encode(), lambda data: data.decode())


@with_class.task(bind=True)
async def of_the_app_s_class(ctx: TaskContext[DatabaseTask]) -> list[int]:
    return ctx.task.db


@shared_task
async def shared(x: int) -> int:
    return x


@shared_task(bind=True, queue="q")
def shared_bound(ctx: TaskContext, x: int) -> str:
    return str(x)


async def sending() -> None:
    assert_type(await add.send(1, 2), AsyncResult[int])
    assert_type(await add.send(1), AsyncResult[int])
    assert_type(await add.send(x=1, y=2), AsyncResult[int])
    assert_type(await add.delay(1, 2), AsyncResult[int])
    assert_type(await thumbnail.send("a.png", size=3), AsyncResult[bytes])
    assert_type(await mail.send("a@b"), AsyncResult[dict[str, str]])
    assert_type(await render.send(3), AsyncResult[list[int]])
    assert_type(await bound.send(7, fast=True), AsyncResult[str])
    assert_type(await in_database.send(7), AsyncResult[int])
    assert_type(await adding.send(1, 2), AsyncResult[int])
    assert_type(adding_too, Adding)
    get_task_logger(__name__).info("sent")
    assert_type(await bound_plain.send(7), AsyncResult[float])
    assert_type(await audited.send(7), AsyncResult[int])
    assert_type(await shared.send(7), AsyncResult[int])
    assert_type(await shared_bound.send(7), AsyncResult[str])
    assert_type(await add.apply_async((1, 2), countdown=3), AsyncResult[int])
    assert_type(await add.apply_async(kwargs={"x": 1}), AsyncResult[int])
    assert_type(await add.call(1, 2, timeout=3), int)
    assert_type(await bound.call(1), str)
    assert_type(await app.send_task("shop.add", args=(1, 2), queue="high"), AsyncResult[Any])


async def options() -> None:
    high = add.options(queue="high", priority=9, expires=60, headers={"tenant": "a"}, task_id="one", max_retries=2)
    assert_type(await high.send(1, 2), AsyncResult[int])
    assert_type(await add.options(eta=datetime.now(), time_limit=3.0).send(1), AsyncResult[int])
    assert_type(await bound.options(countdown=5).send(1, fast=True), AsyncResult[str])


async def signatures() -> None:
    assert_type(add.s(1), Signature[int])
    assert_type(add.s(), Signature[int])
    assert_type(add.si(1, 2), Signature[int])
    assert_type(bound.si(1, fast=True), Signature[str])
    assert_type(thumbnail.s("a").set(queue="q").clone(), Signature[bytes])
    assert_type(add.signature((1, 2), {}, countdown=5), Signature[int])
    assert_type(await add.s(1).send(2), AsyncResult[int])
    assert_type(await add.si(1, 2).delay(), AsyncResult[int])
    assert_type(await add.s(1).call(2, timeout=3), int)
    assert_type(await app.send_many([add.s(i, i) for i in range(3)]), list[AsyncResult[int]])
    assert_type(await app.send_many(thumbnail.s(name) for name in ("a", "b")), list[AsyncResult[bytes]])
    assert_type(app.signature("shop.add", (1, 2)), Signature[Any])
    assert_type(app.signature(add.s(1).to_dict()), Canvas[Any])


async def canvases() -> None:
    assert_type(chain(add.s(1, 2), thumbnail.s()), chain[bytes])
    assert_type(chain(add.s(1, 2), bound.s(), thumbnail.s(), add.s(3)), chain[int])
    assert_type(add.s(1) | thumbnail.s(), chain[bytes])
    assert_type(add.s(1) | thumbnail.s() | add.s(2), chain[int])
    assert_type(await chain(add.s(1, 2), thumbnail.s()).send(), AsyncResult[bytes])
    assert_type(await (add.s(1) | thumbnail.s()).call(2, timeout=3), bytes)
    assert_type(group(add.s(i, i) for i in range(3)), group[int])
    assert_type(group([add.s(1), add.s(2)]), group[int])
    assert_type(group(add.s(1), add.s(2)), group[int])
    results = await group(add.s(i, i) for i in range(3)).send()
    assert_type(results, GroupResult[int])
    assert_type(await results.get(timeout=3), list[int])
    assert_type(await results, list[int])
    for member in results:
        assert_type(member, AsyncResult[int])
    assert_type(await group(add.s(1)).apply_async((1,), queue="q"), GroupResult[int])
    assert_type(await group(add.s(1)).delay(1), GroupResult[int])
    assert_type(await results.resume(), GroupResult[int])
    assert_type(results[0], AsyncResult[int])
    assert_type(await results.completed_count(), int)
    async for index, value in results.as_completed():
        assert_type(index, int)
        assert_type(value, int)
    assert_type(chord(group(add.s(1), add.s(2)), thumbnail.s()), chord[bytes])
    assert_type(chord((add.s(i) for i in range(3)), thumbnail.s(), allow_failures=True), chord[bytes])
    assert_type(group(add.s(1)) | thumbnail.s(), chord[bytes])
    assert_type(chord([add.s(1)])(thumbnail.s()), chord[bytes])
    assert_type(group(add.s(1)) | thumbnail.s() | add.s(1), chain[int])
    assert_type(await chunks(add, [(1, 2), (3, 4)], 2).send(), GroupResult[list[int]])
    assert_type(await add.chunks([(1, 2)], 1).apply_async(queue="q"), GroupResult[list[int]])
    assert_type(add.chunks([(1, 2)], 1).group(), group[list[int]])
    assert_type(add.map([1, 2]), Signature[list[int]])
    assert_type(await add.starmap([(1, 2)]).call(), list[int])
    assert_type(add.s(1).link(thumbnail.s()), Canvas[bytes])
    assert_type(chain(add.s(1)).on_error(bound.s()).stamp(tenant="a"), chain[int])
    assert_type(signature("shop.add", (1, 2), countdown=3), Signature[Any])
    assert_type(signature(add.s(1).to_dict()), Canvas[Any])
    assert_type(add.s(1).set(immutable=True, queue="q"), Signature[int])
    assert_type(signature(chain(add.s(1), thumbnail.s())), chain[bytes])
    result = await add.s(1).send()
    assert_type(await result.resume(), AsyncResult[int])
    print(await result.parent, [one.id for one in result.children])
    assert_type(await result.graph(), Graph)
    assert_type((await result.graph()).to_mermaid(), str)
    assert_type(add.s(1).sync.send(2).get(), int)
    assert_type(await chain(add.s(1), thumbnail.s())(), AsyncResult[bytes])
    assert_type(await group(add.s(1), add.s(2))(), GroupResult[int])
    assert_type(await chord([add.s(1)])(thumbnail.s()), AsyncResult[bytes])
    assert_type(add.s(1).stamp("tenant", "a").stamp("retry", most=3), Signature[int])
    print([one.id for one in await result.children], await result.status, await result.traceback)


async def results() -> None:
    result = await add.send(1, 2)
    assert_type(await result.get(timeout=10), int)
    assert_type(await result, int)
    assert_type(await result.state(), str)
    assert_type(await result.info(), TaskInfo)
    assert_type(await result.ready(), bool)
    assert_type(await result.revoke(terminate=True, reason="why"), bool)
    assert_type(result.id, str)
    async for info in result.watch():
        assert_type(info, TaskInfo)
        assert_type(info.retries, int)
        assert_type(info.exception, BaseException | None)
    assert_type(app.result("id"), AsyncResult[Any])
    assert_type(await app.dead_letters.list(queue=None, limit=3), list[DeadTask])
    assert_type(await app.dead_letters.requeue("id"), bool)


async def in_place() -> None:
    assert_type(await add(1, 2), int)
    assert_type(thumbnail("a", size=3), bytes)
    assert_type(await shared(1), int)
    assert_type(await bound(1, fast=True), str)
    assert_type(bound_plain(1), float)


def without_a_loop() -> None:
    assert_type(add.sync.send(1, 2), SyncResult[int])
    assert_type(app.result("id").sync, SyncResult[Any])
    assert_type(add.sync.send(1, 2).get(timeout=10), int)
    assert_type(add.sync.call(1, timeout=3), int)
    assert_type(add.sync.options(queue="q").send(1, 2), SyncResult[int])
    assert_type(bound.sync.send(1).state, str)
    result = chain(thumbnail.s("a"), add.s(1)).sync.send()
    assert_type(result, SyncResult[int])
    assert_type(chain(add.s(1), add.s(1)).sync.apply_async((1,), queue="q"), SyncResult[int])
    assert_type(result.resume().get(), int)
    assert_type(result.parent.get(timeout=1), Any)
    assert_type(result.children, list[SyncResult[Any]])
    assert_type(result.graph(), Graph)
    for info in result.watch():
        assert_type(info, TaskInfo)
    members = group(add.s(1), add.s(2)).sync.send()
    assert_type(members, SyncGroupResult[int])
    assert_type(members.get(timeout=1, return_exceptions=True), list[int])
    assert_type(members.results, list[SyncResult[int]])
    assert_type(members[0].get(), int)
    assert_type([member.get() for member in members], list[int])
    assert_type(members.completed_count(), int)
    for index, value in members.as_completed():
        assert_type((index, value), tuple[int, int])
    assert_type(add.chunks([(1, 2)], 1).sync.send(), SyncGroupResult[list[int]])


class Session:
    """Something that is opened."""


class Client:
    """A context manager that gives itself."""

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *about: object) -> None: ...


class Connection:
    """One that gives something else."""

    def __enter__(self) -> Session:
        return Session()

    def __exit__(self, *about: object) -> None: ...


async def session() -> AsyncIterator[Session]:
    yield Session()


def plain_session(ctx: TaskContext, number: int = 5) -> Iterator[Session]:
    yield Session()


@asynccontextmanager
async def context() -> AsyncGenerator[Session, None]:
    yield Session()


@contextmanager
def plain_context() -> Generator[Session, None, None]:
    yield Session()


async def coroutine() -> Session:
    return Session()


def function(file: str = "") -> TextIO:
    raise OSError(file)


def client() -> Client:
    return Client()


def lock() -> asyncio.Lock:
    return asyncio.Lock()


def dependencies() -> None:
    assert_type(Depends(session), Session)
    assert_type(Depends(plain_session), Session)
    assert_type(Depends(context), Session)
    assert_type(Depends(plain_context, scope="worker"), Session)
    assert_type(Depends(coroutine), Session)
    assert_type(Depends(function), TextIO)
    assert_type(Depends(client), Client)
    assert_type(Depends(lock), asyncio.Lock)
    assert_type(Depends(Session), Session)
    assert_type(Depends(Client), Client)
    assert_type(Depends(Connection), Session)
    assert_type(Depends(asyncio.Lock, scope="worker"), asyncio.Lock)
    assert_type(Depends(partial(plain_session, number=3)), Session)
    assert_type(Depends(lambda: 5), int)


@app.task
async def charge(order: int, s: Session = Depends(session), *, c: Client = Depends(Client, scope="worker")) -> str:
    return f"{order} {s} {c}"


@app.task(bind=True)
def charge_plain(ctx: TaskContext, order: int, s: Annotated[Session, Depends(session)] = Depends()) -> bytes:
    return f"{order} {s}".encode()


async def depending() -> None:
    assert_type(await charge.send(42), AsyncResult[str])
    assert_type(await charge_plain.send(42), AsyncResult[bytes])
    assert_type(await charge.options(countdown=3).send(42), AsyncResult[str])
    assert_type(charge.si(42), Signature[str])
    assert_type(await charge(42), str)
    assert_type(await charge(42, Session()), str)
    assert_type(charge_plain(42), bytes)
    with app.override(session, lambda: Session()):
        pass
    async with app.testing() as t:
        t.override(session, Session)
        assert_type(await t.run(charge, 42), str)


async def working() -> None:
    async with app, app.worker(queues=["default"], concurrency=100) as worker:
        assert_type(worker, Worker)
    assert_type(current_context(), TaskContext)
    app.conf.update(visibility_timeout=30)
    assert_type(app.conf.visibility_timeout, float)
    assert_type(app.tasks["x"], Task[..., Any])


@app.periodic(crontab("0 9 * * mon-fri", tz="Europe/Berlin"), name="report", misfire="skip", misfire_grace=60)
@app.periodic(timedelta(hours=1), args=("us",), kwargs={"days": 7}, options={"queue": "low"}, max_running=1)
@app.task(bind=True)
async def report(ctx: TaskContext, region: str = "eu", *, days: int = 1) -> int:
    assert_type(ctx.schedule, str | None)
    assert_type(ctx.due_at, datetime | None)
    return days


@app.periodic("@daily", start_at=datetime(2027, 1, 1), end_at=None, max_runs=3)
async def alone(region: str = "eu") -> int:
    return len(region)


@app.periodic(90)
def plain() -> bytes:
    return b""


class Mine(Schedule):
    def next_after(self, when: datetime) -> datetime | None:
        return when + timedelta(days=1)


async def scheduling() -> None:
    assert_type(await report.send("eu", days=3), AsyncResult[int])
    assert_type(await alone("eu"), int)
    assert_type(await alone.send(region="us"), AsyncResult[int])
    assert_type(plain(), bytes)
    assert_type(
        crontab(minute=0, hour="9-17", day_of_week=[1, 5], tz=ZoneInfo("Asia/Tokyo")).next_after(datetime.now(UTC)),
        datetime | None,
    )
    assert_type(every(60, jitter=5), every)
    assert_type(every(timedelta(minutes=5), anchor=datetime.now(UTC)).interval, timedelta)
    assert_type(one_off("2026-12-31T18:00:00+01:00").jitter, float)
    app.periodic(Mine(), misfire="all")(add)
    app.conf.beat_schedule = {"x": {"task": "shop.add", "schedule": solar("sunset", 52.5, 13.4), "args": (1, 2)}}
    assert_type(await app.schedules.add("x", add.s(1), every(minutes=10), max_runs=3), ScheduleInfo)
    assert_type(await app.schedules.add("x", chain(add.s(1), add.s(1)), 60.0, replace=True), ScheduleInfo)
    assert_type(await app.schedules.get("x"), ScheduleInfo | None)
    assert_type(await app.schedules.list(), list[ScheduleInfo])
    assert_type(await app.schedules.remove("x"), bool)
    assert_type(await app.schedules.trigger("x"), AsyncResult[Any])
    assert_type(await app.schedules.upcoming("x", 3), list[datetime])
    await app.schedules.pause("x")
    await app.schedules.resume("x")
    for info in app.sync.schedules.list():
        assert_type(info.next_run_at, datetime | None)
    assert_type(app.sync.schedules.add("x", add.s(1), "*/5 * * * *", misfire="once"), ScheduleInfo)
    assert_type(app.sync.schedules.trigger("x"), SyncResult[Any])
    assert_type(app.sync.schedules.upcoming("x"), list[datetime])


def by_tenant(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any] | None:
    return {"queue": kwargs["tenant"]} if "tenant" in kwargs else None


def routing() -> None:
    app.conf.task_routes = {"shop.*": {"queue": "email", "priority": 5}, re.compile("video"): "video"}
    app.conf.task_routes = [by_tenant, {"shop.sms": {"routing_key": "sms.out"}}]
    app.conf.task_queues = [
        Queue("default"),
        Queue("email", topic="notifications.email.#", visibility_timeout=timedelta(minutes=2)),
        Queue("bulk", topic=["a.*", "b.#"], max_length=10_000, full="wait", weight=1, priorities=False, concurrency=2),
    ]
    assert_type(Queue("email").topics, tuple[str, ...])
    assert_type(Queue("email").name, str)
    app.task(routing_key="a.b")(by_tenant)


class Audit(Middleware):
    async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
        assert_type(message.options, dict[str, Any])
        message.headers["by"] = message.name
        return await next(message)

    async def around_task(self, ctx: TaskContext, next: Next) -> Any:
        assert_type(ctx.retries, int)
        return await next(ctx)

    async def around_worker(self, worker: Worker, next: Next) -> Any:
        assert_type(worker.concurrency, int)
        return await next(worker)


app.add_middleware(Audit())
app.add_middleware(ContextPropagation())


@app.task(middleware=[Audit(), SlowTasks(timedelta(minutes=1))])
async def middled(x: int) -> str:
    return str(x)


async def around() -> None:
    assert_type(await middled.send(1), AsyncResult[str])


@asynccontextmanager
async def lifespan(program: Any) -> AsyncGenerator[dict[str, int]]:
    yield {}


LOW = {"shop.mail.*": "low"}
ROUTES: dict[str, Any] = {"shop.*": {"queue": "low"}}


def configuring() -> None:
    AioQueue("shop", result_expires=timedelta(days=1), worker_max_memory="200MB", task_routes=LOW, task_queues=["a"])
    conf = app.conf
    assert_type(conf.task_max_retries, int | None)
    assert_type(conf.visibility_timeout, float)
    assert_type(conf.result_expires, float | None)
    assert_type(conf.max_payload_size, int)
    assert_type(conf.task_queues, list[Queue])
    assert_type(conf.accept_content, list[str] | None)
    conf.task_max_retries = None
    conf.visibility_timeout = 60
    conf.visibility_timeout = timedelta(minutes=2)
    conf.result_expires = None
    conf.worker_max_memory = "1 GiB"
    conf.accept_content = ["json"]
    conf.hidden_arguments.append("pin")
    conf.task_routes["shop.sms"] = "sms"
    conf.task_queues.append(Queue("bulk"))
    conf.task_queues = ["high", Queue("low"), {"name": "mail", "topic": "mail.#"}]
    conf.task_routes = LOW
    conf.task_routes = ROUTES
    conf.task_routes = [LOW, by_tenant, "shop.routes:of"]
    conf.task_routes = [("shop.*", {"queue": "low"}), (re.compile("video"), "video")]
    conf.task_routes = by_tenant
    conf.task_routes = "shop.routes:of"
    conf.update(task_max_retries=4, broker="redis://localhost", visibility_timeout=timedelta(minutes=1))
    conf.update({"task_max_retries": 4})
    conf.beat_schedule = {
        "cleanup": {"task": "shop.cleanup", "schedule": every(300), "args": (), "options": {"queue": "low"}},
        "report": {"task": "shop.report", "schedule": 60, "kwargs": {"all": True}, "misfire": "all", "relative": True},
        "add": {"task": add, "schedule": timedelta(hours=1), "args": [1, 2]},
        "both": {"task": add.s(1, 2) | add.s(3), "schedule": crontab(hour=9), "max_running": 1},
    }
    conf.beat_schedule["more"] = {"task": "shop.more", "schedule": "0 9 * * *"}


def workers(wanted: bool) -> None:
    assert_type(app.worker(), Worker)
    assert_type(app.worker(queues=["high", Queue("low")], concurrency=3, shutdown_timeout=timedelta(seconds=5)), Worker)
    app.worker(queues={"high": 5, "low": 1}, exclude="bulk", burst="now", beat=True, hostname="w1@%h")
    app.asgi_lifespan()
    app.asgi_lifespan(lifespan=lifespan)
    app.asgi_lifespan(True, lifespan, concurrency=3)
    app.asgi_lifespan(worker=wanted, concurrency=3, queues="high,low")


async def testing() -> None:
    async with app.testing() as t:
        assert_type(t.assert_sent(add), Sent)
        t.assert_sent(add, 1)
        t.assert_sent(add, 1, y=2)
        t.assert_sent(add, queue="high")
        t.assert_sent(add.options(queue="high", countdown=3), 1, 2)
        t.assert_sent("shop.add", 1, y="2")
        t.assert_sent(charge, 42)
        t.assert_not_sent(bound, 42, fast=True)
        t.assert_not_sent(bound)
        assert_type(await t.run(add, 1, 2), int)


async def calling() -> None:
    assert_type(await add.call(1, 2), int)
    assert_type(await add.call(1, y=2, timeout=timedelta(seconds=3)), int)
    assert_type(add.sync.call(1, timeout=None), int)
    assert_type(chunks(add, it=[(1, 2)], n=1, queue="low"), chunks[int])
    assert_type(group([add.s(1)], queue="low"), group[int])
    assert_type(chain(add.s(1), add.s(2), priority=3), chain[int])
