"""What functions want to be given, as their parameters say it."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter
from typing import Annotated, Any, Final, NamedTuple, cast, get_args, get_origin

from aioqueue.around.annotations import Unknown, read_annotations
from aioqueue.around.depends import Dependency, Depends, Scope
from aioqueue.exceptions import ConfigurationError
from aioqueue.payload.introspection import POSITIONAL, UNIONS, signature_of, stripped

CONTEXT: Final = object()
"""In the place of a value: the task's context."""

_CONTAINERS: Final = ("builtins", "collections", "collections.abc", "typing")
"""Where classes are from that an annotation names, and that are no dependencies."""


class Constant(NamedTuple):
    """A default that has to be given, for something after it is."""

    value: Any


class Wish(NamedTuple):
    """What a function wants in one of its parameters.

    Attributes:
        by_position: it can be given so only.
        what: a `Dependency`, `CONTEXT` or a `Constant`.
    """

    name: str
    by_position: bool
    what: Any


class Reader:
    """Finds what functions want. It remembers that, for names that can be seen now may not be seen later.

    Args:
        task: whose dependencies they are.
        context: the class of a task's context.

    Attributes:
        after: what became of it, at the end of an error.
    """

    def __init__(self, task: str, context: type[Any]) -> None:
        self.task = task
        self.after = f"The task {task} was not made."
        self._context = context
        self._known: dict[Any, list[Wish]] = {}

    def of_task(self, function: Callable[..., Any], *, bind: bool) -> dict[str, Dependency]:
        """Which parameters of the task's function depend on what."""
        signature = signature_of(function, False, ())
        annotations = read_annotations(function, signature)
        parameters = list(signature.parameters.values())
        found: dict[str, Dependency] = {}
        for parameter in parameters:
            dependency = self._dependency(parameter, annotations.get(parameter.name), self.task)
            if dependency is not None:
                found[parameter.name] = dependency
        for number, parameter in enumerate(parameters):
            if parameter.name in found:
                self._check_place(parameters, number, found, bind)
        return found

    def of(self, function: Callable[..., Any]) -> list[Wish]:
        """What a dependency wants.

        Raises:
            ConfigurationError: it has a parameter that nothing fills.
        """
        key = identity(function)
        if key not in self._known:
            self._known[key] = list(self._wishes(function))
        return self._known[key]

    def refused(self, why: str) -> ConfigurationError:
        """The error of something that cannot be."""
        return ConfigurationError(f"{why} {self.after}")

    def _wishes(self, function: Callable[..., Any]) -> Iterator[Wish]:
        name = name_of(function)
        signature = signature_of(function, False, ())
        annotations = read_annotations(function, signature)
        for parameter in signature.parameters.values():
            annotation = annotations.get(parameter.name)
            dependency = self._dependency(parameter, annotation, name)
            by_position = parameter.kind is Parameter.POSITIONAL_ONLY
            if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
                continue
            if dependency is not None:
                yield Wish(parameter.name, by_position, dependency)
            elif self._is_context(annotation):
                yield Wish(parameter.name, by_position, CONTEXT)
            elif parameter.default is parameter.empty:
                raise self.refused(
                    f"The dependency {name} has a parameter {parameter.name!r} that nothing fills: give it a default, "
                    "a Depends(...), or, if it is the task's context, the annotation TaskContext."
                )
            elif by_position:
                yield Wish(parameter.name, True, Constant(parameter.default))

    def _dependency(self, parameter: Parameter, annotation: Any, owner: str) -> Dependency | None:
        """What a parameter depends on, of `owner`, which is the task or a dependency."""
        bare, added = _parted(annotation)
        marks = [one for one in added if isinstance(one, Dependency)]
        default = parameter.default if isinstance(parameter.default, Dependency) else None
        where = f"The parameter {parameter.name!r} of {owner}"
        if isinstance(bare, Dependency) or any(one is Depends for one in (bare, parameter.default, *added)):
            raise self.refused(
                f"{where} names Depends where it says nothing: write {parameter.name}: T = Depends(f), or "
                f"{parameter.name}: Annotated[T, Depends(f)]."
            )
        if default is None and not marks:
            if _is_deep(bare):
                raise self.refused(f"{where} has a Depends inside of its annotation: it is Annotated[..., Depends(f)].")
            return None
        if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            raise self.refused(f"{where} collects arguments, and cannot be a dependency.")
        named = [one for one in (*marks, default) if one is not None and one.function is not None]
        if len(named) > 1:
            raise self.refused(f"{where} has {len(named)} dependencies; it takes one.")
        function = named[0].function if named else bare
        scopes: list[Scope] = [one.scope for one in (default, *marks) if one is not None and one.scope is not None]
        if isinstance(function, Unknown):
            raise self.refused(
                f"{where} depends on {function.name}, which is not defined where the task is made: define it above, "
                "or import it."
            )
        function = class_of(function)
        if get_origin(function) in UNIONS:
            raise self.refused(
                f"{where} is a dependency, and {function} does not say which of them it gets: write Depends(f)."
            )
        if function is None or function is Any or not callable(function) or get_origin(function) is not None:
            raise self.refused(
                f"{where} is a dependency, and nothing says on what: write Depends(f), or annotate it with a class."
            )
        if isinstance(function, type) and getattr(function, "_is_protocol", False):
            raise self.refused(
                f"{where} depends on {name_of(function)}, a Protocol, of which no object can be made: write "
                "Depends(f), with a function or a class that gives one."
            )
        return Dependency(function, scopes[0] if scopes else "task")

    def _is_context(self, annotation: Any) -> bool:
        bare = _parted(annotation)[0]
        if isinstance(bare, Unknown):  # imported for type checkers only
            return bare.name.partition("[")[0].rpartition(".")[2] == self._context.__name__
        members = get_args(bare) if get_origin(bare) in UNIONS else (bare,)
        return self._context in [get_origin(one) or one for one in members]

    def _check_place(
        self, parameters: list[Parameter], number: int, found: Mapping[str, Dependency], bind: bool
    ) -> None:
        parameter = parameters[number]
        what = f"{name_of(found[parameter.name].function)}, the dependency {parameter.name!r} of {self.task},"
        if bind and number == 0:
            raise self.refused(f"{what} stands where the context comes, for bind=True.")
        if parameter.kind is Parameter.POSITIONAL_ONLY:
            raise self.refused(f"{what} can be given by position only: put it behind the /.")
        if parameter.kind not in POSITIONAL:
            return
        for other in parameters[number + 1 :]:
            if other.kind in (*POSITIONAL, Parameter.VAR_POSITIONAL) and other.name not in found:
                raise self.refused(
                    f"{what} stands before {other.name!r}, which send fills by position: put dependencies last, or "
                    "behind a *."
                )


def identity(function: Any) -> Any:
    """The same for what is the same function; two of a bound method are."""
    try:
        hash(function)
    except TypeError:
        return id(function)
    return function


def class_of(function: Any) -> Any:
    """The class itself, where types are given to a generic one: `Repo` of `Repo[int]`. All else is as it was."""
    origin = get_origin(function)
    is_class = isinstance(origin, type) and origin not in UNIONS and not isinstance(function, types.GenericAlias)
    return origin if is_class and origin.__module__ not in _CONTAINERS else function


def name_of(function: Any) -> str:
    """A function's name, for people."""
    while isinstance(function, functools.partial):
        function = cast("Any", function).func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name).rpartition("<locals>.")[2]


def _parted(annotation: Any) -> tuple[Any, list[Any]]:
    """An annotation without what `Annotated` adds, and what that is."""
    annotation = stripped(annotation)
    added: list[Any] = []
    while get_origin(annotation) is Annotated:
        bare, *others = get_args(annotation)
        added += others
        annotation = stripped(bare)
    return annotation, added


def _is_deep(annotation: Any, depth: int = 0) -> bool:
    """Whether there is a Depends somewhere inside."""
    if depth > 8:
        return False
    inner = get_args(annotation)
    added = [mark for one in inner for mark in _parted(one)[1]]
    return any(isinstance(one, Dependency) for one in added) or any(_is_deep(one, depth + 1) for one in inner)
