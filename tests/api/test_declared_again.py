"""Modules that are run again, which may declare their tasks again; and those that are not."""

from __future__ import annotations

import importlib
import runpy
import sys
import types
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from aioqueue import AioQueue
from aioqueue.exceptions import ConfigurationError

REFUSED = r"Two tasks have the name .*@app.task\(name="


@pytest.fixture
def app() -> AioQueue:
    """Nothing is sent here."""
    return AioQueue("tests", broker="memory://")


LIBRARY = """
import functools
class Service:
    def __init__(self, name): self.name = name
    async def run(self): return self.name
    async def __call__(self): return self.name
class Anything: pass
async def function(it): return str(it)
def limited(by):
    def decorated(function):
        @functools.wraps(function)
        async def inner(*args):
            by
            return await function(*args)
        return inner
    return decorated
def loud(function): return functools.wraps(function)(lambda: function())
def make(it):
    async def made(): return it
    return made
"""
HEAD = "import functools, library\nfrom library import *\napp = library.app\n"
MODULES = {
    "function": "@app.task\nasync def work(): return 1",
    "renamed": "@app.task(name='work')\nasync def work{number}(): return 1\nwork = work{number}",
    "closure": "work = app.task(make(Anything()))",
    "method": "service = Service('a')\nwork = app.task(name='work')(service.run)",
    "object": "work = app.task(name='work')(Service('a'))",
    "own class": "class Own:\n  async def __call__(self): return 1\nwork = app.task(name='work')(Own())",
    "partial": "work = app.task(name='work')(functools.partial(function, Anything()))",
    "decorator": "it = Anything()\n@app.task\n@limited(it)\nasync def work(): return 1",
    "decorator in a call": "@app.task\n@limited(by=object())\nasync def work(): return 1",
    "text": "space = {'app': app}\nexec('@app.task\\ndef work(): return space', space)\nwork = space['work']",
    "cached": "@app.task\n@functools.lru_cache\ndef work(): return 1",
    "setup": "def setup():\n  return app.task(name='work')(Service('a').run)\nwork = setup()",
    "two codes": "if {number} % 2:\n  def work(): return 1\nelse:\n  def work(): return 2\nwork = app.task(loud(work))",
}


class Source:
    """A module in a file, whose app is that of a library that stays as it is."""

    def __init__(self, folder: Path, app: AioQueue) -> None:
        self.app = app
        self.file = folder / "declares.py"
        (folder / "library.py").write_text(LIBRARY)
        library = importlib.import_module("library")
        library.app = app  # type: ignore[attr-defined]

    def write(self, text: str, number: int) -> None:
        self.file.write_text(HEAD + text.replace("{number}", str(number)))


@pytest.fixture
def source(app: AioQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Source(tmp_path, app)
    for name in ("library", "declares"):
        sys.modules.pop(name, None)


def reloaded(source: Source) -> Any:
    module = sys.modules.get("declares")
    return importlib.reload(module) if module else importlib.import_module("declares")


def imported_again(source: Source) -> Any:
    sys.modules.pop("declares", None)
    return importlib.import_module("declares")


def loaded_as_a_plugin(source: Source) -> Any:
    spec = spec_from_file_location("declares", source.file)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def started_as_the_script(source: Source) -> Any:
    """As `%run` and Streamlit do: the module `__main__` is another one each time."""
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    module.__file__ = str(source.file)
    exec(compile(source.file.read_text(), source.file, "exec"), vars(module))
    return module


def run_in_a_notebook(source: Source) -> Any:
    module = sys.modules.setdefault("declares", types.ModuleType("declares"))
    exec(compile(source.file.read_text(), "<cell>", "exec"), vars(module))
    return module


@pytest.mark.parametrize("text", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize(
    "load", [reloaded, imported_again, loaded_as_a_plugin, started_as_the_script, run_in_a_notebook]
)
def test_a_module_that_is_run_again(
    source: Source, load: Callable[[Source], Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    for number in range(1 if load is run_in_a_notebook else 3):
        source.write(text, number)
        for _ in range(2):
            work = load(source).work
            assert source.app.tasks[work.name] is work


@pytest.mark.parametrize("load", [reloaded, imported_again, loaded_as_a_plugin])
def test_what_is_called_after_a_module_was_run_again(source: Source, load: Callable[[Source], Any]) -> None:
    text = "def setup():\n  return app.task(name='work')(Service('{number}').run)"
    for number in (1, 2):
        source.write(text, number)
        module = load(source)
        work = module.setup()
        assert source.app.tasks["work"] is work
        with pytest.raises(ConfigurationError, match=REFUSED):
            module.setup()


def test_a_script_that_is_imported_by_its_name_too(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    source.write("@app.task\nasync def work(): return 1", 0)
    as_script = started_as_the_script(source).work
    as_module = importlib.import_module("declares").work
    assert as_script.name == as_module.name and source.app.tasks["declares.work"] is as_module


def test_a_cell_that_was_changed(app: AioQueue) -> None:
    space: dict[str, Any] = {"__name__": "__main__", "app": app}
    for number in (1, 2):
        exec(f"@app.task(name='work')\ndef work(): return {number}", space)
    assert app.tasks["work"].function() == 2


def test_two_cells_that_use_one_factory(app: AioQueue) -> None:
    space: dict[str, Any] = {"__name__": "__main__", "app": app}
    exec("def make(it):\n  @app.task(name='work')\n  def work(): return it\n  return work", space)
    exec("a = make('a')", space)
    with pytest.raises(ConfigurationError, match=REFUSED):
        exec("b = make('b')", space)


@pytest.mark.parametrize("run", [runpy.run_path, runpy.run_module])
def test_runpy_runs_two_that_are_both_in_use(source: Source, run: Callable[..., Any]) -> None:
    source.write("import sys\n@app.task(name='work')\nasync def work(): return TENANT", 0)
    place = str(source.file) if run is runpy.run_path else "declares"
    run(place, init_globals={"TENANT": "a"})
    with pytest.raises(ConfigurationError, match=REFUSED):
        run(place, init_globals={"TENANT": "b"})


@pytest.mark.parametrize(
    "text",
    [
        "for it in 'ab': app.task(name='work')(Service(it))",
        "for it in 'ab': app.task(make(it))",
        "app.task(name='work')(Service('a').run)\napp.task(name='work')(Service('b').run)",
        "for it in 'ab': exec(f'@app.task\\ndef work(): return {it!r}')",
    ],
)
def test_a_module_that_declares_two(source: Source, text: str) -> None:
    source.write(text, 0)
    with pytest.raises(ConfigurationError, match=REFUSED):
        importlib.import_module("declares")
