"""A process's share of the server: taken once, counted, freed by the kernel at the latest."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from aioqueue.exceptions import BrokerUnavailable, ConfigurationError

from .folders import Home, find_home, safe_name
from .launch import Launch, Running
from .locks import Deadline, is_at, release, take
from .projects import Project, tell_of_others
from .record import read_record
from .workers import WorkerLocks

T = TypeVar("T")


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
        self.url: str = f"unix://{quote(str(record.socket))}"
        self.data_dir: Path = Path(record.data_dir)
        self.socket_path: Path = Path(record.socket)
        self.version: str = record.version
        self.program: str = f"{record.program} {record.version}"
        self.started_here: bool = running.start_seconds is not None
        self.start_seconds: float | None = running.start_seconds
        self._hold: Hold | None = hold

    async def revive(self, timeout: float = 10.0) -> bool:
        """Starts the server again if it was killed together with its supervisor, unless another process has done so.

        Returns:
            Whether it answers. False also when somebody has stopped it by hand: then it stays so.
        """
        hold = self._hold
        if hold is None:
            return False
        try:
            return await asyncio.wrap_future(_in_thread(lambda: hold.revive(Deadline(timeout))))
        except BrokerUnavailable:
            return False

    def worker_locks(self, namespace: str) -> WorkerLocks:
        """What tells which workers of a namespace are gone."""
        return WorkerLocks(self.data_dir / "workers" / safe_name(namespace))

    def tell_of_others(self, namespace: str, folder: str, tasks: Iterable[str]) -> None:
        """Say so if an app of another project uses the same namespace here, and knows other tasks.

        Args:
            namespace: the app's.
            folder: what its tasks are imported from.
            tasks: their names.
        """
        tell_of_others(self.name, self.data_dir / "projects", Project(namespace, folder, frozenset(tasks)))

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
    """This process's one lock on the `users.lock` of a home, with the count of its shares."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._file: int | None = None
        self._count = 0

    def take(self, durable: bool, deadline: Deadline) -> EmbeddedServer | Home:
        """A share of the server here, or the other home where its data are served."""
        with self._lock:
            try:
                found = self._launch(durable, deadline)
                if isinstance(found, Home):
                    return found
                if durable and not found.record.durable:
                    raise ConfigurationError(
                        f"The embedded server of {self._home.name!r} runs without writing to disk, as it was started "
                        "with durable=False. Stop it first (`aioqueue server stop`), or use another name."
                    )
                self._count += 1
                return EmbeddedServer(self, found)
            finally:
                self._free_if_unused()

    def revive(self, deadline: Deadline) -> bool:
        """Whether the server of this share answers, after it was started again where that is to be done."""
        if self._process != os.getpid():
            return False
        with self._lock:
            record = read_record(self._home.runtime)
            if self._count == 0 or record is None:  # whoever stops it takes its record away
                return False
            return isinstance(self._launch(record.durable, deadline), Running)

    def drop(self) -> None:
        if self._process != os.getpid():
            return
        with self._lock:
            self._count -= 1
            self._free_if_unused()

    def _launch(self, durable: bool, deadline: Deadline) -> Running | Home:
        home = self._home
        start = take(home.start_lock, exclusive=True, deadline=deadline)
        if start is None:
            raise BrokerUnavailable(
                f"The embedded server of {home.name!r} is being started or stopped by another process."
            )
        try:
            if self._file is not None and not is_at(self._file, home.users_lock):
                # The runtime folder was cleared (a logout, a cleaner): new users, and supervisors, see another file.
                release(self._file)
                self._file = None
            if self._file is None:
                self._file = take(home.users_lock, exclusive=False, deadline=deadline)
            if self._file is None:
                raise BrokerUnavailable(f"The embedded server of {home.name!r} has been stopping for too long.")
            return Launch(home, durable, deadline).run()
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
    home = find_home(name, data_root)
    for _ in range(4):
        found = _holds.setdefault(home.runtime, Hold(home)).take(durable, deadline)
        if isinstance(found, EmbeddedServer):
            return found
        home = found
    raise BrokerUnavailable(f"The embedded server of {name!r} was started elsewhere again and again; try again.")


async def acquire_async(
    name: str, *, data_root: Path | None = None, durable: bool = True, timeout: float = 10.0
) -> EmbeddedServer:
    """`acquire` in a thread. A share that arrives after this was cancelled is given back."""
    result = _in_thread(functools.partial(acquire, name, data_root=data_root, durable=durable, timeout=timeout))
    try:
        return await asyncio.wrap_future(result)
    except asyncio.CancelledError:
        result.add_done_callback(_give_back)
        raise


def _in_thread(call: Callable[[], T]) -> Future[T]:
    """The call, in a thread of its own, for which nobody waits at exit."""
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()

    def work() -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=work, name="aioqueue-embedded", daemon=True).start()
    return result


def _give_back(result: Future[EmbeddedServer]) -> None:
    if result.exception() is None:
        result.result().close()


os.register_at_fork(after_in_child=_holds.clear)
