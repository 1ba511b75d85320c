"""Canvases from plain data, as `to_dict` gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast, overload

from aioqueue.canvas.base import Canvas
from aioqueue.canvas.composites import chain, chord, group
from aioqueue.canvas.signatures import Signature
from aioqueue.canvas.writing import read, short
from aioqueue.exceptions import ConfigurationError
from aioqueue.options import SendOptions, arguments, checked

if TYPE_CHECKING:
    from aioqueue.core import Core

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
        data = {name: read(value) if name in ("args", "kwargs") else value for name, value in data.items()}
    _check_kinds(data)
    kind = data.get("type", "task")
    given: dict[str, Any] = data.get("options") or {}
    options = {name: _moment(name, read(value)) for name, value in given.items()}
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
                f"or chord. {short(data)} does neither."
            )
        canvas.options = checked(options)
        for link in data.get("link") or ():
            canvas.link(from_dict(link, app))
        for errback in data.get("link_error") or ():
            canvas.link_error(from_dict(errback, app))
    except KeyError as error:
        raise ConfigurationError(f"{short(data)} is no canvas: it has no {error}.") from None
    return canvas


def _check_kinds(data: Any) -> None:
    """What comes from elsewhere may be anything, and text is a list of letters to Python."""
    if not isinstance(data, Mapping):
        raise ConfigurationError(
            f"A canvas is made of a task's name or of a dict as to_dict gives it, not of {short(data)}."
        )
    for name, value in cast("Mapping[Any, Any]", data).items():
        kind, called = _KINDS.get(name, (object, ""))
        letters = isinstance(value, str | bytes) and kind is Sequence
        if value is not None and (letters or not isinstance(value, kind)):
            raise ConfigurationError(f"{short(data)} is no canvas: {name!r} is {called}, not {short(value)}.")


def _moment(name: str, value: Any) -> Any:
    if name not in ("eta", "expires") or not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return value  # refused with all that is wrong
