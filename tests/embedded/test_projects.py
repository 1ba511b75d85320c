"""Two projects whose apps have one name hear of each other."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from aioqueue.embedded.projects import FORGET_AFTER, Project, meet, tell_of_others


def project(folder: Path, *tasks: str, namespace: str = "shop") -> Project:
    folder.mkdir(exist_ok=True)
    return Project(namespace, str(folder), frozenset(tasks))


def test_who_else_is_there(tmp_path: Path) -> None:
    notes = tmp_path / "projects"
    one, other = project(tmp_path / "one", "a"), project(tmp_path / "other", "b")
    assert meet(notes, one) == meet(notes, one) == []
    ((found, used),) = meet(notes, other)
    assert found == one and abs(used - time.time()) < 60
    assert meet(notes, project(tmp_path / "one", "c", namespace="else")) == []
    (notes / "junk.json").write_text("[]")
    assert [found for found, _ in meet(notes, one)] == [other]
    # One whose folder is gone, or that was not seen for long, counts no more.
    (tmp_path / "other").rmdir()
    assert meet(notes, one) == []
    project(tmp_path / "other")
    assert meet(notes, one) == []
    meet(notes, other)
    for file in notes.glob("*.json"):
        os.utime(file, (0, time.time() - FORGET_AFTER - 60))
    assert meet(notes, one) == []


def test_it_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notes = tmp_path / "projects"
    here, there = project(tmp_path / "here", "shop.a", "shop.b"), project(tmp_path / "there", "shop.b", "shop.c")
    tell_of_others("shop", notes, here)
    assert caplog.text == ""
    tell_of_others("shop", notes, there)
    assert "Only one of them knows shop.a, shop.c:" in caplog.text
    assert "Both know shop.b: a worker of either runs what the other sends" in caplog.text
    assert "broker='embedded://shop'" in caplog.text
    told = len(caplog.records)
    tell_of_others("shop", notes, there)
    assert len(caplog.records) == told == 1


def test_a_copy_is_told_whose_code_may_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notes = tmp_path / "projects"
    tell_of_others("shop", notes, project(tmp_path / "first", "shop.a", "shop.b"))
    tell_of_others("shop", notes, project(tmp_path / "copy", "shop.a", "shop.b"))
    [record] = caplog.records
    assert "Both know shop.a, shop.b: a worker of either runs what the other sends" in record.getMessage()
    assert "Only one" not in record.getMessage()


def test_notes_that_cannot_be_written_are_no_reason_to_fail(tmp_path: Path) -> None:
    tell_of_others("shop", tmp_path / "not" / "there", project(tmp_path / "here"))
