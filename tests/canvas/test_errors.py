"""What is wrong with a canvas is said where it is made or sent, and then nothing of it is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from brokers.flows import leftovers
from support.apps import MakeApp, is_empty

from aioqueue import AioQueue, chain, chord, chunks, group, signature
from aioqueue.exceptions import (
    AioQueueError,
    ConfigurationError,
    PayloadError,
    PayloadTooLarge,
    QueueFull,
    UpstreamFailed,
)

from .stage import Stage


async def nothing_was_sent(stage: Stage) -> None:
    """No part of a workflow is left, and none of it runs or has run."""
    assert await leftovers(await stage.app.broker()) == []
    assert await is_empty(stage.app)
    assert await stage.same.call("after it", timeout=10) == "after it"
    assert stage.heard == []


MADE: dict[str, tuple[Callable[[Stage], Any], str]] = {
    "a task in a chain": (lambda s: chain(s.same, s.same.s()), r"not of <Task same.*Use task\.s\(\.\.\.\)\. Nothing"),
    "a task in a group": (lambda s: group([s.same]), r"Use task\.s"),
    "a task in a header": (lambda s: chord([s.same], s.tsum.s()), r"Use task\.s"),
    "a task as a header": (lambda s: chord(s.same, s.tsum.s()), r"Use task\.s"),
    "a task as a body": (lambda s: chord([s.same.s()], s.tsum), r"Use task\.s"),
    "a task as a body given later": (lambda s: chord([s.same.s()])(s.tsum), r"Use task\.s"),
    "a task as a link": (lambda s: s.same.s().link(s.echo), r"Use task\.s"),
    "a task as a handler": (lambda s: s.same.s().on_error(s.told), r"Use task\.s"),
    "a task after a pipe": (lambda s: s.same.s() | s.same, r"Use task\.s"),
    "the task's own function": (lambda s: chain(s.same.function), "not of <function"),
    "text": (lambda s: chain("same"), "not of 's'|not of 'same'"),
    "a number": (lambda s: group(5), r"not of 5\. Nothing was sent"),
    "None alone": (lambda s: group(None), "not of None"),
    "None among others": (lambda s: group(s.same.s(), None), "not of None"),
    "data": (lambda s: chain({"task": "same"}), r"not of \{'task': 'same'\}"),
    "a list in a list": (lambda s: group([[s.same.s()]]), r"not of \[same\(\)\]"),
    "a number as a body": (lambda s: chord([s.same.s()], 5), "not of 5"),
    "a number after a pipe": (lambda s: group(s.same.s()) | 5, "not of 5"),
    "a chord without a body in a pipe": (lambda s: chord([s.same.s()]) | s.same.s(), "no body yet"),
    "an option that is none": (lambda s: chain(s.same.s(), prioriti=3), "no option 'prioriti'.*'priority'"),
    "an option of a composition": (lambda s: group(s.same.s()).set(countdown="soon"), "countdown is a number"),
    "an option of a link": (lambda s: chain(s.same.s(), link="echo"), "not of 'e'|not of 'echo'"),
    "two times": (lambda s: chain(s.same.s()).set(countdown=1, eta=2), "eta is a datetime"),
    "chunks of nothing": (
        lambda s: chunks(s.add, [(1, 2)], 0),
        r"how many calls go into one message, at least 1, not 0",
    ),
    "map of a number": (lambda s: s.same.map(5), r"same.map takes a list, as in \[1, 2\], not 5\."),
    "starmap of a number": (lambda s: s.add.starmap(5), r"add.starmap takes a list .*\[\(1, 2\), \(3, 4\)\], not 5\."),
    "starmap of numbers": (lambda s: s.add.starmap([(1, 2), 1]), r"item 1 is 1\. For one argument write \(1,\)\."),
    "chunks of a number": (lambda s: s.add.chunks(5, 1), r"add.chunks takes a list .* not 5\."),
    "chunks of numbers": (lambda s: s.add.chunks([1], 1), r"add.chunks takes a list .*: item 0 is 1\."),
    "a size in words": (
        lambda s: s.add.chunks([(1, 2)], "1"),
        "how many calls go into one message, at least 1, not '1'",
    ),
    "an immutable chain": (lambda s: chain(s.same.s()).set(immutable=True), r"not a chain: give task\.si\(\.\.\.\)"),
    "a number as a link": (lambda s: s.same.s().set(link=5), "not of 5"),
}


@pytest.mark.parametrize("name", MADE)
async def test_what_cannot_be_part_of_a_canvas(actors: Stage, name: str) -> None:
    make, message = MADE[name]
    with pytest.raises(ConfigurationError, match=message):
        make(actors)


async def test_items_are_not_read_before_they_are_sent(actors: Stage) -> None:
    """What a generator raises is its own."""
    read: list[int] = []

    def numbers() -> Any:
        read.append(1)
        yield (1, 2)
        raise TypeError("of the generator")

    canvas = actors.add.chunks(numbers(), 1)
    assert read == []
    with pytest.raises(TypeError, match="of the generator"):
        await canvas.send()
    assert repr(actors.add.chunks([iter((1, 2))], 1).group().tasks) == "[add.starmap([(1, 2)])]"


SENT: dict[str, tuple[Callable[[Stage], Any], type[AioQueueError], str]] = {
    "an empty chain": (lambda s: chain(app_of(s)), ConfigurationError, r"An empty chain has nothing to do"),
    "an empty chain in a group": (lambda s: group(s.same.s(), chain()), ConfigurationError, "An empty chain"),
    "an empty chain in a chain": (lambda s: chain(s.same.s(), chain().set(priority=1)), ConfigurationError, "An empty"),
    "an empty chain as a body": (lambda s: chord([s.same.s()], chain()), ConfigurationError, "An empty chain"),
    "an empty chain as a link": (lambda s: linked(s.same.s(), chain()), ConfigurationError, "An empty chain"),
    "a chord without a body": (lambda s: chord([s.same.s()]), ConfigurationError, r"chord\(header, body\)"),
    "an argument too many": (lambda s: chain(s.same.s(), s.same.s(2)), PayloadError, "doesn't fit same.*too many"),
    "an argument too few": (lambda s: chain(s.add.s(1), s.same.s()), PayloadError, "doesn't fit add.*'y'"),
    "too few, and no result to take": (lambda s: chain(s.same.s(), unchecked(s)), PayloadError, "doesn't fit add"),
    "a keyword": (lambda s: group(s.same.s(), s.same.s(z=1)), PayloadError, "doesn't fit same.*'z'"),
    "a body that takes nothing": (lambda s: chord([s.same.s()], s.same.s(1)), PayloadError, "doesn't fit same"),
    "a link": (lambda s: linked(s.same.s(), s.same.s(1)), PayloadError, "doesn't fit same"),
    "a handler": (lambda s: s.same.s().on_error(s.failing_handler.s(1)), PayloadError, "doesn't fit failing_handler"),
    "a call of a starmap": (lambda s: s.mul.starmap([(1, 2), (1, 2, 3)]), PayloadError, "doesn't fit mul"),
    "a call of a chunk": (lambda s: s.add.chunks([(1, 2), (1,)], 1), PayloadError, "doesn't fit add"),
    "numbers in chunks": (lambda s: s.add.chunks(iter([(1, 2), 1]), 1), ConfigurationError, "item 1 is 1"),
    "a map from elsewhere": (
        lambda s: signature({"task": "same", "args": [5], "spread": "map"}, app=s.app),
        ConfigurationError,
        r"same.map takes a list, .* not 5\.",
    ),
    "what cannot be sent": (lambda s: group(s.same.s(), s.same.s(threading.Lock())), PayloadError, "'x' of same is a"),
    "stamps that cannot be sent": (
        lambda s: chain(s.same.s(), s.same.s()).stamp(a=object()),
        PayloadError,
        "stamp 'a'",
    ),
    "a name of a queue": (
        lambda s: chain(s.same.s(), s.same.s().set(queue="a b")),
        ConfigurationError,
        "option queue is",
    ),
    "an argument too large": (lambda s: chain(s.same.s(), s.add.s("x" * 2000)), PayloadTooLarge, "max_payload_size"),
    "many calls in one message": (lambda s: s.same.map(["x" * 100] * 20), PayloadTooLarge, "max_payload_size"),
    "two tasks of one id": (lambda s: group(named(s, "a"), named(s, "a")), ConfigurationError, "'a' is given to two"),
    "far apart": (lambda s: chain(named(s, "a"), group(s.same.s(), named(s, "a"))), ConfigurationError, "'a' is given"),
    "a task and its group": (
        lambda s: group(named(s, "a")).set(task_id="a"),
        ConfigurationError,
        "'a' is given to two",
    ),
}


def app_of(stage: Stage) -> list[Any]:
    """No tasks; the app is the only one there is."""
    return []


def linked(canvas: Any, link: Any) -> Any:
    canvas.link(link)
    return canvas


def named(stage: Stage, id: str) -> Any:
    return stage.echo.si(1).set(task_id=id)


def unchecked(stage: Stage) -> Any:
    """What `si` would refuse at once."""
    return signature("add", (1,), immutable=True, app=stage.app)


@pytest.mark.parametrize("name", SENT)
async def test_what_cannot_be_sent(make_stage: Any, name: str) -> None:
    stage: Stage = make_stage(max_payload_size=1000)
    make, kind, message = SENT[name]
    async with stage.working():
        with pytest.raises(kind, match=message) as caught:
            await make(stage).send()
        assert "othing was sent" in str(caught.value)
        await nothing_was_sent(stage)


@pytest.mark.parametrize("name", SENT)
async def test_it_is_found_behind_a_thousand_others(make_stage: Any, name: str) -> None:
    """Some of it has been stored by then, in parts, and is dropped."""
    stage: Stage = make_stage(max_payload_size=1000)
    make, kind, message = SENT[name]
    async with stage.working():
        with pytest.raises(kind, match=message):
            await group(*(stage.echo.si(n) for n in range(1000)), make(stage)).send()
        await nothing_was_sent(stage)


async def test_arguments_given_at_send_that_do_not_fit(stage: Stage) -> None:
    canvas = chain(stage.add.s(1), stage.echo.s())
    with pytest.raises(ConfigurationError, match="item 0 is 1"):
        await stage.add.starmap().send([1])
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"w": 1})):
        with pytest.raises(PayloadError, match=r"doesn't fit add.*nothing was sent"):
            await canvas.send(*args, **kwargs)
    await nothing_was_sent(stage)
    assert await canvas.call(1, timeout=10) == 2, "it can be sent all the same"


async def test_an_immutable_call_is_checked_where_it_is_made(actors: Stage) -> None:
    with pytest.raises(PayloadError, match=r"doesn't fit add.*'y'"):
        actors.add.si(1)


async def test_a_signature_becomes_immutable(stage: Stage) -> None:
    canvas = chain(stage.same.s(1), stage.add.s(2, 3).set(immutable=True, priority=3))
    assert canvas[1].options == {"priority": 3}
    async with stage.working():
        assert await canvas.call(timeout=10) == 5
    assert not stage.add.si(2, 3).set(immutable=False).immutable
    assert stage.add.si(2, 3).set(queue="q").clone(immutable=None).immutable


async def test_a_group_within_a_group_has_an_id_and_its_members_theirs(stage: Stage) -> None:
    """The id is that of the inner group, and not of each of its members."""
    result = await group(group(stage.ids.si(), stage.ids.si()).set(task_id="inner"), stage.ids.si()).send()
    ids = [one[0] for one in await result.get(timeout=10)]
    assert [one.id for one in result.results] == ids
    assert len(set(ids)) == 3


async def test_a_task_of_another_app(stage: Stage, make_app: MakeApp) -> None:
    """It would be queued where nobody knows it."""
    other = make_app("elsewhere")

    @other.task(name="far")
    async def far(x: Any = None) -> None: ...

    @other.task(name="same")
    async def same(x: Any = None) -> None: ...

    for canvas in (
        chain(stage.echo.s(1), far.s()),
        group(stage.echo.s(1), chain(stage.echo.s(2), far.s())),
        chord([far.s()], stage.echo.s()),
        stage.echo.signature((1,), link=far.s()),
        chain(stage.echo.s(1)).on_error(far.s()),
    ):
        with pytest.raises(ConfigurationError, match=r"far is a task of .*'elsewhere'.*'tests'.*Nothing was sent"):
            await canvas.send()
    for others in ([], [group(stage.echo.s(3))], [stage.echo.s(4), far.map([1])]):
        with pytest.raises(ConfigurationError, match=r"far is a task of .*'elsewhere'.*'tests'.*Nothing was sent"):
            await stage.app.send_many([stage.echo.s(1), *others, far.s()])
    await nothing_was_sent(stage)
    assert [await one.get(timeout=10) for one in await stage.app.send_many([same.s(3)])] == [3]
    assert await chain(stage.add.s(1, 2), same.s()).call(timeout=10) == 3, "one of the same name is there"


async def test_a_task_that_another_app_has_for_the_same_workers(stage: Stage, make_app: MakeApp) -> None:
    """A program that only sends may describe its tasks on an app of its own."""
    stub = make_app()

    @stub.task(name="late")
    async def late(x: int) -> int:
        raise AssertionError

    @stage.app.task(name="late")
    async def here(x: int) -> int:
        return x + 1

    assert await chain(stage.same.s(1), late.s()).call(timeout=10) == 2
    del stage.app.tasks["late"]
    result = await chain(stage.same.s(1), late.s()).send()
    assert isinstance(await stage.outcome(result), AioQueueError)


async def test_names_alone_and_several_apps(make_app: MakeApp) -> None:
    apps = make_app("one"), make_app("two")
    with pytest.raises(ConfigurationError, match=r"Which app is meant\? There are 2 in this process: (one|two), "):
        await chain(signature("a"), signature("b")).send()
    async with apps[0]:
        assert (await chain(signature("a"), signature("b", app=apps[0])).send()).id


async def test_a_name_that_nobody_knows_is_sent(stage: Stage) -> None:
    """Another program may know it. If none does, it ends among the dead letters, and all after it with it."""
    result = await chain(stage.same.s(1), signature("nowhere"), stage.echo.s()).send()
    error = await stage.outcome(result)
    assert isinstance(error, UpstreamFailed)
    assert type(error.__cause__).__name__ == "NotRegistered"
    assert stage.heard == []


@pytest.mark.parametrize("many", [11, 1500])
async def test_more_first_tasks_than_a_queue_takes(make_stage: Any, many: int) -> None:
    """All of them or none: a part of a workflow is of no use."""
    stage: Stage = make_stage(queue_max_length=10, queue_full="raise")
    async with stage.app:
        with pytest.raises(QueueFull, match="othing was sent"):
            await chord([stage.echo.si(n) for n in range(many)], stage.echo.si("body")).send()
        assert await leftovers(await stage.app.broker()) == []
        result = await chain(stage.same.si(0), group(stage.echo.si(n) for n in range(50))).send()
        async with stage.working():
            await result.get(timeout=10)
    assert sorted(stage.heard) == list(range(50)), "what follows is never refused"


async def test_a_generator_is_read_once(stage: Stage) -> None:
    canvas = group(stage.same.s(n) for n in range(3))
    assert await canvas.call(timeout=10) == [0, 1, 2]
    with pytest.raises(ConfigurationError, match=r"generator, which has been read: give a list.*Nothing was sent"):
        await canvas.send()
    assert await leftovers(await stage.app.broker()) != ["delayed"]


async def test_the_errors_of_a_generator_are_its_own(stage: Stage) -> None:
    """Also those that it ends with as it is asked for its first."""

    def members() -> Any:
        yield from [][0]

    with pytest.raises(IndexError):
        await group(members()).send()
    with pytest.raises(IndexError):
        await chord(members(), stage.echo.s()).send()
    await nothing_was_sent(stage)


async def test_a_connection_that_is_not_there() -> None:
    app = AioQueue("tests", broker="redis://127.0.0.1:1", send_timeout=0.2)
    with pytest.raises(AioQueueError, match=r"127\.0\.0\.1:1"):
        await group(signature("a", app=app) for _ in range(2000)).send()
