"""What the supervisor writes down about its server, in the runtime folder and in the data folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from .folders import Home

RECORD = "server.json"
SERVER_LOCK = "server.lock"
SERVER_LOG = "server.log"


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """One server. The process ids are 0 while there is no such process; `host` tells whose ids they are."""

    name: str
    program: str
    version: str
    binary: str
    data_root: str
    data_dir: str
    runtime: str
    socket: str
    durable: bool
    kept: bool
    host: str
    supervisor_pid: int = 0
    server_pid: int = 0
    restarts: int = 0

    @property
    def home(self) -> Home:
        return Home(self.name, Path(self.data_root), Path(self.runtime), Path(self.socket))

    @property
    def server_lock(self) -> Path:
        """Held exclusively by the server process itself (and its supervisor): one server in a data folder."""
        return Path(self.data_dir) / SERVER_LOCK

    @property
    def log(self) -> Path:
        return Path(self.data_dir) / SERVER_LOG

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def read_record(folder: Path) -> ServerRecord | None:
    """The record in `folder`, or None if there is none (or one of another version)."""
    try:
        found: Any = json.loads((folder / RECORD).read_text())
        known = {field.name for field in fields(ServerRecord)}
        return ServerRecord(**{key: value for key, value in cast("dict[str, Any]", found).items() if key in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def this_host() -> str:
    """Where a process id means the same process: the machine, and on Linux the container's namespace."""
    try:
        namespace = os.fspath(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return f"{socket.gethostname()} {namespace}".strip()


def is_process(pid: int, words: str) -> bool:
    """Whether process `pid` lives and has `words` in its command line: not another one that got its number."""
    if pid <= 0:
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
        listed = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True)
        command = listed.stdout.decode(errors="replace")
    except OSError:
        return False
    return words in command
