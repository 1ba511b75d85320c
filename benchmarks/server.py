"""A server for one benchmark: on a free port of 127.0.0.1, with the durability that is measured."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from aioqueue.embedded import find_server_binary


@contextmanager
def server() -> Iterator[str]:
    """A private server with AOF everysec, as the embedded one has; yields its URL and stops it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binary = find_server_binary()
    with tempfile.TemporaryDirectory(prefix="aioqueue-bench-") as folder:
        process = subprocess.Popen(
            [
                *(str(binary.path), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder),
                *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--daemonize", "no"),
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            client = redis.Redis(port=port)
            for _ in range(200):
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(10)
            assert not Path(folder, "core").exists()
