"""What the documentation shows works, and what it names exists.

Each page's Python blocks run, in order. A block that cannot is preceded by `<!-- not run: why -->`, one that is
synchronous by `<!-- in a thread -->`. Blocks titled `test_….py` are given to pytest, with the files that come before
them. Pages that are to be followed step by step are: see `reader.py`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aioqueue.embedded import statuses, stop

from .pages import DOCS, ROOT, Block, blocks, pages
from .reader import Reader
from .stage import Stage

_PATIENCE = 60.0
_READ = ("start.md", "tutorial.md")
# Half of the time of a run that is this short would be hypothesis', which is not used.
_QUICK = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")


def _is_for_pytest(block: Block) -> bool:
    return Path(block.title).name.startswith(("test_", "conftest"))


def _pages_with(choose: object) -> list[object]:
    chosen = [
        page for page in pages() if page.name not in _READ and any(choose(block) for block in blocks(page, "python"))
    ]  # type: ignore[operator]
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in chosen]


@pytest.mark.parametrize("page", _pages_with(lambda block: not _is_for_pytest(block)))
async def test_examples(page: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIOQUEUE_BROKER", redis_url)
    monkeypatch.chdir(tmp_path)
    todo = [block for block in blocks(page, "python") if not _is_for_pytest(block)]
    async with asyncio.timeout(_PATIENCE), Stage(todo) as stage:
        for block in todo:
            if not block.remark.startswith("not run"):
                await stage.run(block)


@pytest.mark.parametrize("page", _pages_with(_is_for_pytest))
def test_tests(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests in the documentation pass."""
    monkeypatch.setenv("AIOQUEUE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("AIOQUEUE_RUNTIME_DIR", str(tmp_path / "runtime"))
    for block in blocks(page, "python"):
        if block.title and not block.remark.startswith("not run"):
            file = tmp_path / "project" / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a") as written:
                written.write(block.text)
    configuration = [block.text for block in blocks(page, "toml") if "[tool.pytest" in block.text]
    (tmp_path / "project" / "pyproject.toml").write_text("".join(configuration))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *_QUICK, "-o", "asyncio_mode=auto", "--timeout=50"],
        cwd=tmp_path / "project",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "project")},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", _READ)
@pytest.mark.timeout(300)
def test_pages_as_a_reader_does_them(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that they say, in their order, with the private server."""
    with tempfile.TemporaryDirectory(prefix="aioqueue-read-") as own:  # for sockets, which have short paths
        monkeypatch.setenv("AIOQUEUE_DATA_DIR", f"{own}/data")
        monkeypatch.setenv("AIOQUEUE_RUNTIME_DIR", f"{own}/run")
        try:
            with Reader(tmp_path) as reader:
                reader.read(blocks(DOCS / page))
        finally:
            for server in statuses():  # or it writes on, where all is being removed
                stop(server.name)
