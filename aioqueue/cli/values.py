"""A task's arguments, from the words of a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import Parameter
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

import click

from aioqueue.exceptions import suggest

if TYPE_CHECKING:
    from aioqueue.task import Task

_NAMED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_PLAIN: Final = (int, float, bool, str, None, NoneType, Any, object, list, dict)


def parse(word: str) -> Any:
    """The word as JSON if it is JSON, else as text."""
    try:
        return json.loads(word, parse_constant=_not_json)
    except ValueError:
        return word


def parse_list(text: str | None, option: str) -> list[Any]:
    """What a JSON list holds; nothing if there is none."""
    value: list[Any] = _of_kind(list, text, option, '[1, "two"]')
    return value


def parse_object(text: str | None, option: str) -> dict[str, Any]:
    """What a JSON object holds; nothing if there is none."""
    value: dict[str, Any] = _of_kind(dict, text, option, '{"x": 1}')
    return value


def _of_kind(kind: type[Any], text: str | None, option: str, example: str) -> Any:
    if text is None:
        return kind()
    value = parse(text)
    if not isinstance(value, kind):
        raise click.UsageError(f"{option} takes JSON such as {example}, not {text!r}.")
    return value


def _not_json(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def split(words: Iterable[str], task: Task[..., Any] | None) -> tuple[list[Any], dict[str, Any]]:
    """The arguments by position and by name (`x=1`).

    A word with an equals sign is an argument by name if the task has a parameter of that name, or is not known here;
    else it is text, if text is wanted in its place. In JSON's quotes it is always text.

    Raises:
        UsageError: it is neither.
    """
    parameters = _Parameters(task)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        match = _NAMED.fullmatch(word)
        if match is not None and parameters.takes(match[1]):
            kwargs[match[1]] = parameters.parse_named(match[1], match[2])
        elif match is not None and not parameters.takes_text(len(args)):
            known = parameters.names
            raise click.UsageError(
                f"There is no parameter {match[1]!r}.{suggest(match[1], known)} Known are {', '.join(known) or 'none'}."
            )
        else:
            args.append(parameters.parse_at(len(args), word))
    return args, kwargs


class _Parameters:
    """What is known of a task's parameters: nothing, where its code is not here."""

    def __init__(self, task: Task[..., Any] | None) -> None:
        self._known = task is not None
        self._by_name: dict[str, Parameter] = {}
        self._hints: dict[str, Any] = {}
        if task is not None:
            from aioqueue.payload.introspection import annotations_of

            self._by_name = dict(task.parameters.signature.parameters)
            self._hints = annotations_of(task.function)
        kinds = {parameter.kind: name for name, parameter in self._by_name.items()}
        self._rest = kinds.get(Parameter.VAR_POSITIONAL)
        self._extra = kinds.get(Parameter.VAR_KEYWORD)
        positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        self._positional = [name for name, parameter in self._by_name.items() if parameter.kind in positional]

    def takes(self, name: str) -> bool:
        """Whether there is an argument of that name, as far as is known."""
        if not self._known or self._extra is not None:
            return True
        named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        return name in self._by_name and self._by_name[name].kind in named

    @property
    def names(self) -> list[str]:
        """What can be given by name."""
        return [name for name in self._by_name if self.takes(name)]

    def takes_text(self, position: int) -> bool:
        """Whether there is a parameter that may be text, by its annotation."""
        name = self._at(position)
        if name is None:
            return False
        hint = self._hints.get(name, Any)
        return hint in (str, Any, object) or str in get_args(hint)

    def _at(self, position: int) -> str | None:
        return self._positional[position] if position < len(self._positional) else self._rest

    def parse_at(self, position: int, word: str) -> Any:
        """The value of a word for the parameter at a position."""
        return self._parse(self._at(position), word)

    def parse_named(self, name: str, word: str) -> Any:
        """The value of a word for the parameter of that name."""
        return self._parse(name if name in self._by_name else self._extra, word)

    def _parse(self, name: str | None, word: str) -> Any:
        value = parse(word)
        if isinstance(value, str):
            return value
        # Text that happens to look like a number stays text where the task wants text.
        hint = self._hints.get(name or "")
        return word if hint is str or (str in get_args(hint) and not _fits(value, hint)) else value

    def misfits(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        """The arguments that are not what their parameters are annotated with: name, value, annotation."""
        given = [(self._at(position), value) for position, value in enumerate(args)]
        named = [(name if name in self._by_name else self._extra, value) for name, value in kwargs.items()]
        for name, value in (*given, *named):
            hint = self._hints.get(name or "", Any)
            if name is not None and not _fits(value, hint):
                yield name, value, hint


def check_types(task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], *, undone: str) -> None:
    """Whether what was written is what the task's annotations say, as far as JSON has a form for it. A worker would run
    the function with anything.

    Raises:
        UsageError: it is not.
    """
    from aioqueue.payload.introspection import annotation_text

    for name, value, hint in _Parameters(task).misfits(args, kwargs):
        raise click.UsageError(
            f"argument {name!r} of {task.name} is {value!r}, and its annotation says {annotation_text(hint)}; {undone}."
        )


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of JSON is one of a type; also where that cannot be said without the type's own code."""
    if not _is_plain(hint):
        return True
    import msgspec

    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError:
        return False
    return True


def _is_plain(hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return True
    if origin in (list, dict, Union, UnionType):
        return all(map(_is_plain, get_args(hint)))
    return hint in _PLAIN
