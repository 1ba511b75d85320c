"""A network that loses requests and replies: sending, settling, fetching and waiting through it (D1, D2, D3)."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from aioqueue import AioQueue
from aioqueue.exceptions import BrokerUnavailable

from .arena import PATIENCE, Arena, states, until
from .proxy import Loss, Proxy
from .tasks import make_app


def _app(proxy: Proxy, send_timeout: float = PATIENCE) -> AioQueue:
    return make_app(proxy.url, send_timeout=send_timeout)


@pytest.mark.parametrize("loss", [Loss.REPLY, Loss.REQUEST])
async def test_send_is_idempotent(arena: Arena, proxy: Proxy, loss: Loss) -> None:
    """One task for one send, whether it is the request that is lost or its reply."""
    async with _app(proxy) as app:
        rule = proxy.lose(loss, "send", "send_one", times=3)
        result = await app.tasks["work"].send()
        assert rule.done == 3
    assert arena.waiting() == (1, 0)
    await arena.worker()
    await arena.ended([result])
    assert len(arena.score.select("start")) == 1
    await arena.at_rest()


@pytest.mark.parametrize("delay", [0.0, 60.0], ids=["at once", "delayed"])
async def test_many_sends_with_cuts(arena: Arena, proxy: Proxy, delay: float) -> None:
    """N tasks for N sends, with connections that are cut at random before and after."""
    async with _app(proxy) as app:
        rules = [
            proxy.lose(loss, "send", "send_one", times=None, chance=0.3, seed=seed)
            for seed, loss in enumerate((Loss.REPLY, Loss.REQUEST))
        ]
        rounds = 12
        work = app.tasks["work"].options(countdown=delay)
        for _ in range(rounds):
            await asyncio.gather(*[work.send() for _ in range(5)])
        assert all(rule.done for rule in rules)
    contents = arena.contents()
    assert contents["length"] + contents["delayed"] == contents["length"] + contents["delayed data"] == 5 * rounds


async def test_send_that_gives_up(arena: Arena, proxy: Proxy) -> None:
    """What is sent after a send has failed is not confused with it."""
    async with _app(proxy, send_timeout=0.5) as app:
        proxy.lose(Loss.SILENCE, "send", "send_one", times=None)
        with pytest.raises(BrokerUnavailable, match="No answer"):
            await app.tasks["work"].options(task_id="unlucky").send()
        proxy.heal()
        await app.tasks["work"].options(task_id="lucky").send()
    await arena.worker()
    await until(lambda: len(arena.score.select("end")) == 1)
    await arena.at_rest()
    assert {line.id for line in arena.score.select("start")} == {"lucky"}


async def test_send_whose_reply_comes_too_late(arena: Arena, proxy: Proxy) -> None:
    """A send that failed may have been applied, as its error says: once, and what follows is its own."""
    async with _app(proxy, send_timeout=0.3) as app:
        rule = proxy.lose(Loss.REPLY, "send", "send_one", times=None)
        with pytest.raises(BrokerUnavailable, match="only the answer was lost"):
            await app.tasks["work"].options(task_id="unknown").send()
        assert rule.done > 1
        proxy.heal()
        await app.tasks["work"].options(task_id="known").send()
    assert arena.waiting() == (2, 0)


@pytest.mark.parametrize("loss", [Loss.REPLY, Loss.REQUEST])
async def test_settling_through_cuts(arena: Arena, proxy: Proxy, loss: Loss) -> None:
    """No outcome is lost, none is applied twice, and nothing is run again."""
    rule = proxy.lose(loss, "settle", "settle_one", times=None, chance=0.3, seed=7)
    worker = await arena.worker(url=proxy.url, concurrency=10)
    results = await arena.send("work", 0.02, count=60)
    results += await arena.send("again", 0.02, 2, count=20)
    rejected = await arena.send("reject", 0.02, count=20)
    ends = await arena.ended([*results, *rejected])
    assert states(ends) == {"SUCCESS": 80, "FAILURE": 20}
    assert rule.done > 3
    assert "counts for nothing" not in worker.log, "what was applied was taken for lost"
    assert not arena.repeated()
    assert Counter(retries for _, retries in arena.score.runs()) == {0: 100, 1: 20, 2: 20}
    arena.check_dead_letters(20)
    await arena.at_rest()


@pytest.mark.parametrize("loss", [Loss.REPLY, Loss.REQUEST])
async def test_early_acknowledgement_through_cuts(arena: Arena, proxy: Proxy, loss: Loss) -> None:
    """D9: at most once, and yet each of them once."""
    rule = proxy.lose(loss, "settle", "settle_one", times=None, chance=0.3, seed=8)
    await arena.worker(url=proxy.url, concurrency=10)
    results = await arena.send("early", 0.02, count=40)
    results += await arena.send("by_hand", 0.02, count=10)
    assert states(await arena.ended(results)) == {"SUCCESS": 50}
    assert rule.done > 3
    assert not arena.repeated()
    await arena.at_rest()


@pytest.mark.parametrize("loss", [Loss.REPLY, Loss.REQUEST])
async def test_fetching_through_cuts(arena: Arena, proxy: Proxy, loss: Loss) -> None:
    """What a worker was lent and has never seen is handed back soon; what it has seen is not."""
    await arena.worker(url=proxy.url, visibility_timeout=60.0)
    results = await arena.send("work", 0.5, count=5)
    await arena.started(results)
    rules = [proxy.lose(loss, name, times=None, chance=0.5, seed=9) for name in ("fetch", "XREADGROUP")]
    for _ in range(20):
        results += await arena.send("work", 0.02, count=5)
        await asyncio.sleep(0.02)  # so that there are many reads to be lost
    # Within a minute no lease ends, so it is not by their ends that the strays come back.
    assert states(await arena.ended(results)) == {"SUCCESS": len(results)}
    assert sum(rule.done for rule in rules) > 3
    assert not arena.repeated()
    assert {line.deliveries for line in arena.score.select("start")} == {1}
    proxy.heal()
    await arena.at_rest()


async def test_everything_through_cuts(arena: Arena, proxy: Proxy) -> None:
    """All connections of two workers are cut, every tenth request, before or after it is executed."""
    rules = [
        proxy.lose(loss, times=None, chance=0.04, seed=seed) for seed, loss in enumerate((Loss.REPLY, Loss.REQUEST))
    ]
    for _ in range(2):
        await arena.worker(url=proxy.url, visibility_timeout=10.0, ready=False)
    results = await arena.send("work", 0.02, count=300)
    results += await arena.send("again", 0.02, 1, count=100)
    rejected = await arena.send("reject", 0.02, count=100)
    ends = await arena.ended([*results, *rejected])
    assert states(ends) == {"SUCCESS": 400, "FAILURE": 100}
    assert all(rule.done for rule in rules)
    assert not arena.repeated()
    arena.check_dead_letters(100)
    proxy.heal()
    await arena.at_rest()


async def test_lease_lost_and_network_bad(arena: Arena, proxy: Proxy) -> None:
    """A worker that is taken for dead joins again, even if it is not let in at once."""
    worker = await arena.worker(url=proxy.url)
    rule = proxy.lose(Loss.REQUEST, "join", times=3)
    arena.server.client.delete(arena.key("leases"))
    await until(lambda: rule.done == 3)
    await arena.ended(await arena.send("work", count=5))
    assert worker.exit_code is None
    await arena.at_rest()


_SHORT = {
    "aioqueue.worker.fetcher._WAIT": 0.5,
    "aioqueue.brokers.redis.link.ANSWER_WITHIN": 1.0,
}


@pytest.mark.parametrize("constants", [_SHORT, pytest.param({}, marks=pytest.mark.slow)], ids=["short", "real"])
async def test_half_open_connections(arena: Arena, proxy: Proxy, constants: dict[str, float]) -> None:
    """Connections over which nothing comes any more are noticed, and made anew."""
    worker = await arena.worker(url=proxy.url, visibility_timeout=30.0, constants=constants)
    await arena.ended(await arena.send("work", count=5))
    assert proxy.silence()
    # The blocking read, the settling and the calls in between wait in turn for their answers.
    assert states(await arena.ended(await arena.send("work", count=5), 60)) == {"SUCCESS": 5}
    assert worker.exit_code is None
    await arena.at_rest()


async def test_waiting_with_cuts(arena: Arena, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """D8: a waiter whose connections were cut still gets its result, and not by asking again after a while."""
    monkeypatch.setattr("aioqueue.brokers.redis.watches._AGAIN", 3600.0)
    await arena.worker()
    async with _app(proxy) as app:
        proxy.lose(Loss.REQUEST, "wait", "SUBSCRIBE", times=4)
        proxy.lose(Loss.REPLY, "wait", "SUBSCRIBE", times=4)
        results = [await app.tasks["work"].send(0.5) for _ in range(5)]
        waiters = [asyncio.create_task(result.get(timeout=PATIENCE)) for result in results]
        await until(lambda: "SUBSCRIBE" in proxy.seen and "wait" in proxy.seen)
        await arena.started(results)
        proxy.drop_all("SUBSCRIBE", "wait")
        await asyncio.gather(*waiters)

        # The news is lost: the subscription is cut in the moment of the end.
        result = await app.tasks["work"].send(0.3)
        waiter = asyncio.create_task(result.get(timeout=PATIENCE))
        await arena.started([result])
        proxy.lose(Loss.REQUEST, "SUBSCRIBE", times=3)
        while not waiter.done() and not arena.score.select("end", id=result.id):
            proxy.drop_all("SUBSCRIBE")
            await asyncio.sleep(0.02)
        await waiter


async def test_waiting_on_a_half_open_subscription(arena: Arena, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """D8: the same when the subscription has fallen silent without a word."""
    monkeypatch.setattr("aioqueue.brokers.redis.watches._AGAIN", 1.5)
    await arena.worker()
    async with _app(proxy) as app:
        result = await app.tasks["work"].send(0.5)
        waiter = asyncio.create_task(result.get(timeout=PATIENCE))
        await until(lambda: "SUBSCRIBE" in proxy.seen and "wait" in proxy.seen)
        assert proxy.silence("SUBSCRIBE")
        await waiter


async def test_slow_network(arena: Arena, proxy: Proxy) -> None:
    """Replies that take half of the visibility timeout cost time, and nothing else."""
    proxy.delay = 0.2
    await arena.worker(url=proxy.url)
    results = await arena.send("work", 0.1, count=20)
    assert states(await arena.ended(results)) == {"SUCCESS": 20}
    assert not arena.repeated()
    await arena.at_rest()


@pytest.mark.parametrize("loss", [Loss.REPLY, Loss.REQUEST])
async def test_who_ended_a_task_is_answered_once(arena: Arena, proxy: Proxy, loss: Loss) -> None:
    """Revoking, and emptying the dead letters, say what they did, although the first answer was lost."""
    async with _app(proxy) as app:
        result = await app.tasks["work"].send()
        rule = proxy.lose(loss, "revoke", times=2)
        assert await result.revoke() is True
        assert rule.done == 2
        assert await result.revoke() is False
        await arena.worker()
        letters = [await app.send_task("there is none") for _ in range(2)]
        await arena.ended(letters)
        for name, change in (
            ("requeue_dead", app.dead_letters.requeue(letters[0].id)),
            ("remove_dead", app.dead_letters.remove(letters[1].id)),
        ):
            rule = proxy.lose(loss, name, times=2)
            assert await change
            assert rule.done == 2
