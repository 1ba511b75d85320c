"""One task's parameters: calls that fit, arguments that arrive as their annotations say, errors that name them."""

from __future__ import annotations

import datetime as dt
import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioqueue.exceptions import ArgumentsError, PayloadError, PayloadTooLarge
from aioqueue.payload import Parameters, decode, encode

from .models import Event, User

if TYPE_CHECKING:
    from somewhere import Nothing  # type: ignore[import-not-found]

MAX = 1 << 20
NOW = dt.datetime(2026, 5, 17, 12, tzinfo=dt.UTC)


def add(x: int, y: int = 0) -> int:
    return x + y


def remind(to: str, when: dt.datetime, *paths: Path, urgent: bool = False, **more: dt.date) -> Event: ...  # type: ignore[empty-body]


def positional(a: Path, /, b: Path, *, c: Path) -> None: ...


def loose(a, b=1): ...  # type: ignore[no-untyped-def]


def there_and_back(parameters: Parameters, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    results = []
    for serializer in ("msgpack", "json"):
        data, content = parameters.encode(args, kwargs, serializer=serializer, max_size=MAX)
        results.append(parameters.decode(data, content, max_size=MAX))
    assert results[0] == results[1]
    return results[0]


def test_every_kind_of_parameter() -> None:
    day = dt.date(2026, 1, 1)
    got = there_and_back(Parameters(remind), "ada", NOW, Path("a"), Path("b"), urgent=True, until=day)
    assert got == (("ada", NOW, Path("a"), Path("b")), {"urgent": True, "until": day})
    got = there_and_back(Parameters(remind), to="ada", when=NOW)
    assert got == ((), {"to": "ada", "when": NOW})
    got = there_and_back(Parameters(positional), Path("a"), Path("b"), c=Path("c"))
    assert got == ((Path("a"), Path("b")), {"c": Path("c")})


def test_the_wire_form_is_the_same_for_all() -> None:
    for function in (add, remind, positional, loose, print):
        data, content = Parameters(function).encode((1, "a"), {"k": None}, max_size=MAX)
        assert decode(data, content, max_size=MAX) == [[1, "a"], {"k": None}]
        assert data == encode([[1, "a"], {"k": None}], max_size=MAX)[0]


def test_plain_parameters_are_passed_as_they_are() -> None:
    parameters = Parameters(add)
    assert parameters._conversions == (None,) * 4  # pyright: ignore[reportPrivateUsage]
    assert parameters.decode(b"\x92\x91\xa1x\x80", "msgpack", max_size=MAX) == (("x",), {})


def test_unresolvable_annotations_do_no_harm() -> None:
    def task(a: Nothing, b: Path, c: no.such.name = 1) -> Nothing:  # type: ignore[name-defined]  # noqa: F821
        ...

    parameters = Parameters(task)
    assert there_and_back(parameters, {"x": 1}, Path("b")) == (({"x": 1}, Path("b")), {})
    assert parameters.result_converter is None
    assert parameters.text == "(a: Nothing, b: Path, c: no.such.name = 1) -> Nothing"


def test_names_defined_after_the_task() -> None:
    scope: dict[str, Any] = {}
    exec("def task(a: 'Later') -> 'Later': ...", scope)
    parameters = Parameters(scope["task"])
    scope["Later"] = Path
    assert there_and_back(parameters, Path("x")) == ((Path("x"),), {})


class Callables:
    def method(self, where: Path) -> None: ...

    def __call__(self, where: Path) -> None: ...

    @staticmethod
    def static(where: Path) -> None: ...


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    "function",
    [
        Callables().method,
        Callables(),
        Callables.static,
        decorated(Callables.static),
        functools.partial(Callables.static),
    ],
)
def test_everything_callable(function: Callable[..., Any]) -> None:
    parameters = Parameters(function)
    assert there_and_back(parameters, Path("x")) == ((Path("x"),), {})
    parameters.check(("x",), {})
    with pytest.raises(TypeError):
        parameters.check((), {})


def test_functions_that_tell_nothing_take_anything() -> None:
    parameters = Parameters(max)
    parameters.check((1, 2, 3), {"a": 1})
    assert there_and_back(parameters, 1, a=2) == ((1,), {"a": 2})


def test_context_and_dependencies_are_no_part_of_a_call() -> None:
    def task(ctx: Any, order: int, session: Any = None, note: str = "") -> None: ...

    parameters = Parameters(task, skip_first=True, exclude={"session"})
    assert parameters.text == "(order: int, note: str = '') -> None"
    parameters.check((1, "x"), {})
    with pytest.raises(ArgumentsError, match="too many positional"):
        parameters.check((1, "x", 2), {})
    with pytest.raises(ArgumentsError, match="session"):
        parameters.check((1,), {"session": 2})

    def bare(*args: Path) -> None: ...

    assert there_and_back(Parameters(bare, skip_first=True), Path("a")) == ((Path("a"),), {})


NAMES = ["x", "y", "to", "when", "urgent", "a", "b", "c", "zz", "self"]


@pytest.mark.parametrize("function", [add, remind, positional, loose, lambda *a: 0, lambda **k: 0, lambda: 0])
@given(count=st.integers(0, 4), names=st.sets(st.sampled_from(NAMES)))
def test_check_agrees_with_python(function: Callable[..., Any], count: int, names: set[str]) -> None:
    parameters = Parameters(function)
    args, kwargs = (None,) * count, dict.fromkeys(names)  # it is what fits any annotation
    try:
        parameters.signature.bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(ArgumentsError):
            parameters.check(args, kwargs)
    else:
        parameters.check(args, kwargs)


def test_a_call_that_does_not_fit() -> None:
    with pytest.raises(ArgumentsError) as caught:
        Parameters(add).check((1, 2, 3), {}, task_name="shop.add")
    expected = (
        "the call doesn't fit shop.add(x: int, y: int = 0) -> int: too many positional arguments; nothing was sent"
    )
    assert str(caught.value) == expected
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, PayloadError)
    with pytest.raises(ArgumentsError, match="missing a required argument: 'x'"):
        Parameters(add).check((), {"y": 1})
    with pytest.raises(ArgumentsError, match="multiple values for argument 'x'"):
        Parameters(add).check((1,), {"x": 1})


def test_text() -> None:
    assert Parameters(remind).text == (
        "(to: str, when: dt.datetime, *paths: Path, urgent: bool = False, **more: dt.date) -> Event"
    )
    assert Parameters(loose).text == "(a, b=1)"

    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    def task(a: Any = Rude()) -> None: ...  # noqa: B008

    assert Parameters(task).text == "(...)"


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        (
            ("ada", threading.Lock()),
            {},
            "argument 'when' of shop.remind is a _thread.lock and can't be sent: send plain data",
        ),
        (("ada", [{"a": object()}]), {}, "argument 'when' of shop.remind (a list) holds a object and can't be sent"),
        (("ada",), {"urgent": print}, "argument 'urgent' of shop.remind is a builtin_function_or_method"),
        (("ada", 1, 2, object()), {}, "argument '*paths[1]' of shop.remind is a object"),
        (("ada",), {"extra": 10**5000}, "argument 'extra' of shop.remind (a int) can't be sent: it holds an int of"),
    ],
)
def test_an_argument_that_cannot_be_sent(args: Any, kwargs: Any, text: str) -> None:
    with pytest.raises(PayloadError) as caught:
        Parameters(remind).encode(args, kwargs, max_size=MAX, task_name="shop.remind")
    assert str(caught.value).startswith(text)
    assert str(caught.value).endswith("; nothing was sent")


def test_arguments_that_are_too_large() -> None:
    with pytest.raises(
        PayloadTooLarge, match=r"the arguments of add are too large: .*max_payload_size=1,000.*nothing was"
    ):
        Parameters(add).encode(("x" * 2000,), {}, max_size=1000)


@pytest.mark.parametrize("content", ["msgpack", "json"])
def test_an_argument_that_does_not_convert(content: str) -> None:
    parameters = Parameters(remind)
    data, _ = encode([["ada", "tomorrow"], {}], serializer=content, max_size=MAX)
    with pytest.raises(PayloadError) as caught:
        parameters.decode(data, content, max_size=MAX, task_name="shop.remind")
    assert str(caught.value) == (
        "argument 'when' of shop.remind is a str that doesn't convert to datetime.datetime: "
        "Invalid RFC3339 encoded datetime; correct the sender or the annotation"
    )
    for args, kwargs, name in (
        (["ada", NOW, "a", 5], {}, r"'\*paths\[1\]'"),
        (["ada", NOW], {"more": 5}, "'more'"),
        (["ada", NOW], {"until": "never"}, "'until'"),
    ):
        data, tag = encode([args, kwargs], serializer=content, max_size=MAX)
        with pytest.raises(PayloadError, match=f"argument {name} of remind is a .* that doesn't convert to"):
            parameters.decode(data, tag, max_size=MAX)


def test_errors_do_not_show_values() -> None:
    def login(user: User) -> None: ...

    data, _ = encode([[{"name": {"secret": "hunter2"}}], {}], max_size=MAX)
    with pytest.raises(PayloadError, match="name: Input should be a valid string") as caught:
        Parameters(login).decode(data, "msgpack", max_size=MAX)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "value", [None, 1, [], {}, [[], {}, 1], [{}, []], [[], []], [[1]], [[], {1: 2}], [[], {"a": 1, None: 2}]]
)
def test_payloads_that_are_something_else(value: Any) -> None:
    data, content = encode(value, max_size=MAX)
    with pytest.raises(PayloadError, match=r"isn't \[args, kwargs\]"):
        Parameters(add).decode(data, content, max_size=MAX)


def test_convert_after_putting_together() -> None:
    def handler(failure: Event, where: Path) -> None: ...

    event = Event(at=NOW)
    args, kwargs = Parameters(handler).convert((event, "x"), {})
    assert args == (event, Path("x"))
    assert args[0] is event
    assert kwargs == {}
    before = {"where": "x"}
    assert Parameters(handler).convert((), before)[1] == {"where": Path("x")}
    assert before == {"where": "x"}


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_results(serializer: str) -> None:
    def files() -> dict[int, list[Path]]: ...  # type: ignore[empty-body]

    def content() -> bytes: ...  # type: ignore[empty-body]

    for function, value in ((remind, Event(at=NOW)), (files, {1: [Path("a")]}), (content, b"\xff")):
        parameters = Parameters(function)
        data, tag = encode(value, serializer=serializer, max_size=MAX)
        assert parameters.convert_result(decode(data, tag, max_size=MAX)) == value
    assert Parameters(add).result_converter is None
    assert Parameters(add).convert_result("x") == "x"
    with pytest.raises(
        PayloadError, match="the result of remind is a int that doesn't convert to its return annotation"
    ):
        Parameters(remind).convert_result(5)
