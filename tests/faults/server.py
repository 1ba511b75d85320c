"""A server that can be killed, frozen and started again with what it had."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
from pathlib import Path
from time import monotonic
from typing import Any

import redis

_PATIENCE = 20.0


class DurableServer:
    """A server with an append-only file, written before each reply.

    Not `everysec`: then the file is not written while a sync of it is under way, and a SIGKILL in that moment loses
    what has been answered since. That was seen: of 25 kills on a busy disk one lost 257 writes.

    Attributes:
        port, url: the same over restarts.
    """

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary = binary
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, socket_timeout=10)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start it and return when it answers."""
        assert not self.alive, "the server runs already"
        self._launch()
        deadline = monotonic() + _PATIENCE
        while True:
            try:
                self.client.ping()
                return
            except redis.RedisError as error:
                if not self.alive or monotonic() > deadline:
                    text = (self._folder / "server.log").read_text(errors="replace")
                    raise RuntimeError(f"{self._binary} did not start:\n{text[-2000:]}") from error
                await asyncio.sleep(0.01)

    def _launch(self) -> None:
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._binary,
                    *("--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--dir", str(self._folder), "--save", ""),
                    *("--appendonly", "yes", "--appendfsync", "always"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it at once; `start` brings it back with what it had."""
        if self._process is not None and self.alive:
            self._process.kill()
            self._process.wait(timeout=_PATIENCE)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self.client.close()

    def set(self, **options: Any) -> None:
        """CONFIG SET."""
        for name, value in options.items():
            self.client.config_set(name, value)

    def drop_clients(self) -> None:
        """Cut all connections but this one."""
        self.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


def free_port() -> int:
    # Below the ports that the kernel gives to clients: while the server is down, one of its own clients could be
    # given its port, and connect to itself.
    while True:
        port = random.SystemRandom().randint(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
