"""A server for one benchmark: on a free port of 127.0.0.1, with the durability that is measured."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from aioqueue.embedded import find_server_binary

_PATIENCE = 10.0


@contextmanager
def server() -> Iterator[str]:
    """A private server with AOF everysec, as the embedded one has; yields its URL and stops it at the end.

    The file is not rewritten meanwhile: that would be noise at a moment of its own choosing.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binary = find_server_binary()
    with tempfile.TemporaryDirectory(prefix="aioqueue-bench-") as folder:
        process = subprocess.Popen(
            [
                *(str(binary.path), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""),
                *("--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"),
                *("--daemonize", "no"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait(port, process)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            # There is nothing in it that anybody wants: no time is spent on a good end.
            process.kill()
            process.wait(_PATIENCE)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                if process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.02)
