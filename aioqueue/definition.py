"""What a function is made of: whether it can be a task, and whether another one does the same."""

from __future__ import annotations

import dis
import functools
import inspect
import itertools
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, MethodWrapperType, NoneType
from typing import Any, Final, cast

_FUNCTIONS: Final = (FunctionType, MethodType, BuiltinFunctionType, MethodWrapperType, type)
_CALL: Final = "__call__"
# What is equal once is equal for ever, and cannot be told apart; of all else only the object itself is the same.
_PLAIN: Final = frozenset((int, bool, str, bytes, NoneType))
# An object may claim to wrap itself, or another one without end.
MOST_LAYERS: Final = 100


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether a call of it gives a generator, or an asynchronous one; also through partials and decorators.

    A decorator's function may collect what the decorated one yields, so it counts for what it is itself, unless it
    can be seen that it gives the generator back.
    """
    for _ in range(MOST_LAYERS):
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            return True
        inner = _inside(function)
        if inner is None:
            return False
        function = inner
    return False


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether a call of it gives a coroutine, as far as it says so itself: a plain decorator around a coroutine
    function may as well run it in a loop of its own, so what that gives is seen only when it is called."""
    while isinstance(function, functools.partial):
        function = _parts(function)[0]
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call_of(function))


def class_around(function: Callable[..., Any]) -> str:
    """The class whose method a function is, by where it stands and its first parameter; "" where it is none."""
    if not isinstance(function, FunctionType):
        return ""
    place = function.__qualname__.rpartition(".")[0]
    if not place or place.endswith("<locals>"):
        return ""
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return place.rpartition(".")[2] if names[:1] in (("self",), ("cls",)) else ""


def does_the_same(before: Any, after: Any) -> bool:
    """Whether it makes no difference which of two functions is called, now and later."""
    return _Likeness().of(before, after)


def call_of(given: Any) -> FunctionType | None:
    """The method that is called when an object of the user's own is; None for functions and classes."""
    call = None if isinstance(given, _FUNCTIONS) else getattr(cast("Any", type(given)), _CALL, None)
    return call if isinstance(call, FunctionType) else None


def _inside(function: Any) -> Any:
    """What a call of the function gives the value of, where that can be seen; else None."""
    if isinstance(function, functools.partial):
        return _parts(function)[0]
    if isinstance(function, MethodType):
        return function.__func__
    wrapped = getattr(function, "__wrapped__", None)
    if isinstance(function, FunctionType):
        return wrapped if wrapped is not None and _gives_back(function, wrapped) else None
    # What is not written in Python gives back what it wraps, as functools.lru_cache does.
    call = call_of(function)
    return wrapped if call is None else call


def _gives_back(function: FunctionType, inner: Any) -> bool:
    """Whether it has a line `return inner(...)`: a call that is returned, and begins with the name of `inner`."""
    code = list(dis.get_instructions(function))
    variables = inspect.getclosurevars(function)
    names = {name for name, value in (*variables.globals.items(), *variables.nonlocals.items()) if value is inner}
    begins = {_start(one) for one in code if one.opname.startswith("LOAD_") and one.argval in names} - {None}
    return any(
        call.opname.startswith("CALL") and after.opname == "RETURN_VALUE" and _start(call) in begins
        for call, after in itertools.pairwise(code)
    )


def _start(instruction: dis.Instruction) -> tuple[int, int] | None:
    place = instruction.positions
    if place is None or place.lineno is None or place.col_offset is None:
        return None  # python -X no_debug_ranges
    return place.lineno, place.col_offset


def _parts(given: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    return given.func, given.args, given.keywords


class _Likeness:
    """A comparison of two functions with all that they hold, which may be themselves."""

    def __init__(self) -> None:
        self._under_way: set[tuple[int, int]] = set()

    def of(self, one: Any, other: Any) -> bool:
        """Whether two functions, or two values that they hold, cannot be told apart."""
        if one is other:
            return True
        kind = cast("type[Any]", type(one))
        if kind is not type(other):
            return False
        if kind in _PLAIN:
            return bool(one == other)
        if kind is float or kind is complex:
            return repr(one) == repr(other)  # 0.0 == -0.0
        if kind is tuple:
            return self._all(one, other)
        if kind in (MethodType, BuiltinFunctionType):
            return one.__self__ is other.__self__ and one == other
        if kind is functools.partial:
            return self._all(_parts(one)[:2], _parts(other)[:2]) and self._mappings(one.keywords, other.keywords)
        return kind is FunctionType and self._functions(one, other)

    def _functions(self, one: FunctionType, other: FunctionType) -> bool:
        if one.__code__ is not other.__code__ or one.__globals__ is not other.__globals__:
            return False
        if (id(one), id(other)) in self._under_way:
            return True
        self._under_way.add((id(one), id(other)))
        return (
            self.of(one.__defaults__, other.__defaults__)
            and self._mappings(one.__kwdefaults__ or {}, other.__kwdefaults__ or {})
            and self._mappings(vars(one), vars(other))
            and all(map(self._cells, one.__closure__ or (), other.__closure__ or ()))
        )

    def _cells(self, one: CellType, other: CellType) -> bool:
        try:
            return one is other or self.of(one.cell_contents, other.cell_contents)
        except ValueError:  # nothing was put into it yet
            return False

    def _all(self, one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
        return len(one) == len(other) and all(map(self.of, one, other))

    def _mappings(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        return one.keys() == other.keys() and all(self.of(value, other[name]) for name, value in one.items())
