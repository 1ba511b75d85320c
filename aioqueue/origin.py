"""Where a task was declared, and whether what declared it has been run again since.

A module that is loaded again declares its tasks again, and these replace the former ones. What tells it from two tasks
of one name that are both in use is no likeness of theirs: the module has been executed once more in between.
"""

from __future__ import annotations

import functools
import gc
import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, cast

from aioqueue.definition import MOST_LAYERS, call_of
from aioqueue.payload.naming import importable_module, loaded_modules


class Namespace(NamedTuple):
    """What code runs in: the globals of a module, as they are since it was loaded."""

    name: str
    values: dict[str, Any]
    # Each loading of a module gives it a new one, also importlib.reload(), which leaves the globals where they are.
    spec: object


class Statement(NamedTuple):
    """The code of a module, or of a prompt or a notebook's cell, that is being run."""

    code: CodeType
    values: dict[str, Any]


class Origin(NamedTuple):
    """What had a part in the declaration of a task: the callers of `@app.task`, and what its function is made of."""

    namespaces: tuple[Namespace, ...]
    statements: tuple[Statement, ...]
    code: CodeType | None

    def __deepcopy__(self, memo: object) -> Origin:
        return self  # modules cannot be copied, nor sent to another process, where they would say nothing

    def __reduce__(self) -> tuple[Any, ...]:
        return Origin, ((), (), None)


def origin_of(function: Any) -> Origin:
    """The origin of a task that is being declared by those who call this."""
    namespaces: dict[int, dict[str, Any]] = {}
    statements: dict[int, Statement] = {}
    code, in_module = None, False
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        values = frame.f_globals
        if not in_module:
            namespaces[id(values)] = values
            # Who imports a module has no part in what that declares; who calls exec() has.
            in_module = _is_statement(frame.f_code) and _is_loaded(_name(values), values)
        if id(values) in statements or (id(values) in namespaces and _is_statement(frame.f_code)):
            # The outermost, which may be a function: what exec() runs inside of it is no statement of its own.
            statements[id(values)] = Statement(frame.f_code, values)
        frame = frame.f_back
    for layer in _layers(function):
        if isinstance(layer, FunctionType):
            namespaces[id(layer.__globals__)] = layer.__globals__
            code = layer.__code__
    return Origin(tuple(map(_namespace, namespaces.values())), tuple(statements.values()), code)


def is_run_again(before: Origin, after: Origin) -> bool:
    """Whether something that declared the one has been run again to declare the other."""
    return any(_is_loaded_again(one, before.namespaces) for one in after.namespaces) or _is_stated_again(before, after)


def _is_statement(code: CodeType) -> bool:
    """Also `<cell line: 1>`, as notebooks name them; classes and functions have names, or are optimized."""
    return code.co_name.startswith("<") and not code.co_flags & inspect.CO_OPTIMIZED


def _namespace(values: dict[str, Any]) -> Namespace:
    return Namespace(_name(values), values, values.get("__spec__"))


def _name(values: dict[str, Any]) -> str:
    name = values.get("__name__")
    return importable_module(name) if isinstance(name, str) else ""


def _is_loaded(name: str, values: dict[str, Any]) -> bool:
    """Whether it is the namespace of the module that others find under that name. `<run_path>` is none."""
    modules = () if name.startswith("<") else loaded_modules(name)
    return any(getattr(module, "__dict__", None) is values for module in modules)


def _layers(function: Any) -> Iterator[Any]:
    """A function, and what is inside its partials, its decorators and the class whose object it is."""
    for _ in range(MOST_LAYERS):
        if function is None:
            return
        yield function
        if isinstance(function, functools.partial):
            function = cast("Any", function).func
        elif isinstance(function, MethodType):
            function = function.__func__
        else:
            wrapped, call = getattr(function, "__wrapped__", None), call_of(function)
            if wrapped is not None:
                yield call
            function = call if wrapped is None else wrapped


def _is_loaded_again(namespace: Namespace, before: tuple[Namespace, ...]) -> bool:
    for known in before:
        if known.values is namespace.values:
            return known.spec is not namespace.spec
    return any(known.name == namespace.name and _is_module(namespace, known) for known in before)


def _is_module(namespace: Namespace, before: Namespace) -> bool:
    """Whether it is that of a module which took the place of another: exec() and runpy make namespaces that don't."""
    name, values, spec = namespace
    if _is_loaded(name, values):
        return True
    if spec is None or spec is before.spec:
        return False
    # A plugin is loaded by its spec, and often has no entry in sys.modules.
    return any(isinstance(one, ModuleType) for one in gc.get_referrers(values))


def _is_stated_again(before: Origin, after: Origin) -> bool:
    """Whether the same cell was run again, or another one that defines the function anew."""
    return any(
        one.values is other.values
        and one.code is not other.code
        and (one.code == other.code or _is_defined_anew(before.code, after.code))
        for one in before.statements
        for other in after.statements
    )


def _is_defined_anew(before: CodeType | None, after: CodeType | None) -> bool:
    if before is None or after is None:
        return False
    return before is not after and before.co_qualname == after.co_qualname
