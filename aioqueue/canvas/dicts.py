"""Canvases as plain data, fit for JSON, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast, overload

import msgspec

from aioqueue.canvas.base import Canvas
from aioqueue.canvas.composites import chain, chord, group
from aioqueue.canvas.signatures import Signature
from aioqueue.exceptions import ConfigurationError, PayloadError
from aioqueue.options import SendOptions, checked
from aioqueue.payload.plain import to_plain

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

C = TypeVar("C", bound=Canvas[Any])
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
    app: AioQueue | None = None,
    **options: Unpack[SendOptions],
) -> Signature[Any]: ...
@overload
def signature(task: Mapping[str, Any], *, app: AioQueue | None = None) -> Canvas[Any]: ...
@overload
def signature(task: C, *, app: AioQueue | None = None) -> C: ...
def signature(
    task: str | Mapping[str, Any] | Canvas[Any],
    args: Iterable[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    immutable: bool = False,
    app: AioQueue | None = None,
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
        found: Signature[Any] = Signature(app, task, args, kwargs, checked(options), immutable=immutable)
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


def from_dict(data: Mapping[str, Any], app: AioQueue | None = None) -> Canvas[Any]:
    """The reverse of `to_dict`.

    Raises:
        ConfigurationError: it is no such thing.
    """
    _check_kinds(data)
    kind = data.get("type", "task")
    given: dict[str, Any] = data.get("options") or {}
    options = {name: _moment(name, value) for name, value in given.items()}
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

    Where that changes them, as with bytes, they travel as JSON from here on, so that the worker's annotations change
    them back.
    """
    given = [list(call.args), call.kwargs]
    try:
        plain = msgspec.to_builtins(given, enc_hook=to_plain, str_keys=True)
        changed = msgspec.msgpack.encode(plain) != msgspec.msgpack.encode(given, enc_hook=to_plain)
    except RecursionError:
        raise  # of the canvas, or of the arguments; `to_dict` says so
    except Exception as error:
        raise PayloadError(f"The arguments of {call.task} cannot be written as JSON: {error}.") from None
    found: dict[str, Any] = {name: value for name, value in zip(("args", "kwargs"), plain, strict=True) if value}
    found |= call.described()
    if changed:
        found["options"] = {**found.get("options", {}), "serializer": "json"}
    return found


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON can hold them; times are text (ISO 8601)."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else msgspec.to_builtins(value, enc_hook=to_plain)
        for name, value in options.items()
    }


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
