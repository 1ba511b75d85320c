"""Where the server of a name lives: a runtime folder (locks, socket) and a data folder, both private.

Every process of a user with the same environment finds the same folders for the same name and data root.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from aioqueue.exceptions import ConfigurationError

from .binary import Binary

LONGEST_SOCKET_PATH = 103
"""Bytes: the least of the systems' limits for the path of a unix socket (macOS: 104 with its final NUL)."""

logger = logging.getLogger("aioqueue.embedded")
_PLAIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class Home:
    """The runtime folder of a name, and what is in it."""

    name: str
    data_root: Path
    runtime: Path
    socket: Path

    @property
    def start_lock(self) -> Path:
        """Held, exclusively, by the one who starts, joins or stops the server."""
        return self.runtime / "start.lock"

    @property
    def users_lock(self) -> Path:
        """Held, shared, by each process that uses the server; exclusively by a supervisor that stops it."""
        return self.runtime / "users.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held, exclusively, by the living supervisor."""
        return self.runtime / "supervisor.lock"


def find_home(name: str, data_root: Path | None = None) -> Home:
    """The home of `name`; its runtime folder is made if needed."""
    if not name:
        raise ConfigurationError("An embedded server needs a name, and the one given is empty.")
    root = find_data_root(data_root)
    runtime = runtime_base() / _digest(name, os.fspath(root))
    make_private(runtime)
    return Home(name, root, runtime, _socket_in(runtime))


def data_folder(home: Home, binary: Binary) -> Path:
    """The data folder of `home` for this program: the files of one cannot be read by every other."""
    folder = home.data_root / f"{safe_name(home.name)}-{binary.program}{binary.major}"
    if not folder.exists():
        for other in data_folders(home):
            if (other / "appendonlydir").exists():
                logger.warning(
                    "The embedded server of %r is now %s %s, and starts empty in %s. Its earlier data stay in %s.",
                    *(home.name, binary.program, binary.version, folder, other),
                )
    make_private(folder)
    return folder


def data_folders(home: Home) -> list[Path]:
    """The data folders of `home`, of whatever program."""
    ours = re.compile(re.escape(safe_name(home.name)) + r"-(redis|valkey)\d+")
    return sorted(folder for folder in home.data_root.glob("*") if ours.fullmatch(folder.name))


def safe_name(name: str) -> str:
    """`name` as a part of a path: itself if it is plain, else what is left of it with a hash of the whole.

    Only the latter has an @, so that no two names share a folder, also where upper and lower case are the same.
    """
    if _PLAIN.fullmatch(name):
        return name
    return f"{re.sub(r'[^a-z0-9]+', '-', name.lower())[:32].strip('-')}@{_digest(name)}"


def find_data_root(chosen: Path | None = None) -> Path:
    """The folder of all data folders: `chosen`, $AIOQUEUE_DATA_DIR, the user's data folder, or a temporary one."""
    override = chosen or os.environ.get("AIOQUEUE_DATA_DIR")
    if override:
        root = Path(override).expanduser().absolute()
        if not _usable(root):
            raise ConfigurationError(f"The data folder {root} of the embedded server cannot be written to.")
        return root.resolve()
    root = _user_data()
    if root.is_absolute() and _usable(root):
        return root.resolve()
    spare = _temporary_base() / "data"
    make_private(spare)
    _warn_of_spare(root, spare)
    return spare


def runtime_base() -> Path:
    """The folder of all runtime folders: $AIOQUEUE_RUNTIME_DIR, in $XDG_RUNTIME_DIR, or in the temporary folder."""
    override = os.environ.get("AIOQUEUE_RUNTIME_DIR")
    if override:
        base = Path(override).expanduser().absolute()
        if not _usable(base):
            raise ConfigurationError(f"AIOQUEUE_RUNTIME_DIR is {override}, which cannot be written to.")
        return base.resolve()
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    if session.startswith("/") and Path(session).is_dir() and os.access(session, os.W_OK | os.X_OK):
        base = Path(session).resolve() / "aioqueue"
        if _foreign(session) is None:
            make_private(base)
            return base
    return _temporary_base()


def make_private(folder: Path) -> None:
    """Makes `folder`, for this user alone (mode 0700); refuses a link, and what belongs to somebody else."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"The embedded server cannot make its folder {folder}: {error.strerror}.") from error
    reason = _foreign(folder)
    if reason is not None:
        raise ConfigurationError(
            f"{folder} {reason}, so the embedded server does not use it. Remove it, or set AIOQUEUE_RUNTIME_DIR and "
            "AIOQUEUE_DATA_DIR to folders of yours."
        )
    if stat.S_IMODE(folder.stat().st_mode) != 0o700:
        folder.chmod(0o700)


def is_private(folder: Path) -> bool:
    """Whether `folder` is there, is this user's, and nobody else can enter it."""
    return folder.is_dir() and _foreign(folder) is None and stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


def _foreign(folder: Path | str) -> str | None:
    """Why `folder` is not to be trusted, or None."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        return "is a link or a file"
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}, not to {os.geteuid()}"
    return None


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _user_data() -> Path:
    chosen = os.environ.get("XDG_DATA_HOME", "")
    if chosen.startswith("/"):
        return Path(chosen) / "aioqueue"
    try:
        return Path.home() / ".local/share/aioqueue"
    except RuntimeError:
        return Path("~/.local/share/aioqueue")


def _temporary_base() -> Path:
    base = Path(tempfile.gettempdir()).resolve() / f"aioqueue-{os.geteuid()}"
    make_private(base)
    return base


def _socket_in(runtime: Path) -> Path:
    """The socket's path; one outside of the runtime folder where that one's would be too long."""
    socket = runtime / "server.sock"
    if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH:
        return socket
    short = _temporary_base()
    if len(os.fsencode(short)) > LONGEST_SOCKET_PATH - 24:
        short = Path("/tmp") / f"aioqueue-{os.geteuid()}"
        make_private(short)
    return short / f"{_digest(os.fspath(runtime))}.sock"


def _digest(*parts: str) -> str:
    """16 hexadecimal digits. The lengths keep ("a", "b") and ("ab",) apart; a name may hold lone surrogates."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@lru_cache(maxsize=8)
def _warn_of_spare(root: Path, spare: Path) -> None:
    logger.warning(
        "%s cannot be written to, so the embedded server keeps its data in %s, which the system may clear, at the "
        "latest when it starts. Set AIOQUEUE_DATA_DIR to a folder that lasts.",
        *(root, spare),
    )
