"""What is Redis' own: connections, protocols, scripts, servers that are too old."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from itertools import pairwise, product
from typing import Any

import msgspec
import pytest
import redis
from support.waiting import within

from aioqueue import AioQueue
from aioqueue.brokers.protocol import Outgoing, Settlement, Verdict
from aioqueue.brokers.redis import RedisBroker, keys, outbox, subscription
from aioqueue.brokers.redis.link import Backoff
from aioqueue.brokers.redis.scripts import script
from aioqueue.brokers.redis.server import Server
from aioqueue.exceptions import BrokerUnavailable, ConfigurationError
from aioqueue.url import masked

from .steps import LEASE, blocks, message, worker_status

SCRIPTS = sorted(
    path.name for path in (files("aioqueue.brokers.redis") / "lua").iterdir() if path.name.endswith(".lua")
)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisBroker]:
    broker = RedisBroker(url, "tests")
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


@pytest.mark.parametrize("options", ["?protocol=2", "?protocol=3", "?socket_timeout=0.1", "?decode_responses=False"])
async def test_one_life_with_each_protocol_and_option(redis_url: str, options: str) -> None:
    async with opened(redis_url + options) as broker:
        worker = broker.consumer(worker_status("w"), visibility_timeout=30, dead_letters_max_length=10)
        await worker.join()
        # The read waits for longer than any socket timeout in the URL.
        waiting = asyncio.create_task(worker.fetch(10, wait=5))
        async with broker.watch("a") as watch:
            await asyncio.sleep(0.3)  # the read blocks meanwhile: that is what is tested
            await broker.send([message("a", priority=3)], timeout=5)
            [delivery] = await within(waiting)
            assert (delivery.id, delivery.data, delivery.deliveries) == ("a", b"a", 1)
            settlement = Settlement(delivery, record=b"\xff\x00record", final=True, expires=60_000)
            assert await worker.settle([settlement]) == [Verdict.APPLIED]
            assert await within(watch.next()) == b"\xff\x00record"
        assert await broker.records(["a"]) == [b"\xff\x00record"]
        assert [status.waiting for status in await broker.queues()] == [0]
        assert worker.renew()
        assert [status.name for status in await broker.workers()] == ["w@here"]
        await worker.leave()
        await worker.close()


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_silent_subscription_stands(redis_url: str, protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "_SILENCE", 0.05)
    client = redis.Redis.from_url(redis_url)
    pings = client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"]
    news = subscription.listen(Server(f"{redis_url}?protocol={protocol}"), "channel")
    assert await within(anext(news)) is None
    coming = asyncio.create_task(anext(news))
    while client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"] < pings + 3:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert client.publish("channel", "news") == 1
    assert await within(coming) == ("channel", b"news")
    await news.aclose()


async def test_a_subscription_on_a_dead_line_ends(redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "_SILENCE", 0.05)
    monkeypatch.setattr(subscription, "_ANSWER", 0.2)
    news = subscription.listen(Server(redis_server.url), "channel")
    assert await within(anext(news)) is None
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(redis.ConnectionError, match="silent"):
            await within(anext(news))
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)


async def test_over_a_unix_socket(redis_server: Any) -> None:
    redis_server.flush()
    async with opened(redis_server.unix_url) as broker:
        await broker.send([message("a")], timeout=5)
        assert [status.waiting for status in await broker.queues()] == [1]


async def test_nobody_there_is_said_so_without_the_password() -> None:
    broker = RedisBroker("redis://user:S3CR3T@127.0.0.1:1/0", "tests", timeout=0.3)
    with pytest.raises(BrokerUnavailable) as raised:
        await broker.open()
    assert "127.0.0.1:1" in str(raised.value)
    assert "S3CR3T" not in str(raised.value)


async def test_a_wrong_password_is_said_at_once(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    client.execute_command("ACL", "SETUSER", "somebody", "on", ">right", "+@all", "~*", "&*")
    broker = RedisBroker(redis_url.replace("redis://", "redis://somebody:S3CR3T@"), "tests", timeout=60)
    with pytest.raises(BrokerUnavailable, match="does not let us in") as raised:
        await within(broker.open())
    assert "S3CR3T" not in str(raised.value)
    client.execute_command("ACL", "DELUSER", "somebody")


@pytest.mark.parametrize("url", ["redis://host:port/0", "redis://host/0?socket_timeout=soon"])
def test_a_url_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://"):
        RedisBroker(url, "tests")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://user:S3CR3T@db:6379/0", "redis://user:***@db:6379/0"),
        ("redis://:S3CR3T@db", "redis://:***@db"),
        ("rediss://db/1?password=S3CR3T&protocol=3", "rediss://db/1?password=***&protocol=3"),
        ("redis://user:S3@CR3T@db/0", "redis://user:***@db/0"),
        ("unix:///run/a.sock?db=1", "unix:///run/a.sock?db=1"),
        ("unix:///run/a@b.sock", "unix:///run/a@b.sock"),
        ("redis://S3CR3T@db", "redis://***@db"),
        ("redis://user:S3/CR3T@db/0", "redis://user:***@db/0"),
        ("redis://user:S3?CR3T@db/0", "redis://user:***@db/0"),
        ("redis://user:S3#CR3T@db/0", "redis://user:***@db/0"),
        ("redis://S3/CR3T@db/0", "redis://***@db/0"),
        ("redis://:S3?CR=3T@db?db=1", "redis://:***@db?db=1"),
        ("user:S3CR3T@db", "***@db"),
        ("redis://:S3CR3T", "redis://:***"),
        ("redis://user:S3CR3T/0", "redis://user:***/0"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis://a\nb", "redis://a\\nb"),
        (
            "redis+sentinel://user:S3/CR3T@a,b:2/shop?sentinel_password=S3CR3T",
            "redis+sentinel://user:***@a,b:2/shop?sentinel_password=***",
        ),
    ],
)
def test_urls_are_shown_without_secrets(url: str, shown: str) -> None:
    assert masked(url) == shown
    assert "CR3T" not in repr(AioQueue("shop", broker=url).conf)


@pytest.mark.parametrize(
    "password", ["S3/CR3T", "S3?CR3T", "S3#CR3T", "123/CR3T", "123?CR3T", "/CR3T", "S3/CR3T?x=1", "S3?CR=3T"]
)
@pytest.mark.parametrize("user", ["user:", ":", ""])
@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+sentinel"])
async def test_a_password_that_is_not_encoded_is_told_and_not_shown(scheme: str, user: str, password: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await AioQueue("shop", broker=f"{scheme}://{user}{password}@localhost:1/name", send_timeout=0.1).open()
    assert "percent-encoded" in str(caught.value)
    assert "S3" not in str(caught.value) and "CR3T" not in str(caught.value)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_what_it_takes_and_gives(name: str) -> None:
    text = (files("aioqueue.brokers.redis") / "lua" / name).read_text()
    head = text[: re.search(r"^[^-]", text, re.MULTILINE).start()]  # type: ignore[union-attr]
    assert "-- KEYS[1] prefix" in head
    assert "ARGV" in head
    assert "Returns" in head
    assert "-- use:" not in script(name.removesuffix(".lua")).text


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_no_code_of_others(name: str) -> None:
    text = script(name.removesuffix(".lua")).text
    assert not re.search(r"\b(loadstring|load|dofile|EVAL|KEYS \*)\b", text)
    assert not re.search(r"redis\.p?call\(\s*[^'\s]", text), "a command's name is a literal"


@pytest.mark.parametrize("name", ["a{b}", "{x", "}", "plain"])
def test_a_namespace_has_one_hash_tag(name: str) -> None:
    prefix = keys.prefix(name)
    assert prefix.count("{") == prefix.count("}") == 1
    assert prefix.startswith("{")
    assert prefix.endswith(":0}:")


def test_no_two_namespaces_share_a_key() -> None:
    pieces = ["a", "b", "{", "}", "(", ")", "%", "25", "7B", "7D", ":0}:", ":0", "q:"]
    names = {"".join(chosen) for length in (1, 2, 3) for chosen in product(pieces, repeat=length)}
    prefixes = sorted(keys.prefix(name) for name in names)
    assert len(set(prefixes)) == len(names)
    for prefix, following in pairwise(prefixes):
        assert not following.startswith(prefix)


@pytest.mark.parametrize("name", ["shop", "shop:eu", "a b", "50%", "naïve", "(x)", "a%20b"])
def test_a_namespace_without_braces_keeps_its_keys(name: str) -> None:
    assert keys.prefix(name) == "{" + name + ":0}:"


def test_no_two_queues_share_a_stream() -> None:
    pieces = ["a", ":", "0", "front", ":front", ":0"]
    queues = {"".join(chosen) for length in (1, 2, 3) for chosen in product(pieces, repeat=length)}
    streams = [stream for queue in queues for stream in keys.streams([queue])]
    assert len(set(streams)) == len(streams)


@pytest.mark.parametrize("queue", ["q", "a:b", "a:9", "a:0", "a:front", ":", "q:front"])
async def test_any_queue_name_is_data(redis_url: str, queue: str) -> None:
    async with opened(redis_url) as broker:
        assert keys.queue_of(keys.stream(queue, 9)) == queue
        worker = broker.consumer(worker_status("w", queue), visibility_timeout=30, dead_letters_max_length=10)
        await worker.join()
        await broker.send([message("a", queue=queue), message("b", queue=queue, delay=1)], timeout=5)
        [delivery] = await within(worker.fetch(10, wait=5))
        assert delivery.queue == queue
        assert await worker.hand_back([]) == 1
        assert [d.queue for d in await within(worker.fetch(10, wait=5))] == [queue]
        assert [status.name for status in await broker.queues()] == [queue]
        await worker.close()


async def test_a_key_of_the_wrong_kind_stops_only_what_needs_it(redis_url: str) -> None:
    async with opened(redis_url) as broker:
        worker = broker.consumer(worker_status("w"), visibility_timeout=30, dead_letters_max_length=10)
        await worker.join()
        await broker.send([message("good"), message("bad")], timeout=5)
        good, bad = await within(worker.fetch(10, wait=5))
        client = redis.Redis.from_url(redis_url)
        client.set("{tests:0}:dead", "not a sorted set")
        settlements = [
            Settlement(good, record=b"r", final=True),
            Settlement(bad, record=b"r", final=True, dead=b"letter"),
        ]
        assert await within(worker.settle(settlements)) == [Verdict.APPLIED, Verdict.BLOCKED]
        # Nothing of the other one was applied: its message is still there.
        assert await broker.records(["good", "bad"]) == [b"r", None]
        assert "{tests:0}:dead is a string" in settlements[1].problem
        client.delete("{tests:0}:dead")
        assert await within(worker.settle(settlements)) == [Verdict.FENCED, Verdict.APPLIED]
        assert [letter.id for letter in await broker.dead_letters(limit=9)] == ["bad"]
        await worker.close()


async def test_a_send_that_is_refused_for_want_of_memory_changes_nothing(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    async with opened(redis_url) as broker:
        mine = Outgoing("mine", "q", 0, b"first", delay=3_600_000, once=True)
        await broker.send([mine], timeout=5)
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(BrokerUnavailable, match="maxmemory"):
                await broker.send([Outgoing("mine", "q", 0, b"second", once=True)], timeout=0.2)
        finally:
            client.config_set("maxmemory", 0)
        [status] = await broker.queues()
        assert (status.waiting, status.delayed) == (0, 1)


async def test_a_due_time_without_a_message_is_replaced(redis_url: str) -> None:
    """Half of a delayed message, of whatever origin, does not keep its id from being sent."""
    async with opened(redis_url) as broker:
        with redis.Redis.from_url(redis_url) as client:
            client.zadd(keys.prefix("tests") + "delayed", {"mine": 10**13})
        await broker.send([msgspec.structs.replace(message("mine"), once=True)], timeout=5)
        assert [(status.waiting, status.delayed) for status in await broker.queues()] == [(1, 0)]


async def test_an_end_that_cannot_be_encoded_does_not_hold_up_the_others(redis_url: str) -> None:
    async with opened(redis_url) as broker:
        worker = broker.consumer(worker_status("w"), visibility_timeout=30, dead_letters_max_length=10)
        await worker.join()
        await broker.send([message("a"), message("bad"), message("b")], timeout=5)
        a, bad, b = await within(worker.fetch(10, wait=5))
        settlements = [
            Settlement(a, record=b"r", final=True),
            Settlement(bad, sends=[message("bad", delay=2**70)]),
            Settlement(b, record=b"r", final=True),
        ]
        verdicts = await within(worker.settle(settlements))
        assert verdicts == [Verdict.APPLIED, Verdict.REFUSED, Verdict.APPLIED]
        assert await worker.hand_back([]) == 1  # the message of the refused one is still there
        await worker.close()


# Coming and going


async def test_a_broker_that_is_opened_again_loses_no_send(redis_url: str) -> None:
    """Its requests are numbered anew: they must not be taken for repeats of those before it was closed."""
    broker = RedisBroker(redis_url, "tests")
    for opening in range(3):
        await broker.open()
        for number in range(3):
            await broker.send([message(f"{opening}-{number}")], timeout=5)
        assert [status.waiting for status in await broker.queues()] == [3 * (opening + 1)]
        await broker.close()


async def test_who_sends_while_it_is_closed_hears_of_it(
    redis_server: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the sending waits for its next try."""
    waits = asyncio.Event()

    class ForEver(Backoff):
        async def wait(self) -> None:
            waits.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(outbox, "Backoff", ForEver)
    async with opened(redis_url) as broker:
        redis_server.kill()
        try:
            sending = [asyncio.create_task(broker.send([message(id)], timeout=600)) for id in "ab"]
            await within(waits.wait())
            sending += [asyncio.create_task(broker.send([message("c")], timeout=600))]
            await asyncio.sleep(0)
        finally:
            redis_server.start()
    for sent in sending:
        with pytest.raises(BrokerUnavailable, match="was closed"):
            await within(sent)


async def test_who_sends_alone_while_it_is_closed_hears_of_it(redis_server: Any, redis_url: str) -> None:
    """The request is made by the sender himself, over a connection that is closed under him."""
    async with opened(redis_url) as broker:
        await broker.send([message("before")], timeout=600)
        os.kill(redis_server.pid, signal.SIGSTOP)
        try:
            sending = [asyncio.create_task(broker.send([message(id)], timeout=600)) for id in "ab"]
            await asyncio.sleep(0.05)
        finally:
            closing = asyncio.create_task(broker.close())
            await asyncio.sleep(0.05)
            os.kill(redis_server.pid, signal.SIGCONT)
        await within(closing)
        for sent in sending:
            with pytest.raises(BrokerUnavailable, match="was closed"):
                await within(sent)


async def test_a_sender_that_is_cancelled_leaves_the_others_alone(redis_server: Any, redis_url: str) -> None:
    """What was sent meanwhile goes, once each; the reply to the cancelled one is not taken for theirs."""
    async with opened(redis_url) as broker:
        await broker.send([message("before")], timeout=5)
        for turn in range(20):
            sending = [asyncio.create_task(broker.send([message(f"{turn}-{n}")], timeout=5)) for n in range(3)]
            for _ in range(turn % 4):
                await asyncio.sleep(0)
            sending[0].cancel()
            await within(asyncio.gather(*sending, return_exceptions=True))
            assert [one.exception() for one in sending[1:]] == [None, None]
        await broker.send([message("after")], timeout=5)
        (status,) = await broker.queues()
        assert 42 <= status.waiting <= 62


@pytest.mark.parametrize("watched", [False, True])
async def test_who_watches_when_it_is_closed_hears_of_it(redis_url: str, watched: bool) -> None:
    """And who comes later does not wait for ever either, whether others had watched or not."""
    async with opened(redis_url) as broker:
        early = broker.watch("early")
        if watched:
            watch = await early.__aenter__()
            waiting = asyncio.create_task(watch.next())
            await blocks(waiting)
    if watched:
        with pytest.raises(BrokerUnavailable, match="was closed"):
            await within(waiting)
        await early.__aexit__(None, None, None)
    async with broker.watch("late") as late:
        with pytest.raises(BrokerUnavailable, match="was closed"):
            await within(late.next())


async def test_an_older_record_does_not_come_after_a_newer_one(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch reads the record over one connection and hears of the next over another, which may be quicker."""
    async with opened(redis_url) as broker:
        worker = broker.consumer(worker_status("w"), visibility_timeout=30, dead_letters_max_length=10)
        await worker.join()
        await broker.send([message("a")], timeout=5)
        [delivery] = await within(worker.fetch(1, wait=5))

        async def say(record: bytes, *, final: bool = False) -> None:
            settlement = Settlement(delivery, acknowledge=final, record=record, final=final, expires=60_000)
            assert await worker.settle([settlement]) == [Verdict.APPLIED]

        read, arrives = asyncio.Event(), asyncio.Event()
        run = broker._watches._link.run

        async def slow(*arguments: Any, **options: Any) -> Any:
            found = await run(*arguments, **options)
            read.set()
            await arrives.wait()
            return found

        monkeypatch.setattr(broker._watches._link, "run", slow)
        await say(b"older")
        async with broker.watch("a") as watch:
            await within(read.wait())
            await say(b"newer")
            assert await within(watch.next()) == b"newer"
            arrives.set()
            await say(b"last", final=True)
            assert await within(watch.next()) == b"last"


# Servers that change


async def test_a_restart_is_noticed_when_a_lease_is_renewed(redis_url: str) -> None:
    """The truce after a restart begins with it, not with the first death after it, which may be days later (D4)."""
    async with opened(redis_url) as broker:
        workers = [
            broker.consumer(worker_status(name), visibility_timeout=30, dead_letters_max_length=10)
            for name in ("silent", "other")
        ]
        for worker in workers:
            await worker.join()
        silent, other = workers
        await broker.send([message("task")], timeout=5)
        assert len(await within(silent.fetch(10, wait=5))) == 1
        with redis.Redis.from_url(redis_url) as client:
            client.hset(keys.prefix("tests") + "epoch", "run", "the process before")
        assert await asyncio.to_thread(other.renew)
        broker.shift_clock(LEASE + 1)
        assert await asyncio.to_thread(other.renew)
        await other.take_over()
        [delivery] = await within(other.fetch(10, wait=0))
        assert (delivery.id, delivery.deliveries) == ("task", 2)
        for worker in workers:
            await worker.close()


async def test_renewing_at_a_demoted_master_connects_again(redis_url: str) -> None:
    """The name may lead elsewhere by now; the old connection would be refused for ever."""
    async with opened(redis_url) as broker:
        worker = broker.consumer(worker_status("w"), visibility_timeout=30, dead_letters_max_length=10)
        await worker.join()
        with redis.Redis.from_url(redis_url) as client:
            assert await asyncio.to_thread(worker.renew)
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
            try:
                before = client.info("stats")["total_connections_received"]
                for _ in range(2):
                    with pytest.raises(redis.exceptions.ReadOnlyError):
                        await asyncio.to_thread(worker.renew)
            finally:
                client.execute_command("REPLICAOF", "NO", "ONE")
            assert await asyncio.to_thread(worker.renew)
            assert client.info("stats")["total_connections_received"] == before + 2
        await worker.close()


@pytest.mark.parametrize(
    ("option", "told"), [("", b"redis-py(aioqueue_v"), ("?lib_name=shop&protocol=2", b"lib-name=shop ")]
)
async def test_the_server_knows_whose_connections_they_are(
    redis_url: str, client: Any, option: str, told: bytes
) -> None:
    connection = await Server(redis_url + option).connect()
    try:
        await connection.send_command("CLIENT", "INFO")
        assert told in await connection.read_response()
    finally:
        await connection.disconnect()
