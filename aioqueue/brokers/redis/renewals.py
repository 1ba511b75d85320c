"""How a worker's lease is renewed: from a thread of its own, over a connection that only that thread uses."""

from __future__ import annotations

from typing import Any

from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from aioqueue.brokers.redis.link import Argument, pack
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
        renewing, arguments = script("renew"), (prefix, worker, lease, offset)
        try:
            return self._call("EVALSHA", renewing.sha, 1, *arguments)
        except NoScriptError:
            return self._call("EVAL", renewing.text, 1, *arguments)

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
