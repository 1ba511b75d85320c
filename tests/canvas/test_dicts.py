"""Canvases as plain data: written as JSON in one place, read and sent in another."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from support.apps import is_empty

from aioqueue import chain, chord, group, signature
from aioqueue.canvas import Canvas
from aioqueue.exceptions import AioQueueError, ConfigurationError, PayloadError

from .stage import Expected, Stage


def over_json(canvas: Canvas[Any], stage: Stage) -> Canvas[Any]:
    """The same after a journey as text."""
    return stage.app.signature(json.loads(json.dumps(canvas.to_dict())))


CANVASES = {
    "task": lambda s: (s.add.s(1, 2), 3),
    "arguments by name": lambda s: (s.add.s(1, y=2), 3),
    "immutable": lambda s: (chain(s.same.s(1), s.add.si(2, 2)), 4),
    "chain": lambda s: (chain(s.add.s(1, 2), s.add.s(3)), 6),
    "pipe": lambda s: (s.add.s(1, 2) | s.mul.s(3), 9),
    "group": lambda s: (group(s.add.s(1, 2), s.same.s(5)), [3, 5]),
    "generator": lambda s: (group(s.same.s(n) for n in range(3)), [0, 1, 2]),
    "empty group": lambda s: (chain(s.same.s(1), group()), []),
    "chord": lambda s: (chord([s.same.s(1), s.same.s(2)], s.tsum.s()), 3),
    "chord with a chain for a body": lambda s: (chord([s.same.s(1)], s.tsum.s() | s.add.s(1)), 2),
    "lenient chord": lambda s: (chord([s.same.s(1), s.fail.s()], s.kinds.s(), allow_failures=True), [1, "Expected"]),
    "chunks": lambda s: (s.add.chunks([(1, 2), (3, 4), (5, 6)], 2), [[3, 7], [11]]),
    "map": lambda s: (s.same.map([1, 2]), [1, 2]),
    "starmap": lambda s: (s.add.starmap([(1, 2), (3, 4)]), [3, 7]),
    "map of what comes before": lambda s: (group(s.same.s(1), s.same.s(2)) | s.same.map(), [1, 2]),
    "nested": lambda s: (
        chain(s.same.s(1), group(s.add.s(1), chain(s.add.s(2), group(s.add.s(3), s.same.s()), s.tsum.s())), s.xsum.s()),
        11,
    ),
}


@pytest.mark.parametrize("name", CANVASES)
async def test_each_kind_comes_back_as_it_was(stage: Stage, name: str) -> None:
    canvas, expected = CANVASES[name](stage)
    again = over_json(canvas, stage)
    assert json.dumps(again.to_dict()) == json.dumps(canvas.to_dict())
    assert await again.call(timeout=10) == expected
    assert await over_json(again, stage).call(timeout=10) == expected, "and as often as one likes"


async def test_what_is_not_said_is_not_in_it(actors: Stage) -> None:
    """Data that lie in a table or in a file: their form is a promise, and short."""
    assert actors.same.s().to_dict() == {"task": "same"}
    assert actors.add.si(1, y=2).to_dict() == {"task": "add", "args": [1], "kwargs": {"y": 2}, "immutable": True}
    one = {"task": "same", "args": [1]}
    assert chain(actors.same.s(1), actors.same.s()).to_dict() == {"type": "chain", "tasks": [one, {"task": "same"}]}
    assert group(actors.same.s(1)).to_dict() == {"type": "group", "tasks": [one]}
    assert chord([actors.same.s(1)], actors.tsum.s()).to_dict() == {
        "type": "chord",
        "header": {"type": "group", "tasks": [one]},
        "body": {"task": "tsum"},
    }


async def test_options_of_tasks_and_of_compositions(stage: Stage) -> None:
    own = stage.about.si().set(priority=2, headers={"own": True})
    canvas = chain(group(own, stage.about.si()).set(headers={"of": "the group"})).set(priority=7)
    again = over_json(canvas, stage)
    assert again == canvas
    assert await again.call(timeout=10) == [["default", 2, {"own": True}], ["default", 7, {"of": "the group"}]]


async def test_times_are_text(stage: Stage) -> None:
    """JSON knows no dates, and a time without its zone would be another one elsewhere."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    soon = datetime.now(UTC) + timedelta(hours=1)
    canvas = stage.same.s(1).set(eta=past, expires=soon)
    assert canvas.to_dict()["options"] == {"eta": past.isoformat(), "expires": soon.isoformat()}
    again = over_json(canvas, stage)
    assert again.options == {"eta": past, "expires": soon}
    assert await again.call(timeout=10) == 1


async def test_an_id_stays(stage: Stage) -> None:
    again = over_json(chain(stage.ids.si(), stage.ids.si()).set(task_id="mine"), stage)
    result = await again.send()
    assert result.id == "mine"
    assert (await result.get(timeout=10))[0] == "mine"


async def test_stamps_travel(stage: Stage) -> None:
    canvas = chain(stage.stamps.si().stamp(own=[1]), group(stage.stamps.si())).stamp(tenant={"id": 5})
    result = await over_json(canvas, stage).send()
    assert await result.get(timeout=10) == [{"tenant": {"id": 5}}]
    assert result.parent is not None
    assert await result.parent == {"tenant": {"id": 5}, "own": [1]}


async def test_links_and_handlers_travel(stage: Stage) -> None:
    task = stage.same.s(1)
    task.link(chain(stage.echo.s(), stage.add.s(1), stage.echo.s()))
    canvas = chain(task, stage.fail.s().on_error(stage.told.s("inner"))).on_error(stage.told.s("outer"))
    result = await over_json(canvas, stage).send()
    assert isinstance(await stage.outcome(result), Expected)
    assert sorted(map(str, stage.heard)) == ["('inner', 'fail', 'Expected')", "('outer', 'fail', 'Expected')", "1", "2"]


async def test_arguments_that_json_does_not_know(stage: Stage) -> None:
    """They are text on the way, and what the function says in the end; also beside the value of the step before."""
    seen: list[Any] = []

    @stage.app.task(name="typed")
    async def typed(before: int, day: date, key: UUID, price: Decimal, raw: bytes, *, at: dict[str, datetime]) -> None:
        seen.append((before, day, key, price, raw, at))

    values = (date(2026, 1, 2), UUID(int=7), Decimal("1.10"), b"\x00\xff")
    at = {"now": datetime(2026, 1, 2, 3, 4, tzinfo=UTC)}
    await over_json(chain(stage.same.s(1), typed.s(*values, at=at)), stage).call(timeout=10)
    assert seen == [(1, *values, at)]


async def test_large_and_odd_text(stage: Stage) -> None:
    text = "é\u2028\x00'\"\\ 💥" * 100
    assert await over_json(chain(stage.same.s(text), stage.same.s()), stage).call(timeout=10) == text


async def test_data_are_read_by_another_app_of_the_same_name(stage: Stage, make_stage: Any) -> None:
    """Written by a program that does not know the code, for one that does."""
    far: Stage = make_stage()
    data = chain(far.add.s(1, 2), group(far.add.s(1), far.same.s()), far.tsum.s()).to_dict()
    assert await stage.app.signature(data).call(timeout=10) == 7


async def test_the_data_share_nothing_with_the_canvas(actors: Stage) -> None:
    numbers, stamps = [1, 2], {"list": [1]}
    canvas = actors.tsum.s(numbers).stamp(**stamps)
    data = canvas.to_dict()
    numbers.append(3)
    stamps["list"].append(2)
    assert data == {"task": "tsum", "args": [[1, 2]], "options": {"stamps": {"list": [1]}}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (5, r"A signature is made of a task's name or of what to_dict\(\) gave, not of 5\."),
        (None, "not of None"),
        ([{"task": "same"}], r"not of \[\{'task': 'same'\}\]"),
        ({}, r"names its task: .*a composition its type: chain, group or chord\. \{\} does neither"),
        ({"task": 5}, "does neither"),
        ({"type": "task"}, "does neither"),
        ({"type": "swarm", "tasks": []}, "{'type': 'swarm', 'tasks': .* does neither"),
        ({"type": "chain"}, "{'type': 'chain'} is no canvas: it has no 'tasks'"),
        ({"type": "chord"}, "it has no 'header'"),
        ({"type": "chain", "tasks": "same"}, "'tasks' is a list, not 'same'"),
        ({"type": "group", "tasks": {"task": "same"}}, "'tasks' is a list, not {'task': 'same'}"),
        ({"type": "group", "tasks": [{"task": "same"}, "same"]}, "not of 'same'"),
        ({"type": "chord", "header": [{"task": "same"}]}, "'header' is a dict, not"),
        ({"type": "chord", "header": {"task": "same"}, "body": "tsum"}, "'body' is a dict, not 'tsum'"),
        ({"task": "same", "args": "abc"}, "'args' is a list, not 'abc'"),
        ({"task": "same", "args": 5}, "'args' is a list, not 5"),
        ({"task": "same", "kwargs": ["abc"]}, "'kwargs' is a dict, not"),
        ({"task": "same", "options": [1]}, "'options' is a dict, not"),
        ({"task": "same", "link": {"task": "same"}}, "'link' is a list, not"),
        ({"task": "same", "link": [5]}, "not of 5"),
        ({"task": "same", "link_error": [{"type": "chain", "tasks": []}]}, "single task, not a chain"),
        ({"task": "same", "spread": "wide"}, "by 'map' or 'starmap', not 'wide'"),
        ({"task": "same", "options": {"prioriti": 1}}, "no option 'prioriti' .* 'priority'"),
        ({"task": "same", "options": {"priority": 11}}, "from 0 to 9"),
        ({"task": "same", "options": {"eta": "soon"}}, "eta is a datetime, not 'soon'"),
        ({"task": "same", "options": {"expires": "soon"}}, "expires .*not 'soon'"),
        ({"task": "same", "options": {"countdown": 1, "eta": "2026-01-01"}}, "not both"),
        ({"type": "chain", "tasks": [{"type": "group", "tasks": [{"task": "same", "args": 5}]}]}, "'args' is a list"),
    ],
    ids=str,
)
async def test_what_is_no_canvas_is_refused(actors: Stage, data: Any, message: str) -> None:
    """It comes from elsewhere, and may be anything: the error says what is wrong with it."""
    with pytest.raises(ConfigurationError, match=message):
        signature(data, app=actors.app)


async def test_a_large_wrong_one_is_not_shown_whole(actors: Stage) -> None:
    with pytest.raises(ConfigurationError) as caught:
        signature({"task": "same", "args": "x" * 100_000}, app=actors.app)
    assert len(str(caught.value)) < 500


async def test_arguments_that_cannot_be_written(actors: Stage) -> None:
    for call in (actors.same.s(object()), chain(actors.same.s(), actors.add.s(1, object()))):
        with pytest.raises(PayloadError, match=r"The arguments of (same|add) cannot be written as JSON"):
            call.to_dict()


async def test_errors_of_sending_are_those_of_the_data(actors: Stage) -> None:
    """What only the task can know is found when it is sent, and then nothing is."""
    async with actors.app:
        for data in (
            {"type": "chain", "tasks": []},
            {"type": "chord", "header": {"type": "group", "tasks": [{"task": "same"}]}},
            {"type": "chain", "tasks": [{"task": "same"}, {"task": "add", "args": [1, 2, 3, 4]}]},
        ):
            with pytest.raises(AioQueueError, match=r"[Nn]othing was sent"):
                await signature(data, app=actors.app).send()
        assert await is_empty(actors.app)
