"""What is left when a process dies: the server, its supervisor, or the files of both."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from aioqueue import AioQueue
from aioqueue.embedded import acquire, start, status, stop
from aioqueue.exceptions import BrokerUnavailable

from .conftest import Folders, alive, wait_for


def client(url: str) -> Redis:
    return Redis.from_url(url, retry=Retry(ConstantBackoff(0.02), 500))


def test_data_survive_a_restart(folders: Folders) -> None:
    with acquire("app") as server:
        Redis.from_url(server.url).set("key", "value")
    wait_for(lambda: not folders.servers(), "the end of the server")
    with acquire("app") as server:
        assert server.started_here
        assert Redis.from_url(server.url).get("key") == b"value"


def test_killed_server_is_restarted_and_loses_nothing(folders: Folders) -> None:
    with acquire("app") as server:
        redis = client(server.url)
        for number in range(1000):
            redis.xadd("stream", {"n": number})
        (pid,) = folders.servers()
        os.kill(pid, signal.SIGKILL)
        assert redis.xlen("stream") == 1000
        (again,) = folders.servers()
        assert again != pid
        assert status("app").restarts == 1
        assert status("app").pid == again
        with acquire("app") as joined:
            assert not joined.started_here


def test_server_that_dies_again_and_again_is_restarted_each_time(folders: Folders) -> None:
    with acquire("app") as server:
        for _ in range(4):
            (pid,) = folders.servers()
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda dead=pid: folders.servers() not in ([], [dead]), "the next server")
            assert client(server.url).ping()
        assert folders.record().restarts == 4
    wait_for(lambda: not folders.servers(), "the end of the server")


def test_killed_supervisor_is_replaced_and_the_server_adopted(folders: Folders) -> None:
    with acquire("app") as server:
        Redis.from_url(server.url).set("key", "value")
        (pid,) = folders.servers()
        (supervisor,) = folders.supervisors()
        os.kill(supervisor, signal.SIGKILL)
        wait_for(lambda: not alive(supervisor), "the end of the supervisor")
        assert Redis.from_url(server.url).ping()
        with acquire("app") as joined:
            assert not joined.started_here
            assert folders.servers() == [pid]
            assert len(folders.supervisors()) == 1
            # The adopted server, too, is restarted when it dies ...
            os.kill(pid, signal.SIGKILL)
            assert client(server.url).get("key") == b"value"
            assert len(folders.servers()) == 1
    # ... and stopped with its last user.
    wait_for(lambda: not folders.servers() and not folders.supervisors(), "the end of the server")


def test_adopted_server_ends_with_its_last_user(folders: Folders) -> None:
    with acquire("app"):
        (supervisor,) = folders.supervisors()
        os.kill(supervisor, signal.SIGKILL)
        wait_for(lambda: not alive(supervisor), "the end of the supervisor")
        acquire("app").close()
    wait_for(lambda: not folders.servers() and not folders.supervisors(), "the end of the server")


def test_orphaned_server_whose_socket_is_gone_is_replaced(folders: Folders) -> None:
    with acquire("app") as server:
        Redis.from_url(server.url).set("key", "value")
        (pid,) = folders.servers()
        (supervisor,) = folders.supervisors()
        os.kill(supervisor, signal.SIGKILL)
        wait_for(lambda: not alive(supervisor), "the end of the supervisor")
        server.socket_path.unlink()
        with acquire("app") as other:
            assert Redis.from_url(other.url).get("key") == b"value"
            assert folders.servers() != [pid] and len(folders.servers()) == 1


def test_supervised_server_whose_socket_is_gone_is_replaced(folders: Folders) -> None:
    with acquire("app") as server:
        Redis.from_url(server.url).set("key", "value")
        server.socket_path.unlink()
        with acquire("app", timeout=20) as other:
            assert Redis.from_url(other.url).get("key") == b"value"
            assert len(folders.servers()) == 1


def test_runtime_folder_removed_under_a_running_server(folders: Folders) -> None:
    """As a logout does to $XDG_RUNTIME_DIR."""
    with acquire("app") as server:
        Redis.from_url(server.url).set("key", "value")
        shutil.rmtree(folders.runtime)
        with acquire("app") as other:
            assert Redis.from_url(other.url).get("key") == b"value"
            assert len(folders.servers()) == 1


def test_both_killed(folders: Folders) -> None:
    with acquire("app") as server:
        Redis.from_url(server.url).set("key", "value")
        for pid in [*folders.supervisors(), *folders.servers()]:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not folders.servers(), "the end of both")
        assert server.socket_path.exists(), "a stale socket"
        with acquire("app") as other:
            assert other.started_here
            assert Redis.from_url(other.url).get("key") == b"value"


def test_other_runtime_folder_same_data(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cron job has no $XDG_RUNTIME_DIR; it finds the server of the login session through the data folder."""
    with acquire("app") as server:
        monkeypatch.setenv("AIOQUEUE_RUNTIME_DIR", str(folders.runtime.with_name("elsewhere")))
        with acquire("app") as other:
            assert other.url == server.url and not other.started_here
        assert status("app").running
        assert start("app").kept
        assert stop("app")
        assert not status("app").running


def test_server_that_cannot_start_shows_its_log(folders: Folders, tmp_path: Path) -> None:
    program = tmp_path / "valkey-server"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "Valkey server v=9.1.2 x" || { echo "no way"; exit 3; }\n'
    )
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOQUEUE_SERVER_BINARY", str(program))
        with pytest.raises(BrokerUnavailable, match=r"(?s)'app' could not start.*exit status 3.*server\.log.*no way"):
            acquire("app")
    assert not folders.supervisors() or wait_for(lambda: not folders.supervisors(), "its end")
    with acquire("app") as server:
        assert Redis.from_url(server.url).ping()


def test_server_that_never_answers_is_given_up(folders: Folders, tmp_path: Path) -> None:
    program = tmp_path / "valkey-server"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Valkey server v=9.1.2 x" || exec sleep 60\n')
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOQUEUE_SERVER_BINARY", str(program))
        with pytest.raises(BrokerUnavailable, match="is not there"):
            acquire("app", timeout=1)
    wait_for(lambda: not folders.supervisors(), "the end, as nobody uses it")


def test_acquire_after_stop_starts_again(folders: Folders) -> None:
    with acquire("app") as server:
        assert stop("app")
        with pytest.raises(RedisConnectionError):
            Redis.from_url(server.url, retry=None).ping()
        with acquire("app") as again:
            assert again.started_here
            assert Redis.from_url(server.url).ping()


def kill_all(folders: Folders) -> None:
    """The supervisor first, or it would restart the server."""
    for pid in [*folders.supervisors(), *folders.servers()]:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not folders.servers() and not folders.supervisors(), "their end")


async def test_a_program_whose_server_was_killed_with_its_supervisor_goes_on(folders: Folders) -> None:
    """As with a first use: it is started again, by one of those who use it, and has what it had."""
    app = AioQueue("app")

    @app.task(name="add")
    async def add(x: int, y: int) -> int:
        return x + y

    async with app, app.worker(), asyncio.timeout(60):
        assert await add.call(1, 1, timeout=10) == 2
        kept = await add.options(countdown=3600).send(2, 3)
        await asyncio.sleep(1.1)  # synced every second
        for round in range(2):
            kill_all(folders)
            results = await asyncio.gather(*[add.send(round, n) for n in range(20)])
            assert [await result.get(timeout=20) for result in results] == [round + n for n in range(20)]
            assert len(folders.servers()) == len(folders.supervisors()) == 1
        assert (await (await app.broker()).queues())[0].delayed == 1
        await kept.revoke()
    wait_for(lambda: not folders.servers(), "the end of the server")


async def test_several_who_find_it_gone_start_one(folders: Folders) -> None:
    apps = [AioQueue("app", namespace=f"n{number}") for number in range(4)]
    for app in apps:
        app.task(name="free")(abs)
        await app.open()
    with acquire("app"):
        kill_all(folders)
        results = await asyncio.gather(*[app.send_task("free", (-1,)) for app in apps])
        assert len(results) == 4 and len(folders.servers()) == 1
    for app in apps:
        await app.close()


async def test_one_that_was_stopped_by_hand_stays_so(folders: Folders) -> None:
    app = AioQueue("app", send_timeout=0.5)
    async with app:
        await app.send_task("any")
        assert stop("app")
        with pytest.raises(BrokerUnavailable):
            await app.send_task("any")
        assert not folders.servers()
