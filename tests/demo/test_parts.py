"""The parts of the demo, each by itself."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from aioqueue.demo.figures import percentiles
from aioqueue.demo.files import select
from aioqueue.demo.languages import language_of
from aioqueue.demo.ledger import BodyRun, Ledger, LedgerWriter
from aioqueue.demo.tasks import facts
from aioqueue.demo.wording import count, quoted, short, span
from aioqueue.exceptions import ConfigurationError


class TestLedger:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        (tmp_path / "ledger").touch()
        return tmp_path / "ledger"

    def test_says_what_runs_and_what_has_run(self, path: Path) -> None:
        ledger, me = Ledger(path), os.getpid()
        with LedgerWriter(str(path)) as writer:
            with writer.run("a", 0, 1):
                ledger.read()
                assert ledger.running_in(me) == [BodyRun(me, "a", 0, 1)]
                assert ledger.take_finished() == []
            ledger.read()
        assert ledger.running == {}
        assert ledger.take_finished() == ["a"]
        assert ledger.take_finished() == []
        assert ledger.by_pid == {me: 1}
        assert ledger.first["a"] < ledger.ended["a"]
        assert len(ledger.seconds) == 1
        ledger.close()

    def test_a_run_that_fails_has_an_end_too(self, path: Path) -> None:
        ledger = Ledger(path)
        with LedgerWriter(str(path)) as writer, pytest.raises(ValueError, match="no"), writer.run("a", 0, 1):
            raise ValueError("no")
        ledger.read()
        assert list(ledger.ended) == ["a"]
        ledger.close()

    def test_half_a_line_waits_for_its_other_half(self, path: Path) -> None:
        ledger = Ledger(path)
        with path.open("ab", buffering=0) as file:
            file.write(b"begun 10 1 a 0 ")
            ledger.read()
            assert ledger.running == {}
            file.write(b"1\n")
            ledger.read()
            assert list(ledger.running) == [BodyRun(1, "a", 0, 1)]
        ledger.close()

    def test_retries_are_not_runs_twice(self, path: Path) -> None:
        path.write_text("begun 1 1 a 0 1\nended 2 1 a 0 1\nbegun 3 1 a 1 1\nended 4 1 a 1 1\n")
        ledger = Ledger(path)
        ledger.read()
        assert ledger.twice() == (0, 0)
        assert ledger.retried == 1
        ledger.close()

    def test_the_kill_of_a_worker_explains_what_ran_twice(self, path: Path) -> None:
        path.write_text("begun 1 7 a 0 1\nbegun 2 7 b 0 1\nended 3 7 b 0 1\n")
        ledger = Ledger(path)
        ledger.read()
        assert ledger.bury(7) == 1
        with path.open("a") as file:
            file.write("begun 4 8 a 0 2\nended 5 8 a 0 2\nbegun 6 8 b 0 2\nended 7 8 b 0 2\n")
        ledger.read()
        assert ledger.running == {}
        assert ledger.recovered == {"a", "b"}
        assert ledger.twice() == (2, 0)
        with path.open("a") as file:
            file.write("begun 8 9 a 0 3\n")
        ledger.read()
        assert ledger.twice() == (2, 1)
        ledger.close()


class TestSelection:
    def test_spreads_over_all_texts(self, tmp_path: Path) -> None:
        for number in range(100):
            (tmp_path / f"{number:03}.py").write_text("x")
        selection = select(tmp_path, 10)
        assert [Path(path).name for path in selection.paths] == [f"{number:03}.py" for number in range(0, 100, 10)]
        assert (selection.texts_found, selection.not_text) == (100, 0)

    def test_takes_one_binary_file_in_a_hundred_at_most_and_of_each_kind_one(self, tmp_path: Path) -> None:
        for number in range(300):
            (tmp_path / f"{number:03}.py").write_text("x")
        for name in ("a.so", "b.so", "c.png", "d.mo", "e.ico", "f.ttf"):
            (tmp_path / name).write_bytes(b"\xff\xfe\x00")
        (tmp_path / "text.strange").write_text("text")
        selection = select(tmp_path, 200)
        assert len(selection.paths) == 200
        assert selection.not_text == 2
        others = [Path(path).suffix for path in selection.paths if not path.endswith(".py")]
        assert len(others) == len(set(others)) == 2

    def test_passes_over_links_large_files_and_names_that_are_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "a.py").write_text("x")
        (tmp_path / "link.py").symlink_to(tmp_path / "a.py")
        (tmp_path / "loop").symlink_to(tmp_path)
        (tmp_path / "large.py").write_bytes(b"x" * 1_000_001)
        (tmp_path / os.fsdecode(b"\xff.py")).touch()
        assert select(tmp_path, 10).paths == [str(tmp_path / "a.py")]

    def test_needs_a_text(self, tmp_path: Path) -> None:
        (tmp_path / "a.so").write_bytes(b"\xff")
        with pytest.raises(ConfigurationError, match="there are none below"):
            select(tmp_path, 10)


def test_facts(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_bytes("één\nzwei drei\n".encode())
    found = facts(str(file))
    assert (found.lines, found.longest_line, found.size, found.language) == (2, 9, 16, "Python")
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        facts(str(file))


def test_languages() -> None:
    assert [language_of(name) for name in ("a.PY", "x/Makefile", "LICENSE", "a.so", "b")] == [
        "Python",
        "Make",
        "Text",
        None,
        None,
    ]


def test_percentiles() -> None:
    assert percentiles([]) is None
    found = percentiles(number / 100 for number in range(100))
    assert found is not None
    assert (found.p50, found.p95, found.p99) == (0.5, 0.95, 0.99)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00042, "0.42 ms"),
        (0.0042, "4.2 ms"),
        (0.00996, "10 ms"),
        (0.42, "420 ms"),
        (0.9996, "1.0 s"),
        (12.34, "12.3 s"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [count(1, "file"), count(2, "file"), count(1234)] == ["1 file", "2 files", "1,234"]
    assert quoted("a\x1b[31mb\nc") == "a\\x1b[31mb\\nc"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert short(tmp_path / "a") == "a"
    assert short(tmp_path.parent / "b") == "~/b"
    assert short("/usr") == "/usr"
