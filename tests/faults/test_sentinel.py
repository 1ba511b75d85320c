"""Redis Sentinel: the primary dies, or hands over, and everything goes on with the next one."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis
from support.server import free_port, server_binary

from aioqueue.brokers.redis.sentinel import split
from aioqueue.exceptions import BrokerUnavailable, ConfigurationError
from aioqueue.url import masked

from .arena import PATIENCE, Arena, until
from .server import DurableServer
from .tasks import make_app

_NAME = "shop"
_PASSWORD = "S3CR3T"


class Topology:
    """A primary, a replica, and one Sentinel that watches them.

    Attributes:
        url: of the primary, whoever it is. A Sentinel that is not there is named first.
    """

    def __init__(self, primary: DurableServer, folder: Path) -> None:
        self._folder = folder
        (folder / "replica").mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        self.primary = primary
        self.replica = DurableServer(folder / "replica")
        self.sentinel: Any = redis.Redis(port=self._port, password=_PASSWORD, decode_responses=True, socket_timeout=5)
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{self._port}"
        self.url = f"redis+sentinel://{hosts}/{_NAME}/0?sentinel_password={_PASSWORD}"

    async def start(self) -> None:
        await self.replica.start()
        self.replica.client.replicaof("127.0.0.1", self.primary.port)
        await until(lambda: self.replica.client.info("replication")["master_link_status"] == "up")
        file = self._folder / "sentinel.conf"
        file.write_text(
            f"port {self._port}\nbind 127.0.0.1\nrequirepass {_PASSWORD}\n"
            f"sentinel monitor {_NAME} 127.0.0.1 {self.primary.port} 1\n"
            f"sentinel down-after-milliseconds {_NAME} 500\n"
            f"sentinel failover-timeout {_NAME} 3000\n"
        )
        self._launch(file)
        await until(self._watches, what="the Sentinel to know the replica")

    def _launch(self, file: Path) -> None:
        with (self._folder / "sentinel.log").open("wb") as log:
            command = [server_binary(), str(file), "--sentinel"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def _watches(self) -> bool:
        try:
            return [one["flags"] for one in self.sentinel.sentinel_slaves(_NAME)] == ["slave"]
        except (redis.RedisError, OSError):
            return False

    async def replicated(self) -> None:
        """Wait until the replica has all that the primary has answered."""
        await until(lambda: self.primary.client.wait(1, 1000) == 1, what="the replica to follow")

    async def switched(self) -> None:
        """Wait until the replica is the primary."""
        await until(lambda: self.replica.client.info("replication")["role"] == "master", what="a failover")

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.sentinel.close()
        self.replica.close()


@pytest_asyncio.fixture
async def topology(arena: Arena, tmp_path: Path) -> AsyncIterator[Topology]:
    topology = Topology(arena.server, tmp_path)
    try:
        await topology.start()
        yield topology
    finally:
        topology.close()


async def test_the_primary_dies(arena: Arena, topology: Topology) -> None:
    """What it had answered, and the replica had, is done once each; what is sent meanwhile waits for the next one."""
    await arena.worker(url=topology.url)
    async with make_app(topology.url, send_timeout=PATIENCE) as app:
        work = app.tasks["work"]
        await (await work.send()).get(timeout=PATIENCE)
        running = await app.send_many([work.s(1.0) for _ in range(10)])
        waiting = await app.send_many([work.s() for _ in range(30)])
        await arena.started(running)
        await topology.replicated()
        topology.primary.kill()
        later = [await work.send() for _ in range(5)]
        await topology.switched()
        for result in [*running, *waiting, *later]:
            await result.get(timeout=PATIENCE)
    starts = Counter(line.id for line in arena.score.select("start"))
    assert starts.keys() >= {result.id for result in [*running, *waiting, *later]}
    # An end of which the dead primary alone knew is not known any more: such a body may run again.
    assert max(starts.values()) <= 2
    assert all(starts[result.id] == 1 for result in later)


async def test_the_primary_hands_over(arena: Arena, topology: Topology) -> None:
    """Nobody who sends or waits is told of it."""
    await arena.worker(url=topology.url)
    async with make_app(topology.url, send_timeout=PATIENCE) as app:
        work = app.tasks["work"]
        stop = asyncio.Event()

        async def send() -> int:
            count = 0
            while not stop.is_set():
                await (await work.send()).get(timeout=PATIENCE)
                count += 1
            return count

        sending = asyncio.create_task(send())
        await until(lambda: len(arena.score.select("start")) > 20)
        topology.sentinel.execute_command("SENTINEL", "FAILOVER", _NAME)
        await topology.switched()
        before = len(arena.score.select("start"))
        await until(lambda: len(arena.score.select("start")) > before + 20)
        stop.set()
        assert await sending > 40


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            f"/{_NAME}/0|/another/0",
            r"no healthy primary 'another': .*:\d+ \(Error 111.*; .*:\d+ \(it knows no 'another'\)",
        ),
        (f"sentinel_password={_PASSWORD}|sentinel_password=wr0ng", r"127.0.0.1:\d+ \([^)]*password[^)]*\)\)\. Is"),
    ],
)
async def test_what_is_wrong_is_told(arena: Arena, topology: Topology, change: str, told: str) -> None:
    before, after = change.split("|")
    with pytest.raises(BrokerUnavailable, match=told) as error:
        async with make_app(topology.url.replace(before, after), send_timeout=1) as app:
            await app.tasks["work"].send()
    assert _PASSWORD not in str(error.value) and "wr0ng" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "address", "hosts", "options"),
    [
        ("redis+sentinel://a/shop", "redis://the-primary/", [("a", 26379)], {}),
        ("redis+sentinel://a:1,b:2/shop/3", "redis://the-primary/3", [("a", 1), ("b", 2)], {}),
        ("rediss+sentinel://u:p%40@[::1]:5/shop?a=b", "rediss://u:p%40@the-primary/?a=b", [("::1", 5)], {}),
        (
            "redis+sentinel://a/shop/0?sentinel_username=u&protocol=2&sentinel_password=p%26",
            "redis://the-primary/0?protocol=2",
            [("a", 26379)],
            {"username": "u", "password": "p&"},
        ),
    ],
)
def test_urls(url: str, address: str, hosts: list[tuple[str, int]], options: dict[str, str]) -> None:
    found, sentinels = split(url)
    assert found == address
    assert sentinels is not None
    assert sentinels == (hosts, "shop", options)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis+sentinel://a:26379", "does not say which primary"),
        ("redis+sentinel://a,,b/shop", "names no Sentinel"),
        ("redis+sentinel:///shop", "names no Sentinel"),
        ("redis+sentinel://a:x/shop", "its port is no number from 1 to 65535"),
        ("redis+sentinel://a/shop?sentinel_port=5", "unknown option, sentinel_port"),
    ],
)
async def test_urls_that_cannot_be_used(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        async with make_app(url):
            pass


def test_passwords_are_not_shown() -> None:
    url = f"redis+sentinel://u:{_PASSWORD}@a:1,b:2/shop/0?sentinel_password={_PASSWORD}"
    assert masked(url) == "redis+sentinel://u:***@a:1,b:2/shop/0?sentinel_password=***"
