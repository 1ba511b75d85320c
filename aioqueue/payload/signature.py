"""The parameters of one task's function: fitting a call, encoding its arguments, decoding them by annotation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from functools import cached_property
from inspect import Parameter
from typing import Any, Final, NamedTuple, NoReturn

from aioqueue.exceptions import ArgumentsError, PayloadError, PayloadTooLarge, suggest
from aioqueue.payload.codec import decode_call, encode, encode_call, is_marked, is_textual
from aioqueue.payload.conversion import conversion_for
from aioqueue.payload.convert import NONE, Conversion, Convert, describe
from aioqueue.payload.doubts import doubt_of, tells_models
from aioqueue.payload.introspection import NAMED, POSITIONAL, annotation_text, annotations_of, signature_of, text_of
from aioqueue.payload.marks import NATIVE_TEXTUAL
from aioqueue.payload.mismatch import refused
from aioqueue.payload.plain import ADVICE, Known, Unsendable, type_name
from aioqueue.payload.restoring import restoring
from aioqueue.payload.serializers import BUILT_IN, PICKLE

_NO_LIMIT: Final = sys.maxsize
_MOST_SHAPES: Final = 256
"""How many shapes of calls that fit are remembered."""


class _Conversions(NamedTuple):
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

    Attributes:
        good: the calls that `check` has seen and need not see again: the types of their arguments, and the names of
            those that are given by name.
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
        self._excluded = frozenset(exclude)
        self.name: str = name or getattr(function, "__qualname__", None) or type(function).__qualname__
        self.signature = signature_of(function, skip_first, exclude)
        parameters = list(self.signature.parameters.values())
        positional = [p for p in parameters if p.kind in POSITIONAL]
        self._names = tuple(p.name for p in positional)
        self._var_args = next((p.name for p in parameters if p.kind is Parameter.VAR_POSITIONAL), None)
        self._var_kwargs = next((p.name for p in parameters if p.kind is Parameter.VAR_KEYWORD), None)
        self._named = frozenset(p.name for p in parameters if p.kind in NAMED)
        # Of calls that fit: how many arguments by position, and the names of the others. Nothing else decides.
        self._fitting: set[object] = set()
        self.good: set[tuple[object, ...]] = set()
        # And of those by position alone that come as msgpack: which fit, and have nothing that is to be converted.
        self._untouched: set[int] = set()

    @property
    def positional_names(self) -> tuple[str, ...]:
        """The names of the parameters that can be given by position, in order."""
        return self._names

    @cached_property
    def text(self) -> str:
        """The signature for people: `(to: str, subject: str = '') -> dict[str, str]`."""
        return text_of(self.signature)

    def check(self, args: Collection[Any], kwargs: dict[str, Any], *, task_name: str | None = None) -> None:
        """Does the call fit the signature, and are its arguments what plain annotations say?

        Raises:
            ArgumentsError: it doesn't. It is a `PayloadError` and a `TypeError`.
        """
        call = (*map(type, args), *kwargs, *map(type, kwargs.values())) if kwargs else tuple(map(type, args))
        if call in self.good:
            return
        fits = ((len(args), *kwargs) if kwargs else len(args)) in self._fitting
        problem = None if fits else self._misfit(args, kwargs)
        if problem is None and self._refused:
            problem = self.mistaken(args, kwargs)
        if problem is not None:
            raise ArgumentsError(
                f"the call doesn't fit {task_name or self.name}{self.text}: {problem}; nothing was sent"
            )
        if self._doubts:
            self._try(args, kwargs, task_name or self.name)
            return
        if len(self.good) >= _MOST_SHAPES:
            self.good.clear()
        self.good.add(call)

    def mistaken(self, args: Collection[Any], kwargs: dict[str, Any]) -> str | None:
        """Which argument is plainly of another type than its annotation; None where there is none. The call fits."""
        positional = [(self._position_name(index), value) for index, value in enumerate(args)]
        for name, value in (*positional, *kwargs.items()):
            parameter = self._parameter(name)
            if type(value) in self._refused.get(parameter, ()):
                return f"{name!r} is {annotation_text(self._hints[parameter])}, not the {type_name(type(value))} given"
        return None

    def _try(self, args: Collection[Any], kwargs: dict[str, Any], task: str) -> None:
        """Refuse what would arrive as another kind because its annotation doesn't tell."""
        positional = [(self._position_name(index), value) for index, value in enumerate(args)]
        for name, value in (*positional, *kwargs.items()):
            parameter = self._parameter(name)
            if (doubt := self._doubts.get(parameter)) is not None and doubt(value):
                reason = self._untold(value, self._hints.get(parameter))
                raise PayloadError(f"argument {name!r} of {task} {reason}; nothing was sent")

    def _parameter(self, name: str) -> str:
        """The parameter that takes the argument that `_position_name` or its sender names so."""
        parameter = name.lstrip("*").partition("[")[0]
        return parameter if parameter in self.signature.parameters else self._var_kwargs or ""

    def check_result(self, value: Any) -> None:
        """Would the result arrive as what it is?

        Raises:
            PayloadError: it would not.
        """
        if self.result_doubt is not None and self.result_doubt(value):
            raise PayloadError(f"it {self._untold(value, self._hints.get('return'))}")

    @cached_property
    def _refused(self) -> dict[str, frozenset[type]]:
        found = {name: refused(self._hints.get(name, Any)) for name in self.signature.parameters}
        return {name: types for name, types in found.items() if types}

    @cached_property
    def _doubts(self) -> dict[str, Callable[[Any], bool]]:
        found = {name: doubt_of(self._hints.get(name, Any)) for name in self.signature.parameters}
        return {name: doubt for name, doubt in found.items() if doubt is not None}

    @cached_property
    def _modelled(self) -> frozenset[str]:
        """The parameters whose annotations say which pydantic models are in their arguments."""
        return frozenset(name for name in self.signature.parameters if tells_models(self._hints.get(name, Any)))

    def _known(self, name: str, value: Any) -> Any:
        return Known(value) if self._parameter(name) in self._modelled and type(value) not in NATIVE_TEXTUAL else value

    @cached_property
    def result_doubt(self) -> Callable[[Any], bool] | None:
        """What has to be asked of each result; None: nothing. See `check_result`."""
        return doubt_of(self._hints.get("return", Any))

    @staticmethod
    def _untold(value: Any, annotation: Any) -> str:
        return (
            f"(a {type_name(type(value))}) would arrive as another kind: its annotation does not tell which member of "
            f"{annotation_text(annotation)} it is, as all of them travel as a dict, or it names what is not found. "
            "Annotate it with one class, or send msgspec Structs with a tag"
        )

    def fits(self, args: Collection[Any], kwargs: dict[str, Any]) -> bool:
        """Whether a call fits the signature."""
        return ((len(args), *kwargs) if kwargs else len(args)) in self._fitting or self._misfit(args, kwargs) is None

    def _misfit(self, args: Collection[Any], kwargs: dict[str, Any]) -> str | None:
        """Why a call doesn't fit; the shape of one that does is remembered."""
        if given := sorted(self._excluded & kwargs.keys()):
            return f"{given[0]!r} is a dependency, which the worker fills in"
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            if self._excluded and len(args) > len(self._names) and self._var_args is None:
                return f"{error} ({', '.join(map(repr, sorted(self._excluded)))}: the worker fills that in)"
            unknown = next((name for name in kwargs if name not in self._named), "")
            near = suggest(unknown, self._named).strip().replace("Did", "did", 1)
            return f"{error} ({near})" if near else str(error)
        if len(self._fitting) >= _MOST_SHAPES:
            self._fitting.clear()
        self._fitting.add((len(args), *kwargs) if kwargs else len(args))
        return None

    def encode(
        self,
        args: Collection[Any],
        kwargs: dict[str, Any],
        *,
        serializer: str = "msgpack",
        compression: str | None = None,
        max_size: int,
        task_name: str | None = None,
        start: int = 0,
    ) -> tuple[bytes, str]:
        """The arguments as `[args, kwargs]` in bytes, and their content tag.

        Args:
            start: the position of the first of `args`; before it comes what a workflow puts there.

        Raises:
            PayloadError: one of them can't be sent; it is named.
            PayloadTooLarge: they take more than `max_size` bytes together.
        """
        try:
            if self._modelled and serializer != PICKLE:
                given = [self._known(self._position_name(index), one) for index, one in enumerate(args, start)]
                named = {name: self._known(name, one) for name, one in kwargs.items()}
                return encode_call(given, named, serializer, compression, max_size)
            return encode_call(args, kwargs, serializer, compression, max_size)
        except PayloadTooLarge as error:
            task = task_name or self.name
            raise PayloadTooLarge(f"the arguments of {task} are too large: {error}; nothing was sent") from None
        except PayloadError as error:
            self._blame(args, kwargs, serializer, task_name or self.name, error)

    def decode(
        self,
        data: bytes,
        content: str,
        *,
        max_size: int,
        task_name: str | None = None,
        accept: Collection[str] = BUILT_IN,
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, each converted to the annotation of its parameter.

        Raises:
            ArgumentsError: they don't fit the signature.
            PayloadError: the bytes are malformed, or an argument doesn't convert; it is named.
        """
        args, kwargs = decode_call(data, content, max_size, accept)
        is_usual = content == "msgpack" and not kwargs
        if is_usual and len(args) in self._untouched:
            return args, kwargs
        arrived = self.arrived(args, kwargs, content=content, task_name=task_name)
        if is_usual and self._conversions[0] is None:
            self._untouched.add(len(args))
        return arrived

    def arrived(
        self, args: Collection[Any], kwargs: dict[str, Any], *, content: str = "msgpack", task_name: str | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The whole arguments of a message: looked at whether they fit the signature, then converted.

        They may have been sent by an older or a newer program, for another signature.

        Raises:
            ArgumentsError: they don't fit.
            PayloadError: an argument doesn't convert; it is named.
        """
        fits = ((len(args), *kwargs) if kwargs else len(args)) in self._fitting
        if not fits and (problem := self._misfit(args, kwargs)) is not None:
            raise ArgumentsError(
                f"the arguments of this message don't fit {task_name or self.name}{self.text}: {problem}. It was sent "
                "for another signature of the task: run it with a version that takes them, or give new parameters a "
                "default and keep the old ones until no message has them"
            )
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
        conversions = self._conversions[0 if content == "msgpack" else is_textual(content) + 2 * is_marked(content)]
        if conversions is None:
            return tuple(args), kwargs
        values = list(args)
        name, value = "", None
        try:
            for index, parameter, convert in conversions.positional:
                if index >= len(values):
                    break
                name, value = parameter, values[index]
                values[index] = convert(value)
            if conversions.rest is not None:
                start, convert = conversions.rest
                for index in range(start, len(values)):
                    name, value = f"*{self._var_args}[{index - start}]", values[index]
                    values[index] = convert(value)
            if kwargs and (conversions.named or conversions.extra is not None):
                kwargs = dict(kwargs)
                for name, value in kwargs.items():
                    convert = conversions.named.get(name) if name in conversions.known else conversions.extra
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
        return restoring(self._hints.get("return", Any)).textual

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
    def _conversions(self) -> tuple[_Conversions | None, ...]:
        """For msgpack and for JSON, then for both with marks. Made at the first use, when names that are defined
        further down exist."""
        hints = {name: self._hints.get(name, Any) for name in self.signature.parameters}
        plain = {name: conversion_for(hint) for name, hint in hints.items()}
        marked = {name: restoring(hint) for name, hint in hints.items()}
        made = [self._conversions_of(found, which) for found in (plain, marked) for which in (0, 1)]
        return tuple(None if one.empty else one for one in made)

    def _conversions_of(self, found: dict[str, Conversion], which: int) -> _Conversions:
        positional = [(index, name, found[name][which]) for index, name in enumerate(self._names)]
        rest = found.get(self._var_args or "", NONE)[which]
        parameters = self.signature.parameters.values()
        extra = next((found[p.name][which] for p in parameters if p.kind is Parameter.VAR_KEYWORD), None)
        named = [(name, found[name][which]) for name in sorted(self._named)]
        return _Conversions(
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
