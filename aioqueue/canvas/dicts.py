"""Canvases as plain data, fit for JSON, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast, overload

from aioqueue.canvas.base import Canvas
from aioqueue.canvas.composites import chain, chord, group
from aioqueue.canvas.signatures import Signature
from aioqueue.exceptions import ConfigurationError, PayloadError
from aioqueue.options import SendOptions, arguments, checked
from aioqueue.payload.codec import from_marked, to_marked

if TYPE_CHECKING:
    from aioqueue.core import Core

C = TypeVar("C", bound=Canvas[Any])
_MARKED = "$"
_KINDS: dict[str, tuple[type, str]] = {
    "args": (Sequence, "a list"),
    "tasks": (Sequence, "a list"),
    "link": (Sequence, "a list"),
    "link_error": (Sequence, "a list"),
    "kwargs": (Mapping, "a dict"),
    "options": (Mapping, "a dict"),
    "header": (Mapping, "a dict"),
    "body": (Mapping, "a dict"),
}


@overload
def signature(
    task: str,
    args: Iterable[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    immutable: bool = False,
    app: Core | None = None,
    **options: Unpack[SendOptions],
) -> Signature[Any]: ...
@overload
def signature(task: Mapping[str, Any], *, app: Core | None = None) -> Canvas[Any]: ...
@overload
def signature(task: C, *, app: Core | None = None) -> C: ...
def signature(
    task: str | Mapping[str, Any] | Canvas[Any],
    args: Iterable[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    immutable: bool = False,
    app: Core | None = None,
    **options: Unpack[SendOptions],
) -> Canvas[Any]:
    """A call of a task by its name, or any canvas from what its `to_dict` gave; of a canvas, a copy.

    Args:
        task: the task's name, or the data of a canvas, or a canvas.
        args, kwargs: the arguments.
        immutable: it takes no result of another task.
        app: what it is sent through; else the app of the task that runs, or the one there is.
        options: of the sending.

    Raises:
        ConfigurationError: the data are those of no canvas, or an option is wrong.
    """
    if isinstance(task, str):
        found: Signature[Any] = Signature(app, task, *arguments(args, kwargs), checked(options), immutable=immutable)
        return found
    if isinstance(task, Canvas):
        return task.clone()
    if not isinstance(task, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        hint = " Use task.s(...)." if hasattr(task, "function") else ""
        raise ConfigurationError(
            f"A signature is made of a task's name or of what to_dict() gave, not of {task!r}.{hint}"
        )
    try:
        return from_dict(task, app)
    except RecursionError:
        raise ConfigurationError("The data of this canvas are nested too deep.") from None


def from_dict(data: Mapping[str, Any], app: Core | None = None) -> Canvas[Any]:
    """The reverse of `to_dict`.

    Raises:
        ConfigurationError: it is no such thing.
    """
    if isinstance(data, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        data = {name: _read(value) if name in ("args", "kwargs") else value for name, value in data.items()}
    _check_kinds(data)
    kind = data.get("type", "task")
    given: dict[str, Any] = data.get("options") or {}
    options = {name: _moment(name, _read(value)) for name, value in given.items()}
    canvas: Canvas[Any]
    try:
        if kind == "task" and isinstance(data.get("task"), str):
            args = tuple(data.get("args") or ())
            spread = data.get("spread")
            if spread not in (None, "map", "starmap"):
                raise ConfigurationError(f"A task can be spread by 'map' or 'starmap', not {spread!r}.")
            canvas = Signature(
                app,
                data["task"],
                args,
                data.get("kwargs"),
                immutable=bool(data.get("immutable")),
                spread=spread,
            )
        elif kind == "chain":
            canvas = chain([from_dict(one, app) for one in data["tasks"]])
        elif kind == "group":
            canvas = group([from_dict(one, app) for one in data["tasks"]])
        elif kind == "chord":
            body = data.get("body")
            canvas = chord(
                cast("group[Any]", from_dict(data["header"], app)),
                from_dict(body, app) if body is not None else None,
                allow_failures=bool(data.get("allow_failures")),
            )
        else:
            raise ConfigurationError(
                f"A signature names its task: {{'task': 'module.name', …}}, and a composition its type: chain, group "
                f"or chord. {_short(data)} does neither."
            )
        canvas.options = checked(options)
        for link in data.get("link") or ():
            canvas.link(from_dict(link, app))
        for errback in data.get("link_error") or ():
            canvas.link_error(from_dict(errback, app))
    except KeyError as error:
        raise ConfigurationError(f"{_short(data)} is no canvas: it has no {error}.") from None
    return canvas


def _check_kinds(data: Any) -> None:
    """What comes from elsewhere may be anything, and text is a list of letters to Python."""
    if not isinstance(data, Mapping):
        raise ConfigurationError(
            f"A canvas is made of a task's name or of a dict as to_dict gives it, not of {_short(data)}."
        )
    for name, value in cast("Mapping[Any, Any]", data).items():
        kind, called = _KINDS.get(name, (object, ""))
        letters = isinstance(value, str | bytes) and kind is Sequence
        if value is not None and (letters or not isinstance(value, kind)):
            raise ConfigurationError(f"{_short(data)} is no canvas: {name!r} is {called}, not {_short(value)}.")


def plain_call(call: Signature[Any]) -> dict[str, Any]:
    """Arguments as JSON can hold them, and the options.

    What JSON has no form for, such as bytes, is marked, and comes back as it was.
    """
    try:
        plain = {"args": _written(list(call.args)), "kwargs": _written(call.kwargs)}
    except PayloadError as error:
        raise PayloadError(f"The arguments of {call.task} cannot be written as JSON: {error}.") from None
    return {name: value for name, value in plain.items() if value} | call.described()


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON can hold them; times are text (ISO 8601)."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else _written(value) for name, value in options.items()
    }


def _written(value: Any) -> Any:
    """As JSON can hold it: with marks for what it has no form for, and then in a dict of its own."""
    found, marked = to_marked(value, json=True)
    return {_MARKED: found} if marked or _is_written(value) else found


def _read(value: Any) -> Any:
    if not _is_written(value):
        return value
    try:
        return from_marked(value[_MARKED])
    except PayloadError as error:
        raise ConfigurationError(f"{_short(value)} is no part of a canvas: {error}.") from None


def _is_written(value: Any) -> bool:
    return isinstance(value, Mapping) and list(cast("Mapping[Any, Any]", value)) == [_MARKED]


def _moment(name: str, value: Any) -> Any:
    if name not in ("eta", "expires") or not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return value  # refused with all that is wrong


def _short(data: Any) -> str:
    text = repr(data)
    return text if len(text) <= 120 else text[:120] + "…"
