"""Signatures: calls of single tasks as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from aioqueue import kinds
from aioqueue.arguments import hidden_words, is_hidden
from aioqueue.awaiting import Spoken, awaited
from aioqueue.canvas.base import Canvas, show
from aioqueue.canvas.writing import plain_call
from aioqueue.exceptions import ConfigurationError
from aioqueue.options import SendOptions, arguments, overlaid
from aioqueue.settings import HIDDEN

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.result import AsyncResult
    from aioqueue.sync import SyncSignature
    from aioqueue.task import Task

R = TypeVar("R", covariant=True)

_PARTS = ("task", "args", "kwargs", "options", "immutable")


class Signature(Canvas[R]):
    """A task with its arguments and options; made by `task.s(...)`, `task.si(...)` or `signature("task's name", ...)`.

    Attributes:
        task: the task's name.
        args, kwargs: the arguments.
        immutable: takes no result of another task before its arguments.
        spread: "map" or "starmap": the function is called for each item of the argument.
    """

    def __init__(
        self,
        app: Core | None,
        task: str,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        spread: str | None = None,
    ) -> None:
        super().__init__(options)
        self.own_app = app
        self.task = task
        self.args: tuple[Any, ...] = tuple(args)
        self.kwargs = dict(kwargs) if kwargs else {}
        self.immutable = immutable if type(immutable) is bool else kinds.FLAG.of("The option immutable", immutable)
        self.spread = spread

    def set(  # type: ignore[override]
        self, *, immutable: bool | None = None, **options: Unpack[SendOptions]
    ) -> Self:
        """Set options, in place, or whether it takes no result of another task; returns the signature itself."""
        if immutable is not None:
            self.immutable = kinds.FLAG.of("The option immutable", immutable)
        return super().set(**options)

    def set_immutable(self, immutable: bool) -> None:
        """Celery's way to say `set(immutable=...)`."""
        self.set(immutable=immutable)

    def known_app(self) -> Core | None:
        """The app of its task."""
        return self.own_app

    def contents(self) -> Iterable[Canvas[Any]]:
        """None."""
        return ()

    def renew(self) -> None:
        """It has no parts."""

    def clone(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Unpack[SendOptions]
    ) -> Self:
        """A copy, with more arguments before its own and options over its own."""
        other = super().clone()
        other.args, other.kwargs = self.complete(*arguments(args, kwargs))
        return other.set(**options) if options else other

    @property
    def target(self) -> Task[..., R] | str:
        """The task where it is known here, else its name."""
        return self.app.tasks.get(self.task) or self.task

    def target_in(self, app: Core) -> Task[..., R] | str:
        """The task where it is known, for what is sent through `app`; a name without an app belongs to that one.

        Raises:
            ConfigurationError: it is another app's, which `app` does not know.
        """
        own = app.tasks.get(self.task)
        if self.own_app is None or self.own_app is app:
            return own or self.task
        if own is None and self.own_app.namespace != app.namespace:
            raise ConfigurationError(
                f"{self.task} is a task of the app {self.own_app.name!r}, and this is sent through {app.name!r}, whose "
                "workers do not know it: let a task send what is to be done there. Nothing was sent."
            )
        return self.target

    def complete(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with more of them put before."""
        if self.immutable:
            return self.args, self.kwargs
        return (*args, *self.args), {**self.kwargs, **kwargs}

    @property
    def is_plain(self) -> bool:
        """It is a message and nothing more: no workflow is needed to send it."""
        return not (self.links or self.errbacks)

    @awaited
    async def send(self, *args: Any, **kwargs: Any) -> AsyncResult[R]:
        """Send it, with `args` put before its own and `kwargs` added."""
        if not self.is_plain or self.spread:
            return await super().send(*args, **kwargs)
        args, kwargs = self.complete(args, kwargs)
        return await self.app.out.send(self.target, args, kwargs, self.options)

    @awaited
    async def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        throw: bool = False,
        **options: Unpack[SendOptions],
    ) -> AsyncResult[R]:
        """Celery's way to run the task here and now, with `args` put before its own; see `Task.apply`.

        Raises:
            ConfigurationError: it has links or is a map, which are for what is sent; or the task is not known here.
        """
        target = self.target
        if isinstance(target, str):
            raise ConfigurationError(self.app.not_registered(target))
        if not self.is_plain or self.spread:
            what = f"is a {self.spread}" if self.spread else "has links of its own"
            raise ConfigurationError(
                f"{self!r} {what}, and apply() runs one call and nothing after it: send it. Nothing was run."
            )
        args, kwargs = self.complete(*arguments(args, kwargs))
        return await target.apply(args, kwargs, throw=throw, **overlaid(self.options, options))

    @property
    def sync(self) -> SyncSignature[R]:
        """The same for threads and programs without an event loop; see `Canvas.sync`."""
        from aioqueue.sync import SyncSignature

        return SyncSignature(self)

    def __getitem__(self, part: str) -> Any:
        """A part of it by its name, as of Celery's signatures, which are dicts: `sig["args"]`."""
        if part in _PARTS:
            return getattr(self, part)
        raise TypeError(
            f"A signature is no list or dict, and has no {part!r}: of it there are {', '.join(_PARTS)}, and to_dict() "
            "writes all of it."
        )

    def _spoken(self) -> Spoken:
        name = f"{self.task.rpartition('.')[2]}.s(...)"
        return Spoken(f"task {self.task}", name, f"{name}.sync")

    def as_data(self) -> dict[str, Any]:
        """Plain data, fit for JSON, from which `signature(...)` makes it again."""
        found: dict[str, Any] = {
            "task": self.task,
            **plain_call(self.task, self.args, self.kwargs),
            **self.described(),
        }
        if self.immutable:
            found["immutable"] = True
        if self.spread:
            found["spread"] = self.spread
        return found

    def shown(self, levels: int) -> str:
        """`repr`, of so many levels."""
        hidden = self._hidden_words()
        names = self._names()
        if self.spread and any(is_hidden(name, hidden) for name in names):
            shown = ["…"] * len(self.args)
        else:
            # What comes before them may push them one further.
            further = 1 if self.immutable else 2
            shown = [
                "***" if any(is_hidden(name, hidden) for name in names[n : n + further]) else show(value, levels)
                for n, value in enumerate(self.args)
            ]
        shown += [
            f"{name}={'***' if is_hidden(name, hidden) else show(value, levels)}" for name, value in self.kwargs.items()
        ]
        return f"{self.task}{f'.{self.spread}' if self.spread else ''}({', '.join(shown)})"

    def _hidden_words(self) -> frozenset[str]:
        app = self._app_if_known()
        return hidden_words(app.conf.hidden_arguments if app is not None else HIDDEN)

    def _names(self) -> tuple[str, ...]:
        """The names of the positional parameters, as far as the task is known here."""
        app = self._app_if_known()
        task = app.tasks.get(self.task) if app is not None else None
        return task.parameters.positional_names if task is not None else ()

    def _app_if_known(self) -> Core | None:
        try:
            return self.app
        except ConfigurationError:
            return None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task's function here and now; that of a map once for each item.

        Raises:
            ConfigurationError: the task is not known here.
        """
        target = self.target
        if isinstance(target, str):
            raise ConfigurationError(self.app.not_registered(target))
        args, kwargs = self.complete(args, kwargs)
        if not self.spread:
            return target(*args, **kwargs)
        calls = args[0] if self.spread == "starmap" else [(item,) for item in args[0]]
        return _each_awaited(target, calls) if target.is_coroutine else [target(*call) for call in calls]


async def _each_awaited(task: Task[..., R], calls: Iterable[Iterable[Any]]) -> list[R]:
    return [await task(*call) for call in calls]


def with_options(signature: Signature[R], options: Mapping[str, Any]) -> Signature[R]:
    """A copy with options under its own."""
    other = signature.clone()
    other.options = overlaid(options, other.options)
    return other
