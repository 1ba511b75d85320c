"""The few words of the Redis protocol that are needed to look after a server."""

from __future__ import annotations

import os
import socket
from enum import Enum
from pathlib import Path


class Pulse(Enum):
    """What a PING brought back."""

    READY = "answers"
    LOADING = "still loads its data"
    SILENT = "does not answer"
    ABSENT = "is not there"


def pulse(path: Path, timeout: float = 1.0) -> Pulse:
    """How the server at the socket `path` is; waits for at most `timeout` seconds."""
    try:
        reply = ask(path, "PING", timeout=timeout)
    except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
        return Pulse.ABSENT
    except (TimeoutError, BlockingIOError):
        return Pulse.SILENT
    if not reply:
        return Pulse.ABSENT
    # Whatever else it says (a script keeps it busy, its disk is full), it is there, and has its data.
    return Pulse.LOADING if reply.startswith(b"-LOADING") else Pulse.READY


def server_facts(path: Path, timeout: float = 1.0) -> dict[str, str]:
    """The server's `INFO server`, as a dict; empty if it did not tell in `timeout` seconds."""
    try:
        reply = ask(path, "INFO", "server", timeout=timeout).decode(errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in reply.splitlines())
    return {key: value for key, colon, value in pairs if colon}


def ask(path: Path, *words: str, timeout: float) -> bytes:
    """The reply to one command, as it came: a line, or a bulk string with its head. Empty if the server hung up."""
    parts = [word.encode() for word in words]
    request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(max(timeout, 0.01))
        connection.connect(os.fspath(path))
        connection.sendall(request)
        reply = b""
        while not _is_whole(reply):
            chunk = connection.recv(65536)
            if not chunk:
                return b""
            reply += chunk
        return reply


def _is_whole(reply: bytes) -> bool:
    head, end, body = reply.partition(b"\r\n")
    if not end:
        return False
    return not head.startswith(b"$") or len(body) >= int(head[1:]) + 2
