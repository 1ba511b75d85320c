"""Names that other processes know."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from aioqueue.payload import Failure, importable_name
from aioqueue.payload.naming import loaded_modules

SCRIPT = textwrap.dedent(
    """
    import sys
    import msgspec
    from aioqueue.payload import Failure, importable_name

    class Broken(Exception):
        class Inner(Exception):
            pass

    def task(): ...

    if __name__ == "__main__":
        print(importable_name(task), Failure.of(Broken.Inner("x")).type)
        own = Failure.of(Broken("x"))
        assert type(own.rebuild()) is Broken, own
        assert type(Failure(type=sys.argv[1] + ":Broken").rebuild()) is Broken
        assert type(Failure(type="__main__:Broken").rebuild()) is (Broken if sys.argv[1] == "__main__" else MISSING)
    """
).replace("MISSING", "__import__('aioqueue').exceptions.TaskFailed")


def run(*args: str, cwd: Path, stdin: str | None = None) -> str:
    done = subprocess.run([sys.executable, *args], cwd=cwd, input=stdin, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_script(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SCRIPT)
    expected = "shop.task shop:Broken.Inner"
    assert run("shop.py", "shop", cwd=tmp_path) == expected
    assert run(str(tmp_path / "shop.py"), "shop", cwd=Path("/")) == expected
    assert run("-m", "shop", "shop", cwd=tmp_path) == expected


def test_a_module_of_a_package(tmp_path: Path) -> None:
    (tmp_path / "firm").mkdir()
    (tmp_path / "firm" / "__init__.py").touch()
    (tmp_path / "firm" / "shop.py").write_text(SCRIPT)
    (tmp_path / "firm" / "__main__.py").write_text(SCRIPT)
    assert run("-m", "firm.shop", "firm.shop", cwd=tmp_path) == "firm.shop.task firm.shop:Broken.Inner"
    assert run("-m", "firm", "firm.__main__", cwd=tmp_path) == "firm.__main__.task firm.__main__:Broken.Inner"


def test_no_file(tmp_path: Path) -> None:
    assert run("-c", SCRIPT, "__main__", cwd=tmp_path) == "__main__.task __main__:Broken.Inner"
    assert run("-", "__main__", cwd=tmp_path, stdin=SCRIPT) == "__main__.task __main__:Broken.Inner"


def test_a_script_with_the_name_of_a_package(tmp_path: Path) -> None:
    """`/usr/bin/json` is this process's script, and `import json` is something else."""
    (tmp_path / "bin").mkdir()
    script = "import sys; del sys.path[0]; import json\nfrom aioqueue.payload import Failure\n"
    script += "assert type(Failure(type='json:JSONDecodeError').rebuild()) is json.JSONDecodeError\n"
    script += "print(type(Failure(type='json:Own').rebuild()))"
    (tmp_path / "bin" / "json").write_text(script)
    assert "TaskFailed" in run("bin/json", cwd=tmp_path)


def test_spawned_children(tmp_path: Path) -> None:
    script = """
import multiprocessing
from aioqueue.payload import importable_name
def task(): print(task.__module__, importable_name(task), flush=True)
if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=task)
    child.start(); child.join()
"""
    (tmp_path / "shop.py").write_text(script)
    assert run("shop.py", cwd=tmp_path) == "__mp_main__ shop.task"
    assert run("-m", "shop", cwd=tmp_path) == "__mp_main__ shop.task"


class Holder:
    def method(self) -> None: ...

    def __call__(self) -> None: ...


def outer() -> object:
    def inner() -> None: ...

    return inner


@pytest.mark.parametrize(
    ("obj", "name"),
    [
        (outer, "outer"),
        (outer(), "outer.inner"),
        (Holder, "Holder"),
        (Holder.method, "Holder.method"),
        (Holder().method, "Holder.method"),
        (Holder(), "Holder"),
        (functools.partial(functools.partial(outer)), "outer"),
        (lambda: 0, "lambda"),
    ],
    ids=lambda v: getattr(v, "__qualname__", None) or str(v)[:40].partition(" at ")[0],
)
def test_importable_name(obj: object, name: str) -> None:
    assert importable_name(obj) == f"{__name__}.{name}"


def test_builtins() -> None:
    assert importable_name(print) == "builtins.print"
    assert importable_name(dict.fromkeys) == "builtins.dict.fromkeys"
    assert Failure.of(ValueError("x")).name == "ValueError"


def test_loaded_modules_imports_nothing() -> None:
    assert loaded_modules("antigravity") == []
    assert loaded_modules("") == []
    assert loaded_modules("os") == [sys.modules["os"]]
