"""Where the examples of a page are run: their modules, a broker, and workers for their apps."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
import sys
import types
from contextlib import AsyncExitStack

from aioqueue import AioQueue, shared

from .pages import Block

MODULE = "shop.tasks"
"""The module of blocks that say nothing else."""

_QUEUES = re.compile(r"""queue["']?[=:]\s*["']([\w.-]+)["']""")
_PRINTED = re.compile(r"^\s*print\(.*\)\s+# (.*)$")
_MAIN = re.compile(r"^if __name__ == ", re.MULTILINE)


class Stage:
    """The blocks of a page run in order: those of one file in one namespace, as that module.

    A worker runs the tasks of every app that is called `app`, from the statement after the one that makes it.
    """

    def __init__(self, page: list[Block]) -> None:
        self._queues = {"default", *(name for block in page for name in _QUEUES.findall(block.text))}
        self._stack = AsyncExitStack()
        self._apps: list[AioQueue] = []
        self._added: list[str] = []

    async def __aenter__(self) -> Stage:
        self._shared = dict(shared._tasks)
        self._module("shop").__path__ = []
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        for app in self._apps:
            if "portal" in vars(app):
                await asyncio.to_thread(app.portal.close)
        shared._tasks.clear()
        shared._tasks.update(self._shared)
        for name in self._added:
            sys.modules.pop(name, None)

    async def run(self, block: Block) -> None:
        """Run a block, and compare what it prints with the comments behind its `print(...)`."""
        name = block.title.removesuffix(".py").replace("/", ".") or MODULE
        module = sys.modules.get(name) or self._module(name)
        tree = ast.parse(block.text, block.where)
        ast.increment_lineno(tree, block.line - 1)
        printed = io.StringIO()
        for statement in tree.body:
            with contextlib.redirect_stdout(printed):
                await self._statement(statement, module, block)
            await self._provide_workers(module)
        if _MAIN.search(block.text) and "main" in vars(module):
            with contextlib.redirect_stdout(printed):
                await vars(module)["main"]()
        _compare(block, printed.getvalue().splitlines())

    async def _statement(self, statement: ast.stmt, module: types.ModuleType, block: Block) -> None:
        code = compile(
            ast.Module([statement], []),
            str(block.page),
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | _futures(module),
            dont_inherit=True,
        )
        if block.remark == "in a thread":
            await asyncio.to_thread(exec, code, vars(module))
            return
        result = eval(code, vars(module))
        if inspect.isawaitable(result):
            await result

    async def _provide_workers(self, module: types.ModuleType) -> None:
        app = vars(module).get("app")
        if isinstance(app, AioQueue) and app not in self._apps:
            self._apps.append(app)
            app.include = ()
            await self._stack.enter_async_context(app)
            worker = app.worker(queues=sorted(self._queues), shutdown_timeout=1)
            await self._stack.enter_async_context(worker)

    def _module(self, name: str) -> types.ModuleType:
        module = sys.modules[name] = types.ModuleType(name)
        module.__file__ = f"{name.replace('.', '/')}.py"  # Flask looks for what lies beside it
        self._added.append(name)
        return module


def _futures(module: types.ModuleType) -> int:
    return sum(value.compiler_flag for value in vars(module).values() if type(value).__name__ == "_Feature")


def _compare(block: Block, printed: list[str]) -> None:
    """`print(x)  # 5` prints 5; `# e.g. 5` prints a line, whatever it is; what has no comment is not compared."""
    wanted = [match[1] for line in block.text.splitlines() if (match := _PRINTED.match(line))]
    if not wanted or any(line.startswith("e.g.") for line in wanted):
        return
    found = [line.rstrip() for line in printed]
    assert found == wanted, f"{block.where} says that it prints {wanted}, and prints {found}"
