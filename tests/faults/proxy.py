"""A network that loses what it is told to lose: a proxy that understands requests, and cuts, swallows and delays."""

from __future__ import annotations

import asyncio
import random
import ssl
from dataclasses import dataclass, field
from enum import Enum, auto
from hashlib import sha1
from pathlib import Path

import hiredis

import aioqueue.brokers.redis
from aioqueue.brokers.redis.scripts import script

_FOLDER = Path(aioqueue.brokers.redis.__file__).parent / "lua"
_SCRIPTS = {script(path.stem).sha: path.stem for path in _FOLDER.glob("*.lua")}


class Loss(Enum):
    """What happens to a request."""

    REQUEST = auto()
    """The connection ends before the request is delivered."""
    REPLY = auto()
    """The connection ends when the request has been executed, and before its reply is delivered."""
    SILENCE = auto()
    """The request is swallowed; the connection stays open, and nothing comes over it any more."""
    LATE_REQUEST = auto()
    """The request is on its way until the network is healed."""
    LATE_REPLY = auto()
    """The reply is."""


@dataclass(eq=False)
class Rule:
    """Which requests are lost, and how.

    Attributes:
        loss: how.
        names: of commands, or of aioqueue's scripts; none at all is all of them.
        times: how often, None for always.
        chance: of each request.
        done: how often it happened.
    """

    loss: Loss
    names: frozenset[str]
    times: int | None = 1
    chance: float = 1.0
    random: random.Random = field(default_factory=random.Random)
    done: int = 0

    def applies(self, name: str) -> bool:
        return (
            (not self.names or name in self.names)
            and self.goes_on
            and (self.chance >= 1.0 or self.random.random() < self.chance)
        )

    @property
    def goes_on(self) -> bool:
        return self.times is None or self.done < self.times


class Proxy:
    """In front of a server on this machine.

    Attributes:
        url: where it listens.
        delay: seconds that each reply takes longer.
        seen: the names of all requests.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._server: asyncio.Server | None = None
        self._rules: list[Rule] = []
        self._connections: set[_Connection] = set()
        self.url = ""
        self.delay = 0.0
        self.seen: list[str] = []
        self.healed = asyncio.Event()

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        scheme = "redis" if tls is None else "rediss"
        self.url = f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.drop_all()
        await asyncio.gather(*[connection.closed.wait() for connection in self._connections])

    def lose(
        self, loss: Loss, *names: str, times: int | None = 1, chance: float = 1.0, seed: int | None = None
    ) -> Rule:
        """Begin to lose requests."""
        self.healed.clear()
        rule = Rule(loss, frozenset(names), times, chance, random.Random(seed))
        self._rules.append(rule)
        return rule

    def heal(self) -> None:
        """Lose nothing any more; connections that were silenced end, and what was on its way arrives."""
        self._rules.clear()
        self.healed.set()
        for connection in self._connections:
            if connection.silent:
                connection.drop()

    def silence(self, *names: str) -> int:
        """Let the open connections that have carried these requests go half open, or all; returns how many."""
        wanted = [c for c in self._connections if not names or c.names & set(names)]
        for connection in wanted:
            connection.silent = True
        return len(wanted)

    def drop_all(self, *names: str) -> int:
        """Cut the connections that have carried these requests, or all; returns how many."""
        wanted = [c for c in self._connections if not names or c.names & set(names)]
        for connection in wanted:
            connection.drop()
        return len(wanted)

    def rule_for(self, name: str) -> Rule | None:
        self.seen.append(name)
        return next((rule for rule in self._rules if rule.applies(name)), None)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run(self._upstream)
        finally:
            self._connections.discard(connection)


class _Connection:
    """One client's way to the server and back."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._up: asyncio.StreamWriter | None = None
        self._losing: Rule | None = None
        self.names: set[str] = set()
        self.silent = False
        self.closed = asyncio.Event()

    async def run(self, port: int) -> None:
        try:
            up_reader, self._up = await asyncio.open_connection("127.0.0.1", port)
            ways = [asyncio.create_task(self._requests()), asyncio.create_task(self._replies(up_reader))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass
        finally:
            self.drop()
            self.closed.set()

    def drop(self) -> None:
        for writer in (self._writer, self._up):
            if writer is not None and writer.transport is not None:
                writer.transport.abort()

    async def _requests(self) -> None:
        assert self._up is not None
        parser = hiredis.Reader()
        while data := await self._reader.read(65536):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                name = _name_of(command)
                self.names.add(name)
                rule = None if self.silent else self._proxy.rule_for(name)
                if rule is not None and rule.loss is Loss.REQUEST:
                    rule.done += 1
                    return
                if rule is not None and rule.loss is Loss.SILENCE:
                    rule.done += 1
                    self.silent = True
                if rule is not None and rule.loss is Loss.LATE_REQUEST:
                    rule.done += 1
                    await self._proxy.healed.wait()
                    rule = None
                if self.silent:
                    continue
                self._losing = rule or self._losing
                self._up.write(hiredis.pack_command(tuple(command)))
            await self._up.drain()

    async def _replies(self, up_reader: asyncio.StreamReader) -> None:
        while data := await up_reader.read(65536):
            rule, self._losing = self._losing, None
            # A refusal, such as NOSCRIPT, is not what is to be lost: nothing was executed.
            if rule is not None and rule.goes_on and not data.startswith(b"-"):
                rule.done += 1
                if rule.loss is not Loss.LATE_REPLY:
                    return
                await self._proxy.healed.wait()
            if self._proxy.delay:
                await asyncio.sleep(self._proxy.delay)
            if not self.silent:
                self._writer.write(data)
                await self._writer.drain()


def _name_of(command: list[bytes]) -> str:
    name = command[0].decode().upper()
    if name == "EVALSHA":
        return _SCRIPTS.get(command[1].decode(), name)
    if name == "EVAL":
        return _SCRIPTS.get(sha1(command[1], usedforsecurity=False).hexdigest(), name)
    return name
