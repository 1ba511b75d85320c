"""The process that starts the server, restarts it when it dies, and stops it after its last user.

It is a script of its own (`python -I -S supervisor.py`) with nothing but the standard library's smallest modules, as
it stays in memory. It sleeps until one of these happens, each told by a byte in a pipe:

- the last user is gone. Users hold `users.lock` shared; a thread here waits to lock it exclusively, and the kernel
  grants that when no user is left, however the last one ended. The lock is kept until this process has ended, so
  a newcomer waits, and then starts a new server.
- the server died. `server.lock` is inherited by the server, so it stays locked while either of the two lives, and
  a second server on the same data is impossible. A server that outlived its supervisor is adopted by the next one,
  which cannot wait for a process that is not its child, but can for the lock.
- SIGTERM: stop now, also with users. SIGUSR1: keep the server without users, until SIGTERM.

The other end of `control`, the process that waits for the start, sends the orders as a line of JSON and hangs up when
the server answers. Before that a death of the server is the end, and is reported; after it, the server is restarted.
"""

# ruff: noqa: PTH105, PTH108, PTH116, PTH118, PTH123

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any

STOP_SECONDS = 30.0
"""How long a server may take to end after SIGTERM. It has only to write what is left: more means that it hangs."""
LONGEST_DELAY = 5.0
"""Seconds between two starts of a server that dies again and again."""
HEALTHY_SECONDS = 10.0
"""A server that lived for so long is restarted without delay."""
SERVER_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")

GONE, DIED, TERM, KEEP = b"g", b"d", b"t", b"k"


class Supervisor:
    def __init__(self, orders: dict[str, Any], control: socket.socket) -> None:
        self.record: dict[str, Any] = orders["record"]
        self.adopted = bool(orders["adopt"])
        self.control: socket.socket | None = control
        self.runtime = str(self.record["runtime"])
        self.data = str(self.record["data_dir"])
        self.events, self.event_writer = os.pipe()
        self.server_lock = -1
        self.pid = 0
        self.started_at = 0.0
        self.deaths = 0
        self.status = 0
        self.keeps = False

    def run(self) -> None:
        # Before the lock, as whoever sees it held may send a signal.
        signal.signal(signal.SIGTERM, self.on_signal)
        signal.signal(signal.SIGUSR1, self.on_signal)
        if lock_soon(os.path.join(self.runtime, "supervisor.lock")) is None:
            return self.report("busy")
        self.report("watching")
        hold_folder(self.runtime)
        if self.adopted:
            self.pid = int(self.record["server_pid"])
            self.started_at = time.monotonic()
            threading.Thread(target=self.watch_adopted, daemon=True).start()
            self.write_record()
            if self.record["kept"]:
                self.keep()
        else:
            lock = lock_soon(os.path.join(self.data, "server.lock"))
            if lock is None:
                return self.report(f"failed: {self.data} is used by another server")
            self.server_lock = lock
            self.start()
        threading.Thread(target=self.watch_users, daemon=True).start()
        return self.watch()

    # -- what happens

    def watch(self) -> None:
        """The one loop: sleeps until an event, or until it is time for the next start."""
        start_at: float | None = None
        while True:
            timeout = None if start_at is None else max(0.0, start_at - time.monotonic())
            event = self.next_event(timeout)
            if event in (GONE, TERM):
                return self.stop()
            if event == KEEP:
                self.keep()
            elif event == DIED:
                self.pid = 0
                if not self.is_confirmed():
                    self.clean_up()
                    return self.report(f"failed: the server ended with {describe(self.status)}")
                start_at = time.monotonic() + self.delay()
            elif event == b"" and start_at is not None:
                start_at = None
                self.record["restarts"] += 1
                self.start()

    def next_event(self, timeout: float | None) -> bytes:
        """The next event; empty when `timeout` seconds have passed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            sources: list[Any] = [self.events]
            if self.control is not None:
                sources.append(self.control)
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = select.select(sources, [], [], left)[0]
            if self.events in ready:
                return os.read(self.events, 1)
            if not ready:
                return b""
            self.is_confirmed()

    def is_confirmed(self) -> bool:
        """Whether the one who waited for the start has hung up: it has seen the server, or is gone itself."""
        if self.control is not None and select.select([self.control], [], [], 0)[0]:
            self.control.close()
            self.control = None
        return self.control is None

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.tell(TERM if number == signal.SIGTERM else KEEP)

    def tell(self, event: bytes) -> None:
        os.write(self.event_writer, event)

    def report(self, line: str) -> None:
        if self.control is not None:
            try:
                self.control.sendall(line.encode(errors="replace") + b"\n")
            except OSError:
                pass

    def watch_users(self) -> None:
        """Ends when no user is left, with the lock that keeps newcomers waiting."""
        path = os.path.join(self.runtime, "users.lock")
        try:
            while True:
                file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(file, fcntl.LOCK_EX)
                if is_at(file, path):
                    break
                os.close(file)  # a cleaner removed the file; later users hold the lock of a new one
        except FileNotFoundError:
            pass  # the whole runtime folder is gone, so nobody can reach the server
        self.tell(GONE)

    def watch_child(self, pid: int) -> None:
        self.status = os.waitpid(pid, 0)[1]
        self.tell(DIED)

    def watch_adopted(self) -> None:
        lock = os.open(os.path.join(self.data, "server.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.server_lock = lock
        self.tell(DIED)

    # -- what is done

    def start(self) -> None:
        # First without a process id: one that is written down always belongs to the server that holds the lock.
        self.write_record()
        os.set_inheritable(self.server_lock, True)
        command = server_command(self.record)
        environment = {key: os.environ[key] for key in SERVER_ENVIRONMENT if key in os.environ}
        # The server refuses to start in a locale that is not installed.
        environment["LC_ALL"] = "C"
        try:
            self.pid = os.posix_spawn(command[0], command, environment, setsigmask=[], setsigdef=[signal.SIGCHLD])
        except OSError as error:
            print(f"cannot start {command[0]}: {error}", file=sys.stderr, flush=True)
            self.status = 127 << 8
            self.tell(DIED)
            return
        self.started_at = time.monotonic()
        self.write_record()
        threading.Thread(target=self.watch_child, args=(self.pid,), daemon=True).start()

    def delay(self) -> float:
        """Seconds until the next start: none at first, then 0.1, 0.2, 0.4 ... to LONGEST_DELAY."""
        if time.monotonic() - self.started_at >= HEALTHY_SECONDS:
            self.deaths = 0
        self.deaths += 1
        return 0.0 if self.deaths == 1 else min(0.05 * 2.0 ** min(self.deaths - 1, 10), LONGEST_DELAY)

    def keep(self) -> None:
        """Becomes a user itself, so that the last one is never gone."""
        if self.keeps:
            return
        file = os.open(os.path.join(self.runtime, "users.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)  # too late: the last user is gone, and the event is on its way
            return
        self.keeps = self.record["kept"] = True
        self.write_record()

    def stop(self) -> None:
        if self.pid:
            self.signal_server(signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while (event := self.next_event(max(0.0, deadline - time.monotonic()))) != DIED:
                if event == b"":
                    self.signal_server(signal.SIGKILL)
                    deadline = time.monotonic() + STOP_SECONDS
            self.pid = 0
        self.clean_up()

    def signal_server(self, number: int) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def clean_up(self) -> None:
        """No socket and no record that would promise a server. The locks are freed by this process's end."""
        self.record.update(supervisor_pid=0, server_pid=0, kept=False)
        try:
            write_json(self.data, self.record)
        except OSError:
            pass
        for path in (str(self.record["socket"]), os.path.join(self.runtime, "server.json")):
            try:
                os.unlink(path)
            except OSError:
                pass

    def write_record(self) -> None:
        self.record.update(supervisor_pid=os.getpid(), server_pid=self.pid)
        for folder in (self.data, self.runtime):
            try:
                write_json(folder, self.record)
            except OSError as error:
                print(f"cannot write the record in {folder}: {error}", file=sys.stderr, flush=True)


def server_command(record: dict[str, Any]) -> list[str]:
    durable = "yes" if record["durable"] else "no"
    options = {
        "port": "0",
        "unixsocket": str(record["socket"]),
        "unixsocketperm": "700",
        "dir": str(record["data_dir"]),
        "appendonly": durable,
        "appendfsync": "everysec",
        # Else a log of up to 64 MB is read at each start.
        "auto-aof-rewrite-min-size": "4mb",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [str(record["binary"]), *(word for key, value in options.items() for word in (f"--{key}", value))]


def lock_soon(path: str, seconds: float = 1.0) -> int | None:
    """The locked file, or None. Tried for a while: those who only look hold the lock for a moment."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(file)
                return None
            time.sleep(0.005)


def hold_folder(path: str) -> None:
    """Holds a lock on the folder: systemd's cleaner of temporary files leaves alone what is locked."""
    fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_SH)


def is_at(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def write_json(folder: str, content: dict[str, Any]) -> None:
    path = os.path.join(folder, "server.json")
    with open(f"{path}.new", "w") as file:
        json.dump(content, file)
    os.replace(f"{path}.new", path)


def describe(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    # The process that started this one goes on, and shall neither wait for a child nor leave a zombie.
    if os.fork():
        os._exit(0)
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    orders = b""
    while not orders.endswith(b"\n"):
        chunk = control.recv(65536)
        if not chunk:
            return
        orders += chunk
    Supervisor(json.loads(orders), control).run()


if __name__ == "__main__":
    main()
    os._exit(0)  # threads that wait for a lock would keep it alive
