"""How a worker's lease is renewed, and what it has not started handed back: from a thread of its own, over a connection
that only that thread uses."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from aioqueue.brokers.protocol import Proxy
from aioqueue.brokers.redis.link import Argument, pack, text
from aioqueue.brokers.redis.scripts import script
from aioqueue.brokers.redis.server import Server


class Renewals:
    """The connection of the thread that renews.

    Args:
        timeout: seconds that an answer may take.
    """

    def __init__(self, server: Server, timeout: float) -> None:
        self._server = server
        self._timeout = timeout
        self._connection: Any = None

    def renew(self, prefix: str, worker: str, lease: int, offset: int) -> int:
        """Renew the lease for `lease` ms. Returns what the server's clock says, or 0 when the lease is lost."""
        return self._run("renew", prefix, worker, lease, offset)

    def proxy(self, prefix: str, worker: str, lease: int, offset: int) -> Proxy:
        """How another process renews that."""
        about = {"url": self._server.url, "timeout": self._timeout, "arguments": [prefix, worker, lease, offset]}
        return Proxy(f"{__name__}:{RenewalElsewhere.__name__}", about)

    def hand_back(self, prefix: str, worker: str, streams: Sequence[str], held: Container[str], most: int) -> int:
        """Hand back what is lent to the worker but not named among `held`, so many at once; returns how many.

        What is handed back is named, so that this is harmless however late it comes: an entry that was handed back is
        another one from then on.
        """
        total = 0
        while True:
            lent = [text(name) for name in self._run("lent", prefix, worker, *streams)]
            names = [name for name in lent if name not in held][:most]
            if not names:
                return total
            moved: int = self._run("hand_back", prefix, worker, most, "these", *streams, "", *names)[0]
            total += moved
            if not moved:  # what takes no more is told of when the loop turns again
                return total

    def _run(self, name: str, *arguments: Argument) -> Any:
        asked = script(name)
        try:
            return self._call("EVALSHA", asked.sha, 1, *arguments)
        except NoScriptError:
            return self._call("EVAL", asked.text, 1, *arguments)

    def _call(self, *arguments: Argument) -> Any:
        if self._connection is None:
            self._connection = self._server.blocking_connection(timeout=self._timeout)
        try:
            self._connection.send_packed_command([pack(*arguments)], check_health=False)
            return self._connection.read_response()
        except ResponseError as error:
            if isinstance(error, ReadOnlyError):  # a primary that was demoted: connect again, maybe elsewhere
                self.close()
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Disconnect; a later call would connect again."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None


class RenewalElsewhere:
    """Renews one lease in another process than its worker's.

    Args:
        url: of the server.
        timeout: seconds that an answer may take.
        arguments: those of `Renewals.renew`.
    """

    def __init__(self, url: str, timeout: float, arguments: tuple[str, str, int, int]) -> None:
        self._renewals = Renewals(Server(url), timeout)
        self._arguments = arguments

    def renew(self) -> bool:
        """Renew it. False: it is lost."""
        return bool(self._renewals.renew(*self._arguments))
