"""What those may do who are called when a run has ended: hooks of its task's class, and handlers of signals."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.apps import outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Task, TaskContext, current_context


async def test_what_would_change_the_end_is_refused_and_said(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    """It was dropped, and nobody heard of it."""
    reached: list[str] = []

    class Late(Task[..., Any]):
        async def on_success(self, *told: Any) -> None:
            reached.append(self.request.id)
            await self.update_state(meta={"done": True})
            reached.append("after update_state")

        def on_retry(self, *told: Any) -> None:
            self.update_state(meta={"again": True})

        def on_failure(self, *told: Any) -> None:
            raise self.retry(countdown=0)

        def after_return(self, *told: Any) -> None:
            self.send(1)  # is fine, but for its not being awaited here

    @app.task(bind=True, base=Late, max_retries=5)
    async def work(self: TaskContext[Late], n: int) -> int:
        if n == 2 and not self.retries:
            raise self.retry(countdown=0)
        if n == 3:
            raise ValueError(n)
        await self.update_state(meta={"n": n})
        return n

    @app.on("task_postrun")
    async def behind(event: Any) -> None:
        context = current_context()
        for call in (context.ack, lambda: context.add_to_group(work.s(1)), lambda: context.replace(work.s(1))):
            try:
                call()
            except Exception as error:
                reached.append(str(error))

    def said(text: str) -> bool:
        return text in caplog.text

    async with working(app):
        result = await work.send(1)
        assert await outcome(result) == 1
        await until(lambda: said(f"Task {work.name}[{result.id}] has ended, and ctx.update_state() changes nothing"))
        assert await result.state() == "SUCCESS" and reached[0] == result.id and "after update_state" not in reached
        await until(lambda: len(reached) == 4)
        assert [one.partition(" changes nothing")[0].rpartition(" and ")[2] for one in reached[1:]] == [
            "ctx.ack()",
            "ctx.add_to_group()",
            "ctx.replace()",
        ]
        assert await outcome(await work.send(2)) == 2
        await until(lambda: caplog.text.count("ctx.update_state() changes nothing") == 3)
        assert isinstance(await outcome(await work.send(3)), ValueError)
        await until(lambda: said("ctx.retry() changes nothing any more"))
        await until(lambda: said("To run the task anew, send it: `await self.send(...)`"))


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_a_hook_calls_that_of_its_class_s_class(
    app: AioQueue, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """As those who write hooks are used to, also where that is aioqueue's own, which does nothing."""
    called: list[str] = []

    class Polite(Task[..., Any]):
        async def before_start(self, *told: Any) -> None:
            await super().before_start(*told)
            called.append("before_start")

        async def on_success(self, *told: Any) -> None:
            assert await super().on_success(*told) is None
            called.append("on_success")

        async def on_failure(self, *told: Any) -> None:
            await super().on_failure(*told)
            called.append("on_failure")

        async def on_retry(self, *told: Any) -> None:
            await super().on_retry(*told)
            called.append("on_retry")

        async def after_return(self, *told: Any) -> None:
            await super().after_return(*told)
            called.append("after_return")

    class Plain(Task[..., Any]):
        def before_start(self, *told: Any) -> None:
            super().before_start(*told)
            called.append("before_start")

        def on_success(self, *told: Any) -> Any:
            called.append("on_success")
            return super().on_success(*told)

        def on_failure(self, *told: Any) -> None:
            super().on_failure(*told)
            called.append("on_failure")

        def on_retry(self, *told: Any) -> None:
            super().on_retry(*told)
            called.append("on_retry")

        def after_return(self, *told: Any) -> None:
            super().after_return(*told)
            called.append("after_return")

    @app.task(base=Polite if kind == "coroutine" else Plain, autoretry_for=(KeyError,), default_retry_delay=0)
    async def work(n: int) -> None:
        await asyncio.sleep(0)
        if n:
            raise KeyError(n)

    async with working(app):
        await work.call(0, timeout=PATIENCE)
        await until(lambda: called == ["before_start", "on_success", "after_return"])
        assert isinstance(await outcome(await work.options(max_retries=0).send(1)), KeyError)
        await until(lambda: called[3:] == ["before_start", "on_failure", "after_return"])
        assert isinstance(await outcome(await work.options(max_retries=1).send(1)), KeyError)
    assert "The hook" not in caplog.text
