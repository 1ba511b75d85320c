"""From "there should be a server" to "it answers": join it, start it, or take over what a crash left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from aioqueue.exceptions import BrokerUnavailable, ConfigurationError

from . import wire
from .binary import find_server_binary
from .folders import Home, data_folder, is_private
from .locks import Deadline, is_held
from .record import SERVER_LOCK, SERVER_LOG, ServerRecord, is_process, read_record, this_host
from .wire import Pulse

SCRIPT = Path(__file__).with_name("supervisor.py")
SUPERVISOR = f"{SCRIPT.parent.name}/{SCRIPT.name}"
LARGEST_LOG = 1_000_000
"""Bytes; a longer log is set aside (`server.log.1`) before the server starts."""
SOCKET_SECONDS = 3.0
"""How long a supervised server may have no socket before it is started afresh."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers; `start_seconds` is how long its start took, None if it ran already."""

    record: ServerRecord
    start_seconds: float | None


class Launch:
    """One attempt to have a server at `home`. Whoever makes it holds `start.lock` and a share of `users.lock`."""

    def __init__(self, home: Home, durable: bool, deadline: Deadline) -> None:
        self.home = home
        self.durable = durable
        self.deadline = deadline
        self.control: socket.socket | None = None
        self.watched: ServerRecord | None = None
        self.began: float | None = None

    def run(self) -> Running | Home:
        """The server; or the other home where the server of these data runs, to be joined there.

        Raises:
            BrokerUnavailable: it did not start, or not in time.
            ConfigurationError: there is no server program, or its data cannot be used.
        """
        try:
            return self._run()
        finally:
            if self.control is not None:
                self.control.close()

    def _run(self) -> Running | Home:
        without_socket: Deadline | None = None
        while True:
            supervised = is_held(self.home.supervisor_lock)
            pulse = wire.pulse(self.home.socket, min(1.0, self.deadline.left))
            record = read_record(self.home.runtime)
            if supervised and pulse is Pulse.READY and record is not None:
                return Running(record, None if self.began is None else time.monotonic() - self.began)
            if not supervised:
                elsewhere = self._provide(record, pulse)
                if elsewhere is not None:
                    return elsewhere
            elif not self.home.socket.exists() and self.control is None:
                without_socket = without_socket or Deadline(SOCKET_SECONDS)
                if without_socket.left == 0 and record is not None:
                    self._end(record)
                    without_socket = None
            if not self.deadline.nap():
                raise BrokerUnavailable(self._too_late(pulse, record))
            self._check_control()

    def _provide(self, record: ServerRecord | None, pulse: Pulse) -> Home | None:
        """Gets a supervisor to work: for the server that has lost its own, or for a new one."""
        self.began = self.began or time.monotonic()
        if record is not None and is_held(record.server_lock):
            facts = wire.server_facts(self.home.socket) if pulse is Pulse.READY else {}
            pid = int(facts.get("process_id", record.server_pid))
            if pulse is Pulse.ABSENT or pid == 0:
                self._end(record)
            else:
                self._require_this_host(record)
                self._supervise(replace(record, server_pid=pid), adopt=True)
                self.began = None
            return None
        binary = find_server_binary()
        folder = data_folder(self.home, binary)
        if is_held(folder / SERVER_LOCK):
            # Started with another environment (cron, a service): its runtime folder is elsewhere, its data are these.
            other = read_record(folder)
            if other is None:
                return None
            if other.runtime != os.fspath(self.home.runtime) and is_private(Path(other.runtime)):
                return other.home
            self._end(other)
            return None
        fresh = ServerRecord(
            name=self.home.name,
            program=binary.program,
            version=binary.version,
            binary=os.fspath(binary.path),
            data_root=os.fspath(self.home.data_root),
            data_dir=os.fspath(folder),
            runtime=os.fspath(self.home.runtime),
            socket=os.fspath(self.home.socket),
            durable=self.durable,
            kept=False,
            host=this_host(),
        )
        self._supervise(fresh, adopt=False)
        return None

    def _supervise(self, record: ServerRecord, *, adopt: bool) -> None:
        """Starts a supervisor and waits until it watches; how it goes on is read by `_check_control`."""
        log = open_log(Path(record.data_dir))
        ours, theirs = socket.socketpair()
        try:
            # -I and -S: only the standard library, whatever the environment says. A session of its own: Ctrl-C in the
            # terminal is for the worker, not for the server.
            command = [python(), "-I", "-S", os.fspath(SCRIPT), str(theirs.fileno()), record.runtime]
            process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
            theirs.close()
            ours.settimeout(max(self.deadline.left, 0.01))
            ours.sendall(json.dumps({"record": asdict(record), "adopt": adopt}).encode() + b"\n")
            process.wait(max(self.deadline.left, 1.0))
            first = read_line(ours)
        except BaseException as error:
            ours.close()
            if isinstance(error, (OSError, subprocess.SubprocessError)):
                raise BrokerUnavailable(self._failed(record, f"its supervisor did not start ({error})")) from error
            raise
        finally:
            theirs.close()
            os.close(log)
        if first == "busy":  # another supervisor came first; the loop looks at what it does
            ours.close()
        elif first == "watching":
            ours.setblocking(False)
            if self.control is not None:
                self.control.close()
            self.control = ours
            self.watched = record
        else:
            ours.close()
            raise BrokerUnavailable(self._failed(record, first or "its supervisor ended at once"))

    def _check_control(self) -> None:
        if self.control is None or self.watched is None:
            return
        try:
            line = read_line(self.control)
        except BlockingIOError:
            return
        raise BrokerUnavailable(self._failed(self.watched, line.removeprefix("failed: ") or "its supervisor ended"))

    def _end(self, record: ServerRecord) -> None:
        """Ends a supervisor or a server that nobody can reach, and waits until its data are free."""
        self._require_this_host(record)
        if is_process(record.supervisor_pid, SUPERVISOR):
            os.kill(record.supervisor_pid, signal.SIGTERM)
        elif is_process(record.server_pid, Path(record.binary).name):
            os.kill(record.server_pid, signal.SIGTERM)
        while is_held(record.server_lock):
            if not self.deadline.nap():
                raise BrokerUnavailable(
                    f"The embedded server of {record.name!r} cannot be reached at {record.socket} and does not end "
                    f"(process {record.server_pid}, data in {record.data_dir}). End that process and try again."
                )

    def _require_this_host(self, record: ServerRecord) -> None:
        if record.host != this_host():
            raise ConfigurationError(
                f"The data folder {record.data_dir} is in use by a server on {record.host!r}, and this is "
                f"{this_host()!r}. Give each machine or container its own AIOQUEUE_DATA_DIR, or share a real server "
                "with broker='redis://…'."
            )

    def _too_late(self, pulse: Pulse, record: ServerRecord | None) -> str:
        text = f"The embedded server of {self.home.name!r} {pulse.value} at {self.home.socket}; the timeout has passed."
        return text + (last_lines(record.log) if record is not None else "")

    def _failed(self, record: ServerRecord, reason: str) -> str:
        return f"The embedded server of {record.name!r} could not start: {reason}.{last_lines(record.log)}"


def open_log(folder: Path) -> int:
    """The server's log, open for appending."""
    log = folder / SERVER_LOG
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_suffix(".log.1"))
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def last_lines(log: Path, count: int = 8) -> str:
    """The end of the log, for an error message."""
    try:
        lines = log.read_bytes()[-10_000:].decode(errors="replace").splitlines()[-count:]
    except OSError:
        return f" Its log would be {log}."
    return "\n".join([f" The end of {log}:", *(f"  {line}" for line in lines)])


def read_line(control: socket.socket) -> str:
    """One line of what the supervisor says; empty if it ended."""
    said = b""
    while byte := control.recv(1):
        if byte == b"\n":
            break
        said += byte
    return said.decode(errors="replace")


def python() -> str:
    """A Python interpreter; `sys.executable` is something else inside of an application server like uWSGI."""
    if getattr(sys, "frozen", False):
        raise ConfigurationError(
            "The embedded server needs a Python interpreter, and this is a frozen application. Name a server of yours "
            "with broker='redis://…' or AIOQUEUE_BROKER."
        )
    tried = [sys.executable, f"{sys.prefix}/bin/python3", f"{sys.base_prefix}/bin/python3"]
    for path in tried:
        if path and Path(path).name.lower().startswith(("python", "pypy")) and Path(path).exists():
            return path
    raise ConfigurationError(f"The embedded server needs a Python interpreter; none is at {', '.join(tried)}.")
