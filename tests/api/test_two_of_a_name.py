"""Two tasks of one name that are both in use: messages would find only the second."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from aioqueue import AioQueue
from aioqueue.exceptions import ConfigurationError

Declare = Callable[[AioQueue, Any], Any]
REFUSED = r"Two tasks have the name .*@app.task\(name="


@pytest.fixture
def app() -> AioQueue:
    """Nothing is sent here."""
    return AioQueue("tests", broker="memory://")


def partial_of_a_closure(app: AioQueue, tenant: str) -> Any:
    async def report(x: str) -> str:
        return x

    return app.task(functools.partial(report, tenant))


def partial_with_a_name(app: AioQueue, tenant: str) -> Any:
    async def report(x: str) -> str:
        return x

    return app.task(name="report")(functools.partial(report, x=tenant))


def loud(function: Callable[[], str]) -> Callable[[], str]:
    @functools.wraps(function)
    def inner() -> str:
        return function().upper()

    return inner


def quiet(function: Callable[[], str]) -> Callable[[], str]:
    @functools.wraps(function)
    def inner() -> str:
        return function().lower()

    return inner


def report() -> str:
    return "Ab"


def two_decorators(app: AioQueue, tenant: str) -> Any:
    return app.task(loud(report) if tenant == "a" else quiet(report))


def either(tenant: str) -> Callable[[], str]:
    if tenant == "a":

        def report() -> str:
            return "a"
    else:

        def report() -> str:
            return "b"

    return report


def two_codes(app: AioQueue, tenant: str) -> Any:
    return app.task(either(tenant))


def two_codes_in_a_decorator(app: AioQueue, tenant: str) -> Any:
    return app.task(loud(either(tenant)))


def class_of(tenant: str) -> Any:
    class Report:
        async def __call__(self) -> str:
            return tenant

        async def run(self) -> str:
            return tenant

    return Report


def objects_of_two_classes(app: AioQueue, tenant: str) -> Any:
    return app.task(name="report")(class_of(tenant)())


def methods_of_two_classes(app: AioQueue, tenant: str) -> Any:
    return app.task(name="report")(class_of(tenant)().run)


def cached(app: AioQueue, tenant: str) -> Any:
    @app.task
    @functools.lru_cache
    def report() -> str:
        return tenant

    return report


CODE = compile("def report(): return TENANT", "report.py", "exec")


def other_globals(app: AioQueue, tenant: str) -> Any:
    space: dict[str, Any] = {"__name__": "report", "TENANT": tenant}
    exec(CODE, space)
    return app.task(space["report"])


def other_globals_in_the_name_of_a_module(app: AioQueue, tenant: str) -> Any:
    space: dict[str, Any] = {"__name__": __name__, "__spec__": __spec__, "TENANT": tenant, "app": app}
    exec("@app.task\ndef report(): return TENANT", space)
    return space["report"]


def text_that_is_run(app: AioQueue, tenant: str) -> Any:
    exec(f"@app.task(name='report')\ndef report(): return {tenant!r}", {**globals(), "app": app})


def text_that_is_run_in_the_module(app: AioQueue, tenant: str) -> Any:
    exec(f"@app.task(name='report')\ndef report(): return {tenant!r}", globals(), {"app": app})


def a_cell_that_is_filled_later(app: AioQueue, tenant: str) -> Any:
    @app.task
    def report() -> str:
        return value

    value = tenant
    return report


def an_attribute_of_its_own(app: AioQueue, tenant: str) -> Any:
    def report() -> str:
        return report.tenant  # type: ignore[attr-defined]

    report.tenant = tenant  # type: ignore[attr-defined]
    return app.task(report)


@pytest.mark.parametrize(
    "declare",
    [
        partial_of_a_closure,
        partial_with_a_name,
        two_decorators,
        two_codes,
        two_codes_in_a_decorator,
        objects_of_two_classes,
        methods_of_two_classes,
        cached,
        other_globals,
        other_globals_in_the_name_of_a_module,
        text_that_is_run,
        text_that_is_run_in_the_module,
        a_cell_that_is_filled_later,
        an_attribute_of_its_own,
    ],
)
def test_both_are_in_use(app: AioQueue, declare: Declare) -> None:
    first = declare(app, "a")
    with pytest.raises(ConfigurationError, match=REFUSED):
        declare(app, "b")
    assert first is None or app.tasks[first.name] is first


class Agreeable:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Agreeable()"


def over(app: AioQueue, value: Any) -> Any:
    @app.task
    def report() -> Any:
        return value

    return report


def with_an_argument(app: AioQueue, value: Any) -> Any:
    return app.task(name="report")(functools.partial(print, value))


EQUAL_AND_NOT_THE_SAME: list[tuple[Any, Any]] = [
    ((1,), (True,)),
    ((1, (2.0,)), (1, (2,))),
    (0.0, -0.0),
    ([], []),
    ({}, {}),
    (Agreeable(), Agreeable()),
]


@pytest.mark.parametrize("declare", [over, with_an_argument])
@pytest.mark.parametrize(("one", "other"), EQUAL_AND_NOT_THE_SAME, ids=repr)
def test_equal_values_are_not_the_same(app: AioQueue, declare: Declare, one: Any, other: Any) -> None:
    declare(app, one)
    with pytest.raises(ConfigurationError, match=REFUSED):
        declare(app, other)


@pytest.mark.parametrize("declare", [over, with_an_argument])
@pytest.mark.parametrize("value", [1, "a", b"a", 1.5, float("nan"), None, ("a", (1, 2.5)), []], ids=repr)
def test_what_does_the_same_replaces_it(app: AioQueue, declare: Declare, value: Any) -> None:
    declare(app, value)
    again = declare(app, value)
    assert app.tasks[again.name] is again


def test_functions_that_call_themselves(app: AioQueue) -> None:
    def make() -> Any:
        def down(n: int) -> int:
            return n and down(n - 1)

        return app.task(down)

    make()
    again = make()
    assert app.tasks[again.name] is again
