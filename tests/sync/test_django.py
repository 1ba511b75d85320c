"""Django's `TestCase`: tasks see what the test has written in its transaction, for they run in its thread."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.waiting import PATIENCE

pytest.importorskip("django")

PROJECT = Path(__file__).parent / "project"


def run(**environment: str) -> None:
    command = [sys.executable, "-m", "django", "test", "shop", "--pattern", "cases.py", "--no-color"]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "shop.settings", "PYTHONPATH": str(PROJECT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and "Ran 10 tests" in done.stderr, done.stdout + done.stderr


def test_with_sqlite_in_memory() -> None:
    run()


@pytest.fixture
def postgresql() -> Iterator[Path]:
    """The folder with the socket of a server of its own."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
    found = str(binaries[0]) if binaries else shutil.which("postgres")
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="Django needs psycopg for PostgreSQL: pip install 'psycopg[binary]'")
    # It does not run as root, for whom a package of the system has made it a user.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="aq-pg-"))  # short: a socket's path may have about 100 characters
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    initdb = [str(Path(found).with_name("initdb")), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, timeout=60, user=user, cwd=folder)
    with subprocess.Popen(
        [found, "-D", str(data), "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"],
        stderr=subprocess.DEVNULL,
        user=user,
        cwd=folder,
    ) as server:
        try:
            deadline = time.monotonic() + PATIENCE
            while "ready" not in _state(data) and server.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            yield folder
        finally:
            server.terminate()
    shutil.rmtree(folder)


def _state(data: Path) -> str:
    try:
        return (data / "postmaster.pid").read_text().splitlines()[7]
    except (OSError, IndexError):
        return ""


@pytest.mark.slow
def test_with_postgresql(postgresql: Path) -> None:
    run(POSTGRESQL=str(postgresql))
