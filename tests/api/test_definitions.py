"""What can be made a task: its options, two functions of one name, generators, decorated coroutines."""

from __future__ import annotations

import asyncio
import copy
import functools
import importlib
import operator
import pickle
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.apps import ended, working
from support.waiting import PATIENCE

from aioqueue import AioQueue, Task, shared_task
from aioqueue.exceptions import ConfigurationError, SoftTimeLimitExceeded


async def module_level(x: int) -> int:
    """Doubles."""
    return 2 * x


# Options


def test_seconds_may_be_timedeltas(app: AioQueue) -> None:
    options: dict[str, Any] = {
        "default_retry_delay": timedelta(minutes=3),
        "retry_backoff": timedelta(seconds=2),
        "retry_backoff_max": timedelta(minutes=1),
        "soft_time_limit": timedelta(seconds=5),
        "time_limit": timedelta(seconds=10),
        "expires": timedelta(hours=1),
    }
    task = app.task(**options)(module_level)
    assert {name: getattr(task, name) for name in options} == {
        name: value.total_seconds() for name, value in options.items()
    }


def test_one_exception_is_a_tuple_of_one(app: AioQueue) -> None:
    task = app.task(autoretry_for=ConnectionError, dont_autoretry_for=[ConnectionResetError])(module_level)
    assert task.autoretry_for == (ConnectionError,) and task.dont_autoretry_for == (ConnectionResetError,)


def test_the_defaults_of_a_class_are_checked_too(app: AioQueue) -> None:
    class Hasty(Task[..., Any]):
        default_retry_delay = timedelta(seconds=1)  # type: ignore[assignment]

    class Wrong(Task[..., Any]):
        max_retries = -1

    assert app.task(base=Hasty)(module_level).default_retry_delay == 1
    with pytest.raises(ConfigurationError, match=r"max_retries of .* is a whole number"):
        app.task(base=Wrong, name="other")(module_level)


def test_the_limits_of_a_call_and_of_its_task_go_together(app: AioQueue) -> None:
    task = app.task(time_limit=5)(module_level)
    with pytest.raises(ConfigurationError, match=r"soft_time_limit=10 is above time_limit=5.* Nothing was sent"):
        task.options(soft_time_limit=10)
    with pytest.raises(ConfigurationError, match="soft_time_limit=3 is above time_limit=2"):
        task.options(soft_time_limit=3, time_limit=2)
    assert task.options(soft_time_limit=10, time_limit=timedelta(seconds=20)).send_options["time_limit"] == 20


# Two functions of one name


def report_for(app: AioQueue, tenant: str) -> Task[..., str]:
    @app.task
    async def report() -> str:
        return tenant

    return report


def add(x: int, y: int) -> int:
    return x + y


def logged(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def a_logged_one(app: AioQueue, number: int) -> Any:
    @app.task
    @logged
    async def inner() -> int:
        return number

    return inner


class Doubler:
    def __call__(self, x: int) -> int:
        return 2 * x

    def method(self, x: int) -> int:
        return x


def two_of_a_name(app: AioQueue) -> None:
    @app.task
    def same() -> int:
        return 1

    @app.task  # type: ignore[no-redef]
    def same() -> int:  # noqa: F811
        return 2


@pytest.mark.parametrize(
    "twice",
    [
        lambda app: (report_for(app, "a"), report_for(app, "b")),
        lambda app: (app.task(functools.partial(add, 1)), app.task(functools.partial(add, 2))),
        lambda app: (app.task(functools.partial(add, y=1)), app.task(functools.partial(add, y=2))),
        lambda app: (a_logged_one(app, 1), a_logged_one(app, 2)),
        lambda app: (app.task(Doubler()), app.task(Doubler())),
        lambda app: (app.task(Doubler().method), app.task(Doubler().method)),
        lambda app: (app.task(lambda: 1), app.task(lambda: 2)),
        two_of_a_name,
    ],
)
def test_two_functions_of_one_name(app: AioQueue, twice: Callable[[AioQueue], Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"Two tasks have the name .*of different functions.*@app.task\(name="):
        twice(app)


def test_two_shared_functions_of_one_name() -> None:
    def make(number: int) -> None:
        @shared_task
        async def shared() -> int:
            return number

    make(1)
    with pytest.raises(ConfigurationError, match="Two tasks have the name"):
        make(2)


def test_the_same_made_again_replaces_it(app: AioQueue) -> None:
    same = "tenant"
    assert report_for(app, same).name == report_for(app, same).name
    assert app.task(functools.partial(add, 1)).name == app.task(functools.partial(add, 1)).name


MODULE = """
import functools
def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper
def setup(app):
    @app.task
    async def first(): return {0}
    @app.task
    @logged
    def second(): return {0}
    make(app, {0})
def make(app, number):
    @app.task
    def third(): return number
"""


def test_a_module_that_is_loaded_again(app: AioQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = tmp_path / "loaded_again.py"
    module: Any = None
    for number in (1, 2):
        file.write_text(MODULE.format(number))
        module = importlib.reload(module) if module else importlib.import_module("loaded_again")
        module.setup(app)
    assert [app.tasks[f"loaded_again.{name}"].function() for name in ("setup.second", "make.third")] == [2, 2]
    monkeypatch.delitem(sys.modules, "loaded_again")


def test_a_shared_task_without_an_app_can_be_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioqueue.shared._apps", set())  # those of other tests
    assert pickle.loads(pickle.dumps(shared_task(name="shared")(module_level))).name == "shared"


def test_tasks_and_what_holds_them_can_be_copied(app: AioQueue) -> None:
    task = app.task(module_level)
    copied: Task[..., Any] = copy.deepcopy(task)
    assert copied.name == task.name and copied.function is module_level
    assert copy.deepcopy(task.s(1)).task == task.name
    assert copy.deepcopy(app).tasks.keys() == app.tasks.keys()


# What can be no task


def numbers() -> Iterator[int]:
    yield 1


async def numbers_in_time() -> AsyncIterator[int]:
    yield 1


class Yielding:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    "function",
    [numbers, numbers_in_time, functools.partial(numbers), functools.wraps(numbers)(lambda: numbers()), Yielding()],
)
def test_a_generator_is_no_task(app: AioQueue, function: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match="is a generator, so a call of it runs nothing"):
        app.task(name="generator")(function)
    assert "generator" not in app.tasks


def passed_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        print("now")
        return function(*args, **kwargs)

    return wrapper


def passed_on_in_time(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    "function",
    [
        passed_on(numbers),
        passed_on_in_time(numbers_in_time),
        passed_on(functools.partial(passed_on(numbers))),
        passed_on(Yielding()),
        functools.lru_cache(numbers),
        Yielding().__call__,
    ],
)
def test_a_decorator_that_gives_a_generator_back(app: AioQueue, function: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match="is a generator, so a call of it runs nothing"):
        app.task(name="generator")(function)


def collected(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return list(function(*args))

    return wrapper


def collected_in_a_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return [2 * one // 2 for one in function(*args)]

    return wrapper


def collected_in_time(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any) -> Any:
        return [one async for one in function(*args)]

    return wrapper


class Collected:
    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return sorted(self.function(*args))


@pytest.mark.parametrize(
    "function",
    [
        collected(numbers),
        collected_in_a_loop(numbers),
        collected_in_time(numbers_in_time),
        Collected(numbers),
        passed_on(collected(numbers)),
        functools.lru_cache(collected(numbers)),
    ],
)
async def test_a_decorator_that_collects_a_generator(app: AioQueue, function: Callable[..., Any]) -> None:
    task = app.task(name="numbers")(function)
    async with working(app):
        assert await task.call(timeout=PATIENCE) == [1]


async def test_a_decorator_that_hides_a_generator(app: AioQueue) -> None:
    @app.task(name="numbers")
    @functools.wraps(numbers)
    def hidden() -> Any:
        found = numbers()
        print("found")
        return found

    async with working(app):
        with pytest.raises(ConfigurationError, match="returned a generator that nobody iterates"):
            await hidden.call(timeout=PATIENCE)


def test_an_object_that_claims_to_wrap_another_without_end(app: AioQueue) -> None:
    class Endless:
        def __getattr__(self, name: str) -> Any:
            return Endless()

        def __call__(self) -> int:
            return 1

    app.task(name="endless")(Endless())
    app.task(name="first")(operator.itemgetter(0))
    assert set(app.tasks) == {"endless", "first"}


# A decorated coroutine is a coroutine


def plainly(function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Adder:
    async def __call__(self, x: int, y: int) -> int:
        return x + y


async def plus(x: int, y: int) -> int:
    await asyncio.sleep(0)
    return x + y


async def slow(x: int, y: int) -> str:
    try:
        await asyncio.sleep(60)
    except SoftTimeLimitExceeded:
        return "in time"
    return "too late"


FORMS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda function: function,
    "wraps": plainly,
    "partial": lambda function: functools.partial(function, y=1),
    "partial of wraps": lambda function: functools.partial(plainly(function), y=1),
    "lambda": lambda function: lambda x, y=1: function(x, y),
}


@pytest.mark.parametrize("form", FORMS)
async def test_a_decorated_coroutine_is_a_coroutine(app: AioQueue, form: str) -> None:
    task: Task[..., Any] = app.task(name="plus")(FORMS[form](plus))
    async with working(app):
        assert await task.call(2, y=1, timeout=PATIENCE) == 3
        if "partial" in form:
            assert await (await task.map([1, 2]).send()).get(timeout=PATIENCE) == [2, 3]
        if form in ("itself", "wraps", "lambda"):
            assert await (await task.starmap([(1, 2), (3, 4)]).send()).get(timeout=PATIENCE) == [3, 7]
            assert await (await task.chunks([(1, 2), (3, 4), (5, 6)], 2).send()).get(timeout=PATIENCE) == [[3, 7], [11]]


@pytest.mark.parametrize("form", FORMS)
async def test_a_soft_limit_reaches_it(app: AioQueue, form: str) -> None:
    task: Task[..., Any] = app.task(name="slow", soft_time_limit=0.1)(FORMS[form](slow))
    async with working(app):
        assert await task.call(2, y=1, timeout=PATIENCE) == "in time"


async def test_an_object_whose_call_is_a_coroutine(app: AioQueue) -> None:
    task: Task[..., Any] = app.task(name="adder")(Adder())
    assert task.is_coroutine
    async with working(app):
        assert await task.call(2, 3, timeout=PATIENCE) == 5


async def test_a_plain_function_that_runs_a_loop_of_its_own_stays_one(app: AioQueue) -> None:
    @app.task(name="own_loop")
    @functools.wraps(plus)
    def own_loop(*args: Any) -> Any:
        return asyncio.run(plus(*args))

    async with working(app):
        assert (await ended(await own_loop.send(1, 2))).result == 3
