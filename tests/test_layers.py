"""Imports point downwards, and in no circle: see ARCHITECTURE."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import aioqueue

PACKAGE = Path(aioqueue.__file__).parent

# From the top to the bottom; a module may import from its own layer and from those below. The longest name counts.
LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "a person's ways in",
        ("aioqueue", "aioqueue.__main__", "aioqueue.cli", "aioqueue.web", "aioqueue.demo"),
    ),
    ("what tests of an app take in their hands", ("aioqueue.testing",)),
    ("middlewares that come with it", ("aioqueue.middlewares",)),
    ("the app's public face", ("aioqueue.app", "aioqueue.control_sync", "aioqueue.sync_app")),
    (
        "the loops that run for as long as a process does",
        ("aioqueue.worker", "aioqueue.deputy", "aioqueue.processes", "aioqueue.beat", "aioqueue.startup"),
    ),
    ("the way out", ("aioqueue.dispatch",)),
    (
        "what is made of those: messages, nodes, data, schedules, results",
        (
            "aioqueue.around",
            "aioqueue.canvas",
            "aioqueue.control",
            "aioqueue.dead_letters",
            "aioqueue.doctor",
            "aioqueue.events.listening",
            "aioqueue.family",
            "aioqueue.inquiry",
            "aioqueue.inspection",
            "aioqueue.outgoing",
            "aioqueue.periodic",
            "aioqueue.queues",
            "aioqueue.result_of_id",
            "aioqueue.routing.addressing",
            "aioqueue.waiting_tasks",
            "aioqueue.whereabouts",
        ),
    ),
    (
        "what users hold in their hands: one fluent, typed circle",
        (
            "aioqueue.canvas.base",
            "aioqueue.canvas.composites",
            "aioqueue.canvas.signatures",
            "aioqueue.canvas.stamping",
            "aioqueue.context",
            "aioqueue.group_result",
            "aioqueue.result",
            "aioqueue.shared",
            "aioqueue.sync",
            "aioqueue.sync_results",
            "aioqueue.task",
            "aioqueue.task_logger",
        ),
    ),
    (
        "what every room needs of an app",
        (
            "aioqueue.advice",
            "aioqueue.around.dependencies",
            "aioqueue.around.opening",
            "aioqueue.around.scopes",
            "aioqueue.connections",
            "aioqueue.core",
        ),
    ),
    (
        "what those ask of brokers",
        (
            "aioqueue.around.calling",
            "aioqueue.around.signals",
            "aioqueue.canvas.parts",
            "aioqueue.events.flow",
            "aioqueue.events.publisher",
            "aioqueue.graph",
            "aioqueue.lending",
            "aioqueue.portal",
            "aioqueue.revoking",
            "aioqueue.stop_signals",
            "aioqueue.threads",
            "aioqueue.unconsumed",
            "aioqueue.waiting",
        ),
    ),
    ("where tasks wait", ("aioqueue.brokers", "aioqueue.backends", "aioqueue.embedded")),
    ("the rules of workflows", ("aioqueue.workflows",)),
    ("what brokers promise", ("aioqueue.brokers.protocol",)),
    (
        "data",
        (
            "aioqueue._version",
            "aioqueue.task_annotations",
            "aioqueue.around.events",
            "aioqueue.arguments",
            "aioqueue.attributes",
            "aioqueue.awaiting",
            "aioqueue.around.layer",
            "aioqueue.around.leaving",
            "aioqueue.around.annotations",
            "aioqueue.around.depends",
            "aioqueue.around.planning",
            "aioqueue.around.wishes",
            "aioqueue.beat_schedule",
            "aioqueue.canvas.writing",
            "aioqueue.celery",
            "aioqueue.clock",
            "aioqueue.configuring",
            "aioqueue.definition",
            "aioqueue.discovery",
            "aioqueue.events",
            "aioqueue.django_settings",
            "aioqueue.exceptions",
            "aioqueue.exiting",
            "aioqueue.given",
            "aioqueue.hooks",
            "aioqueue.ids",
            "aioqueue.kinds",
            "aioqueue.logs",
            "aioqueue.message",
            "aioqueue.options",
            "aioqueue.origin",
            "aioqueue.other_words",
            "aioqueue.payload",
            "aioqueue.questions",
            "aioqueue.request",
            "aioqueue.routing",
            "aioqueue.schedules",
            "aioqueue.settings",
            "aioqueue.shape",
            "aioqueue.shortcuts",
            "aioqueue.spread",
            "aioqueue.task_classes",
            "aioqueue.task_failure",
            "aioqueue.task_info",
            "aioqueue.task_status",
            "aioqueue.unanswered",
            "aioqueue.url",
            "aioqueue.wording",
            "aioqueue.workflow",
        ),
    ),
)

# Imports that point upwards, none of them when a module is imported: (from, to) -> why.
UPWARDS: dict[tuple[str, str], str] = {
    ("aioqueue.app", "aioqueue.testing"): "app.testing(), when it is called",
    ("aioqueue.around.middleware", "aioqueue.worker"): "the type of what around_worker is around",
    ("aioqueue.core", "aioqueue.task"): "the types of what it gives; and what may have one name, when a task is made",
    ("aioqueue.core", "aioqueue.canvas.base"): "types",
    ("aioqueue.core", "aioqueue.canvas.signatures"): "types",
    ("aioqueue.core", "aioqueue.result"): "types",
}

# Each of these is known to all of them when types and imports inside functions count, too: tasks give signatures, these
# give results, results have groups, and all of them an app. There is no room for more: what only needs the type of one
# of them needs a smaller one of a lower layer; what makes some of them stands above.
CIRCLE = frozenset(
    {
        "aioqueue.canvas.base",
        "aioqueue.canvas.composites",
        "aioqueue.canvas.signatures",
        "aioqueue.canvas.stamping",
        "aioqueue.context",
        "aioqueue.core",
        "aioqueue.group_result",
        "aioqueue.result",
        "aioqueue.shared",
        "aioqueue.sync",
        "aioqueue.sync_results",
        "aioqueue.task",
    }
)

# What does input and output has no place in the data: (module, import) -> why it has.
NOT_IN_DATA = ("asyncio", "anyio", "redis", "hiredis", "socket", "uvloop")
IN_DATA_ALL_THE_SAME: dict[tuple[str, str], str] = {
    ("aioqueue.awaiting", "asyncio"): "only to pass for a coroutine function where asyncio looks",
    ("aioqueue.payload.failure", "asyncio"): "only to know asyncio's own frames, which are left out of tracebacks",
}


class Import(NamedTuple):
    """An import of a module.

    Attributes:
        importer, imported: full names.
        line: where.
        late: inside a function, or for type checkers only: not when the importer is imported.
    """

    importer: str
    imported: str
    line: int
    late: bool


def _name(file: Path) -> str:
    parts = ("aioqueue", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def _is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and any(
        getattr(part, "id", getattr(part, "attr", "")) == "TYPE_CHECKING" for part in ast.walk(node.test)
    )


def _imported(node: ast.Import | ast.ImportFrom, importer: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    module = node.module or ""
    if node.level:
        package = importer if FILES[importer].name == "__init__.py" else importer.rpartition(".")[0]
        base = package.split(".")[: len(package.split(".")) - node.level + 1]
        module = ".".join([*base, *([module] if module else [])])
    for alias in node.names:
        inner = f"{module}.{alias.name}"
        yield inner if inner in FILES else module


def _walk(node: ast.AST, importer: str, late: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for imported in _imported(node, importer):
            yield Import(importer, imported, node.lineno, late)
    if isinstance(node, ast.If) and _is_for_type_checkers(node):
        for child in node.body:
            yield from _walk(child, importer, True)
        for child in node.orelse:
            yield from _walk(child, importer, late)
        return
    inside = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, importer, inside)


def _imports(name: str, text: str) -> list[Import]:
    return list(_walk(ast.parse(text), name, False))


IMPORTS = [one for name, file in FILES.items() for one in _imports(name, file.read_text(encoding="utf-8"))]


def _layer(module: str) -> int:
    """The number of a module's layer: 0 is the top.

    Raises:
        LookupError: it has none.
    """
    homes = {name: number for number, (_, names) in enumerate(LAYERS) for name in names}
    if module in homes:
        return homes[module]
    parent = module.rpartition(".")[0]
    if not parent or parent == "aioqueue":
        raise LookupError(f"{module} is in no layer: add it to LAYERS")
    return _layer(parent)


def _is_ours(module: str) -> bool:
    return module == "aioqueue" or module.startswith("aioqueue.")


def _told(imports: list[Import]) -> list[str]:
    return [f"{one.importer}:{one.line} imports {one.imported}" for one in imports]


def test_something_is_looked_at() -> None:
    assert {"aioqueue.app", "aioqueue.worker.runner", "aioqueue.payload.codec"} <= FILES.keys()
    pairs = {(one.importer, one.imported, one.late) for one in IMPORTS}
    assert ("aioqueue.app", "aioqueue.task", False) in pairs
    assert ("aioqueue.app", "aioqueue.shared", False) in pairs, "from aioqueue import shared"
    assert ("aioqueue.app", "aioqueue.worker", True) in pairs


def test_every_module_has_a_layer() -> None:
    homeless: list[str] = []
    for module in FILES:
        try:
            _layer(module)
        except LookupError as error:
            homeless.append(str(error))
    assert homeless == []


def test_imports_point_downwards() -> None:
    upwards = [
        one
        for one in IMPORTS
        if _is_ours(one.imported)
        and _layer(one.imported) < _layer(one.importer)
        and not (one.late and (one.importer, one.imported) in UPWARDS)
    ]
    assert _told(upwards) == []


def test_every_exception_is_needed() -> None:
    pairs = {(one.importer, one.imported) for one in IMPORTS}
    assert [pair for pair in UPWARDS if pair not in pairs] == []
    assert [pair for pair in IN_DATA_ALL_THE_SAME if pair not in pairs] == []


def test_data_does_no_input_or_output() -> None:
    bottom = len(LAYERS) - 1
    found = [
        one
        for one in IMPORTS
        if one.imported.partition(".")[0] in NOT_IN_DATA
        and _layer(one.importer) == bottom
        and (one.importer, one.imported.partition(".")[0]) not in IN_DATA_ALL_THE_SAME
    ]
    assert _told(found) == []


def test_no_circles() -> None:
    graph: dict[str, set[str]] = {name: set() for name in FILES}
    for one in IMPORTS:
        if not one.late and one.imported in FILES and one.imported != one.importer:
            graph[one.importer].add(one.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("imports in a circle: " + " imports ".join(reversed(error.args[1])))


def _reached(start: str, arrows: dict[str, set[str]]) -> set[str]:
    """What can be reached from a module, itself included."""
    seen, pending = {start}, [start]
    while pending:
        new = arrows[pending.pop()] - seen
        seen |= new
        pending += new
    return seen


def test_one_circle_of_types() -> None:
    after: dict[str, set[str]] = {name: set() for name in FILES}
    before: dict[str, set[str]] = {name: set() for name in FILES}
    for one in IMPORTS:
        if one.imported in FILES:
            after[one.importer].add(one.imported)
            before[one.imported].add(one.importer)
    found = _reached("aioqueue.task", after) & _reached("aioqueue.task", before)
    assert found == CIRCLE


def test_only_redis_code_knows_redis() -> None:
    found = [
        one
        for one in IMPORTS
        if one.imported.partition(".")[0] in ("redis", "hiredis")
        and not one.importer.startswith(("aioqueue.brokers.redis", "aioqueue.embedded", "aioqueue.demo"))
    ]
    assert _told(found) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import aioqueue.app", [("aioqueue.app", False)]),
        ("from aioqueue.app import AioQueue", [("aioqueue.app", False)]),
        ("from aioqueue import app, AioQueue", [("aioqueue.app", False), ("aioqueue", False)]),
        ("from . import run", [("aioqueue.worker.run", False)]),
        ("from .run import Run", [("aioqueue.worker.run", False)]),
        ("from ..app import AioQueue", [("aioqueue.app", False)]),
        ("def f():\n import aioqueue.app", [("aioqueue.app", True)]),
        ("class C:\n import aioqueue.app", [("aioqueue.app", False)]),
        ("try:\n import aioqueue.app\nexcept ImportError: pass", [("aioqueue.app", False)]),
        ("if TYPE_CHECKING:\n import aioqueue.app\nelse:\n import re", [("aioqueue.app", True), ("re", False)]),
        ("if typing.TYPE_CHECKING:\n import aioqueue.app", [("aioqueue.app", True)]),
        ("if True:\n import aioqueue.app", [("aioqueue.app", False)]),
    ],
)
def test_the_reading_of_imports(text: str, expected: list[tuple[str, bool]]) -> None:
    found = _imports("aioqueue.worker.runner", text)
    assert [(one.imported, one.late) for one in found] == expected
