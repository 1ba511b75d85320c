"""Chains, groups, chords and chunks; the names are Celery's, and so is what they do."""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, cast, overload

from aioqueue.awaiting import Spoken, awaited, tell_dropped
from aioqueue.canvas.base import Canvas, canvases, check_canvas, show
from aioqueue.canvas.signatures import Signature
from aioqueue.exceptions import ConfigurationError
from aioqueue.options import SendOptions
from aioqueue.spread import each_item

if TYPE_CHECKING:
    from aioqueue.group_result import GroupResult
    from aioqueue.result import AsyncResult
    from aioqueue.sync import SyncGroup
    from aioqueue.task import Task

A = TypeVar("A")
R = TypeVar("R", covariant=True)
T = TypeVar("T")
U = TypeVar("U")


class chain(Canvas[R]):
    """One task after the other, each with the result of the one before; its result is that of the last.

    A group in it passes the list of its results on.

    Args:
        tasks: canvases, or one iterable of them.
        options: see `Canvas.options`.
    """

    @overload
    def __init__(self: chain[A], task: Canvas[A], /, **options: Unpack[SendOptions]) -> None: ...
    @overload
    def __init__(self: chain[A], a: Canvas[Any], b: Canvas[A], /, **options: Unpack[SendOptions]) -> None: ...
    @overload
    def __init__(
        self: chain[A], a: Canvas[Any], b: Canvas[Any], c: Canvas[A], /, **options: Unpack[SendOptions]
    ) -> None: ...
    @overload
    def __init__(
        self: chain[A], a: Canvas[Any], b: Canvas[Any], c: Canvas[Any], d: Canvas[A], /, **options: Unpack[SendOptions]
    ) -> None: ...
    @overload
    def __init__(
        self: chain[A],
        a: Canvas[Any],
        b: Canvas[Any],
        c: Canvas[Any],
        d: Canvas[Any],
        e: Canvas[A],
        /,
        **options: Unpack[SendOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: chain[Any], *tasks: Canvas[Any] | Iterable[Canvas[Any]], **options: Unpack[SendOptions]
    ) -> None: ...
    def __init__(self, *tasks: Canvas[Any] | Iterable[Canvas[Any]], **options: Unpack[SendOptions]) -> None:
        super().__init__()
        self.tasks: list[Canvas[Any]] = list(_listed(tasks))
        self.set(**options)

    def __call__(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, AsyncResult[R]]:
        """Celery's way to send it: `await chain(...)()`."""
        return self.send(*args, **kwargs)

    def contents(self) -> Iterable[Canvas[Any]]:
        """Its tasks."""
        return self.tasks

    def renew(self) -> None:
        """Put copies in the places of its tasks."""
        self.tasks = [task.twin() for task in self.tasks]

    def as_data(self) -> dict[str, Any]:
        """Plain data, fit for JSON, from which `signature(...)` makes it again."""
        return {"type": "chain", "tasks": [task.as_data() for task in self.tasks], **self.described()}

    @property
    def is_bare(self) -> bool:
        """It is nothing but its tasks, so that they can stand in its place in another chain."""
        return not (self.options or self.links or self.errbacks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[Canvas[Any]]:
        return iter(self.tasks)

    def __getitem__(self, index: int) -> Canvas[Any]:
        return self.tasks[index]

    def shown(self, levels: int) -> str:
        """`repr`, of so many levels."""
        parts = [(show(task, levels), isinstance(task, chain) and levels > 1) for task in self.tasks]
        return " | ".join(f"({text})" if inner else text for text, inner in parts) or "chain()"


class group(Canvas[list[T]]):
    """Tasks side by side; its result is the list of theirs, in order. An empty one gives the empty list.

    Args:
        tasks: canvases, or one iterable of them. A generator is sent as it is read, a page at a time, so that its
            length does not matter; it can be sent once.
        options: see `Canvas.options`.
    """

    @overload
    def __init__(self: group[A], tasks: Iterable[Canvas[A]], /, **options: Unpack[SendOptions]) -> None: ...
    @overload
    def __init__(self: group[A], *tasks: Canvas[A], **options: Unpack[SendOptions]) -> None: ...
    def __init__(self, *tasks: Any, **options: Unpack[SendOptions]) -> None:
        super().__init__()
        self._tasks: list[Canvas[T]] | None = None
        self._source: Iterator[Canvas[T]] | None = None
        if len(tasks) == 1 and not isinstance(tasks[0], Canvas) and isinstance(tasks[0], Iterator):
            self._source = cast("Iterator[Canvas[T]]", tasks[0])
        else:
            self._tasks = list(_listed(tasks))
        self.set(**options)

    def __call__(self, *args: Any, **options: Any) -> Coroutine[Any, Any, GroupResult[T]]:
        """Celery's way to send it, with options: `await group(...)()`."""
        return self.apply_async(args, **options)

    @property
    def tasks(self) -> list[Canvas[T]]:
        """Its members; a generator is read to its end for them."""
        if self._tasks is None:
            self._tasks = list(self.members())
        return self._tasks

    @property
    def is_stream(self) -> bool:
        """Its members are not read yet."""
        return self._source is not None

    def members(self) -> Iterator[Canvas[T]]:
        """Its members, one after the other, a generator's only once.

        Raises:
            ConfigurationError: the generator has been read.
        """
        if self._tasks is not None:
            yield from self._tasks
            return
        source, self._source = self._source, None
        if source is None:
            raise ConfigurationError(
                "This group was made of a generator, which has been read: give a list to a group that is to be used "
                "again. Nothing was sent."
            )
        for task in source:
            yield check_canvas(task)

    def contents(self) -> Iterable[Canvas[Any]]:
        """Its members; of a generator only the first is looked at."""
        if self._tasks is None and self._source is not None:
            first = next(self._source, None)
            if first is None:
                self._tasks = []
            else:
                self._source = _with_first(check_canvas(first), self._source)
                return (first,)
        return self.tasks

    def twin(self) -> Self:
        """A copy that shares its members with this one; a generator is read for it."""
        self._tasks = self.tasks
        return super().twin()

    def renew(self) -> None:
        """Put copies in the places of its members."""
        self._tasks = [task.twin() for task in self.tasks]

    def as_data(self) -> dict[str, Any]:
        """Plain data, fit for JSON, from which `signature(...)` makes it again."""
        return {"type": "group", "tasks": [task.as_data() for task in self.tasks], **self.described()}

    @awaited
    async def send(self, *args: Any, **kwargs: Any) -> GroupResult[T]:
        """Send it whole, in one step; see `Canvas.send`."""
        return cast("GroupResult[T]", await super().send(*args, **kwargs))

    @awaited
    async def delay(self, *args: Any, **kwargs: Any) -> GroupResult[T]:
        """Celery's word for `send`."""
        return await self.send(*args, **kwargs)

    @awaited
    async def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> GroupResult[T]:
        """Celery's way: send it with more arguments and options."""
        return cast("GroupResult[T]", await super().apply_async(args, kwargs, **options))

    @property
    def sync(self) -> SyncGroup[T]:
        """The same for threads and programs without an event loop; see `Canvas.sync`."""
        from aioqueue.sync import SyncGroup

        return SyncGroup(self)

    def __or__(self, other: Canvas[U]) -> chord[U]:  # type: ignore[override]
        """A chord."""
        return chord(self, other)

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[Canvas[T]]:
        return iter(self.tasks)

    def __getitem__(self, index: int) -> Canvas[T]:
        return self.tasks[index]

    def shown(self, levels: int) -> str:
        """`repr`, of so many levels."""
        if self._tasks is None:
            return "group(<generator>)"
        shown = ", ".join(show(task, levels) for task in self._tasks[:10])
        return f"group({shown}{f', … {len(self._tasks) - 10} more' if len(self._tasks) > 10 else ''})"


class chord(Canvas[R]):
    """A group, the header, and a body that takes the list of its results.

    When a task of the header fails, the body is not run, and ends with a `ChordError`.

    Args:
        header: a group, or an iterable of canvases.
        body: what takes the results; may be given later, as `chord(header)(body)`.
        allow_failures: run the body all the same, with exceptions in the places of the results that are missing.
        options: see `Canvas.options`.
    """

    def __init__(
        self,
        header: group[Any] | Iterable[Canvas[Any]],
        body: Canvas[R] | None = None,
        *,
        allow_failures: bool = False,
        **options: Unpack[SendOptions],
    ) -> None:
        super().__init__()
        self.header: group[Any] = _header(header)
        self.body = None if body is None else check_canvas(body)
        self.allow_failures = allow_failures
        self.set(**options)

    @overload
    def __call__(self, body: Canvas[U], **options: Any) -> chord[U]: ...
    @overload
    def __call__(self, body: None = None, **options: Any) -> Coroutine[Any, Any, AsyncResult[R]]: ...
    def __call__(self, body: Canvas[U] | None = None, **options: Any) -> Any:
        """The same with a body, to be sent: `await chord(header)(body)`, as in Celery, sends it. One that has its body
        is sent by calling it, as other compositions are."""
        if body is None:
            return self.apply_async(**options)
        other = self if self.header.is_stream else self.clone()
        other.body = check_canvas(body)
        if options:
            other.set(**options)
        other.__class__ = cast("Any", _Called)
        return other

    def __await__(self) -> Generator[Any, Any, AsyncResult[R]]:
        """Send it; gives its result, which is to be waited for by itself."""
        return self.send().__await__()

    def contents(self) -> Iterable[Canvas[Any]]:
        """Its body and its header."""
        return (self.header,) if self.body is None else (self.body, self.header)

    def renew(self) -> None:
        """Put copies in the places of header and body."""
        self.header = self.header.twin()
        self.body = None if self.body is None else self.body.twin()

    def as_data(self) -> dict[str, Any]:
        """Plain data, fit for JSON, from which `signature(...)` makes it again."""
        found: dict[str, Any] = {"type": "chord", "header": self.header.as_data()}
        if self.body is not None:
            found["body"] = self.body.as_data()
        if self.allow_failures:
            found["allow_failures"] = True
        return {**found, **self.described()}

    def __or__(self, other: Canvas[U]) -> chain[U]:
        """This, and then the other with the body's result."""
        if self.body is None:
            raise ConfigurationError("This chord has no body yet: chord(header, body) | next.")
        return chained(self, other)

    def shown(self, levels: int) -> str:
        """`repr`, of so many levels."""
        return f"chord({show(self.header, levels)}, {show(self.body, levels)})"


class _Called(chord[R]):
    """What `chord(header)(body)` gives, until it is used: dropped before, it tells that it was not sent. With the first
    use it is a chord as any other."""

    __qualname__ = "chord"  # as which people know it

    if not TYPE_CHECKING:

        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("_"):
                object.__setattr__(self, "__class__", chord)
            return object.__getattribute__(self, name)

    def __del__(self) -> None:
        tell_dropped(self, "chord(header)(body)", "chord")

    def _spoken(self) -> Spoken:
        return Spoken("a chord", "chord(header)(body)", "chord(header, body).sync.send()")


class chunks(Canvas[list[list[T]]], Generic[T]):
    """Many calls of one task, so many in a message: a group of starmaps.

    Args:
        task: the task, or a signature of it.
        items: the arguments of each call, as tuples.
        size: how many calls go into one message.
        it, n: Celery's words for these.
        options: see `Canvas.options`.

    Raises:
        ConfigurationError: a size or an item is wrong; what is read later, as a generator is, says so when it is sent.
    """

    def __init__(
        self,
        task: Task[..., T] | Signature[T],
        items: Iterable[Iterable[Any]] | None = None,
        size: int | None = None,
        *,
        it: Iterable[Iterable[Any]] | None = None,
        n: int | None = None,
        **options: Unpack[SendOptions],
    ) -> None:
        super().__init__()
        size = n if size is None else size
        items = it if items is None else items
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ConfigurationError(
                f"chunks(task, items, size) takes how many calls go into one message, at least 1, not {size!r}."
            )
        if not hasattr(task, "s") and not isinstance(task, Signature):
            raise ConfigurationError(f"chunks(task, items, size) takes a task, or a signature of one, not {task!r}.")
        self.signature = task if isinstance(task, Signature) else task.s()
        if self.signature.args:
            raise ConfigurationError(
                f"The calls of chunks take their positional arguments from the items alone, but {self.signature!r} has "
                "some of its own. Nothing was sent."
            )
        if items is None or isinstance(items, list | tuple) or not isinstance(items, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            for _ in each_item(cast("Any", items), task=self.signature.task, kind="chunks"):
                pass
        self._items: Iterable[Iterable[Any]] | None = items
        self.size = size
        self.set(**options)

    def __call__(self, **options: Any) -> Coroutine[Any, Any, GroupResult[list[T]]]:
        """Celery's way to send it, with options: `await task.chunks(...)()`."""
        return self.apply_async(**options)

    def contents(self) -> Iterable[Canvas[Any]]:
        """The signature of its task."""
        return (self.signature,)

    def twin(self) -> Self:
        """A copy that shares its signature with this one; a generator is read for it."""
        self._items = list(self._all_items())
        other = super().twin()
        other._items = list(self._items)
        return other

    def renew(self) -> None:
        """Put a copy in the place of its signature."""
        self.signature = self.signature.twin()

    def group(self) -> group[list[T]]:
        """The group that it is."""
        found: group[Any] = group(self._chunks())
        found.options, found.links, found.errbacks = dict(self.options), list(self.links), list(self.errbacks)
        return found

    def _chunks(self) -> Iterator[Canvas[list[T]]]:
        items = each_item(self._all_items(), task=self.signature.task, kind="chunks")
        if isinstance(self._items, Iterator):
            self._items = None
        while part := list(islice(items, self.size)):
            call = self.signature.clone()
            call.args, call.spread, call.immutable = ([tuple(item) for item in part],), "starmap", True
            yield cast("Canvas[list[T]]", call)

    def _all_items(self) -> Iterable[Iterable[Any]]:
        if self._items is None:
            raise ConfigurationError(
                "These chunks were made of a generator (or of zip), which has been read: give a list to chunks that "
                "are to be used again. Nothing was sent."
            )
        return self._items

    def as_data(self) -> dict[str, Any]:
        """Plain data, fit for JSON, from which `signature(...)` makes a group again."""
        self._items = list(self._all_items())
        return self.group().as_data()

    @awaited
    async def send(self, *args: Any, **kwargs: Any) -> GroupResult[list[T]]:
        """Send it whole, in one step; see `Canvas.send`."""
        return cast("GroupResult[list[T]]", await super().send(*args, **kwargs))

    @awaited
    async def delay(self, *args: Any, **kwargs: Any) -> GroupResult[list[T]]:
        """Celery's word for `send`."""
        return await self.send(*args, **kwargs)

    @awaited
    async def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> GroupResult[list[T]]:
        """Celery's way: send it with more arguments and options."""
        return cast("GroupResult[list[T]]", await super().apply_async(args, kwargs, **options))

    @property
    def sync(self) -> SyncGroup[list[T]]:
        """The same for threads and programs without an event loop; see `Canvas.sync`."""
        from aioqueue.sync import SyncGroup

        return SyncGroup(self)

    def __or__(self, other: Canvas[U]) -> chord[U]:  # type: ignore[override]
        """A chord."""
        return self.group() | other

    def shown(self, levels: int) -> str:
        """`repr`, of so many levels."""
        return f"chunks({self.signature.task}, …, {self.size})"


def chained(first: Canvas[Any], second: Canvas[U]) -> chain[U]:
    """`first | second`: chains become one, and a group before something else a chord."""
    check_canvas(second)
    before, after = _elements(first), _elements(second)
    if before and after and isinstance(before[-1], group):
        before, after = before[:-1], [chord(cast("group[Any]", before[-1]), after[0]), *after[1:]]
    found: chain[Any] = chain(*before, *after)
    return found


def _header(given: Any) -> group[Any]:
    if isinstance(given, chunks):
        return cast("chunks[Any]", given).group()
    if isinstance(given, group):
        return cast("group[Any]", given)
    members: Iterable[Canvas[Any]] = [cast("Canvas[Any]", given)] if isinstance(given, Canvas) else given
    return group(members)


def _elements(canvas: Canvas[Any]) -> list[Canvas[Any]]:
    return canvas.tasks if isinstance(canvas, chain) and canvas.is_bare else [canvas]


def _listed(tasks: tuple[Any, ...]) -> Iterable[Canvas[Any]]:
    if len(tasks) == 1 and not isinstance(tasks[0], Canvas) and not isinstance(tasks[0], Mapping):
        if not isinstance(tasks[0], Iterable):
            check_canvas(tasks[0])
        return canvases(tasks[0])
    return canvases(tasks)


def _with_first(first: Canvas[A], rest: Iterator[Canvas[A]]) -> Iterator[Canvas[A]]:
    yield first
    yield from rest
