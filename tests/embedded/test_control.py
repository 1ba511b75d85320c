"""`start`, `stop`, `status`."""

from __future__ import annotations

import os
import signal

from redis import Redis

from aioqueue.embedded import acquire, start, status, statuses, stop

from .conftest import Folders, alive, wait_for


def test_unknown_server(folders: Folders) -> None:
    found = status("app")
    assert not found.running and found.pid is None and found.data_dir is None
    assert not stop("app")
    assert statuses() == []


def test_status_of_a_running_server(folders: Folders) -> None:
    with acquire("app") as server:
        found = status("app")
        assert found.running and found.pid in folders.servers()
        assert (found.program, found.version) == (server.program.split()[0], server.version)
        assert (found.socket, found.data_dir) == (server.socket_path, server.data_dir)
        assert found.uptime is not None and found.uptime >= 0
        assert found.durable and not found.kept and found.restarts == 0
        assert found.log is not None and found.log.read_text()
        assert found.users in (1, None)


def test_started_server_stays_until_it_is_stopped(folders: Folders) -> None:
    found = start("app")
    assert found.running and found.kept
    assert start("app").pid == found.pid
    with acquire("app") as server:
        assert not server.started_here
        assert Redis.from_url(server.url).set("key", "value")
        assert status("app").users in (1, None)
    assert status("app").pid == found.pid
    assert status("app").users in (0, None)
    assert stop("app")
    assert not stop("app")
    assert folders.servers() == folders.supervisors() == []
    assert not status("app").running and not status("app").kept
    with acquire("app") as server:
        assert server.started_here
        assert not status("app").kept
        assert Redis.from_url(server.url).get("key") == b"value"


def test_kept_server_is_kept_by_the_supervisor_that_adopts_it(folders: Folders) -> None:
    found = start("app")
    (supervisor,) = folders.supervisors()
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: not alive(supervisor), "the end of the supervisor")
    acquire("app").close()
    assert status("app").kept and status("app").pid == found.pid
    (supervisor,) = folders.supervisors()
    assert stop("app")
    assert folders.servers() == []


def test_stop_ends_a_server_without_supervisor(folders: Folders) -> None:
    start("app")
    (supervisor,) = folders.supervisors()
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: not alive(supervisor), "the end of the supervisor")
    assert stop("app")
    assert folders.servers() == []


def test_stop_while_used(folders: Folders) -> None:
    with acquire("app") as server:
        Redis.from_url(server.url).set("key", "value")
        assert stop("app")
        assert folders.servers() == []
        with acquire("app"):
            assert Redis.from_url(server.url).get("key") == b"value"
        assert Redis.from_url(server.url).ping(), "the first share holds the new server, too"


def test_all_statuses(folders: Folders) -> None:
    with acquire("b/ä"), acquire("a"):
        assert [(found.name, found.running) for found in statuses()] == [("a", True), ("b/ä", True)]
        stop("a")
        assert [(found.name, found.running) for found in statuses()] == [("a", False), ("b/ä", True)]
