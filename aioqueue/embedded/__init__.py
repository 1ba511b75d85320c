"""A private Redis-compatible server, shared by the processes of one user and gone with the last of them.

`acquire` starts the server or joins the running one; what it returns is a share, and the server lives as long as
anybody holds one. How that works, without heartbeats or timers, is told in `supervisor`. POSIX only.
"""

from __future__ import annotations

import sys

__all__ = [
    "Binary",
    "EmbeddedServer",
    "ServerStatus",
    "acquire",
    "acquire_async",
    "find_server_binary",
    "remove",
    "start",
    "status",
    "statuses",
    "stop",
]

if sys.platform == "win32":
    from aioqueue.exceptions import ConfigurationError

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(name)
        raise ConfigurationError(
            "The embedded server does not run on Windows. Use WSL, start a Redis or Valkey server with Docker, or name "
            "a server of yours with broker='redis://…' or AIOQUEUE_BROKER."
        )

else:
    from .binary import Binary, find_server_binary
    from .control import ServerStatus, remove, start, status, statuses, stop
    from .share import EmbeddedServer, acquire, acquire_async
