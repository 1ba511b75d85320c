"""Exceptions as data: whatever raised them, whoever wrote them."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import sys
import threading
import types
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioqueue.exceptions import Ignore, MaxRetriesExceeded, Reject, Retry, TaskFailed
from aioqueue.payload import Failure
from aioqueue.payload.codec import encode
from aioqueue.payload.failure import MAX_CAUSES

HERE = __name__
pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(Failure).decode
called: list[str] = []


class Plain(Exception):
    pass


class OutOfStock(Exception):
    """An __init__ that doesn't fit its args."""

    def __init__(self, item: str, *, left: int) -> None:
        super().__init__(f"{item}: only {left} left")
        self.item = item
        self.left = left
        self.lock = threading.Lock()


class Required(Exception):
    def __init__(self, a: int, b: int, c: int) -> None:
        self.c = c


class Outer:
    class Inner(ValueError):
        pass


class Rude(Exception):
    def __str__(self) -> str:
        raise SystemExit("str")

    def __repr__(self) -> str:
        raise KeyboardInterrupt

    @property
    def __notes__(self) -> Any:
        raise RuntimeError


class Canary(Exception):
    """Tells when code of its own is run."""

    def __new__(cls, *_: Any) -> Canary:
        called.append("new")
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        called.append("init")

    def __setattr__(self, name: str, value: Any) -> None:
        called.append(f"set {name}")

    def __getattribute__(self, name: str) -> Any:
        called.append(f"get {name}")
        return super().__getattribute__(name)

    @property
    def code(self) -> int:
        return 1

    @code.setter
    def code(self, value: int) -> None:
        called.append("setter")


class Missing(OSError):
    def __init__(self, host: str) -> None:
        super().__init__(2, f"{host} is away")
        self.host = host


class Several(ExceptionGroup):  # type: ignore[type-arg]
    pass


def raised(exc: BaseException) -> BaseException:
    try:
        raise exc
    except BaseException as caught:
        return caught


def travel(exc: BaseException) -> BaseException:
    return unpack(pack(Failure.of(exc))).rebuild()


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("x"),
        ValueError(),
        KeyError("k"),
        Plain(1, "two", [3], {"four": None}, b"5"),
        OutOfStock("tea", left=3),
        Required(1, 2, 3),
        Outer.Inner("x"),
        Missing("db"),
        OSError("only text"),
        FileNotFoundError(2, "No such file", "/x/y"),
        OSError(2, "No such file"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        SyntaxError("bad", ("f.py", 1, 2, "x y", 1, 3)),
        Plain((1, {2}), dt.date(2026, 1, 1), "$D2026-01-01", ["$t"], 2**80, 1j),
        OutOfStock("$tea", left=(1, "$")),  # type: ignore[arg-type]
        ImportError("no", name="n"),
        ZeroDivisionError("division by zero"),
        TimeoutError("late"),
        ConnectionResetError(104, "reset"),
        MaxRetriesExceeded("3 of 3"),
        RecursionError("deep"),
        AssertionError(),
    ],
    ids=lambda e: type(e).__qualname__ + str(e)[:10],
)
def test_there_and_back(exc: Exception) -> None:
    got = travel(raised(exc))
    assert type(got) is type(exc)
    assert str(got) == str(exc)
    assert got.args == exc.args
    kept = {name: value for name, value in vars(exc).items() if name != "lock"}
    assert {name: value for name, value in vars(got).items() if name != "__notes__"} == kept
    if isinstance(exc, OSError):
        assert isinstance(got, OSError)
        assert (got.errno, got.strerror, got.filename) == (exc.errno, exc.strerror, exc.filename)
    if isinstance(exc, UnicodeDecodeError):
        assert isinstance(got, UnicodeDecodeError)
        assert (got.object, got.reason) == (exc.object, exc.reason)


def test_arguments_that_are_not_data_are_their_repr() -> None:
    lock = threading.Lock()
    got = travel(Plain(lock, dt.date(2026, 1, 1), "\udcff", "x" * 100_000))
    assert got.args[:3] == (repr(lock), dt.date(2026, 1, 1), "\\udcff")
    assert 8000 < len(got.args[3]) <= 8 * 1024


def test_text_is_not_taken_for_marks() -> None:
    """Of failures that were written before there were any, and of those without."""
    plain = Failure(type="builtins:ValueError", arguments=["$D2026-01-01", ["$t", 1]], attributes={"a": "$"})
    got = unpack(pack(plain)).rebuild()
    assert got.args == ("$D2026-01-01", ["$t", 1]) and got.a == "$"  # type: ignore[attr-defined]
    written = Failure.of(got)
    assert (written.arguments, written.attributes, written.marked) == (plain.arguments, plain.attributes, False)


def test_forged_marks_stay_what_is_written() -> None:
    written = ["$", "$?", "$Dnever", ["$t", "$D2026-01-01"], ["$m", 1], "$i" + "9" * 9999, ["$E", "os:system", "a", 1]]
    failure = Failure(type="builtins:ValueError", arguments=written, attributes={"a": "$Z"}, marked=True)
    got = failure.rebuild()
    assert got.args == (*written[:3], (dt.date(2026, 1, 1),), *written[4:6], 1)
    assert got.a == "$Z"  # type: ignore[attr-defined]


def test_a_value_that_cannot_be_read_again_is_its_repr() -> None:
    class Local(enum.Enum):
        ONE = 1

    got = travel(Plain({Local.ONE: 1, 1: 2}, (1,)))
    assert got.args[1] == (1,) and type(got.args[0]) in (str, dict, list)


def test_unknown_class_becomes_task_failed() -> None:
    for name in (
        "not.loaded:Gone",
        f"{HERE}:Gone",
        f"{HERE}:Outer.Gone",
        f"{HERE}:f.<locals>.Gone",
        "",
        ":",
        "x",
        "a:b:c",
    ):
        got = Failure(type=name, message="why", arguments=[1, "a"]).rebuild()
        assert type(got) is TaskFailed
        assert got.exception_type == name.replace(":", ".")
        assert str(got) == f"{name.replace(':', '.')}: why"
        assert got.arguments == (1, "a")


def test_text_that_is_not_unicode() -> None:
    exc = ValueError("\udcff")
    exc.add_note("\udcfe")
    got = travel(exc)
    assert (str(got), got.__notes__) == ("\\udcff", ["\\udcfe"])
    assert Failure.of(exc).message == "\\udcff"


def test_a_local_class() -> None:
    class Local(Exception):
        pass

    got = travel(Local("x"))
    assert isinstance(got, TaskFailed)
    assert got.exception_type == f"{HERE}.test_a_local_class.<locals>.Local"


@pytest.mark.parametrize(
    "exc",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        StopIteration(1),
        StopAsyncIteration(),
    ],
    ids=repr,
)
def test_what_would_end_the_waiter_is_task_failed(exc: BaseException) -> None:
    got = travel(exc)
    assert type(got) is TaskFailed
    assert type(exc).__qualname__ in str(got)


@pytest.mark.parametrize("exc", [Retry(countdown=3), Reject("no"), Ignore()], ids=repr)
def test_what_would_steer_the_waiter_is_task_failed(exc: Exception) -> None:
    assert type(travel(exc)) is TaskFailed


# -- forged ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "subprocess:Popen",
        "subprocess:check_output",
        "builtins:eval",
        "builtins:exec",
        "builtins:type",
        "builtins:object",
        "builtins:BaseException",
        "builtins:SystemExit",
        "builtins:__import__",
        "builtins:Exception.__init__",
        "builtins:Exception.with_traceback",
        "builtins:Exception.__class__",
        "builtins:Exception.__mro__",
        "builtins:__dict__",
        "os:path.join",
        "os:environ",
        "sys:modules",
        "sys:modules.os",
        "importlib:import_module",
        f"{HERE}:pytest.raises",
        f"{HERE}:sys.modules",
        f"{HERE}:travel",
        "__main__:__builtins__",
        "asyncio:CancelledError",
        "aioqueue.exceptions:Retry",
        "x" * 10_000 + ":y",
        "builtins:" + "Exception." * 10_000,
    ],
    ids=lambda name: name[:40],
)
def test_forged_names_call_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2021-23727: `{"exc_module": "os", "exc_type": "system", "exc_message": "id"}`."""
    monkeypatch.setattr("os.system", lambda *_: called.append("system"))
    called.clear()
    failure = Failure(type=name, message="touch /tmp/owned", arguments=["touch /tmp/owned"])
    assert type(failure.rebuild()) is TaskFailed
    assert called == []


def test_nothing_is_imported() -> None:
    before = set(sys.modules)
    for name in (
        "antigravity:Error",
        "xml.sax.expatreader:SAXParseException",
        "tkinter:TclError",
        "encodings.rot_13:X",
    ):
        Failure(type=name).rebuild()
    assert set(sys.modules) - before == set()


def test_lazy_modules_stay_lazy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            called.append(f"module {name}")
            return super().__getattribute__(name)

    module = Lazy("lazy_one")
    exec(
        "class Known(Exception): pass\ndef __getattr__(name): raise SystemExit",
        object.__getattribute__(module, "__dict__"),
    )
    monkeypatch.setitem(sys.modules, "lazy_one", module)
    called.clear()
    assert type(Failure(type="lazy_one:Other").rebuild()) is TaskFailed
    assert type(Failure(type="lazy_one:Known").rebuild()).__name__ == "Known"
    monkeypatch.setitem(sys.modules, "lazy_one", None)
    assert type(Failure(type="lazy_one:Known").rebuild()) is TaskFailed
    assert called == []


def test_no_code_of_the_class_is_run() -> None:
    called.clear()
    failure = Failure(
        type=f"{HERE}:Canary",
        arguments=["a"],
        attributes={"code": 5, "other": 1, "__class__": "int", "__notes__": 5},
        notes=["n"],
        traceback="t",
        cause=Failure(type=f"{HERE}:Canary"),
    )
    got = failure.rebuild()
    assert called == []
    assert type(got) is Canary
    assert vars(got)["other"] == 1
    assert got.args == ("a",)
    assert type(got.__cause__) is Canary
    assert got.__notes__[0] == "n"


@given(
    st.builds(
        Failure,
        type=st.sampled_from(
            ["builtins:OSError", "builtins:UnicodeDecodeError", "builtins:ExceptionGroup", f"{HERE}:Required"]
        )
        | st.text(),
        message=st.text(),
        arguments=st.lists(st.none() | st.integers() | st.text() | st.binary() | st.lists(st.text()), max_size=6),
        attributes=st.dictionaries(st.text(), st.integers(0, 5)),
        group=st.lists(st.builds(Failure, type=st.just("builtins:SystemExit")), max_size=2),
        marked=st.booleans(),
    )
)
def test_forged_content(failure: Failure) -> None:
    got = failure.rebuild()
    assert isinstance(got, Exception)
    try:
        raise got
    except Exception as caught:
        str(caught), repr(caught)


def test_forged_depth_and_width() -> None:
    chain = Failure(type="builtins:ValueError")
    for _ in range(5000):
        chain = Failure(type="builtins:ValueError", cause=chain)
    assert len(causes(chain.rebuild())) == MAX_CAUSES
    assert chain.report().count("ValueError") == MAX_CAUSES + 1
    deep = Failure(type="builtins:ExceptionGroup", message="g")
    for _ in range(5000):
        deep = Failure(type="builtins:ExceptionGroup", message="g", group=[deep, deep])
    got, levels = deep.rebuild(), 0
    while isinstance(got, ExceptionGroup):
        got, levels = got.exceptions[0], levels + 1
    assert levels == 10
    wide = Failure(type="builtins:ExceptionGroup", message="g", group=[Failure(type="builtins:ValueError")] * 50_000)
    got = wide.rebuild()
    assert isinstance(got, ExceptionGroup)
    assert len(got.exceptions) < 1001
    link = Failure(type="builtins:ValueError")
    for _ in range(MAX_CAUSES):
        link = Failure(type="builtins:ValueError", cause=link)
    got = Failure(type="builtins:ExceptionGroup", message="g", group=[link] * 500).rebuild()
    assert isinstance(got, ExceptionGroup)
    assert sum(1 + len(causes(each)) for each in got.exceptions) < 1001


def test_forged_special_attributes_are_left_out() -> None:
    attributes: dict[str, Any] = {"__notes__": 5, "__cause__": 1, "code": 7}
    for group in ([], [Failure(type="builtins:ValueError")]):
        name = "builtins:ExceptionGroup" if group else f"{HERE}:Plain"
        assert vars(Failure(type=name, attributes=attributes, group=group).rebuild()) == {"code": 7}


# -- hostile ---------------------------------------------------------------------------------------------------------


class Slow(Exception):
    @property
    def args(self) -> Any:  # type: ignore[override]
        raise RuntimeError

    __cause__ = property(lambda self: 1 / 0)  # type: ignore[assignment]
    __traceback__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


class Classless(Exception):
    __class__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)


class OddClass(Exception, metaclass=Meta):
    pass


class BadText(str):
    def __str__(self) -> str:
        raise RuntimeError


class OddText(Exception):
    def __str__(self) -> str:
        return BadText("odd")


@pytest.mark.parametrize("name", ["Rude", "Slow", "Classless", "OddClass", "OddText"])
def test_of_never_raises(name: str) -> None:
    cls: Any = globals()[name]  # by name: pytest itself trips over some of them as parameters
    exc = cls(cls("x"))
    for each in (exc, raised_from(exc), ExceptionGroup("g", [exc])):
        failure = Failure.of(each)
        assert unpack(pack(failure)) == failure
        failure.rebuild()


def raised_from(exc: BaseException) -> BaseException:
    try:
        raise ValueError("x") from exc
    except ValueError as caught:
        return caught


def test_what_a_rude_exception_leaves() -> None:
    failure = Failure.of(raised(Rude(Rude())))
    assert failure.type == f"{HERE}:Rude"
    assert failure.message == "<its message can't be read>"
    assert failure.arguments == ["<its repr() can't be read>"]
    assert "in raised" in failure.traceback
    assert Failure.of(OddText("x")).message == "odd"


def test_sizes_are_bounded() -> None:
    huge = Plain("ä" * 10_000_000, *range(1000))
    huge.text = "x" * 10_000_000  # type: ignore[attr-defined]
    huge.many = list(range(100_000))  # type: ignore[attr-defined]
    for number in range(1000):
        setattr(huge, f"a{number}", "y" * 4000)
        huge.add_note("n" * 100_000)
    failure = Failure.of(ExceptionGroup("g", [raised_from(huge)] * 3 + [Plain("z" * 10_000) for _ in range(1000)]))
    assert len(pack(failure)) < 400_000
    assert failure.message == "g"
    assert 90 < len(failure.group) < 100
    assert "more exceptions of this group were left out" in failure.notes[-1]
    one = Failure.of(huge)
    assert 8 * 1024 - 8 < len(one.message.encode()) <= 8 * 1024
    assert "cut here" in one.message and one.message.startswith("('ää") and one.message.endswith("9)")


def test_a_traceback_of_many_frames() -> None:
    # Two of them, or Python folds the frames into "Previous line repeated".
    def down(n: int) -> None:
        if n == 0:
            raise ValueError("at the bottom")
        further(n - 1)

    def further(n: int) -> None:
        down(n)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        failure = Failure.of(raised_by(lambda: down(3000)))
    finally:
        sys.setrecursionlimit(limit)
    assert len(failure.traceback.encode()) <= 64 * 1024
    assert failure.traceback.rstrip().endswith('raise ValueError("at the bottom")')


def raised_by(function: Any) -> BaseException:
    try:
        function()
    except BaseException as exc:
        return exc
    raise AssertionError


# -- tracebacks, notes, causes, groups --------------------------------------------------------------------------------


def test_frames_of_aioqueue_are_cut_off_the_top() -> None:
    class Model:
        pass

    def task() -> None:
        encode(Model(), max_size=100)

    # As a worker runs it: asyncio and aioqueue call the task, which calls aioqueue.
    code = compile("def run(f):\n    f()", encode.__code__.co_filename, "exec")
    scope: dict[str, Any] = {}
    exec(code, scope)
    failure = Failure.of(raised_by(lambda: scope["run"](task)).with_traceback(None))
    assert failure.traceback == ""
    exc = raised_by(lambda: scope["run"](task))
    assert exc.__traceback__ is not None
    first = exc.__traceback__.tb_next.tb_next  # type: ignore[union-attr]  # from `run` on
    text = Failure.of(exc.with_traceback(first)).traceback
    assert "in run" not in text
    assert text.index("in task") < text.index("in encode")
    own = raised_by(lambda: encode(Model(), max_size=100))
    inside = own.__traceback__.tb_next.tb_next  # type: ignore[union-attr]
    assert "in encode" in Failure.of(own.with_traceback(inside)).traceback  # aioqueue's own error: nothing is cut


def test_notes_and_the_remote_traceback() -> None:
    exc = raised(ValueError("x"))
    exc.add_note("order 5")
    got = travel(exc)
    assert got.__notes__[0] == "order 5"
    assert got.__notes__[1].startswith("\nTraceback in the worker (most recent call last):\n  File ")
    assert "in raised" in got.__notes__[1]
    exc.__notes__ = 5  # type: ignore[assignment]
    assert Failure.of(exc).notes == []
    assert not hasattr(travel(ValueError("never raised")), "__notes__")


def causes(exc: BaseException | None) -> list[BaseException]:
    found = []
    while exc is not None and exc.__cause__ is not None:
        exc = exc.__cause__
        found.append(exc)
    return found


def test_causes() -> None:
    def chained() -> None:
        try:
            try:
                raise KeyError("first")
            except KeyError:
                raise Plain("second")  # noqa: B904
        except Plain as exc:
            raise ValueError("third") from exc

    got = travel(raised_by(chained))
    assert [repr(each) for each in causes(got)] == ["Plain('second')", "KeyError('first')"]
    report = Failure.of(raised_by(chained)).report()
    assert report.index("first") < report.index("second") < report.index("ValueError: third")
    assert report.count("Traceback (most recent call last)") == 3

    def suppressed() -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second") from None

    assert causes(travel(raised_by(suppressed))) == []


def test_long_and_circular_causes() -> None:
    exc = ValueError("0")
    for number in range(1, 3000):
        later = ValueError(str(number))
        later.__cause__ = exc
        exc = later
    assert len(causes(travel(exc))) == MAX_CAUSES
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert len(causes(travel(one))) == 1


def test_groups() -> None:
    group = Several("all of them", [ValueError("a"), ExceptionGroup("inner", [Plain("b"), raised_from(KeyError("c"))])])
    group.add_note("n")
    got = travel(raised(group))
    assert type(got) is Several
    assert (got.message, str(got)) == ("all of them", "all of them (2 sub-exceptions)")
    assert got.__notes__[0] == "n"
    inner = got.exceptions[1]
    assert isinstance(inner, ExceptionGroup)
    assert [repr(each) for each in inner.exceptions] == ["Plain('b')", "ValueError('x')"]
    assert repr(inner.exceptions[1].__cause__) == "KeyError('c')"
    report = Failure.of(group).report()
    assert "  |   | " in report and "KeyError: 'c'" in report


def test_a_group_of_ends() -> None:
    got = travel(BaseExceptionGroup("g", [KeyboardInterrupt("stop"), ValueError("x")]))
    assert type(got) is ExceptionGroup
    assert [type(each) for each in got.exceptions] == [TaskFailed, ValueError]


def test_an_unknown_group_keeps_its_members() -> None:
    group = [Failure(type="builtins:ValueError", arguments=["x"])]
    got = Failure(type="not.loaded:Group", message="g", group=group).rebuild()
    assert isinstance(got, ExceptionGroup)
    assert [repr(each) for each in got.exceptions] == ["ValueError('x')"]


def test_json_too() -> None:
    failure = Failure.of(raised_from(Plain("x", b"y")))
    assert msgspec.json.decode(msgspec.json.encode(failure), type=Failure).summary == "ValueError: x"


class TimesOut(Exception):
    def __init__(self) -> None:
        self.wait = 5


def test_nothing_is_kept_but_what_is_needed() -> None:
    assert msgspec.to_builtins(Failure.of(TimesOut())) == {"type": f"{HERE}:TimesOut", "attributes": {"wait": 5}}
