"""What a worker is called."""

from __future__ import annotations

import os
import socket
from itertools import count

from aioqueue import kinds

_numbers = count(1)


def name_of(pattern: str) -> str:
    """A worker's name: `%h` is the host's name, `%n` its first part, `%d` the rest, `%p` the process id."""
    host = socket.gethostname()
    first, _, rest = host.partition(".")
    kinds.NAME.of("A worker's hostname", pattern)
    for mark, value in (("%h", host), ("%n", first), ("%d", rest), ("%p", str(os.getpid()))):
        pattern = pattern.replace(mark, value)
    return kinds.NAME.of("A worker's hostname, with its marks filled in,", pattern)


def new_name() -> str:
    """The name of a worker that was given none, which no other one of its host has: `worker-4201@web`, and
    `worker-4201-2@web` for the second one of the process."""
    number = next(_numbers)
    return name_of("worker-%p@%h" if number == 1 else f"worker-%p-{number}@%h")
