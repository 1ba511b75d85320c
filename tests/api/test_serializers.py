"""Serializers that a program brings, compression, and what an app accepts."""

from __future__ import annotations

import gzip
import json
import lzma
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.apps import MakeApp, ended, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, TaskContext, TaskEvent, TaskFailure, register_serializer
from aioqueue.exceptions import ConfigurationError, PayloadError
from aioqueue.message import decode_message
from aioqueue.payload import codec, compression, serializers

LONG = "a text that repeats itself. " * 200
seen: list[Any] = []


def _gzip_json(value: Any) -> bytes:
    seen.append(value)
    return gzip.compress(json.dumps(value).encode())


def _from_gzip_json(data: bytes) -> Any:
    return json.loads(gzip.decompress(data))


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`gzip-json` is known, and nothing else that a test registers stays so."""
    monkeypatch.setattr(serializers, "_known", dict(serializers._known))
    register_serializer("gzip-json", _gzip_json, _from_gzip_json)
    seen.clear()
    yield


@dataclass
class Item:
    name: str
    price: Decimal


async def content_of(app: AioQueue, signature: Any) -> str:
    """How a call is written."""
    found: list[str] = []
    app.observers.append(lambda *given: found.append(decode_message(given[-1].data).content))
    result = await signature.send()
    app.observers.pop()
    await result.forget()
    return found[0]


# Registered ones


@pytest.mark.parametrize("where", ["app", "task", "call"])
async def test_a_serializer_of_ones_own(make_app: MakeApp, where: str) -> None:
    app = make_app(
        accept_content=["msgpack", "gzip-json"], **({"task_serializer": "gzip-json"} if where == "app" else {})
    )
    options: dict[str, Any] = {"serializer": "gzip-json"}

    @app.task(name="echo", **(options if where == "task" else {}))
    async def echo(item: Item, when: Any, *, data: Any = None) -> tuple[Item, Any, Any]:
        assert isinstance(item, Item)
        return item, when, data

    called = echo.options(**options) if where == "call" else echo
    item = Item("tea", Decimal("4.50"))
    async with working(app):
        result = await called.send(item, date(2026, 5, 1), data={1: b"raw", "n": (1, 2)})
        assert await result.get(timeout=PATIENCE) == (item, date(2026, 5, 1), {1: b"raw", "n": (1, 2)})
    # The arguments, and the result where that is in the serializer too: a call says nothing of it.
    assert len(seen) == (1 if where == "call" else 2)
    assert seen[0][0] == [{"name": "tea", "price": "$N4.50"}, "$D2026-05-01"]


async def test_it_is_given_plain_data_that_any_format_has(app: AioQueue) -> None:
    def check(value: Any) -> bytes:
        def look(one: Any) -> None:
            if isinstance(one, list):
                [look(item) for item in one]  # type: ignore[func-returns-value]
            elif isinstance(one, dict):
                assert all(type(key) is str for key in one)
                [look(item) for item in one.values()]  # type: ignore[func-returns-value]
            else:
                assert one is None or type(one) in (bool, int, float, str)

        look(value)
        return json.dumps(value).encode()

    register_serializer("strict", check, json.loads)
    plain = (1, None, 2.5, True, "$x", b"raw", {1, 2}, {(1, 2): [date(2026, 1, 1)]}, 2**80)
    values = (*plain, Item("a", Decimal(1)), {None: 1})
    data, content = codec.encode(values, serializer="strict", max_size=10_000)
    assert content == "strict+types"
    found = codec.decode(data, content, max_size=10_000, accept=["strict"])
    assert found == (*plain, {"name": "a", "price": Decimal(1)}, {None: 1})


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    return {key: _tuples(item) for key, item in value.items()} if isinstance(value, dict) else value


def test_one_that_reads_tuples_for_lists() -> None:
    """As msgpack's with `use_list=False`."""
    register_serializer("tuples", lambda value: json.dumps(value).encode(), lambda data: _tuples(json.loads(data)))
    for value in ([1, [2, {"a": [3]}]], (1, (2, {3})), [date(2026, 1, 1)], {(1, 2): [3]}):
        data, content = codec.encode(value, serializer="tuples", max_size=10_000)
        assert codec.decode(data, content, max_size=10_000, accept=["tuples"]) == value
    data, content = codec.encode_call((1, (2, 3)), {"x": {4}}, "tuples", None, 10_000)
    assert codec.decode_call(data, content, 10_000, ["tuples"]) == ((1, (2, 3)), {"x": {4}})


async def test_with_compression_and_in_a_canvas(make_app: MakeApp) -> None:
    app = make_app(task_serializer="gzip-json", task_compression="bz2")
    register_serializer("plain-json", lambda value: json.dumps(value).encode(), json.loads)

    @app.task
    async def double(text: str) -> str:
        return text * 2

    @app.task(serializer="plain-json")
    async def length(text: str, more: int) -> int:
        return len(text) + more

    async with working(app):
        assert await (double.s("x" * 2000) | length.s(1)).call(timeout=PATIENCE) == 4001
        assert await length.call("x" * 2000, 0, timeout=PATIENCE) == 2000
    assert await content_of(app, length.s("x" * 2000, 0)) == "plain-json+bz2"


async def test_the_same_call_is_the_same_whatever_its_bytes(make_app: MakeApp) -> None:
    count = iter(range(100))
    register_serializer(
        "counted", lambda value: json.dumps([next(count), value]).encode(), lambda data: json.loads(data)[1]
    )
    app = make_app(task_serializer="counted")

    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    async with app:
        first = await add.options(task_id="one").send(1, 2)
        assert (await add.options(task_id="one").send(1, y=2)).id == first.id == "one"


@pytest.mark.parametrize(
    ("encode", "decode", "problem"),
    [
        (lambda value: 1 / 0, json.loads, "cannot write it: ZeroDivisionError"),
        (json.dumps, json.loads, "gave a str in the place of bytes"),
    ],
)
async def test_one_that_cannot_write(app: AioQueue, encode: Any, decode: Any, problem: str) -> None:
    register_serializer("broken", encode, decode)

    @app.task(name="work", serializer="broken")
    async def work(x: int) -> None: ...

    async with app:
        with pytest.raises(PayloadError, match=f"(?s){problem}.*nothing was sent"):
            await work.send(1)


@pytest.mark.parametrize(
    "decode",
    [lambda data: 1 / 0, lambda data: [[], {1: 2}], lambda data: None, lambda data: json.loads("[" * 500 + "]" * 500)],
)
async def test_what_cannot_be_read_is_a_dead_letter(app: AioQueue, decode: Any) -> None:
    register_serializer("broken", lambda value: b"x" * 100, decode)

    @app.task(name="work", serializer="broken")
    async def work(x: int) -> None: ...

    async with working(app):
        info = await ended(await work.send(1))
        assert info.state == "FAILURE" and isinstance(info.exception, PayloadError)
        (dead,) = await app.dead_letters.list()
        assert dead.name == "work" and "payload" in dead.reason


@pytest.mark.parametrize("name", ["", "msgpack", "json", "a+b", "a b", "ü", "x" * 65, 3])
def test_names_that_none_can_have(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="name of a serializer is of letters"):
        register_serializer(name, _gzip_json, _from_gzip_json)


def test_functions_are_functions() -> None:
    with pytest.raises(ConfigurationError, match="decode of the serializer 'x' is a function"):
        register_serializer("x", _gzip_json, b"no")  # type: ignore[arg-type]


def test_unknown_ones_are_refused_where_they_are_named(app: AioQueue) -> None:
    for give in (
        lambda: setattr(app.conf, "task_serializer", "gzip-jsn"),
        lambda: app.task(name="work", serializer="gzip-jsn")(lambda: None),
        lambda: app.signature("work", serializer="gzip-jsn"),
        lambda: setattr(app.conf, "accept_content", ["gzip-jsn"]),
    ):
        with pytest.raises(ConfigurationError, match="gzip-jsn"):
            give()
    with pytest.raises(ConfigurationError, match=r"Did you mean 'gzip-json'\? .*register_serializer"):
        app.signature("work", serializer="gzip-jsn")
    with pytest.raises(ConfigurationError, match=r"accept_content.*list of names of serializers"):
        app.conf.accept_content = []


# What is accepted


@pytest.mark.parametrize(
    ("accept", "serializer"), [(["json"], "msgpack"), (["msgpack"], "json"), (["json"], "gzip-json")]
)
async def test_what_is_not_accepted_is_a_dead_letter(make_app: MakeApp, accept: list[str], serializer: str) -> None:
    app = make_app(accept_content=accept, task_serializer=accept[0])

    @app.task(name="work")
    async def work(x: int) -> int:
        return x

    async with working(app):
        info = await ended(await work.options(serializer=serializer).send(1))
        (dead,) = await app.dead_letters.list()
        assert info.state == "FAILURE" and isinstance(info.exception, PayloadError)
        assert f"accept_content={accept}" in dead.reason and f"tagged '{serializer}'" in dead.reason
        assert dead.args == () and dead.name == "work", "what is not accepted is not read to be shown either"
        app.conf.accept_content = [*accept, serializer]
        assert await app.dead_letters.requeue(dead.id)
        assert (await ended(app.result(dead.id))).result == 1


async def test_a_call_s_own_serializer_is_not_accepted_by_itself(app: AioQueue) -> None:
    @app.task(name="work")
    async def work() -> None: ...

    async with working(app):
        await ended(await work.options(serializer="gzip-json").send())
        (dead,) = await app.dead_letters.list()
    assert "accept_content=['msgpack', 'json'] has no 'gzip-json'" in dead.reason


async def test_the_default_said_in_so_many_words_is_all_that_counts(make_app: MakeApp) -> None:
    app = make_app(accept_content=["msgpack", "json"])

    @app.task(name="work")
    async def work(x: int) -> None: ...

    async with working(app):
        work.serializer = "gzip-json"  # what a task that is registered while the worker runs would say
        await ended(await work.send(1))
        (dead,) = await app.dead_letters.list()
        assert "accept_content=['msgpack', 'json'] has no 'gzip-json'" in dead.reason
        app.conf.accept_content = None
        assert await app.dead_letters.requeue(dead.id)
        assert (await ended(app.result(dead.id))).state == "SUCCESS"


async def test_who_hears_of_what_has_not_run_is_told_its_arguments(app: AioQueue) -> None:
    heard: list[Any] = []

    @app.task(name="work", serializer="gzip-json")
    async def work(x: int, y: int = 0) -> None: ...

    @app.on("task_revoked")
    async def hear(event: TaskEvent) -> None:
        heard.append((event.args, event.kwargs))

    async with app:
        result = await work.options(expires=0).send(5, y=6)
        async with app.worker():
            assert (await ended(result)).state == "REVOKED"
            await until(lambda: heard)
    assert heard == [((5,), {"y": 6})]


async def test_a_result_is_read_where_it_is_accepted(make_app: MakeApp) -> None:
    worker_app = make_app()
    worker_app.task(name="work", serializer="gzip-json")(lambda: [1, 2])
    if worker_app.conf.broker == "memory://":
        pytest.skip("two apps share no memory")
    waiting = make_app(accept_content=["json", "msgpack"])
    async with waiting, working(worker_app):
        result = await waiting.send_task("work")
        with pytest.raises(PayloadError, match="accept_content"):
            await result.get(timeout=PATIENCE)
        waiting.conf.update(accept_content=["gzip-json"], task_serializer="gzip-json")
        assert await result.get(timeout=PATIENCE) == [1, 2]


async def test_the_value_of_a_step_has_to_be_accepted_too(make_app: MakeApp) -> None:
    app = make_app()

    @app.task(serializer="json")
    async def first() -> int:
        return 1

    @app.task
    async def second(x: int) -> int:
        return x

    async with working(app):
        app.conf.accept_content = ["msgpack"]
        result = await (first.s().set(serializer="msgpack") | second.s()).send()
        assert "accept_content=['msgpack']" in str((await ended(result)).exception)


async def test_an_app_reads_what_it_sends(make_app: MakeApp) -> None:
    wrong = r"task_serializer='msgpack', and accept_content=\['json'\] has no 'msgpack'.*Set task_serializer='json', or"
    with pytest.raises(ConfigurationError, match=wrong):
        AioQueue("shop", accept_content=["json"])
    app = make_app(accept_content=["json"], task_serializer="json")
    for change in (
        lambda: app.conf.update(task_serializer="msgpack"),
        lambda: setattr(app.conf, "accept_content", ["msgpack"]),
    ):
        with pytest.raises(ConfigurationError, match="what is sent would not be read"):
            change()
    assert (app.conf.task_serializer, app.conf.accept_content) == ("json", ["json"])
    app.conf.accept_content[:] = ["msgpack"]
    with pytest.raises(ConfigurationError, match="has no 'json'"):
        await app.open()


@pytest.mark.parametrize(
    ("accept", "serializer", "message"),
    [
        (["msgpack"], "json", r"serializer='json' of the task work, and accept_content=\['msgpack'\] has no 'json'"),
        (None, "pickle", r"serializer='pickle' needs accept_content.*the task work"),
        (["msgpack"], "pickle", r"serializer='pickle' needs accept_content.*the task work"),
    ],
)
async def test_a_worker_reads_what_its_tasks_are_sent_in(
    make_app: MakeApp, accept: Any, serializer: str, message: str
) -> None:
    app = make_app(accept_content=accept)
    app.task(name="work", serializer=serializer)(lambda: None)
    async with app:
        with pytest.raises(ConfigurationError, match=rf"{message}.* The worker was not started\."):
            await app.worker().run(install_signals=False)


# Pickle


class Secret:
    """What no other serializer sends."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.word == self.word

    __hash__ = None  # type: ignore[assignment]


async def test_pickle_is_refused_where_it_is_not_asked_for(app: AioQueue) -> None:
    @app.task(name="work", serializer="pickle")
    async def work(x: int) -> None: ...

    async with app:
        with pytest.raises(ConfigurationError, match=r"needs accept_content=.*can run code.* Nothing was sent"):
            await work.send(1)
        with pytest.raises(ConfigurationError, match="Nothing was sent"):
            await app.send_task("other", serializer="pickle")
    with pytest.raises(ConfigurationError, match="needs accept_content"):
        app.conf.task_serializer = "pickle"
    app.conf.update(task_serializer="pickle", accept_content=["pickle"])


async def test_a_forged_pickle_does_not_run(app: AioQueue, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "pwned"), "w"))

    @app.task(name="work", serializer="gzip-json")
    async def work(x: Any) -> None: ...

    async with app:
        app.conf.accept_content = ["msgpack", "pickle"]
        result = await work.options(serializer="pickle").send(Evil())
        app.conf.accept_content = None
        async with working(app):
            info = await ended(result)
            (dead,) = await app.dead_letters.list()
    assert "can run code, so it was refused unread" in str(info.exception) and dead.args == ()
    assert not (tmp_path / "pwned").exists()


async def test_no_result_is_pickled_where_it_is_not_asked_for(app: AioQueue) -> None:
    @app.task(name="work")
    async def work() -> dict[str, int]:
        work.serializer = "pickle"  # as one that is registered while the worker runs would be
        return {"a": 1}

    async with working(app):
        info = await ended(await work.send())
    assert isinstance(info.exception, PayloadError)
    assert "serializer='pickle' needs accept_content" in str(info.exception)


async def test_pickle_where_it_is_asked_for(make_app: MakeApp) -> None:
    app = make_app(task_serializer="pickle", accept_content=["msgpack", "pickle"], result_compression="zlib")

    @app.task
    async def echo(secret: Any, item: Item, *, more: Any = None) -> tuple[Any, Item, Any]:
        assert isinstance(item, Item)
        return secret, item, more

    @app.task(bind=True)
    def again(ctx: TaskContext, given: Any) -> Any:
        if ctx.retries == 0:
            raise ctx.retry(countdown=0)
        return given

    item = Item("tea", Decimal(1))
    async with working(app):
        given = await echo.call(Secret("a"), item, more={Secret}, timeout=PATIENCE)
        assert given == (Secret("a"), item, {Secret})
        chained = await (echo.s(Secret("b"), item) | again.s()).call(timeout=PATIENCE)
        assert chained == (Secret("b"), item, None)
        with pytest.raises(PayloadError, match=r"argument 'secret' of .* can't be sent.*nothing was sent"):
            await echo.send(lambda: 1, item)
    assert await content_of(app, echo.s(1, item)) == "pickle"


async def test_handlers_of_errors_are_given_what_arrived_in_another_serializer(make_app: MakeApp) -> None:
    app = make_app(task_serializer="json", accept_content=["json"])
    told: list[Any] = []

    @app.task(max_retries=0)
    async def fail(x: int, *, y: int) -> None:
        raise ValueError

    @app.task
    async def handle(failure: TaskFailure) -> None:
        told.append((failure.args, failure.kwargs))

    async with working(app):
        await fail.options(link_error=handle.s()).send(1, y=2)
        await until(lambda: told)
    assert told == [((1,), {"y": 2})]


async def test_handlers_of_errors_are_given_what_was_pickled(make_app: MakeApp) -> None:
    app = make_app(task_serializer="pickle", accept_content=["msgpack", "pickle"])
    told: list[Any] = []

    @app.task(max_retries=0)
    async def fail(secret: Any, *, more: Any = None, lock: bool = False) -> None:
        if lock:
            secret.word = threading.Lock()  # which cannot be pickled: what was sent is told
        raise ValueError

    @app.task
    async def echo(secret: Any) -> Any:
        return secret

    @app.task
    async def handle(failure: TaskFailure) -> None:
        told.append((failure.args, failure.kwargs))

    async with working(app):
        handled = handle.s()
        await fail.options(link_error=handled).send(Secret("a"), more=1)
        await until(lambda: len(told) == 1)
        await fail.options(link_error=handled).send(Secret("b"), lock=True)
        await until(lambda: len(told) == 2)
        await (echo.s(Secret("c")) | fail.s(more=2).set(link_error=handled)).send()
        await until(lambda: len(told) == 3)
    assert told == [
        ((Secret("a"),), {"more": 1}),
        ((Secret("b"),), {"lock": True}),
        ((Secret("c"),), {"more": 2}),
    ]


# Compression


@pytest.mark.parametrize("method", compression.COMPRESSIONS)
async def test_each_compression(make_app: MakeApp, method: str) -> None:
    if method == "zstd":
        pytest.importorskip("zstandard")
    app = make_app(task_compression=method)

    @app.task(name="echo")
    async def echo(text: str) -> str:
        return text

    async with working(app):
        assert await echo.call(LONG, timeout=PATIENCE) == LONG
    assert await content_of(app, echo.s(LONG)) == f"msgpack+{method}"
    assert await content_of(app, echo.s("short")) == "msgpack"


@pytest.mark.parametrize(
    ("of_result", "of_task", "of_app", "found"),
    [
        ("lzma", "bz2", "zlib", "+lzma"),
        (None, "bz2", "zlib", "+bz2"),
        (None, None, "zlib", "+zlib"),
        ("gzip", None, None, "+gzip"),
        (None, None, None, ""),
    ],
)
async def test_whose_word_counts_for_a_result(
    make_app: MakeApp, of_result: Any, of_task: Any, of_app: Any, found: str
) -> None:
    app = make_app(result_compression=of_result, task_compression=of_app)

    @app.task(name="echo", compression=of_task)
    async def echo() -> str:
        return LONG

    async with working(app):
        result = await echo.send()
        assert await result.get(timeout=PATIENCE) == LONG
        record = await result._record()
    assert record is not None and record.content == f"msgpack{found}"


@pytest.mark.parametrize("method", compression.COMPRESSIONS)
def test_compressed_bombs_are_not_built(method: str) -> None:
    if method == "zstd":
        pytest.importorskip("zstandard")
    data, content = codec.encode("\0" * 50_000_000, compression=method, max_size=100_000_000)
    assert len(data) < 1_000_000
    with pytest.raises(PayloadError, match="decompresses to more than max_payload_size"):
        codec.decode(data, content, max_size=1_000_000)


@pytest.mark.parametrize("method", compression.COMPRESSIONS)
def test_compressed_nonsense(method: str) -> None:
    if method == "zstd":
        pytest.importorskip("zstandard")
    data, content = codec.encode(LONG, compression=method, max_size=100_000)
    for broken in (
        data[:-5],
        data[: len(data) // 2],
        data + b"more",
        b"",
        b"x" * 50,
        data[:10] + b"\xff" * 10 + data[20:],
    ):
        with pytest.raises(PayloadError):
            codec.decode(broken, content, max_size=100_000)
    assert codec.decode(data, content, max_size=100_000) == LONG


@pytest.mark.parametrize("size", [5_000, 200_000], ids=["comes along", "is fetched"])
async def test_a_step_decompresses_no_more_than_an_argument_may_have(make_app: MakeApp, size: int) -> None:
    app = make_app(task_compression="zlib", max_payload_size=1_000_000)

    @app.task(queue="first")
    async def first() -> str:
        return LONG if size < 100_000 else "".join(random.Random(1).choices("abcdefgh", k=size))

    @app.task(name="second", queue="second")
    async def second(text: str) -> None: ...

    async with app:
        result = await (first.s() | second.s()).send()
        await app.worker(queues=["first"], burst=True).run(install_signals=False)
        app.conf.max_payload_size = 4_000 if size < 100_000 else 150_000
        async with app.worker(queues=["second"]):
            info = await ended(result)
        (dead,) = await app.dead_letters.list()
    assert info.state == "FAILURE" and dead.name == "second"
    assert "decompresses to more than max_payload_size" in dead.reason


def test_an_lzma_that_asks_for_much_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 512 * 1024 * 1024}]
    greedy = lzma.compress(b"\xa1x" * 2000, filters=filters)
    with pytest.raises(PayloadError, match="can't be decoded"):
        codec.decode(greedy, "msgpack+lzma", max_size=100_000)


def test_the_same_data_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [codec.encode(LONG, compression=method, max_size=100_000)[0] for method in ("zlib", "gzip", "bz2", "lzma")]
    monkeypatch.setattr("time.time", lambda: 1.0)
    assert first == [
        codec.encode(LONG, compression=method, max_size=100_000)[0] for method in ("zlib", "gzip", "bz2", "lzma")
    ]


async def test_a_compression_that_is_not_there_is_refused_where_it_is_said(
    app: AioQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task(name="work")
    async def work() -> None: ...

    monkeypatch.setattr(compression, "_zstd_module", lambda: None)
    needed = r"is 'zstd': zstd compression needs the package zstandard: pip install 'aioqueue\[zstd\]'\."
    for name in ("task_compression", "result_compression"):
        with pytest.raises(ConfigurationError, match=rf"The setting app.conf.{name} {needed}$"):
            setattr(app.conf, name, "zstd")
        with pytest.raises(ConfigurationError, match=needed):
            AioQueue("shop", **{name: "zstd"})
    with pytest.raises(ConfigurationError, match=f"The option compression of the task other {needed}"):
        app.task(name="other", compression="zstd")(lambda: None)
    with pytest.raises(ConfigurationError, match=f"The option compression {needed} Nothing was sent"):
        work.options(compression="zstd")


async def test_what_a_call_says_of_compression_counts_for_its_arguments(app: AioQueue) -> None:
    @app.task(name="echo")
    async def echo(text: str) -> str:
        return text

    async with working(app):
        result = await echo.options(compression="zlib").send(LONG)
        assert await result.get(timeout=PATIENCE) == LONG
        record = await result._record()
    assert record is not None and record.content == "msgpack"


def test_what_a_python_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(compression, "import_module", missing)
    with pytest.raises(ConfigurationError, match="compression='lzma' is not in this Python"):
        codec.encode(LONG, compression="lzma", max_size=100_000)
