"""Whether workers answer, asked over a plain socket: for probes, which begin anew each time and are to cost little.

What is asked and answered is the same as elsewhere (`asking`). The client library and asyncio, whose imports take
several times as long as all that is done here, are done without.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import IO, Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from aioqueue.brokers.redis.keys import Keys
from aioqueue.exceptions import BrokerUnavailable
from aioqueue.url import masked


class Probed(NamedTuple):
    """Names of workers.

    Attributes:
        answered, silent: those that have answered in time, and those that have not.
    """

    answered: list[str]
    silent: list[str]


class CannotProbe(Exception):
    """The server has to be asked in another way: it does not speak RESP3, or does not allow this."""


def can_probe(url: str) -> bool:
    """Whether a URL is of a server that can be asked so: without TLS, without Sentinels, and without options."""
    parts = urlsplit(url)
    return parts.scheme in ("redis", "unix") and not parts.query and not parts.fragment


def ping(url: str, namespace: str, *, host: str | None, timeout: float) -> Probed:
    """Ask the living workers, and wait until all of them have answered.

    Args:
        url: of the server, for which `can_probe`.
        namespace: whose workers.
        host: only those of this one.
        timeout: seconds to wait.

    Raises:
        BrokerUnavailable: the server is away.
        CannotProbe: this server has to be asked in another way.
    """
    parts, keys = urlsplit(url), Keys(namespace)
    # For the server itself the same time: it is on its way, or it is not.
    with _connected(url, parts, timeout) as (connection, replies):
        id = os.urandom(8).hex()
        user = [unquote(parts.username or "default"), unquote(parts.password)] if parts.password else []
        database = parts.path.strip("/") if parts.scheme == "redis" else ""
        words = [
            ["HELLO", "3", *(["AUTH", *user] if user else [])],
            ["SELECT", database or "0"],
            ["TIME"],
            ["ZRANGE", keys.leases, "0", "-1", "WITHSCORES"],
            ["HGETALL", keys.workers],
            ["SUBSCRIBE", keys.answers(id)],
        ]
        connection.sendall(b"".join(map(_command, words)))
        _, _, time, leases, about, _ = [_reply(replies) for _ in words]
        now = int(time[0]) * 1000 + int(time[1]) // 1000
        alive = [worker for worker, end in leases if float(end) > now]
        names = dict(_named(alive, about, host))
        if not names:
            return Probed([], [])
        question: dict[str, Any] = {
            "id": id,
            "name": "ping",
            "arguments": msgspec.msgpack.encode(None),
            "until": now + round(timeout * 1000),
        }
        if host is not None:
            question["to"] = list(names.values())
        connection.sendall(_command(["PUBLISH", keys.inspect, msgspec.msgpack.encode(question)]))
        return _gathered(connection, replies, names, monotonic() + timeout)


def _gathered(connection: socket.socket, replies: IO[bytes], names: dict[str, str], until: float) -> Probed:
    """Wait for the answers of these; `names` are by the ids of workers."""
    missing, answered = dict(names), list[str]()
    while missing and (left := until - monotonic()) > 0:
        connection.settimeout(left)
        try:
            news = _reply(replies)
        except TimeoutError:
            break
        if isinstance(news, list) and news[0] == b"message":
            worker = _map(news[2]).get("worker", "")
            if worker in missing:
                answered.append(missing.pop(worker))
    return Probed(sorted(answered), sorted(missing.values()))


def _named(alive: list[bytes], about: list[Any], host: str | None) -> Iterator[tuple[str, str]]:
    """The ids and the names of workers, of those of a host if there is one."""
    said: dict[bytes, Any] = dict(zip(about[::2], about[1::2], strict=True))
    for worker in alive:
        status = _map(said.get(worker, b""))
        if host is None or status.get("host") == host:
            id = worker.decode(errors="replace")
            yield id, str(status.get("name", id))


def _map(data: Any) -> dict[str, Any]:
    try:
        return msgspec.msgpack.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):  # anybody may write anything
        return {}


@contextmanager
def _connected(url: str, parts: SplitResult, timeout: float) -> Generator[tuple[socket.socket, IO[bytes]]]:
    try:
        if parts.scheme == "unix":
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            connection.connect(unquote(parts.path))
        else:
            connection = socket.create_connection((parts.hostname or "localhost", parts.port or 6379), timeout)
        with connection, connection.makefile("rb") as replies:
            yield connection, replies
    except OSError as error:
        raise BrokerUnavailable(f"{masked(url)} cannot be asked ({error or 'no answer in time'}).") from None


def _command(words: list[str] | list[str | bytes]) -> bytes:
    encoded = [word if isinstance(word, bytes) else word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)


def _reply(replies: IO[bytes]) -> Any:
    """The next thing that the server says, in RESP3; numbers are left as they are written, maps are flat."""
    line = replies.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("it has closed the connection")
    kind, rest = line[:1], line[1:-2]
    if kind == b"-":
        raise CannotProbe(rest.decode(errors="replace"))
    if kind == b"$":
        size = int(rest)
        return replies.read(size + 2)[:-2] if size >= 0 else None
    if kind in b"*>~%":
        return [_reply(replies) for _ in range(int(rest) * (2 if kind == b"%" else 1))]
    return None if kind == b"_" else rest
