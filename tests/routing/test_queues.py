"""What is said of queues: `Queue`, and the setting `task_queues`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aioqueue import AioQueue, Queue
from aioqueue.exceptions import ConfigurationError


def test_what_is_not_said_is_none() -> None:
    queue = Queue("email")
    assert (queue.name, queue.topics, repr(queue)) == ("email", (), "Queue('email')")
    said = (queue.topic, queue.max_length, queue.full, queue.weight, queue.priorities, queue.visibility_timeout)
    assert {*said, queue.max_deliveries, queue.concurrency, queue.rate_limit} == {None}


def test_values_are_read() -> None:
    queue = Queue("a", topic=["x.*", "#"], priorities=True, visibility_timeout=timedelta(minutes=2), full="wait")
    assert (queue.topic, queue.topics, queue.priorities, queue.visibility_timeout) == (("x.*", "#"),) * 2 + (10, 120.0)
    assert (Queue("b", priorities=False).priorities, Queue("b", topic="a.#").topics) == (1, ("a.#",))
    assert Queue("c", max_length=3) == Queue("c", max_length=3) != Queue("c")
    assert repr(Queue("c", max_length=3, weight=2)) == "Queue('c', max_length=3, weight=2)"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "two words", "The name of a Queue is a name"),
        ("name", "", "The name of a Queue is a name"),
        ("name", 5, "The name of a Queue is a name"),
        ("topic", 5, "is a topic such as"),
        ("topic", [], "is a topic such as"),
        ("topic", "a..b", "'' is no word"),
        ("topic", "a.b*", r"'b\*' is no word"),
        ("topic", ["a", "b c"], "'b c' is no word"),
        ("max_length", 0, "from 1 on"),
        ("max_length", 1.5, "from 1 on"),
        ("full", "drop", "'raise' or 'wait'"),
        ("full", "wit", "Did you mean 'wait'"),
        ("weight", 0, "from 1 to 1,000"),
        ("weight", True, "from 1 to 1,000"),
        ("priorities", 0, "from 1 to 10"),
        ("priorities", 11, "from 1 to 10"),
        ("visibility_timeout", 0.5, "seconds from 1 on"),
        ("visibility_timeout", "soon", "seconds from 1 on"),
        ("max_deliveries", 0, "from 1 on"),
        ("concurrency", 0, "from 1 on"),
        ("rate_limit", "10/m", "not in this version"),
    ],
)
def test_wrong_values(field: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Queue(**{"name": "email", field: value})
    assert field in str(caught.value)


def test_the_setting_takes_queues_names_and_dicts() -> None:
    app = AioQueue("shop", task_queues=[Queue("a", weight=2), "b", {"name": "c", "topic": "c.#"}])
    wanted = [Queue("a", weight=2), Queue("b"), Queue("c", topic="c.#")]
    assert app.conf.task_queues == wanted
    app.conf.task_queues = ("a", "b")  # type: ignore[assignment]
    assert app.conf.task_queues == [Queue("a"), Queue("b")]
    app.conf.task_queues.append("c")  # type: ignore[arg-type]
    app.conf.check()
    assert app.conf.task_queues == [Queue("a"), Queue("b"), Queue("c")]


async def test_the_list_stays_one_of_queues_while_the_app_is_open() -> None:
    app = AioQueue("shop", broker="memory://", task_queues=["a"])
    queues: Any = app.conf.task_queues
    async with app:
        queues.append("x")
        queues += [{"name": "y"}]
        queues.insert(0, "first")
        queues[1] = "b"
        assert app.conf.task_queues == [Queue("first"), Queue("b"), Queue("x"), Queue("y")]
        await app.send_task("work", queue="x")
        for put in (lambda: queues.append(5), lambda: queues.extend(["z", "x"]), lambda: queues.insert(0, "b c")):
            with pytest.raises(ConfigurationError, match=r"Queue|has the queue 'x' twice"):
                put()
    assert [queue.name for queue in app.conf.task_queues] == ["first", "b", "x", "y"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"topics": "x"}, r"Queue\('a', topics=...\): a Queue has no 'topics'\. Did you mean topic=\?"),
        ({"routing_key": "x"}, r"a Queue has no 'routing_key'\. Did you mean topic=\?"),
        ({"max_lenght": 5}, "Did you mean 'max_length'"),
        ({"durable": True}, r"a Queue has no 'durable'\. It takes a name, and topic=, "),
    ],
)
def test_words_that_it_has_not(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Queue("a", **given)


def test_what_is_given_without_its_word() -> None:
    for make in (lambda: Queue("a", "x"), lambda: Queue()):  # type: ignore[call-arg,misc]
        with pytest.raises(ConfigurationError, match="takes a name, and all else by its word"):
            make()


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOQUEUE_TASK_QUEUES", "high, low")
    assert AioQueue("shop").conf.task_queues == [Queue("high"), Queue("low")]
    monkeypatch.setenv("AIOQUEUE_TASK_QUEUES", '["a", {"name": "b", "max_length": 5}]')
    monkeypatch.setenv("AIOQUEUE_TASK_CREATE_MISSING_QUEUES", "false")
    conf = AioQueue("shop").conf
    assert (conf.task_queues, conf.task_create_missing_queues) == ([Queue("a"), Queue("b", max_length=5)], False)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": 1}, "is a list of queues"),
        (5, "is a list of queues"),
        ([5], "task_queues.* has 5: each is an aioqueue.Queue"),
        ([{"topic": "a"}], "or a dict with 'name'"),
        ([{"name": "a", "max_lenght": 5}], "Did you mean 'max_length'"),
        (["a", Queue("a", weight=1)], "has the queue 'a' twice"),
        (["two words"], "name of a Queue"),
    ],
)
def test_wrong_queues(value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AioQueue("shop", task_queues=value)
    app = AioQueue("shop", task_queues=["kept"])
    with pytest.raises(ConfigurationError, match=message):
        app.conf.task_queues = value
    assert app.conf.task_queues == [Queue("kept")]
