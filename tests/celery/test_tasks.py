"""Tasks, their classes and their retries."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from support.apps import working
from support.waiting import until

from aioqueue import AioQueue, Task, TaskContext, shared_task
from aioqueue.exceptions import ArgumentsError, ConfigurationError


async def test_a_request_knows_its_headers(app: AioQueue) -> None:
    @app.task(bind=True)
    def contextual(self: TaskContext, data: dict[str, str]) -> dict[str, Any]:
        request = self.request
        return {
            "custom": request.get("custom_header"),
            "as an attribute": request.custom_header,  # type: ignore[attr-defined]  # pyright: ignore
            "none": request.get("other", "nothing"),
            "queue": request.delivery_info.get("routing_key"),
            "ids": (request.id == request.root_id, request.parent_id),
            "eager": request.is_eager,
        }

    async with working(app):
        sent = await contextual.apply_async(args=[{"key": "value"}], headers={"custom_header": "custom value"})
        assert await sent.get(timeout=10) == {
            "custom": "custom value",
            "as an attribute": "custom value",
            "none": "nothing",
            "queue": "default",
            "ids": (True, None),
            "eager": False,
        }


async def test_retries_with_the_delay_of_the_task(app: AioQueue) -> None:
    """As the documents compute their own backoff; the task says it, or the setting does."""

    @app.task(bind=True, max_retries=3, default_retry_delay=0.001)
    def fetch(self: TaskContext, key: str) -> list[Any]:
        try:
            if self.request.retries < 2:
                raise ConnectionError(key)
            return [self.request.retries, self.default_retry_delay, self.max_retries]
        except ConnectionError as exc:
            raise self.retry(
                exc=exc, countdown=self.default_retry_delay * 2**self.request.retries, throw=False
            ) from exc

    @app.task(bind=True)
    async def plain(self: TaskContext) -> float:
        return self.default_retry_delay

    async with working(app):
        assert await fetch.call("a", timeout=10) == [2, 0.001, 3]
        assert await plain.call(timeout=10) == 180


async def test_a_retry_with_other_arguments(app: AioQueue) -> None:
    @app.task(bind=True, max_retries=5)
    async def page(self: TaskContext, before: int, number: int, *, size: int = 10) -> list[int]:
        if number < 3:
            raise self.retry(args=(before, number + 1), kwargs={"size": size * 2}, countdown=0)
        return [before, number, size]

    @app.task
    async def one() -> int:
        return 7

    @app.task(bind=True)
    async def wrong(self: TaskContext, x: int) -> None:
        raise self.retry(args=(1, 2), countdown=0)

    @app.task(bind=True)
    async def of_a_map(self: TaskContext, x: int) -> None:
        raise self.retry(args=(1,), countdown=0)

    async with working(app):
        assert await page.call(0, 1, timeout=10) == [0, 3, 40]
        # In a chain the result of the step before is the first of its arguments, once.
        assert await (one.s() | page.s(1)).call(timeout=10) == [7, 3, 40]
        with pytest.raises(ArgumentsError, match="too many positional"):
            await wrong.call(1, timeout=10)
        with pytest.raises(ConfigurationError, match="runs as a map, whose arguments a retry cannot change"):
            await of_a_map.map([1]).call(timeout=10)


async def test_retry_kwargs(app: AioQueue) -> None:
    tries: list[int] = []

    @app.task(bind=True, autoretry_for=(ConnectionError,), retry_kwargs={"max_retries": 2, "countdown": 0})
    def fetch_url(self: TaskContext, url: str) -> None:
        tries.append(self.request.retries)
        raise ConnectionError(url)

    async with working(app):
        with pytest.raises(ConnectionError):
            await fetch_url.call("https://example.org", timeout=10)
        assert tries == [0, 1, 2]
        with pytest.raises(ConnectionError):  # what the call says counts for more
            await fetch_url.options(max_retries=0).call("https://example.org", timeout=10)
        assert tries == [0, 1, 2, 0]


def test_wrong_retry_kwargs(app: AioQueue) -> None:
    for given, message in (
        ({"max_retires": 5}, r"it has 'max_retires' Did you mean 'max_retries'\?"),
        ({"max_retries": "5"}, "max_retries of retry_kwargs is a whole number"),
        (5, "retry_kwargs of the task .* is a dict of what"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            app.task(retry_kwargs=given)(lambda: None)  # type: ignore[arg-type]  # pyright: ignore


async def test_hooks_of_a_base_class(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Any] = []

    class BaseTask(Task[..., Any]):
        abstract = True
        max_retries = 1
        default_retry_delay = 0

        def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            logging.getLogger("shop").error("Task %s[%s] failed: %s", self.name, task_id, exc, exc_info=einfo.exception)
            told.append(
                ("failure", einfo.exception is exc, str(einfo) == einfo.traceback, "ValueError: declined" in einfo)
            )

        def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            told.append(("retry", einfo.exception is exc))

        def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            told.append((status, einfo.exception, bool(einfo)) if status == "SUCCESS" else status)

    @shared_task(bind=True, base=BaseTask)
    def charge(self: TaskContext[BaseTask], fails: bool) -> str:
        if fails:
            raise self.retry(exc=ValueError("declined"))
        return "charged"

    async with working(app):
        with pytest.raises(ValueError):
            await charge.call(True, timeout=10)
        await until(lambda: "FAILURE" in told)  # hooks are called beside what comes next
        await charge.call(False, timeout=10)
    assert told == [("retry", True), ("failure", True, True, True), "FAILURE", ("SUCCESS", None, False)]
    assert "ValueError: declined" in caplog.text


WORDS: dict[str, tuple[Any, str]] = {
    "rate_limit": (lambda app: app.task(rate_limit="5/m")(print), "no option 'rate_limit'.* cannot be limited in this"),
    "throws": (lambda app: app.task(throws=(KeyError,))(print), "no option 'throws'.*what is none is returned"),
    "of a class": (
        lambda app: app.task(base=type("X", (Task,), {"rate_limit": "5/m"}))(print),
        r"X\.rate_limit is nothing .* cannot be limited in this version\. Take .* The task",
    ),
    "retry_policy": (
        lambda app: app.signature("x", retry=True, retry_policy={"max_retries": 3}),
        "no option 'retry_policy'.*is the setting send_timeout.*Nothing was sent",
    ),
    "retry=False": (lambda app: app.signature("x", retry=False), "send_timeout seconds"),
    "exchange": (lambda app: app.signature("x", exchange="e"), "There are no exchanges: give a queue"),
    "stamp": (lambda app: app.signature("x").stamp("priority"), r"takes one value, as stamp\('priority', 7\)"),
    "two stamps": (lambda app: app.signature("x").stamp("retry", 1, most=3), "takes one value"),
}


@pytest.mark.parametrize("name", WORDS)
def test_a_word_that_is_another_here(app: AioQueue, name: str) -> None:
    make, message = WORDS[name]
    with pytest.raises(ConfigurationError, match=message):
        make(app)


def test_words_of_calls_that_change_nothing(app: AioQueue) -> None:
    assert app.signature("x", retry=True, retry_policy=None, shadow=None, countdown=3).options == {"countdown": 3}


async def test_a_context_names_its_own_words(app: AioQueue) -> None:
    @app.task(bind=True)
    def manual(self: TaskContext) -> None:
        self.acknowledge()  # type: ignore[attr-defined]  # pyright: ignore

    async with working(app):
        with pytest.raises(AttributeError, match=r"has 'acknowledge'\. Write ctx\.ack\(\)"):
            await manual.call(timeout=10)


def test_imports() -> None:
    """What is imported under Celery's name says what it is called here."""
    for line, message in (
        ("from aioqueue import Celery", "Celery's Celery is AioQueue"),
        ("from aioqueue import map, starmap", r"is a task's own: task\.map\(\[\.\.\.\]\)"),
        ("from aioqueue.exceptions import ChainError", "is UpstreamFailed here: from aioqueue.exceptions import Upstr"),
        ("from aioqueue.exceptions import MaxRetriesExceededError", "is MaxRetriesExceeded here"),
        ("from aioqueue.exceptions import Nonsense", "cannot import name 'Nonsense'"),
    ):
        with pytest.raises(ImportError, match=message):
            exec(line, {})
    exec("from aioqueue import signature, Signature, chain, group, chord, chunks, Task, shared_task", {})
    exec(
        "from aioqueue.exceptions import ArgumentsError, Ignore, Reject, Retry, SoftTimeLimitExceeded, TimeoutError", {}
    )
