"""Who starts the server, who joins it, and when it ends."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from aioqueue import AioQueue
from aioqueue.embedded import EmbeddedServer, acquire, acquire_async, status
from aioqueue.exceptions import ConfigurationError

from .conftest import Folders, wait_for

User = Callable[..., "subprocess.Popen[str]"]


def test_starts_and_answers(folders: Folders) -> None:
    with acquire("app") as server, Redis.from_url(server.url) as redis:
        assert server.started_here
        assert server.start_seconds is not None and 0 < server.start_seconds < 10
        assert redis.ping()
        redis.xadd("stream", {"a": "1"})
        assert redis.xlen("stream") == 1
        config = redis.config_get("*")
        assert (config["appendonly"], config["appendfsync"], config["save"]) == ("yes", "everysec", "")
        assert (config["maxmemory-policy"], config["port"]) == ("noeviction", "0")
        assert server.program.split() == [folders.record().program, server.version]
        assert folders.data in server.data_dir.parents
    wait_for(lambda: not folders.servers() and not folders.supervisors(), "the end of the server")
    assert not server.socket_path.exists()


async def test_in_a_folder_with_any_name(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOQUEUE_RUNTIME_DIR", f"{folders.runtime}#a%20b?c d")
    async with AioQueue("app"):
        pass


async def test_async(folders: Folders) -> None:
    server = await acquire_async("app")
    async with AsyncRedis.from_url(server.url) as redis:
        assert await redis.ping()
    server.close()


async def test_cancelled_acquire_gives_its_share_back(folders: Folders) -> None:
    call = asyncio.create_task(acquire_async("app"))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(wait_for, lambda: folders.records(), "the start")
    await asyncio.to_thread(wait_for, lambda: not folders.servers() and not folders.supervisors(), "its end")


def test_one_process_holds_one_counted_share(folders: Folders) -> None:
    first, second = acquire("app"), acquire("app")
    assert not second.started_here and second.start_seconds is None
    assert first.url == second.url
    assert status("app").users == 1
    first.close()
    first.close()
    assert Redis.from_url(second.url).ping()
    assert status("app").users == 1
    second.close()
    wait_for(lambda: not folders.servers(), "the end of the server")


def test_threads_share(folders: Folders) -> None:
    found: list[EmbeddedServer] = []
    threads = [threading.Thread(target=lambda: found.append(acquire("app"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and sum(server.started_here for server in found) == 1
    for server in found:
        server.close()


def test_second_process_shares(folders: Folders, user: User) -> None:
    with acquire("app") as server:
        Redis.from_url(server.url).set("from", "first")
        other = user()
        assert other.stdout and other.stdout.readline().strip() == "False"
        assert status("app").users == 2
    assert folders.servers(), "the other one still uses it"
    with acquire("app") as server:
        assert not server.started_here
        assert Redis.from_url(server.url).get("from") == b"first"


def test_five_at_once_get_one_server(folders: Folders, user: User) -> None:
    users = [user() for _ in range(5)]
    started = [process.stdout.readline().strip() for process in users if process.stdout]
    assert sorted(started) == ["False"] * 4 + ["True"]
    assert len(folders.servers()) == len(folders.supervisors()) == 1
    assert status("app").users == 5


def test_killed_user_takes_the_server_along(folders: Folders, user: User) -> None:
    only = user()
    assert only.stdout and only.stdout.readline().strip() == "True"
    assert folders.servers()
    only.kill()
    wait_for(lambda: not folders.servers() and not folders.supervisors(), "the end of the server", seconds=5)


def test_names_have_servers_of_their_own(folders: Folders) -> None:
    with acquire("a") as first, acquire("b") as second:
        assert first.url != second.url and first.data_dir != second.data_dir
        Redis.from_url(first.url).set("key", "a")
        assert Redis.from_url(second.url).get("key") is None
        assert len(folders.servers()) == 2


def test_forked_child_holds_no_share(folders: Folders) -> None:
    server = acquire("app")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # stays until the test lets it go, and closes what it inherited, to no effect
        os.close(writer)
        server.close()
        os.read(reader, 1)
        os._exit(0)
    try:
        os.close(reader)
        assert Redis.from_url(server.url).ping()
        server.close()
        wait_for(lambda: not folders.servers(), "the end of the server, though the child lives")
    finally:
        os.close(writer)
        os.waitpid(child, 0)


def test_forked_child_acquires_its_own(folders: Folders) -> None:
    server = acquire("app")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            own = acquire("app")
            code = 0 if Redis.from_url(own.url).ping() and status("app").users == 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert Redis.from_url(server.url).ping()
    server.close()


def test_a_volatile_server_is_not_passed_off_as_durable(folders: Folders) -> None:
    with acquire("app", durable=False) as server:
        assert Redis.from_url(server.url).config_get("appendonly") == {"appendonly": "no"}
        with pytest.raises(ConfigurationError, match="without writing to disk"):
            acquire("app")
        assert acquire("app", durable=False).close() is None
        assert Redis.from_url(server.url).ping()


ALONE = """
import os
from aioqueue.embedded import acquire
with acquire("app"):
    try:
        print("a child:", os.waitpid(-1, os.WNOHANG))
    except ChildProcessError:
        print("none")
"""


def test_no_zombies_and_no_children(folders: Folders) -> None:
    # In a process of its own: this one may have children of other tests.
    assert subprocess.run([sys.executable, "-c", ALONE], stdout=subprocess.PIPE, check=True).stdout == b"none\n"


CHURN = """
import random, sys, time
from redis import Redis
from aioqueue.embedded import acquire
time.sleep(random.random() * 0.4)
with acquire("app", timeout=30) as server, Redis.from_url(server.url) as redis:
    for number in range(20):
        redis.xadd("stream", {"n": number})
"""


def test_churn_never_has_two_servers(folders: Folders) -> None:
    most = 0
    for round_ in range(5):
        random.seed(round_)
        users = [subprocess.Popen([sys.executable, "-c", CHURN]) for _ in range(4)]
        while any(process.poll() is None for process in users):
            most = max(most, len(folders.servers()))
        assert [process.returncode for process in users] == [0] * 4
    with acquire("app") as server:
        assert max(most, len(folders.servers())) == 1
        assert Redis.from_url(server.url).xlen("stream") == 5 * 4 * 20
    wait_for(lambda: not folders.servers() and not folders.supervisors(), "the end of the server")
