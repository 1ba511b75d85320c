"""What all canvases have in common."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, Unpack, cast, overload

from aioqueue.awaiting import OF_RESULTS, Spoken, awaited
from aioqueue.canvas.writing import plain_options
from aioqueue.exceptions import ConfigurationError
from aioqueue.kinds import Seconds
from aioqueue.options import SendOptions, overlaid
from aioqueue.other_words import OF_CANVASES, instead

if TYPE_CHECKING:
    from aioqueue.canvas.composites import chain
    from aioqueue.canvas.stamping import StampingVisitor
    from aioqueue.core import Core
    from aioqueue.result import AsyncResult
    from aioqueue.sync import SyncCanvas

_LEVELS = 20

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class Canvas(ABC, Generic[R_co]):
    """A call of a task, or a composition of such calls; as data, to be sent as often as one likes.

    Attributes:
        options: of the sending; those of a composition reach its tasks, whose own count for more. Countdown and eta
            are those of its first tasks.
        links: what is called with its result when it has ended well.
        errbacks: tasks that are called with the `TaskFailure` of each task of it that fails.
    """

    own_app: Core | None = None

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options: dict[str, Any] = dict(options) if options else {}
        self.links: list[Canvas[Any]] = []
        self.errbacks: list[Canvas[Any]] = []
        if self.options:
            self.links = linked("link", self.options.pop("link", None))
            self.errbacks = [one_task(one) for one in linked("link_error", self.options.pop("link_error", None))]

    @abstractmethod
    def contents(self) -> Iterable[Canvas[Any]]:
        """What it is made of, that first which is to tell its app; of a generator only the first."""

    @abstractmethod
    def renew(self) -> None:
        """Put copies, `twin()`, in the places of its contents."""

    def known_app(self) -> Core | None:
        """The app of its first part that has one; None for what is empty or made of names."""
        # A stack of our own, here and in `clone`: canvases nest without limits.
        pending: list[Iterator[Canvas[Any]]] = [iter((self,))]
        while pending:
            one = next(pending[-1], None)
            if one is None:
                pending.pop()
            elif one.own_app is not None:
                return one.own_app
            else:
                pending.append(iter(one.contents()))
        return None

    @property
    def app(self) -> Core:
        """The app that it is sent through: that of its tasks; of names alone, the running task's, or the one there is.

        Raises:
            ConfigurationError: there is none, or more than one.
        """
        found = self.known_app()
        if found is None:
            from aioqueue.shared import current_app

            return current_app()
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON, from which `signature(...)` makes it again.

        Raises:
            ConfigurationError: it is nested too deep.
            PayloadError: an argument cannot be written as JSON.
        """
        try:
            return self.as_data()
        except RecursionError:
            raise ConfigurationError(
                f"This {type(self).__name__}, or an argument in it, is nested too deep to be written as data, as JSON "
                "is: send it as it is."
            ) from None

    @abstractmethod
    def as_data(self) -> dict[str, Any]:
        """`to_dict`, of a part."""

    @abstractmethod
    def shown(self, levels: int) -> str:
        """`repr`, of so many levels."""

    def __repr__(self) -> str:
        return self.shown(_LEVELS)

    def clone(self) -> Self:
        """A copy that shares nothing with this one."""
        found = self.twin()
        pending: list[Canvas[Any]] = [found]
        while pending:
            one = pending.pop()
            one.renew()
            one.links = [link.twin() for link in one.links]
            one.errbacks = [errback.twin() for errback in one.errbacks]
            pending += [*one.contents(), *one.links, *one.errbacks]
        return found

    def twin(self) -> Self:
        """A copy that shares its parts with this one."""
        other = copy.copy(self)
        other.options = dict(self.options)
        return other

    def set(self, **options: Unpack[SendOptions]) -> Self:
        """Set options, in place; returns the canvas itself."""
        if "immutable" in options:
            raise ConfigurationError(
                f"Only single tasks can be immutable, not a {type(self).__name__}: give task.si(...) for those in it "
                "that take no result."
            )
        self.options = overlaid(self.options, options)
        for link in linked("link", self.options.pop("link", None)):
            self.link(link)
        for errback in linked("link_error", self.options.pop("link_error", None)):
            self.link_error(errback)
        return self

    def link(self, callback: Canvas[T]) -> Canvas[T]:
        """Call this with the result when it has ended well; returns the callback. The same one is added once.

        Raises:
            ConfigurationError: it is no canvas.
        """
        check_canvas(callback)
        if callback not in self.links:
            self.links.append(callback)
        return callback

    def link_error(self, errback: Canvas[T]) -> Canvas[T]:
        """Call this task with the `TaskFailure` of each task that fails; returns it. The same one is added once.

        Raises:
            ConfigurationError: it is no single task.
        """
        one_task(errback)
        if errback not in self.errbacks:
            self.errbacks.append(errback)
        return errback

    def on_error(self, errback: Canvas[Any]) -> Self:
        """`link_error`, but returns this canvas."""
        self.link_error(errback)
        return self

    @overload
    def stamp(self, visitor: StampingVisitor | None = None, **stamps: Any) -> Self: ...
    @overload
    def stamp(self, name: str, /, *value: Any, **parts: Any) -> Self: ...
    def stamp(self, visitor: StampingVisitor | str | None = None, *value: Any, **stamps: Any) -> Self:
        """Mark all its tasks, and all that comes of them, in place; read as `ctx.stamps`.

            canvas.stamp(customer=7)
            canvas.stamp("customer", 7)  # the same
            canvas.stamp("retry", most=3)  # a stamp that is a dict

        Of two stamps of one name the later word counts. Where parts have stamps of their own, these count for more.

        Args:
            visitor: computes more stamps for each part; or the name of one stamp.
            value: of that one.
            stamps: values of the types that need no annotation; they arrive as what they were.

        Raises:
            ConfigurationError: it is no visitor, or a stamp has a name and no value.
        """
        if isinstance(visitor, str):
            visitor, stamps = None, {visitor: _stamp_value(visitor, value, stamps)}
        elif value:
            raise ConfigurationError(f"stamp() takes one visitor, not {len(value) + 1}.")
        if stamps:
            self.options["stamps"] = {**self.options.get("stamps", {}), **stamps}
        if visitor is not None:
            from aioqueue.canvas.stamping import StampingVisitor, visit

            if not isinstance(visitor, StampingVisitor):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationError(
                    f"stamp() takes stamps by name, as stamp(customer=7), or a StampingVisitor, not {visitor!r}."
                )
            visit(self, visitor)
        return self

    @awaited
    async def send(self, *args: Any, **kwargs: Any) -> AsyncResult[R_co]:
        """Send it whole, in one step; the arguments go to its first tasks, before their own.

        Returns:
            What stands for its result; a `GroupResult` where that is the result of a group.

        Raises:
            PayloadError: an argument cannot be sent, or a call does not fit its task. Nothing was sent.
            QueueFull: a queue has its `queue_max_length`. Nothing was sent.
            BrokerUnavailable: no answer within `send_timeout` seconds.
        """
        return await self.app.out.send_canvas(self, args, kwargs)

    @awaited
    async def delay(self, *args: Any, **kwargs: Any) -> AsyncResult[R_co]:
        """Celery's word for `send`."""
        return await self.send(*args, **kwargs)

    @awaited
    async def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> AsyncResult[R_co]:
        """Celery's way: send it with more arguments and options."""
        canvas = self.clone().set(**options) if options else self
        return await canvas.send(*(args or ()), **(kwargs or {}))

    @awaited
    async def call(self, *args: Any, timeout: Seconds | None = None, **kwargs: Any) -> R_co:
        """Send it and wait for its result, for up to `timeout` seconds."""
        from aioqueue.result import value_of

        return await value_of(await self.send(*args, **kwargs), timeout)

    @property
    def sync(self) -> SyncCanvas[R_co]:
        """The same for threads and programs without an event loop: `chain(...).sync.send().get(timeout=10)`."""
        from aioqueue.sync import SyncCanvas

        return SyncCanvas(self)

    def _spoken(self) -> Spoken:
        kind = type(self).__name__
        name = f"{kind}(...)"
        return Spoken(f"a {kind}", name, f"{name}.sync")

    def used(self) -> Self:
        """Note that it is sent, or has become a part of another; returns itself. (`chord(header)(body)` tells where
        nobody has used it.)"""
        return self

    if not TYPE_CHECKING:

        def __invert__(self) -> NoReturn:
            name = self._spoken().expression
            raise TypeError(
                f"Celery's ~{name} sends it and waits: write await {name}.call(), or, where there is no event loop, "
                f"{name}.sync.call(). Nothing was sent."
            )

    def __or__(self, other: Canvas[T]) -> chain[T]:
        """This, and then the other with its result."""
        from aioqueue.canvas.composites import chained

        return chained(self, other)

    def described(self) -> dict[str, Any]:
        """Options, links and error handlers as plain data, for `to_dict`."""
        found: dict[str, Any] = {}
        if self.options:
            found["options"] = plain_options(self.options)
        if self.links:
            found["link"] = [link.as_data() for link in self.links]
        if self.errbacks:
            found["link_error"] = [errback.as_data() for errback in self.errbacks]
        return found

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.to_dict() == cast("Canvas[Any]", other).to_dict()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in OF_RESULTS - _OWN_NAMES:
                kind = type(self).__name__
                raise AttributeError(
                    f"This {kind} has not been sent, so it has no {name!r}: result = await {kind}(...).send(), or "
                    ".sync.send() where there is no event loop; the result has it.",
                    name=name,
                    obj=self,
                )
            kind, found = type(self).__name__, instead(OF_CANVASES, name)
            says = f"A {kind} has no {name!r}.{found}" if found else f"{kind!r} object has no attribute {name!r}"
            raise AttributeError(says, name=name, obj=self)

    __hash__ = None  # type: ignore[assignment]


_OWN_NAMES = frozenset({"name"})


def _stamp_value(name: str, value: tuple[Any, ...], parts: dict[str, Any]) -> Any:
    """The value of a stamp that is given by its name."""
    if len(value) + bool(parts) != 1:
        raise ConfigurationError(
            f"stamp({name!r}, …) takes one value, as stamp({name!r}, 7), or the parts of one by name, as "
            f"stamp({name!r}, most=3)."
        )
    return parts if parts else value[0]


def canvases(given: Any) -> list[Canvas[Any]]:
    """One canvas, or several, or none.

    Raises:
        ConfigurationError: something else.
    """
    if given is None:
        return []
    several = isinstance(given, Iterable) and not isinstance(given, Canvas)
    found: list[Any] = list(cast("Iterable[Any]", given)) if several else [given]
    for one in found:
        check_canvas(one)
    return found


def linked(option: str, given: Any) -> list[Canvas[Any]]:
    """The same, of what the option `link` or `link_error` gives."""
    try:
        return canvases([given] if isinstance(given, str | bytes | Mapping) else given)
    except ConfigurationError as error:
        raise ConfigurationError(f"The option {option} is a canvas, or a list of them. {error}") from None


def show(value: Any, levels: int) -> str:
    """`repr` of what stands in a canvas of which so many levels are shown."""
    if not isinstance(value, Canvas):
        return repr(value)
    return cast("Canvas[Any]", value).shown(levels - 1) if levels > 1 else "..."


def check_canvas(one: Any) -> Canvas[Any]:
    """`one`, if it can be a part of a canvas.

    Raises:
        ConfigurationError: it cannot.
    """
    if isinstance(one, Canvas):
        return cast("Canvas[Any]", one).used()
    hint = " Use task.s(...)." if hasattr(one, "function") else ""
    raise ConfigurationError(
        f"A canvas is made of signatures, chains, groups, chords and chunks, not of {one!r}.{hint} Nothing was sent."
    )


def one_task(errback: Any) -> Canvas[Any]:
    """`errback`, if it is a single task.

    Raises:
        ConfigurationError: it is not.
    """
    from aioqueue.canvas.signatures import Signature

    check_canvas(errback)
    if not isinstance(errback, Signature):
        raise ConfigurationError(
            f"An error handler is a single task, not a {type(errback).__name__}: let the task send it."  # pyright: ignore[reportUnknownArgumentType]
        )
    return cast("Canvas[Any]", errback)
