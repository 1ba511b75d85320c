"""Groups that are known by their ids alone, also when they expire while they are looked at."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioqueue import GroupResult, chain, chord, group
from aioqueue.exceptions import AioQueueError

from .stage import Stage


async def test_the_members_of_a_group_by_its_id(stage: Stage) -> None:
    sent = await group(stage.add.s(1, 1), chain(stage.patient.s(2), stage.same.s()), task_id="mine").send()
    for id in (sent.id, "mine"):
        result = stage.app.result(id)
        found = await result.group()
        assert isinstance(found, GroupResult)
        assert found.results == sent.results
        assert len(found) == 2
    stage.gate.open()
    assert await sent.get(timeout=10) == [2, 2]
    by_id = stage.app.result((await group(stage.same.s(1), stage.same.s(2)).send()).id)
    assert await by_id.get(timeout=10) == [1, 2]
    assert await by_id.completed_count() == 2
    assert sorted([end async for end in by_id.as_completed()]) == [(0, 1), (1, 2)]
    assert [await one for one in (await by_id.group()).results] == [1, 2]


async def test_the_same_without_an_event_loop(stage: Stage) -> None:
    sent = await group(stage.same.s(1), stage.same.s(2)).send()
    await sent.get(timeout=10)

    def look() -> Any:
        result = stage.app.result(sent.id).sync
        return (
            [one.get() for one in result.results],
            result.completed_count(),
            sorted(result.as_completed()),
            result.group().get(),
        )

    assert await asyncio.to_thread(look) == ([1, 2], 2, [(0, 1), (1, 2)], [1, 2])


async def test_what_is_no_group_says_so(stage: Stage) -> None:
    sent = await stage.same.send(1)
    assert await sent.get(timeout=10) == 1
    for result in (sent, stage.app.result(sent.id)):
        with pytest.raises(AioQueueError, match="of a task, not of a group"):
            await result.group()
        assert await result.completed_count() == 1
    with pytest.raises(AioQueueError, match="Nothing is known of a group nobody"):
        await stage.app.result("nobody").group()
    with pytest.raises(AttributeError, match=r"await app\.result\(id\)\.group\(\)"):
        _ = sent.results


# Ids of the sender's own, after the end


async def test_a_workflow_is_found_by_an_id_of_its_senders_own_after_its_end(stage: Stage) -> None:
    sent = await chain(stage.same.s(1), stage.once.s().set(task_id="mine")).send()
    assert isinstance(await stage.outcome(sent), Exception)
    await stage.quiet()
    found = stage.app.result("mine")
    assert [node.id for node in (await found.graph()).nodes] == [node.id for node in (await sent.graph()).nodes]
    assert len((await found.graph()).nodes) == 2
    assert await found.revoke() is False
    stage.mended = True
    await found.resume()
    assert await found.get(timeout=10) == 1
    await stage.quiet()
    await found.forget()
    assert (await found.state(), await sent.state()) == ("PENDING", "PENDING")
    assert await stage.app.result(sent.parent.id).state() == "PENDING", "the whole is forgotten"


async def test_a_group_is_found_by_an_id_of_its_senders_own_after_its_end(stage: Stage) -> None:
    sent = await group(stage.same.s(1), stage.same.s(2).set(task_id="second"), task_id="mine").send()
    await sent.get(timeout=10)
    await stage.quiet()
    found = stage.app.result("mine")
    assert await found.get(timeout=10) == [1, 2]
    assert (await found.state(), await found.completed_count()) == ("SUCCESS", 2)
    assert await found.revoke() is False
    assert await stage.same.options(task_id="mine").call(3, timeout=10) == 3, "nothing of the id is revoked"


async def test_an_id_that_is_used_again_is_the_new_ones(stage: Stage) -> None:
    old = await chain(stage.same.s(1), stage.same.s().set(task_id="mine")).send()
    await old.get(timeout=10)
    await stage.quiet()
    new = await stage.same.options(task_id="mine").send(2)
    assert await new.get(timeout=10) == 2
    assert len((await stage.app.result("mine").graph()).nodes) == 1
    await old.parent.forget()
    await stage.app.result(f"{old.parent.id.partition('.')[0]}.2").forget()  # the end of the old one, by its place
    assert await new.get(timeout=10) == 2, "its record is not the old one's"
    again = await chain(stage.same.s(1), stage.same.s(), stage.same.s().set(task_id="mine")).send()
    await again.get(timeout=10)
    await stage.quiet()
    assert len((await stage.app.result("mine").graph()).nodes) == 3


class Vanishing:
    """A broker's calls, after so many of which a workflow is gone."""

    def __init__(self, broker: Any, monkeypatch: pytest.MonkeyPatch, workflow: str) -> None:
        self._broker = broker
        self._call = broker._call
        self._workflow = workflow
        self.calls = 0
        self.most = 10**9
        monkeypatch.setattr(broker, "_call", self)

    async def __call__(self, *arguments: Any) -> Any:
        if self.calls == self.most:
            key = self._broker._keys.nodes(self._workflow)
            await self._call("UNLINK", key, key + ":s", key + ":v")
        self.calls += 1
        return await self._call(*arguments)


async def test_a_workflow_that_expires_while_it_is_looked_at_is_gone(
    stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broker_url.startswith("memory"):
        pytest.skip("it is read in one step")
    canvas = group(
        stage.same.s(1), chord([stage.same.s(2)], stage.tsum.s()), group(stage.same.s(3)).link(stage.same.s())
    )
    looks = 0
    for most in range(100):
        sent = await canvas.send()
        await sent.get(timeout=10)
        result = stage.app.result(sent.id)
        with monkeypatch.context() as patched:
            vanishing = Vanishing(await stage.app.broker(), patched, sent.id.partition(".")[0])
            vanishing.most = most
            for look in (result.graph, result.group):
                try:
                    await look()
                except AioQueueError as error:
                    assert "Nothing is known of" in str(error)
            if vanishing.calls <= most:
                break
            looks += 1
    assert looks > 4
