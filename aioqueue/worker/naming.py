"""What a worker is called."""

from __future__ import annotations

import os
import socket

from aioqueue import kinds


def name_of(pattern: str) -> str:
    """A worker's name: `%h` is the host's name, `%n` its first part, `%d` the rest, `%p` the process id."""
    host = socket.gethostname()
    first, _, rest = host.partition(".")
    kinds.NAME.of("A worker's hostname", pattern)
    for mark, value in (("%h", host), ("%n", first), ("%d", rest), ("%p", str(os.getpid()))):
        pattern = pattern.replace(mark, value)
    return kinds.NAME.of("A worker's hostname, with its marks filled in,", pattern)
