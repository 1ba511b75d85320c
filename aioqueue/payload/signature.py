"""The parameters of one task's function: fitting a call, encoding its arguments, decoding them by annotation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from functools import cached_property
from inspect import Parameter
from typing import Any, Final, NamedTuple, NoReturn

from aioqueue.exceptions import PayloadError, PayloadTooLarge
from aioqueue.payload.codec import decode, encode
from aioqueue.payload.conversion import NONE, Conversion, Convert, conversion_for, describe
from aioqueue.payload.introspection import NAMED, POSITIONAL, annotation_text, annotations_of, signature_of, text_of
from aioqueue.payload.plain import ADVICE, Unsendable, type_name

_NO_LIMIT: Final = sys.maxsize


class ArgumentsError(PayloadError, TypeError):
    """A call doesn't fit the signature of its task."""


class _Plan(NamedTuple):
    """The conversions for one kind of content; parameters that need none aren't in it."""

    positional: tuple[tuple[int, str, Convert], ...]
    rest: tuple[int, Convert] | None  # from this position on, for *args
    named: dict[str, Convert]
    extra: Convert | None  # for **kwargs
    known: frozenset[str]  # the names that aren't **kwargs

    @property
    def empty(self) -> bool:
        return not (self.positional or self.rest or self.named or self.extra)


class Parameters:
    """The parameters of a task's function, analysed once.

    Args:
        function: the function; anything callable.
        skip_first: leave out the first parameter (the context of `bind=True`).
        exclude: names that the worker fills in (dependencies). They are no part of a call, by position either.
        name: how messages call the task where no `task_name` is given.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        skip_first: bool = False,
        exclude: Collection[str] = (),
        name: str | None = None,
    ) -> None:
        self._function = function
        self.name: str = name or getattr(function, "__qualname__", None) or type(function).__qualname__
        self.signature = signature_of(function, skip_first, exclude)
        parameters = list(self.signature.parameters.values())
        positional = [p for p in parameters if p.kind in POSITIONAL]
        self._names = tuple(p.name for p in positional)
        self._var_args = next((p.name for p in parameters if p.kind is Parameter.VAR_POSITIONAL), None)
        var_kwargs = any(p.kind is Parameter.VAR_KEYWORD for p in parameters)
        required = [p.name for p in parameters if p.default is Parameter.empty and p.kind in (*POSITIONAL, *NAMED)]
        # A call by position alone fits if its length is in between; None: it takes a keyword as well.
        by_position = all(name in self._names for name in required)
        self._least = sum(name in self._names for name in required) if by_position else None
        self._most = _NO_LIMIT if self._var_args else len(self._names)
        self._named = frozenset(p.name for p in parameters if p.kind in NAMED)
        self._simple_names = not var_kwargs and all(p.kind is not Parameter.POSITIONAL_ONLY for p in parameters)
        self._required = frozenset(required)

    @property
    def positional_names(self) -> tuple[str, ...]:
        """The names of the parameters that can be given by position, in order."""
        return self._names

    @cached_property
    def text(self) -> str:
        """The signature for people: `(to: str, subject: str = '') -> dict[str, str]`."""
        return text_of(self.signature)

    def check(self, args: Collection[Any], kwargs: dict[str, Any], *, task_name: str | None = None) -> None:
        """Does the call fit the signature?

        Raises:
            ArgumentsError: it doesn't. It is a `PayloadError` and a `TypeError`.
        """
        count = len(args)
        if not kwargs:
            if self._least is not None and self._least <= count <= self._most:
                return
        elif self._simple_names and count <= self._most:
            filled = self._names[:count]
            given = kwargs.keys()
            if given <= self._named and given.isdisjoint(filled) and self._required <= {*filled, *given}:
                return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentsError(
                f"the call doesn't fit {task_name or self.name}{self.text}: {error}; nothing was sent"
            ) from None

    def encode(
        self,
        args: Collection[Any],
        kwargs: dict[str, Any],
        *,
        serializer: str = "msgpack",
        compression: str | None = None,
        max_size: int,
        task_name: str | None = None,
    ) -> tuple[bytes, str]:
        """The arguments as `[args, kwargs]` in bytes, and their content tag.

        Raises:
            PayloadError: one of them can't be sent; it is named.
            PayloadTooLarge: they take more than `max_size` bytes together.
        """
        try:
            return encode((args, kwargs), serializer=serializer, compression=compression, max_size=max_size)
        except PayloadTooLarge as error:
            task = task_name or self.name
            raise PayloadTooLarge(f"the arguments of {task} are too large: {error}; nothing was sent") from None
        except PayloadError as error:
            self._blame(args, kwargs, serializer, task_name or self.name, error)

    def decode(
        self, data: bytes, content: str, *, max_size: int, task_name: str | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, each converted to the annotation of its parameter.

        Raises:
            PayloadError: the bytes are malformed, or an argument doesn't convert; it is named.
        """
        args, kwargs = unpack(data, content, max_size=max_size)
        return self.convert(args, kwargs, content=content, task_name=task_name)

    def convert(
        self, args: Collection[Any], kwargs: dict[str, Any], *, content: str = "msgpack", task_name: str | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Decoded arguments, each converted to the annotation of its parameter.

        For arguments that were put together after decoding, such as those of a partial signature. What is an
        instance of its annotation already stays as it is.

        Raises:
            PayloadError: an argument doesn't convert; it is named.
        """
        plan = self._plans[content[0] == "j"]
        if plan is None:
            return tuple(args), kwargs
        values = list(args)
        name, value = "", None
        try:
            for index, parameter, convert in plan.positional:
                if index >= len(values):
                    break
                name, value = parameter, values[index]
                values[index] = convert(value)
            if plan.rest is not None:
                start, convert = plan.rest
                for index in range(start, len(values)):
                    name, value = f"*{self._var_args}[{index - start}]", values[index]
                    values[index] = convert(value)
            if kwargs and (plan.named or plan.extra is not None):
                kwargs = dict(kwargs)
                for name, value in kwargs.items():
                    convert = plan.named.get(name) if name in plan.known else plan.extra
                    if convert is not None:
                        kwargs[name] = convert(value)  # an existing key: the dict keeps its size
        except Exception as error:
            raise self._unconvertible(name, value, error, task_name or self.name) from error
        return tuple(values), kwargs

    @cached_property
    def result_converter(self) -> Convert | None:
        """Converts a decoded result to the return annotation; None where there is nothing to do.

        It takes results from either serializer.
        """
        return conversion_for(self._hints.get("return", Any)).textual

    def convert_result(self, value: Any, *, task_name: str | None = None) -> Any:
        """A decoded result, as the return annotation says.

        Raises:
            PayloadError: it doesn't convert.
        """
        convert = self.result_converter
        if convert is None:
            return value
        try:
            return convert(value)
        except Exception as error:
            annotation = annotation_text(self._hints.get("return"))
            raise PayloadError(
                f"the result of {task_name or self.name} is a {type_name(type(value))} that doesn't convert to its "
                f"return annotation {annotation}: {describe(error)}; correct the annotation or what the task returns"
            ) from error

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return annotations_of(self._function)

    @cached_property
    def _plans(self) -> tuple[_Plan | None, _Plan | None]:
        """For msgpack and for JSON. Made at the first use, when names that are defined further down exist."""
        parameters = self.signature.parameters.values()
        found = {p.name: conversion_for(self._hints.get(p.name, Any)) for p in parameters}
        binary, textual = self._plan(found, 0), self._plan(found, 1)
        return None if binary.empty else binary, None if textual.empty else textual

    def _plan(self, found: dict[str, Conversion], which: int) -> _Plan:
        positional = [(index, name, found[name][which]) for index, name in enumerate(self._names)]
        rest = found.get(self._var_args or "", NONE)[which]
        parameters = self.signature.parameters.values()
        extra = next((found[p.name][which] for p in parameters if p.kind is Parameter.VAR_KEYWORD), None)
        named = [(name, found[name][which]) for name in sorted(self._named)]
        return _Plan(
            positional=tuple((index, name, convert) for index, name, convert in positional if convert is not None),
            rest=None if rest is None else (len(self._names), rest),
            named={name: convert for name, convert in named if convert is not None},
            extra=extra,
            known=self._named,
        )

    def _blame(
        self, args: Collection[Any], kwargs: dict[str, Any], serializer: str, task: str, error: PayloadError
    ) -> NoReturn:
        """Find the argument that can't be encoded, and raise with its name."""
        positional = [(self._position_name(index), value) for index, value in enumerate(args)]
        for name, value in (*positional, *kwargs.items()):
            try:
                encode(value, serializer=serializer, max_size=_NO_LIMIT)
            except PayloadError as problem:
                kind = type_name(type(value))
                if isinstance(problem, Unsendable):
                    holds = "is" if problem.kind == kind else f"(a {kind}) holds"
                    reason = f"{holds} a {problem.kind} and can't be sent: {problem.advice}"
                else:
                    reason = f"(a {kind}) can't be sent: {problem}"
                raise PayloadError(f"argument {name!r} of {task} {reason}; nothing was sent") from problem
        raise PayloadError(f"the arguments of {task} can't be sent: {error}; {ADVICE}; nothing was sent") from error

    def _position_name(self, index: int) -> str:
        if index < len(self._names):
            return self._names[index]
        return f"*{self._var_args or 'args'}[{index - len(self._names)}]"

    def _unconvertible(self, name: str, value: Any, error: Exception, task: str) -> PayloadError:
        parameter = name.lstrip("*").partition("[")[0]
        annotation = annotation_text(self._hints.get(parameter))
        return PayloadError(
            f"argument {name!r} of {task} is a {type_name(type(value))} that doesn't convert to {annotation}: "
            f"{describe(error)}; correct the sender or the annotation"
        )


def unpack(data: bytes, content: str, *, max_size: int) -> tuple[list[Any], dict[str, Any]]:
    """The decoded `[args, kwargs]` of a message, without any conversion.

    Raises:
        PayloadError: the bytes are malformed, or are something else.
    """
    value = decode(data, content, max_size=max_size)
    kind: object = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind is list and len(value) == 2:
        args, kwargs = value
        kinds: object = (type(args), type(kwargs))  # pyright: ignore[reportUnknownVariableType]
        if kinds == (list, dict) and (not kwargs or set(map(type, kwargs)) == {str}):
            return args, kwargs
    raise PayloadError("the payload isn't [args, kwargs]: a list and a dict whose keys are text")
