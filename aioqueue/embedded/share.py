"""A process's share of the server: taken once, counted, freed by the kernel at the latest."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from concurrent.futures import Future
from pathlib import Path

from aioqueue.exceptions import BrokerUnavailable, ConfigurationError

from .folders import Place, find_place
from .launch import Launch, Running
from .locks import Deadline, is_at, release, take


class EmbeddedServer:
    """A held share of the private server. Can be used as a context manager.

    A child made by `os.fork` holds no share, whatever it inherits: it acquires its own.

    Attributes:
        name: as given to `acquire`.
        url: of the server's unix socket, for `redis.asyncio.Redis.from_url`.
        data_dir: where the server keeps its files and its log.
        socket_path: of the unix socket.
        version: of the server program, like "9.1.2".
        program: with its version, like "valkey 9.1.2" or "redis 7.0.15".
        started_here: whether this call started the server, instead of joining it.
        start_seconds: how long that took.
    """

    def __init__(self, hold: Hold, running: Running) -> None:
        record = running.record
        self.name: str = record.name
        self.url: str = f"unix://{record.socket}"
        self.data_dir: Path = Path(record.data_dir)
        self.socket_path: Path = Path(record.socket)
        self.version: str = record.version
        self.program: str = f"{record.program} {record.version}"
        self.started_here: bool = running.start_seconds is not None
        self.start_seconds: float | None = running.start_seconds
        self._hold: Hold | None = hold

    def close(self) -> None:
        """Gives the share back; the server stops when the last one is gone. Again: does nothing."""
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.drop()

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        held = "held" if self._hold is not None else "closed"
        return f"<EmbeddedServer {self.name!r} {self.program} at {self.socket_path}, {held}>"


class Hold:
    """This process's one lock on the `users.lock` of a place, with the count of its shares."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._file: int | None = None
        self._count = 0

    def take(self, durable: bool, deadline: Deadline) -> EmbeddedServer | Place:
        """A share of the server here, or the other place where its data are served."""
        with self._lock:
            try:
                found = self._launch(durable, deadline)
                if isinstance(found, Place):
                    return found
                if durable and not found.record.durable:
                    raise ConfigurationError(
                        f"The embedded server of {self._place.name!r} runs without writing to disk, as it was started "
                        "with durable=False. Stop it first (`aioqueue server stop`), or use another name."
                    )
                self._count += 1
                return EmbeddedServer(self, found)
            finally:
                self._free_if_unused()

    def drop(self) -> None:
        if self._process != os.getpid():
            return
        with self._lock:
            self._count -= 1
            self._free_if_unused()

    def _launch(self, durable: bool, deadline: Deadline) -> Running | Place:
        place = self._place
        start = take(place.start_lock, exclusive=True, deadline=deadline)
        if start is None:
            raise BrokerUnavailable(
                f"The embedded server of {place.name!r} is being started or stopped by another process."
            )
        try:
            if self._file is not None and not is_at(self._file, place.users_lock):
                # The runtime folder was cleared (a logout, a cleaner): new users, and supervisors, see another file.
                release(self._file)
                self._file = None
            if self._file is None:
                self._file = take(place.users_lock, exclusive=False, deadline=deadline)
            if self._file is None:
                raise BrokerUnavailable(f"The embedded server of {place.name!r} has been stopping for too long.")
            return Launch(place, durable, deadline).run()
        finally:
            release(start)

    def _free_if_unused(self) -> None:
        if self._count == 0 and self._file is not None:
            release(self._file)
            self._file = None


_holds: dict[Path, Hold] = {}


def acquire(name: str, *, data_root: Path | None = None, durable: bool = True, timeout: float = 10.0) -> EmbeddedServer:
    """A share of the private server `name`, which is started if it does not run. Blocks; any thread may call it.

    Args:
        name: any text; each name has a server and data of its own.
        data_root: the folder of all data folders; by default $AIOQUEUE_DATA_DIR or the user's data folder.
        durable: whether a new server writes each change to disk, and syncs it each second.
        timeout: seconds until the server must answer, with its data loaded.

    Raises:
        BrokerUnavailable: the server did not start in time; the message shows the end of its log.
        ConfigurationError: no server program, an unusable folder, or the running server is not durable.
    """
    deadline = Deadline(timeout)
    place = find_place(name, data_root)
    for _ in range(4):
        found = _holds.setdefault(place.runtime, Hold(place)).take(durable, deadline)
        if isinstance(found, EmbeddedServer):
            return found
        place = found
    raise BrokerUnavailable(f"The embedded server of {name!r} was started elsewhere again and again; try again.")


async def acquire_async(
    name: str, *, data_root: Path | None = None, durable: bool = True, timeout: float = 10.0
) -> EmbeddedServer:
    """`acquire` in a thread. A share that arrives after this was cancelled is given back."""
    call = functools.partial(acquire, name, data_root=data_root, durable=durable, timeout=timeout)
    result: Future[EmbeddedServer] = Future()
    result.set_running_or_notify_cancel()

    def work() -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=work, name="aioqueue-embedded", daemon=True).start()
    try:
        return await asyncio.wrap_future(result)
    except asyncio.CancelledError:
        result.add_done_callback(_give_back)
        raise


def _give_back(result: Future[EmbeddedServer]) -> None:
    if result.exception() is None:
        result.result().close()


os.register_at_fork(after_in_child=_holds.clear)
