"""Where things are, and whom they belong to."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest
from redis import Redis

from aioqueue.embedded import acquire
from aioqueue.embedded.folders import find_data_root, find_home, make_private, runtime_base, safe_name
from aioqueue.exceptions import ConfigurationError

from .conftest import Folders

NAMES = ["a/b", "../../etc", "é 漢字 🙂", "x" * 5000, "with 'quotes' and \"more\"", "new\nline", "-rf", ".", "\udc80"]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("AIOQUEUE_RUNTIME_DIR", "AIOQUEUE_DATA_DIR", "XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_text_is_a_name(folders: Folders, name: str) -> None:
    with acquire(name, durable=False) as server:
        assert server.name == name
        assert server.data_dir.parent == folders.data
        assert Redis.from_url(server.url).ping()


def test_no_name_is_an_error(folders: Folders) -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        acquire("")


def test_names_do_not_collide() -> None:
    names = [*NAMES, "app", "App", "APP", "a-b", "a b", "a\\b", "x" * 4999, safe_name("a/b")]
    assert len({safe_name(name).lower() for name in names}) == len(names)
    assert all(len(safe_name(name)) <= 50 and "/" not in safe_name(name) for name in names)
    assert safe_name("my-app.2") == "my-app.2"


def test_folders_are_private(folders: Folders) -> None:
    with acquire("app") as server:
        for folder in (server.data_dir, server.socket_path.parent):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o700
        files = [file for file in server.data_dir.rglob("*") if file.is_file()]
        assert files and all(stat.S_IMODE(file.stat().st_mode) & 0o077 == 0 for file in files)


def test_open_folder_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_link_is_refused(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / f"aioqueue-{os.geteuid()}").symlink_to(tmp_path / "target")
    bare.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    with pytest.raises(ConfigurationError, match="is a link"):
        runtime_base()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folder_of_another_user_is_refused(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    base = tmp_path / f"aioqueue-{os.geteuid()}"
    base.mkdir(mode=0o700)
    os.chown(base, 12345, 12345)
    bare.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    with pytest.raises(ConfigurationError, match="belongs to user 12345"):
        runtime_base()


def test_session_folder(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    bare.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    bare.setenv("XDG_RUNTIME_DIR", str(tmp_path / "missing"))
    assert runtime_base() == tmp_path / f"aioqueue-{os.geteuid()}"
    (tmp_path / "session").mkdir()
    bare.setenv("XDG_RUNTIME_DIR", str(tmp_path / "session"))
    assert runtime_base() == tmp_path / "session/aioqueue"


def test_data_home(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("HOME", str(tmp_path / "home"))
    assert find_data_root() == tmp_path / "home/.local/share/aioqueue"
    bare.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert find_data_root() == tmp_path / "data/aioqueue"


def test_home_that_cannot_be_written_to(
    tmp_path: Path, bare: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bare.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    bare.setenv("HOME", "/proc/home")  # not even for root
    with caplog.at_level(logging.WARNING, "aioqueue.embedded"):
        with acquire("app", durable=False) as server:
            assert tmp_path in server.data_dir.parents
            assert Redis.from_url(server.url).ping()
        find_data_root()
    assert len(caplog.messages) == 1
    assert "/proc/home" in caplog.text and "AIOQUEUE_DATA_DIR" in caplog.text


def test_chosen_folder_that_cannot_be_written_to(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="/proc/data"):
        find_data_root(Path("/proc/data"))
    bare.setenv("AIOQUEUE_RUNTIME_DIR", "/proc/run")
    with pytest.raises(ConfigurationError, match="AIOQUEUE_RUNTIME_DIR"):
        runtime_base()


def test_long_runtime_folder_has_its_socket_elsewhere(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = folders.runtime / ("d" * 100)
    monkeypatch.setenv("AIOQUEUE_RUNTIME_DIR", str(deep))
    with acquire("app", durable=False) as server:
        assert len(os.fsencode(server.socket_path)) <= 103
        assert stat.S_IMODE(server.socket_path.parent.stat().st_mode) == 0o700
        assert Redis.from_url(server.url).ping()
        assert find_home("app").socket == server.socket_path


def test_data_root_makes_another_server(folders: Folders, tmp_path: Path) -> None:
    with acquire("app", durable=False) as first, acquire("app", durable=False, data_root=tmp_path) as second:
        assert first.url != second.url
        assert second.data_dir.parent == tmp_path


def test_data_of_another_program_are_left_alone(folders: Folders, caplog: pytest.LogCaptureFixture) -> None:
    old = folders.data / "app-redis7"
    (old / "appendonlydir").mkdir(parents=True)
    with caplog.at_level(logging.WARNING, "aioqueue.embedded"), acquire("app") as server:
        assert server.data_dir != old
    assert str(old) in caplog.text
