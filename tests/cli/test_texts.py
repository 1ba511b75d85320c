"""Words, spans and logs, without processes."""

from __future__ import annotations

import io
import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioqueue import AioQueue
from aioqueue.cli import terminal
from aioqueue.cli.finding import looks_like_app
from aioqueue.cli.logs import JsonFormatter, TextFormatter
from aioqueue.cli.times import moment_text, parse_moment, parse_span, parse_span_or_moment, span_text
from aioqueue.cli.values import check_types, parse, split


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), (".5", 0.5), ("250ms", 0.25), ("5m", 300), ("5 min", 300), ("2h", 7200), ("1D", 86400)],
)
def test_spans(text: str, seconds: float) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1e9", "5 weeks", "1h30m", "nan", "inf"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_span(text)


def test_moments() -> None:
    assert parse_moment("2026-12-31T18:00:00+01:00") == datetime(2026, 12, 31, 17, tzinfo=UTC)
    assert parse_moment("2026-12-31 18:00") == datetime(2026, 12, 31, 18, tzinfo=UTC)
    assert parse_span_or_moment("2026-12-31") == datetime(2026, 12, 31, tzinfo=UTC)
    assert parse_span_or_moment("2h") == 7200
    with pytest.raises(click.BadParameter):
        parse_moment("31.12.2026")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (0.9996, "1.0 s"),
        (3.44, "3.4 s"),
        (59.96, "1 min"),
        (300, "5 min"),
        (3599, "1 h"),
        (7800, "2 h 10 min"),
        (86_399, "1 d"),
        (86_400, "1 d"),
        (100_000, "1 d 3 h"),
        (None, ""),
        (-1, "0 ms"),
    ],
)
def test_spans_for_people(seconds: float | None, text: str) -> None:
    assert span_text(seconds) == text


def test_moments_for_people() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert moment_text(now - timedelta(minutes=5), since=now).endswith("(5 min ago)")
    assert moment_text(now + timedelta(seconds=2), since=now).endswith("(in 2.0 s)")
    assert moment_text(None) == ""


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1", 1),
        ("1.0", 1.0),
        ("true", True),
        ("null", None),
        ('"1"', "1"),
        ("[1]", [1]),
        ("x", "x"),
        ("", ""),
        ("NaN", "NaN"),
    ],
)
def test_words(word: str, value: Any) -> None:
    assert parse(word) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_words_come_back(value: Any) -> None:
    assert parse(json.dumps(value)) == value
    assert json.loads(terminal.as_json(value)) == value or not _is_small(value)


def _is_small(value: Any) -> bool:
    """Whether msgspec encodes all of its numbers (those of 64 bits)."""
    return all(abs(int(number)) < 2**63 for number in _numbers(value))


def _numbers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {(1, 2): {3}},
        [float("nan")],
        b"\xff",
        {1: 2},
        2**200,
        "\ud800",
        {"\ud800": 1},
        "\udcff\ud800",
        datetime.now(UTC),
        ValueError("x"),
    ],
)
def test_anything_can_be_shown(value: Any) -> None:
    json.loads(terminal.as_json(value))
    terminal.shown(value)


def test_words_for_a_task() -> None:
    app = AioQueue("words")

    @app.task
    async def mail(to: str, count: int, *rest: str, cc: str = "", tag: int = 0) -> None: ...

    @app.task
    async def either(x: str | None, y: int = 0) -> None: ...

    @app.task
    async def free(x: int, /, y: "str" = "", **more: str) -> None: ...  # noqa: UP037

    assert split(["17", "5", "1", "cc=2", "tag=3", "bcc=4"], mail) == (["17", 5, "1", "bcc=4"], {"cc": "2", "tag": 3})
    assert split(["a=b", "y=1"], either) == (["a=b"], {"y": 1})
    with pytest.raises(click.UsageError, match="no parameter 'z'"):
        split(["a", "z=1"], either)
    assert split(["1", "y=2", "z=3"], free) == ([1], {"y": "2", "z": "3"})
    assert split(["1", "x=2", "a b=c"], None) == ([1, "a b=c"], {"x": 2})


@pytest.mark.parametrize(
    ("word", "is_app"),
    [
        ("a:b", True),
        ("a.b:c.d", True),
        ("a", False),
        ("a:", False),
        (":a", False),
        ("order:17", False),
        ("a/b:c", False),
    ],
)
def test_which_words_name_apps(word: str, is_app: bool) -> None:
    assert looks_like_app(word) is is_app


def record(message: str, *arguments: Any, name: str = "aioqueue", **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, __file__, 1, message, arguments, None)
    vars(made).update(extra)
    return made


def test_log_lines() -> None:
    form = TextFormatter(io.StringIO())
    assert form.format(record("%d tasks", 3)).endswith(" WARNING  3 tasks")
    assert form.format(record("x", name="shop.orders")).endswith(" WARNING  [shop.orders] x")


def test_json_log_lines() -> None:
    try:
        raise ValueError("oh")
    except ValueError:
        failed = record("it\nfailed", task_id="17", thing=object())
        failed.exc_info = sys.exc_info()
    line = JsonFormatter().format(failed)
    assert "\n" not in line
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"], entry["task_id"]) == (
        "warning",
        "aioqueue",
        "it\nfailed",
        "17",
    )
    assert "ValueError: oh" in entry["exception"]
    assert entry["thing"].startswith("<object")


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table(["name", "count", "text"], [["a", "1", "x"], [terminal.bold("long"), "100", "y" * 500]], right=(1,))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "name  count  text"
    assert lines[1] == "a         1  x"
    assert lines[2].startswith("long    100  yyy")
    assert lines[2].endswith("…")
    assert len(lines[2]) <= 200


def test_words_that_are_not_what_the_task_takes() -> None:
    app = AioQueue("words")

    @app.task
    async def take(
        n: int, x: float = 0.0, name: str | None = None, many: list[int] | None = None, path: Path = Path(), *rest: int
    ) -> None: ...

    def refused(*words: str) -> str | None:
        args, kwargs = split(words, take)
        try:
            check_types(take, args, kwargs, undone="nothing was sent")
        except click.UsageError as error:
            return error.message.partition(" of ")[0]
        return None

    assert split(["1", "2", "17", "null"], take) == ([1, 2, "17", None], {})
    for good in (
        ["1"],
        ["1", "2"],
        ["1", "2.5", "null"],
        ["1", "many=[1]"],
        ["1", "path=a"],
        ["1", "2", "3", "[]", "p", "6"],
    ):
        assert refused(*good) is None
    assert refused("x") == refused("1.5") == refused("true") == "argument 'n'"
    assert refused("1", "fast") == "argument 'x'"
    assert refused("1", 'many=["1"]') == "argument 'many'"
    assert refused("1", "2", "3", "[]", "p", "six") == "argument 'rest'"
