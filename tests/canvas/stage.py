"""The tasks that the compositions of these tests are made of, and what they have heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from support.apps import Gate, is_empty, working
from support.waiting import until

from aioqueue import AioQueue, AsyncResult, Retry, TaskContext, chain, chord, group
from aioqueue.exceptions import SoftTimeLimitExceeded
from aioqueue.task_failure import TaskFailure


class Expected(Exception):
    """What tasks of these tests fail with."""


class Stage:
    """An app with tasks.

    Attributes:
        app: where they are.
        heard: what they were told and had to say, in the order in which it happened.
        gate: some wait at it.
    """

    def __init__(self, app: AioQueue) -> None:
        self.app = app
        self.heard: list[Any] = []
        self.gate = Gate()
        stage = self

        def task(function: Any) -> Any:
            bind = "ctx" in function.__code__.co_varnames[:1]
            made = app.task(bind=bind, name=function.__name__)(function)
            setattr(self, function.__name__, made)
            return made

        @task
        async def add(x: Any, y: Any, z: Any = 0) -> Any:
            return x + y + z if z else x + y

        @task
        async def mul(x: Any, y: Any) -> Any:
            return x * y

        @task
        async def same(x: Any = None) -> Any:
            return x

        @task
        def threaded(x: Any) -> Any:
            return x

        @task
        async def tsum(numbers: list[Any]) -> Any:
            return sum(numbers)

        @task
        async def xsum(numbers: list[Any]) -> Any:
            return sum(sum(one) if isinstance(one, list) else one for one in numbers)

        @task
        async def add_to_each(numbers: list[Any], y: Any) -> list[Any]:
            return [one + y for one in numbers]

        @task
        async def echo(message: Any) -> Any:
            stage.heard.append(message)
            return message

        @task
        async def fail(*args: Any) -> None:
            raise Expected("as asked", *args)

        @task
        async def told(failure: TaskFailure, *args: Any) -> None:
            """An error handler."""
            stage.heard.append((*args, failure.name, type(failure.exception).__name__))

        @task
        async def failing_handler(failure: TaskFailure) -> None:
            stage.heard.append("failing handler")
            raise ValueError("a handler that fails")

        @task
        async def replaced(ctx: TaskContext, x: Any, y: Any) -> Any:
            raise ctx.replace(add.s(x, y))

        @task
        async def becomes_failure(ctx: TaskContext, *args: Any) -> Any:
            raise ctx.replace(fail.si())

        @task
        async def becomes_chain(ctx: TaskContext, x: Any, link: str | None = None, fails: bool = False) -> Any:
            canvas = chain(same.s(x), fail.s() if fails else same.s())
            if link:
                (canvas.link_error if fails else canvas.link)(echo.si(link))
            raise ctx.replace(canvas)

        @task
        async def becomes_nothing(ctx: TaskContext, x: Any = None, what: str = "chain") -> Any:
            nothing: Any = {"chain": chain, "group": group, "nested": lambda: chain(group(), group())}
            raise ctx.replace(nothing[what]())

        @task
        async def becomes_group(ctx: TaskContext, numbers: list[Any], y: Any) -> Any:
            raise ctx.replace(group(add.s(number, y) for number in numbers))

        @task
        async def becomes_chord(ctx: TaskContext, numbers: list[Any], y: Any) -> Any:
            raise ctx.replace(chord([add.s(number, y) for number in numbers], tsum.s()))

        @task
        async def count_down(ctx: TaskContext, x: Any, times: int) -> Any:
            """Replaced by itself, so often."""
            raise ctx.replace(count_down.s(x, times - 1) if times else same.s(x))

        @task
        async def matryoshka(ctx: TaskContext, name: str, inner: str = "") -> Any:
            stage.heard.append(f"in {name}")
            after = echo.si(f"out {name}")
            raise ctx.replace(chain(matryoshka.si(inner[0], inner[1:]), after) if inner else chain(after))

        @task
        async def grow(ctx: TaskContext, numbers: list[Any], y: Any) -> int:
            for number in numbers:
                await ctx.add_to_group(add.s(number, y))
            return 0

        @task
        async def grow_by_chord(ctx: TaskContext, numbers: list[Any], y: Any) -> int:
            await ctx.add_to_group(chord([add.s(number, y) for number in numbers], tsum.s()))
            return 0

        @task
        async def grow_by_patient(ctx: TaskContext) -> int:
            await ctx.add_to_group(patient.si())
            return 0

        @task
        async def grow_then_fail(ctx: TaskContext) -> None:
            await ctx.add_to_group(echo.si("added by a failure"))
            raise Expected("after adding")

        @task
        async def grow_and_become(ctx: TaskContext) -> None:
            await ctx.add_to_group(same.si("added"))
            raise ctx.replace(same.si("became"))

        @task
        async def again(ctx: TaskContext, x: Any, times: int = 1) -> Any:
            """Retried so often."""
            if ctx.retries < times:
                raise ctx.retry(countdown=0)
            return x

        @task
        async def stamps(ctx: TaskContext, *args: Any) -> Any:
            return dict(ctx.stamps)

        @task
        async def tell_stamps(ctx: TaskContext, *args: Any) -> Any:
            words = [str(one) for one in args if isinstance(one, str)]
            stage.heard.append((*words, *sorted(ctx.stamps.items())))

        @task
        async def ids(ctx: TaskContext, *args: Any) -> Any:
            return [ctx.id, ctx.parent_id, ctx.root_id, ctx.group_id]

        @task
        async def about(ctx: TaskContext, *args: Any) -> Any:
            return [ctx.queue, ctx.priority, dict(ctx.headers)]

        @task
        async def patient(ctx: TaskContext, x: Any = None) -> Any:
            """Waits at the gate."""
            await stage.gate.wait(x)
            return x

        @task
        async def slow_sum(numbers: list[Any]) -> Any:
            try:
                await asyncio.sleep(30)
            except SoftTimeLimitExceeded:
                return 0

        @task
        async def sends_inside(ctx: TaskContext) -> Any:
            canvas: Any = add.s(1, 1) | add.s(2) | group(add.s(3), add.s(4)) | tsum.s()
            result = await canvas.send()
            assert ctx.children == [result.id]
            return await result.get(timeout=10)

        @task
        async def kinds(values: list[Any]) -> list[str]:
            """The names of the types of exceptions, and all else as it is."""
            return [type(one).__name__ if isinstance(one, BaseException) else one for one in values]

        @task
        async def once(ctx: TaskContext, x: Any = None) -> Any:
            """Fails until `mended` is set."""
            stage.heard.append(("once", x))
            if not stage.mended:
                raise Expected("not mended", x)
            return x

        self.mended = False

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no task {name}")

    @asynccontextmanager
    async def working(self, **options: Any) -> AsyncIterator[None]:
        """With a worker."""
        async with working(self.app, **{"concurrency": 50, **options}):
            yield

    async def until(self, condition: Any) -> Any:
        """Wait until the condition is true."""
        return await until(condition)

    async def quiet(self) -> None:
        """Wait until nothing runs or waits: what comes of an end is queued in the same step."""
        await until(lambda: is_empty(self.app), what="the queue to be empty")

    async def outcome(self, result: AsyncResult[Any], seconds: float = 10.0) -> Any:
        """What the canvas gave, or the exception that it ended with, when all of it is over."""
        try:
            value: Any = await result.get(timeout=seconds)
        except TimeoutError:
            raise
        except Exception as error:
            value = error
        await self.quiet()
        return value


def causes(error: BaseException | None) -> Iterable[BaseException]:
    """An error and all that it came of."""
    while error is not None:
        yield error
        error = error.__cause__


__all__ = ["Expected", "Retry", "Stage", "causes"]
