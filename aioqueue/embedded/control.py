"""`aioqueue server`: to see the servers, to keep one without users, to end it, and to remove what is left of it."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aioqueue.exceptions import AioQueueError, BrokerUnavailable, ConfigurationError

from . import wire
from .folders import Home, data_folders, find_data_root, find_home, runtime_base
from .launch import SUPERVISOR
from .locks import Deadline, is_held, release, take
from .record import RECORD, ServerRecord, is_process, read_record, this_host
from .share import acquire


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A server, running or not.

    Attributes:
        name: as given to `acquire`.
        running: whether it answers (also: that it still loads its data).
        pid: of the server process; None when it does not run.
        socket: of the unix socket.
        data_dir: None if there are no data yet.
        program: "valkey" or "redis"; empty if it has never run.
        version: like "9.1.2".
        users: processes that hold a share; None where the system does not tell (it does on Linux).
        uptime: seconds since the server process started; None when it does not run.
        kept: whether it stays without users, until it is stopped.
        durable: whether it writes to disk.
        restarts: how often it died and was started again.
        log: the server's log file.
        size: bytes of its data on disk.
    """

    name: str
    running: bool
    pid: int | None
    socket: Path
    data_dir: Path | None
    program: str = ""
    version: str = ""
    users: int | None = None
    uptime: float | None = None
    kept: bool = False
    durable: bool = True
    restarts: int = 0
    log: Path | None = None
    size: int = 0


def status(name: str, *, data_root: Path | None = None) -> ServerStatus:
    """What is known of the server `name`; changes nothing."""
    home = find_home(name, data_root)
    return _status_of(home, _record_of(home))


def statuses(*, data_root: Path | None = None) -> list[ServerStatus]:
    """All servers that run, or have data, sorted by name."""
    folders = [*runtime_base().glob("*"), *find_data_root(data_root).glob("*")]
    records = [record for folder in folders if (record := read_record(folder)) is not None]
    homes = {(record.name, record.data_root): record.home for record in reversed(records)}
    return [_status_of(home, _record_of(home)) for _, home in sorted(homes.items())]


def start(name: str, *, data_root: Path | None = None, durable: bool = True, timeout: float = 10.0) -> ServerStatus:
    """Starts the server `name` if needed, and keeps it until `stop`, also without users.

    Its supervisor becomes a user itself for that. Raises what `acquire` does.
    """
    deadline = Deadline(timeout)
    with acquire(name, data_root=data_root, durable=durable, timeout=timeout) as server:
        home = find_home(name, data_root)
        while True:
            record = _record_of(home)
            if record is not None and record.kept:
                return _status_of(home, record)
            if record is not None and is_process(record.supervisor_pid, SUPERVISOR):
                os.kill(record.supervisor_pid, signal.SIGUSR1)
            if not deadline.nap():
                raise BrokerUnavailable(f"The supervisor of {server.name!r} did not answer; nothing is kept.")


def stop(name: str, *, data_root: Path | None = None, timeout: float = 30.0) -> bool:
    """Stops the server `name`, also when it is used; its data are kept. False if it did not run.

    Args:
        name: as given to `acquire`.
        data_root: as given to `acquire`.
        timeout: seconds until it must have ended.

    Raises:
        BrokerUnavailable: it still runs after `timeout` seconds.
    """
    deadline = Deadline(timeout)
    home = find_home(name, data_root)
    record = _record_of(home)
    home = record.home if record is not None and Path(record.runtime).is_dir() else home
    lock = take(home.start_lock, exclusive=True, deadline=deadline)
    if lock is None:
        raise BrokerUnavailable(f"The embedded server of {name!r} is being started or stopped by another process.")
    try:
        record = _record_of(home)
        if record is None or not _is_alive(record):
            return False
        if record.host != this_host():
            raise ConfigurationError(f"The embedded server of {name!r} runs on {record.host!r}; stop it there.")
        if is_process(record.supervisor_pid, SUPERVISOR):
            os.kill(record.supervisor_pid, signal.SIGTERM)
        elif is_process(record.server_pid, Path(record.binary).name):
            os.kill(record.server_pid, signal.SIGTERM)
        while _is_alive(record):
            if not deadline.nap():
                raise BrokerUnavailable(
                    f"The embedded server of {name!r} still runs after {timeout:g} s (process {record.server_pid})."
                )
        return True
    finally:
        release(lock)


def remove(name: str, *, data_root: Path | None = None, timeout: float = 10.0) -> bool:
    """Drops all that is left of the server `name`: its data, whatever waits in them, and its log.

    Returns:
        False if there was nothing.

    Raises:
        AioQueueError: it runs.
        BrokerUnavailable: it is being started or stopped.
    """
    home = find_home(name, data_root)
    lock = take(home.start_lock, exclusive=True, deadline=Deadline(timeout))
    if lock is None:
        raise BrokerUnavailable(f"The embedded server of {name!r} is being started or stopped by another process.")
    try:
        record = _record_of(home)
        if record is not None and _is_alive(record):
            raise AioQueueError(
                f"The embedded server of {name!r} runs, so nothing was removed. End what uses it, or stop it "
                f"with `aioqueue server stop {name}`."
            )
        folders = data_folders(home)
        for folder in folders:
            shutil.rmtree(folder)
        (home.runtime / RECORD).unlink(missing_ok=True)
        return bool(folders)
    finally:
        release(lock)


def _is_alive(record: ServerRecord) -> bool:
    """Whether its supervisor or its server lives; both hold `server.lock`, and a supervisor one of its own."""
    return is_held(record.server_lock) or is_held(record.home.supervisor_lock)


def _record_of(home: Home) -> ServerRecord | None:
    """The record of the running server, wherever its runtime folder is; else of the one that ran last."""
    found = [read_record(home.runtime), *(read_record(folder) for folder in data_folders(home))]
    records = [record for record in found if record is not None]
    return next((record for record in records if _is_alive(record)), records[0] if records else None)


def _status_of(home: Home, record: ServerRecord | None) -> ServerStatus:
    if record is None:
        return ServerStatus(home.name, running=False, pid=None, socket=home.socket, data_dir=None)
    socket = Path(record.socket)
    running = wire.pulse(socket) in (wire.Pulse.READY, wire.Pulse.LOADING)
    facts = wire.server_facts(socket) if running else {}
    uptime = facts.get("uptime_in_seconds")
    return ServerStatus(
        name=record.name,
        running=running,
        pid=int(facts.get("process_id", record.server_pid)) if running else None,
        socket=socket,
        data_dir=Path(record.data_dir),
        program=record.program,
        version=record.version,
        users=_count_users(record) if running else 0,
        uptime=float(uptime) if uptime is not None else None,
        kept=running and record.kept,
        durable=record.durable,
        restarts=record.restarts if running else 0,
        log=record.log,
        size=_size_of(Path(record.data_dir)),
    )


def _size_of(folder: Path) -> int:
    """Bytes; files that come and go meanwhile may be left out."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total


def _count_users(record: ServerRecord) -> int | None:
    """The processes that hold `users.lock` shared, as Linux lists them, without the supervisor that keeps it."""
    try:
        inode = record.home.users_lock.stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    users = 0
    for line in lines:
        # like "12: FLOCK  ADVISORY  READ 4711 fe:00:123456 0 EOF"
        words = line.split()
        is_ours = words[1:4] == ["FLOCK", "ADVISORY", "READ"] and words[5].rpartition(":")[2] == str(inode)
        users += is_ours and int(words[4]) != record.supervisor_pid
    return users
