"""Waiting for what will not come: it is told at once, wherever that can be known (D8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.apps import Gate, MakeApp, is_empty, outcome, registered, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, AsyncResult, Reject, TaskInfo, chain, group
from aioqueue.exceptions import ResultExpired, ResultIgnored, TimeoutError

from .steps import Fault

How = Callable[[AioQueue, AsyncResult[Any]], AsyncResult[Any]]


@pytest.fixture
def gate() -> Gate:
    return Gate()


def itself(app: AioQueue, result: AsyncResult[Any]) -> AsyncResult[Any]:
    return result


def by_id(app: AioQueue, result: AsyncResult[Any]) -> AsyncResult[Any]:
    return app.result(result.id)


async def watched(result: AsyncResult[Any], timeout: float | timedelta | None = None) -> list[TaskInfo]:
    async with asyncio.timeout(PATIENCE):
        return [info async for info in result.watch(timeout)]


async def test_an_ignored_result_asked_for_by_its_id(app: AioQueue) -> None:
    @app.task(ignore_result=True)
    async def quiet() -> int:
        return 1

    async with working(app):
        result = await quiet.send()
        await until(lambda: is_empty(app))
        with pytest.raises(ResultIgnored, match=f"Nothing is known of task {result.id}.*no task waits or runs"):
            await app.result(result.id).get()
        assert isinstance(await asyncio.to_thread(outcome_of, app.result(result.id)), ResultIgnored)
        assert [info.state for info in await watched(app.result(result.id))] == ["PENDING"]


def outcome_of(result: AsyncResult[Any]) -> BaseException | None:
    try:
        result.sync.get(timeout=PATIENCE)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("how", [itself, by_id])
async def test_a_record_that_has_expired(make_app: MakeApp, gate: Gate, how: How) -> None:
    app = make_app(result_expires=0.2)

    @app.task
    async def one() -> int:
        await gate.wait()
        return 1

    async with working(app):
        result = await one.send()
        waiting = asyncio.ensure_future(result.get(timeout=PATIENCE))
        await registered(app)  # or it would be gone before it is asked for, on a machine that is busy
        gate.open()
        assert await waiting == 1
        await until(lambda: _is_gone(result))
        with pytest.raises(ResultExpired, match=r"result_expires=0\.2 s are over"):
            await how(app, result).get()
        assert [info.state for info in await watched(result)] == ["PENDING"]
        assert await result.state() == "PENDING", "as others say"


async def _is_gone(result: AsyncResult[Any]) -> bool:
    return not await result.ready()


async def test_a_forgotten_one(app: AioQueue) -> None:
    @app.task
    async def one() -> int:
        return 1

    async with working(app):
        result = await one.send()
        assert await result.state() in ("SENT", "SUCCESS")
        assert await result.get(timeout=PATIENCE) == 1
        await result.forget()
        assert (await result.state(), (await result.info()).state) == ("PENDING", "PENDING")
        assert await app.result(result.id).state() == "PENDING"
        with pytest.raises(ResultExpired, match="or it was forgotten"):
            await result.get()
        with pytest.raises(ResultIgnored, match="or forgotten"):
            await app.result(result.id).get()


@pytest.mark.parametrize("kind", ["task", "own id", "chain", "group"])
async def test_what_another_process_has_forgotten(app: AioQueue, gate: Gate, kind: str) -> None:
    """The handle of the sender has seen nothing, and says what all others say."""

    @app.task
    async def one(number: int = 1) -> int:
        await gate.wait()
        return number

    sent: AsyncResult[Any]
    async with working(app):
        if kind == "task":
            sent = await one.send()
        elif kind == "own id":
            sent = await one.options(task_id="mine").send()
        else:
            sent = await (chain(one.s(), one.s()) if kind == "chain" else group(one.s(), one.s())).send()
        await until(lambda: gate.came)
        assert (await sent.state(), (await sent.info()).state) == ("SENT", "SENT")
        gate.open()
        other = app.result(sent.id)
        await other.get(timeout=PATIENCE)
        await (await other.group() if kind == "group" else other).forget()
        assert (await sent.state(), (await sent.info()).state) == ("PENDING", "PENDING")
        assert [info.state async for info in sent.watch(timeout=PATIENCE)][-1] == "PENDING"


async def test_the_state_of_an_ignored_one_is_what_others_say(app: AioQueue) -> None:
    @app.task(ignore_result=True)
    async def quiet() -> int:
        return 1

    async with working(app):
        result = await quiet.send()
        assert (await result.state(), await app.result(result.id).state()) == ("PENDING", "PENDING")
        assert await result.get() is None


@pytest.mark.parametrize("where", ["task", "setting", "canvas"])
async def test_errors_that_are_stored_although_results_are_not(make_app: MakeApp, where: str) -> None:
    app = make_app(
        **({"task_ignore_result": True, "task_store_errors_even_if_ignored": True} if where == "setting" else {})
    )
    options: Any = {} if where == "setting" else {"ignore_result": True, "store_errors_even_if_ignored": True}

    @app.task(**options)
    async def quiet(fail: bool) -> int:
        if fail:
            raise Fault("heard")
        return 1

    @app.task(ignore_result=False)
    async def before() -> bool:
        return True

    async with working(app):
        failed: AsyncResult[Any]
        if where == "canvas":
            failed = await (before.s() | quiet.s()).send()
        else:
            failed = await quiet.send(True)
        fine = await quiet.send(False)
        error = await outcome(failed)
        assert isinstance(error, Fault) and str(error) == "heard"
        assert await fine.get(timeout=PATIENCE) is None
        await until(lambda: is_empty(app))
        assert await fine.get(timeout=PATIENCE) is None, "also when it has ended before"
        assert isinstance(await outcome(failed), Fault)


async def test_while_something_goes_on_nothing_is_said(app: AioQueue, gate: Gate) -> None:
    @app.task(ignore_result=True)
    async def quiet() -> int:
        return 1

    @app.task
    async def held() -> int:
        await gate.wait()
        return 1

    async with working(app):
        result = await quiet.send()
        held_one = await held.send()
        await until(lambda: gate.came)
        with pytest.raises(TimeoutError):
            await app.result(result.id).get(timeout=0.6)
        waiting = asyncio.ensure_future(app.result(result.id).get(timeout=PATIENCE))
        gate.open()
        assert await held_one.get(timeout=PATIENCE) == 1
        with pytest.raises(ResultIgnored):
            await waiting


@pytest.mark.parametrize("what", ["waits", "is delayed"])
async def test_what_has_not_run_yet_is_waited_for(app: AioQueue, what: str) -> None:
    @app.task
    async def one() -> int:
        return 1

    async with app:
        result = await one.options(countdown=0.8 if what == "is delayed" else None).send()
        for handle in (result, app.result(result.id)):
            with pytest.raises(TimeoutError):
                await handle.get(timeout=0.6)
        waiting = asyncio.ensure_future(app.result(result.id).get(timeout=PATIENCE))
        async with app.worker():
            assert await waiting == 1


async def test_an_id_that_is_waited_for_before_it_is_sent(app: AioQueue) -> None:
    @app.task
    async def one() -> int:
        return 1

    async with working(app):
        waiting = asyncio.ensure_future(app.result("of-mine").get(timeout=PATIENCE))
        await asyncio.sleep(0.6)
        await one.options(task_id="of-mine").send()
        assert await waiting == 1


@pytest.mark.parametrize("id", ["never-heard-of", "01a21969-cae5-7659-be95-f0140a3223bc"])
async def test_watching_an_id_that_nothing_is_known_of(app: AioQueue, id: str) -> None:
    async with working(app):
        [only] = await watched(app.result(id))
        assert (only.id, only.state) == (id, "PENDING")


@pytest.mark.parametrize("timeout", [0.5, timedelta(seconds=0.5)])
async def test_watching_for_a_while(app: AioQueue, gate: Gate, timeout: Any) -> None:
    @app.task
    async def held() -> int:
        await gate.wait()
        return 1

    async with app:
        result = await held.send()
        for handle, state in ((result, "SENT"), (app.result(result.id), "PENDING")):
            seen: list[str] = []
            with pytest.raises(TimeoutError, match=f"{result.id}.* has not ended after 0.5 s"):
                async for info in handle.watch(timeout=timeout):
                    seen += [info.state]
            assert seen == [state]
        gate.open()
        async with app.worker():
            assert (await watched(result, timeout=PATIENCE))[-1].result == 1


async def test_watching_a_group_for_a_while(app: AioQueue, gate: Gate) -> None:
    from aioqueue import group

    @app.task
    async def held() -> int:
        await gate.wait()
        return 1

    async with working(app):
        result = await group(held.s(), held.s()).send()
        with pytest.raises(TimeoutError, match=f"{result.id} has not ended after 0.3 s"):
            await watched(result, timeout=0.3)
        gate.open()
        assert (await watched(result, timeout=PATIENCE))[-1].result == [1, 1]


@pytest.mark.parametrize("stores_errors", [False, True])
async def test_an_end_that_was_seen_is_not_waited_for_again(make_app: MakeApp, gate: Gate, stores_errors: bool) -> None:
    """Also while others run; and an error that is gone is no success."""
    app = make_app(result_expires=0.3)

    @app.task(ignore_result=stores_errors, store_errors_even_if_ignored=stores_errors)
    async def fails() -> None:
        await waited_for.wait()
        raise Fault

    @app.task
    async def held() -> None:
        await gate.wait()

    waited_for = Gate()
    async with working(app):
        await held.send()
        await until(lambda: gate.came)
        result = await fails.send()
        waiting = asyncio.ensure_future(outcome(result))
        await registered(app)
        waited_for.open()
        assert isinstance(await waiting, Fault)
        await until(lambda: _is_gone(result))
        with pytest.raises(ResultExpired):
            await result.get(timeout=PATIENCE)
        gate.open()


@pytest.mark.parametrize("again", ["requeued", "sent"])
async def test_an_end_after_which_there_is_another(app: AioQueue, again: str) -> None:
    fail = [True]

    @app.task
    async def work() -> int:
        if fail[0]:
            raise Reject("not now") if again == "requeued" else Fault
        await asyncio.sleep(0.4)
        return 1

    async with working(app):
        result = await work.options(**({} if again == "requeued" else {"task_id": "of-mine"})).send()
        assert await outcome(result) is not None
        fail.clear()
        fail.append(False)
        await (app.dead_letters.requeue(result.id) if again == "requeued" else work.options(task_id="of-mine").send())
        assert await result.get(timeout=PATIENCE) == 1


@pytest.mark.parametrize("which", ["chain", "group", "step", "member"])
async def test_what_is_asked_for_by_its_id_when_a_whole_canvas_was_forgotten(app: AioQueue, which: str) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    async with working(app):
        group_ = await group(add.s(1, 1), add.s(2, 2)).send()
        chain_ = await chain(add.s(1, 1), add.s(2)).send()
        asked: AsyncResult[Any] = {"chain": chain_, "group": group_, "step": chain_.parent, "member": group_[0]}[which]
        whole: AsyncResult[Any] = chain_ if which in ("chain", "step") else group_
        await whole.get(timeout=PATIENCE)
        await whole.forget()
        with pytest.raises(ResultIgnored):
            await app.result(asked.id).get(timeout=PATIENCE)
        with pytest.raises(ResultExpired):
            await asked.get(timeout=PATIENCE)
        assert await asked.state() == await app.result(asked.id).state() == "PENDING"


async def test_states_after_a_canvas_was_forgotten(app: AioQueue) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    async with working(app):
        members = await group(add.s(1, 1), add.s(2, 2)).send()
        await members.get(timeout=PATIENCE)
        await members[0].forget()
        assert await members.state() == await members[0].state() == "PENDING"
        assert await members[1].state() == "SUCCESS"
        await members.forget()
        assert [await one.state() for one in (members, *members)] == ["PENDING"] * 3
        assert {info.state for info in await watched(members)} == {"PENDING"}
        result = await chain(add.s(1, 1), add.s(2)).send()
        await result.get(timeout=PATIENCE)
        await result.forget()
        assert await result.parent.state() == "PENDING"


async def test_a_group_of_which_nothing_is_kept(app: AioQueue) -> None:
    @app.task(ignore_result=True)
    async def quiet() -> int:
        return 1

    async with working(app):
        members = await group(quiet.s(), quiet.s()).send()
        assert await members.get(timeout=PATIENCE) == [None, None]
        await until(members.ready)
        assert (await members.state(), await members.completed_count()) == ("SUCCESS", 2)
        assert [info.state for info in await watched(members)] == ["SUCCESS"]


async def test_a_group_of_which_one_member_keeps_nothing(app: AioQueue) -> None:
    @app.task(ignore_result=True)
    async def quiet(fail: bool = False) -> int:
        if fail:
            raise Fault("unheard")
        return 1

    @app.task
    async def loud() -> int:
        return 2

    async with working(app):
        members = await group(quiet.s(), group(quiet.s(), loud.s()), loud.s()).send()
        await until(members.ready)
        assert (await members.state(), await members.completed_count()) == ("SUCCESS", 4), (
            "a group in a group adds its members"
        )
        failed = await group(quiet.s(True), loud.s()).send()
        await until(failed.ready)
        assert (await failed.state(), await failed.failed()) == ("FAILURE", True)


@pytest.mark.parametrize("when", ["at once", "afterwards"])
async def test_a_member_that_keeps_its_error_alone(app: AioQueue, when: str) -> None:
    @app.task(ignore_result=True, store_errors_even_if_ignored=True)
    async def quiet(fail: bool) -> int:
        if fail:
            raise Fault("heard")
        return 1

    async with working(app):
        members = await group(quiet.s(True), quiet.s(False)).send()
        if when == "afterwards":
            await until(lambda: is_empty(app))
        with pytest.raises(Fault, match="heard"):
            await members.get(timeout=PATIENCE)
        error, nothing = await members.get(timeout=PATIENCE, return_exceptions=True)
        assert isinstance(error, Fault) and nothing is None


async def test_an_id_that_only_looks_like_one_of_ours(app: AioQueue) -> None:
    """It may be waited for before it is sent, as any id of one's own."""
    async with app:
        with pytest.raises(TimeoutError):
            await app.result("zzzzzzzz-zzzz-7zzz-zzzz-zzzzzzzzzzzz").get(timeout=0.6)


async def test_a_forgotten_one_that_was_run_in_place(make_app: MakeApp) -> None:
    app = make_app(task_always_eager=True)

    @app.task
    async def one() -> int:
        return 1

    async with app:
        result = await one.send()
        assert await result.get() == 1
        await result.forget()
        assert await result.state() == "PENDING"
        with pytest.raises(ResultExpired):
            await result.get()
