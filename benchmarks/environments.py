"""A virtual environment for each peer, made once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from benchmarks.registry import Peer

_PATIENCE = 600


class InstallFailed(Exception):
    """pip could not install a peer; says what pip said."""


def cache() -> Path:
    """Where they are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aioqueue-benchmarks"


def python_of(peer: Peer) -> Path:
    """The interpreter of a peer's environment, which is installed if it is not there yet.

    Raises:
        InstallFailed: it could not be installed.
    """
    # A changed pin or another Python is another environment.
    wanted = "\n".join([sysconfig.get_config_var("VERSION"), sys.base_prefix, *peer.packages])
    folder = cache() / f"{peer.module}-{hashlib.sha256(wanted.encode()).hexdigest()[:10]}"
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages])
        done.touch()
    return python


def _run(words: list[str]) -> None:
    try:
        found = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise InstallFailed(f"not installed in {_PATIENCE} s") from None
    if found.returncode:
        lines = [line for line in found.stderr.splitlines() if line.startswith("ERROR")] or found.stderr.splitlines()
        raise InstallFailed(f"not installed: {lines[0] if lines else 'pip failed'}")
