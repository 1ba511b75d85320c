"""Wrong uses: each line that ends in `# wrong` must be reported by the type checkers, and no other. Never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from aioqueue import (
    AioQueue,
    AsyncResult,
    Depends,
    Middleware,
    OutgoingMessage,
    Queue,
    Signature,
    Task,
    TaskContext,
    chain,
    chord,
    chunks,
    crontab,
    every,
    group,
    one_off,
    register_serializer,
    shared_task,
    solar,
)
from aioqueue.around.events import TaskEvent, WorkerEvent

app = AioQueue("shop")


@app.task
async def add(x: int, y: int = 0) -> int:
    return x + y


@app.task
def thumbnail(path: str, *, size: int = 100) -> bytes:
    return path.encode()[:size]


@app.task(bind=True, queue="q")
async def bound(ctx: TaskContext, order: int) -> str:
    ctx.retries = 3  # wrong
    ctx.nothing()  # wrong
    raise ctx.retry(count=3)  # wrong


class DatabaseTask(Task[..., Any]):
    db: list[int]


class OtherTask(Task[..., Any]):
    cache: dict[str, int]


class Adding(Task[[int, int], int]):
    def run(self, x: int, y: int) -> int:
        return x + y


adding = app.register_task(Adding)


@app.task(bind=True, base=DatabaseTask)
async def in_database(ctx: TaskContext[DatabaseTask], x: int) -> int:
    print(ctx.task.cache)  # wrong
    print(ctx.request.tsk)  # wrong
    return len(ctx.task.db)


def in_another(ctx: TaskContext[OtherTask], x: int) -> int:
    return x


@app.task(bind=True)
def bound_plain(ctx: TaskContext, order: int) -> float:
    return order / 2


@shared_task
async def shared(x: int) -> int:
    return x


@shared_task(bind=True)
def shared_bound(ctx: TaskContext, x: int) -> str:
    return str(x)


async def not_bound(x: int) -> None: ...


def decorating() -> None:
    app.task(retires=3)(not_bound)  # wrong
    app.task(queue=3)(not_bound)  # wrong
    app.task(priority="high")(not_bound)  # wrong
    app.task(autoretry_for=("ConnectionError",))(not_bound)  # wrong
    app.task(bind=True)(not_bound)  # wrong
    app.task("name")  # wrong
    app.task(bind=True, base=DatabaseTask)(in_another)  # wrong
    app.task(base=object)(not_bound)  # wrong
    app.task(base=DatabaseTask, retires=3)(not_bound)  # wrong
    app.register_task(not_bound)  # wrong
    AioQueue("shop", task_cls=object)  # wrong
    register_serializer("plain", lambda value: 3, bytes.decode)  # wrong
    shared_task(retires=3)(not_bound)  # wrong
    AioQueue()  # wrong
    AioQueue("shop", broker=6379)  # wrong


async def sending() -> None:
    await add.send()  # wrong
    await add.send("2", 3)  # wrong
    await add.send(2, 3, 4)  # wrong
    await add.send(2, z=3)  # wrong
    await add.send(2, y="3")  # wrong
    await add.delay("2")  # wrong
    await thumbnail.send(3)  # wrong
    await thumbnail.send("a", 3)  # wrong
    await bound.send()  # wrong
    await bound.send("7")  # wrong
    await bound.send(None, 7)  # wrong
    await bound_plain.send("7")  # wrong
    await in_database.send("7")  # wrong
    await adding.send("7", 1)  # wrong
    await shared.send("7")  # wrong
    await shared_bound.send("7")  # wrong
    await add.apply_async(3)  # wrong
    await add.apply_async((2, 3), contdown=3)  # wrong
    await add.apply_async((2, 3), countdown="3")  # wrong
    await add.call(1, timeout="3")  # wrong
    await app.send_task(add)  # wrong
    await app.send_task("add", args=(1, 2), priority="high")  # wrong
    await app.send_many([add])  # wrong


async def options() -> None:
    add.options(contdown=3)  # wrong
    add.options(eta=5)  # wrong
    add.options(headers="tenant")  # wrong
    add.options(task_id=7)  # wrong
    await add.options(countdown=3).send("2")  # wrong
    await bound.options(queue="q").send()  # wrong


async def signatures() -> None:
    add.si()  # wrong
    add.si("2", 3)  # wrong
    bound.si("7")  # wrong
    add.s(1).set(contdown=3)  # wrong
    add.s(1).set(immutable="yes")  # wrong
    chain(add.s(1), add.s(2))()  # wrong
    chord([add.s(1)], add.s(2))()  # wrong
    text: Signature[str] = add.s(1)  # wrong
    add.signature((1, 2), contdown=5)  # wrong
    await text.call(timeout="3")  # wrong


async def results() -> None:
    result = await add.send(1, 2)
    text: AsyncResult[str] = result  # wrong
    name: str = await result.get(timeout=10)  # wrong
    name = await result  # wrong
    name = await add.call(1, 2)  # wrong
    await result.get(10, 20)  # wrong
    await result.revoke(terminat=True)  # wrong
    number: int = (await result.info()).state  # wrong
    app.result(7)  # wrong
    print(name, number, text)


async def in_place() -> None:
    await add("2")  # wrong
    thumbnail(3)  # wrong
    await thumbnail("a")  # wrong
    text: str = await add(1, 2)  # wrong
    number: int = thumbnail("a")  # wrong
    print(text, number)


def without_a_loop() -> None:
    add.sync.send("2")  # wrong
    text: str = add.sync.send(1, 2).get()  # wrong
    add.sync.options(contdown=3)  # wrong
    bound.sync.send()  # wrong
    words: list[str] = group(add.s(1)).sync.send().get()  # wrong
    chain(add.s(1)).sync.send().get().completed_count()  # wrong
    print(text, words)


async def forgotten() -> None:
    add.send(1, 2)  # wrong
    (await add.send(1, 2)).get()  # wrong


def takes_int(result: AsyncResult[int]) -> None: ...


async def canvases() -> None:
    takes_int(await chain(add.s(1), thumbnail.s()).send())  # wrong
    takes_int(await (await group(add.s(1), add.s(2)).send()).get())  # wrong
    chain(add, thumbnail)  # wrong
    add.s(1) | thumbnail  # wrong
    chord([add.s(1)], 3)  # wrong
    add.s(1).set(quue="high")  # wrong
    add.chunks([(1, 2)], "many")  # wrong


def schedules() -> None:
    crontab("0 9 * * *", tz=1)  # wrong
    crontab(hour=9.5)  # wrong
    crontab(hours=9)  # wrong
    every("60")  # wrong
    every(minutes="10")  # wrong
    every(minute=10)  # wrong
    every(60, jitter="5")  # wrong
    one_off()  # wrong
    one_off(5)  # wrong
    one_off(timedelta(hours=1))  # wrong
    solar("sunset")  # wrong
    solar("sunset", "52.5", 13.4)  # wrong
    every(60).next_after("now")  # wrong
    due: datetime = every(60).next_after(datetime.now())  # wrong
    print(due)


def declaring() -> None:
    app.periodic()  # wrong
    app.periodic(None)  # wrong
    app.periodic(add)  # wrong
    app.periodic(60, name=7)  # wrong
    app.periodic(60, args=5)  # wrong
    app.periodic(60, kwargs=[5])  # wrong
    app.periodic(60, queue="low")  # wrong
    app.periodic(60, misfire="twice")  # wrong
    app.periodic(60, misfires="skip")  # wrong
    app.periodic(60, misfire_grace="1h")  # wrong
    app.periodic(60, max_running="1")  # wrong
    app.periodic(60, start_at="tomorrow")  # wrong
    app.periodic(60)(7)  # wrong
    app.periodic(60)(not_bound).send()  # wrong
    number: int = app.periodic(60)(thumbnail)("a")  # wrong
    print(number)


async def session() -> AsyncIterator[float]:
    yield 1.0


@app.task
async def charge(order: int, s: str = Depends(session)) -> str:  # wrong
    return s


@app.task
async def charge_right(order: int, s: float = Depends(session)) -> float:
    return s


async def depending() -> None:
    await charge_right.send()  # wrong
    await charge_right.send("42")  # wrong
    await charge_right.send(42, session=None)  # wrong
    await charge_right.send(42, s="s")  # wrong
    Depends(5)  # wrong
    Depends(session())  # wrong
    Depends(session, scope="process")  # wrong
    Depends(session, "worker")  # wrong
    app.override(session, 1.0)  # wrong


async def at_run_time() -> None:
    await app.schedules.add("x", add.s(1))  # wrong
    await app.schedules.add("x", add, 60)  # wrong
    await app.schedules.add("x", "shop.add", 60)  # wrong
    await app.schedules.add(7, add.s(1), 60)  # wrong
    await app.schedules.add("x", add.s(1), None)  # wrong
    await app.schedules.add("x", add.s(1), [60])  # wrong
    await app.schedules.add("x", add.s(1), 60, replace="yes")  # wrong
    await app.schedules.add("x", add.s(1), 60, misfire="none")  # wrong
    await app.schedules.add("x", add.s(1), 60, max_run=3)  # wrong
    app.schedules.add("x", add.s(1), 60)  # wrong
    await app.schedules.get(7)  # wrong
    await app.schedules.upcoming("x", "3")  # wrong
    await app.schedules.pause()  # wrong
    name: str = await app.schedules.trigger("x")  # wrong
    print(name, (await app.schedules.get("x")).next_run_at)  # wrong
    app.sync.schedules.add("x", add, 60)  # wrong
    app.sync.schedules.upcoming("x", n="3")  # wrong
    await app.sync.schedules.list()  # wrong


def routing() -> None:
    Queue("email", "notifications.#")  # wrong
    Queue("email", max_lenght=3)  # wrong
    Queue("email", full="drop")  # wrong
    Queue(5)  # wrong
    Queue("email").max_length = 3  # wrong
    app.conf.task_queues = "email"  # wrong
    app.conf.task_create_missing_queues = "no"  # wrong
    add.options(routing_key=5)  # wrong


def of_a_worker(event: WorkerEvent) -> None: ...


def signals() -> None:
    app.on("task_failure")(of_a_worker)  # wrong
    app.on("worker_ready")(of_a_worker)
    app.on("schedule_fired")(of_a_worker)  # wrong
    app.on(5)  # wrong
    app.on("task_failure", task=5)  # wrong


@app.on("task_failure")  # wrong
def without_an_event() -> None: ...


@app.on("task_success")
async def has_succeeded(event: TaskEvent) -> None:
    event.retries = 3  # wrong
    event.nothing()  # wrong


class Sync(Middleware):
    def around_task(self, ctx: TaskContext, next: Any) -> int:  # wrong
        return 1


def middlewares() -> None:
    app.add_middleware(Sync)  # wrong
    app.add_middleware(print)  # wrong
    app.task(middleware=Sync())(not_bound)  # wrong
    app.task(middleware=[print])(not_bound)  # wrong
    print(OutgoingMessage.of("add", (), {}, {}).queue)  # wrong


async def poll() -> None: ...


def configuring() -> None:
    AioQueue("shop", brokr="redis://localhost")  # wrong
    AioQueue("shop", worker_concurency=3)  # wrong
    AioQueue("shop", worker_concurrency="three")  # wrong
    AioQueue("shop", task_routes=5)  # wrong
    AioQueue("shop", lifspan=None)  # wrong
    app.conf.task_max_retris = 4  # wrong
    app.conf.task_max_retries = "4"  # wrong
    print(app.conf.task_max_retris)  # wrong
    app.conf.visibility_timeout = "30"  # wrong
    app.conf.worker_max_memory = 1.5  # wrong
    app.conf.queue_full = "drop"  # wrong
    app.conf.update(task_max_retris=4)  # wrong
    app.conf.update(task_max_retries="4")  # wrong
    app.conf.task_routes = 5  # wrong
    app.conf.task_routes = {"shop.*": {"que": "high"}}  # wrong
    app.conf.task_routes = {"shop.*": {"priority": "high"}}  # wrong
    app.conf.task_routes = {"shop.*": {"task_id": "one"}}  # wrong
    app.conf.task_queues = [5]  # wrong
    app.conf.beat_schedule = {"poll": 60}  # wrong
    app.conf.beat_schedule = {"poll": {"task": "shop.poll"}}  # wrong
    app.conf.beat_schedule = {"poll": {"task": "shop.poll", "schedul": 60}}  # wrong
    app.conf.beat_schedule = {"poll": {"task": "shop.poll", "schedule": [60]}}  # wrong
    app.conf.beat_schedule = {"poll": {"task": poll, "schedule": 60}}  # wrong
    app.conf.beat_schedule = {"poll": {"task": "shop.poll", "schedule": 60, "misfire": "twice"}}  # wrong
    app.conf.beat_schedule = {"poll": {"task": "shop.poll", "schedule": 60, "options": {"queu": "low"}}}  # wrong


def working() -> None:
    app.worker(concurency=3)  # wrong
    app.worker(concurrency="3")  # wrong
    app.worker(queues=5)  # wrong
    app.worker(burst="later")  # wrong
    app.asgi_lifespan(concurrency=3)  # wrong
    app.asgi_lifespan(worker=True, concurency=3)  # wrong
    app.asgi_lifespan(True, lifespan=5)  # wrong


async def calling() -> None:
    await add.call("x", 2)  # wrong
    await add.call(1, 2, 3)  # wrong
    await add.s(1).call(timeout="3")  # wrong
    add.sync.call("x")  # wrong
    chain(add.s(1), quue="high")  # wrong
    group([add.s(1)], contdown=3)  # wrong
    chord([add.s(1)], add)  # wrong
    chord([add.s(1)], add.s(), allow_failure=True)  # wrong
    chunks(add, [(1, 2)], 1, quue="high")  # wrong


async def testing() -> None:
    async with app.testing() as t:
        t.assert_sent(add, "x")  # wrong
        t.assert_sent(add, 1, 2, 3)  # wrong
        t.assert_sent(add, z=1)  # wrong
        t.assert_sent(add, quue="high")  # wrong
        t.assert_sent(5)  # wrong
        t.assert_not_sent(add, "x")  # wrong
        t.sent(5)  # wrong
        await t.run(add, "x")  # wrong
        await t.run(charge_right, 42, 1.0, 2.0)  # wrong
