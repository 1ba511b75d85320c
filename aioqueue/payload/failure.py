"""Exceptions as data: what a failed task leaves behind, in a form that any process can read.

`Failure.of` looks at an exception that may be hostile or broken in any way; `Failure.rebuild` looks at data that may
be forged. Neither runs the constructor of an exception, and neither imports.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from aioqueue.exceptions import PayloadError
from aioqueue.payload.codec import decode, encode, from_marked, is_marked, to_marked
from aioqueue.payload.naming import importable_module
from aioqueue.payload.rebuilding import REMOTE, rebuild

_T = TypeVar("_T")

MAX_CAUSES: Final = 20
_MAX_FAILURES: Final = 100  # in one tree of causes and groups
_MAX_TEXT: Final = 256 * 1024  # of all of them together
_MAX_TRACEBACK: Final = 64 * 1024
_MAX_LESSER_TRACEBACK: Final = 16 * 1024  # of a cause, or a member of a group
_MAX_MESSAGE: Final = 8 * 1024
_MAX_VALUE: Final = 8 * 1024
_MAX_VALUES: Final = 32
_MAX_FRAMES: Final = 200
_CUT: Final = b"\n... cut here ...\n"


class Failure(msgspec.Struct, omit_defaults=True):
    """An exception as plain data.

    Attributes:
        type: `module:qualname` of its class.
        message: its `str()`.
        arguments: its `args`, see `given`: as plain data where that is possible, else their `repr()`.
        attributes: what else its `__dict__` holds, see `given`, as far as it is plain data.
        traceback: the frames of the task's own code, as Python prints them.
        notes: its `__notes__`.
        cause: what it was raised from, or while handling what.
        group: the members of an exception group.
        marked: there are marks in the arguments or the attributes, for values such as dates.
    """

    type: str
    message: str = ""
    arguments: list[Any] = []
    attributes: dict[str, Any] = {}
    traceback: str = ""
    notes: list[str] = []
    cause: Failure | None = None
    group: list[Failure] = []
    marked: bool = False

    @classmethod
    def of(cls, exc: BaseException) -> Failure:
        """The failure that `exc` is. Never raises, and its size is bounded whatever `exc` holds."""
        return _Observer().observe(exc, _MAX_TRACEBACK)

    def stay(self, exc: BaseException, is_retried: bool) -> None:
        """What `exc` is from now on, which was rebuilt from this: it comes out of a process that knew more of it, its
        class and its traceback among that.

        Args:
            exc: the exception.
            is_retried: by the rules of its task, which have seen the class.
        """
        object.__getattribute__(exc, "__dict__")[_KNOWN] = _Known(self, is_retried)

    @property
    def name(self) -> str:
        """`module.qualname` of the exception's class, without the module for builtins."""
        return self.type.replace(":", ".").removeprefix("builtins.")

    @property
    def summary(self) -> str:
        """One line, or more if the message has them: `ValueError: no such user`."""
        return f"{self.name}: {self.message}" if self.message else self.name

    def given(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments and the attributes as they were; as they are written, if somebody else wrote them."""
        if not self.marked:
            return self.arguments, self.attributes
        return [_unmarked(value) for value in self.arguments], {
            name: _unmarked(value) for name, value in self.attributes.items()
        }

    def rebuild(self) -> BaseException:
        """An exception to raise here: of the original class where that is loaded in this process, else a `TaskFailed`.

        Its causes are its `__cause__`, and the remote traceback is a note. No code of the class is run.
        """
        return rebuild(self)

    def report(self) -> str:
        """The failure with its causes and members, as Python prints an exception that nobody caught."""
        return "".join(_report(self, "", MAX_CAUSES))


class _Known(NamedTuple):
    """What is known of an exception that has come out of another process."""

    failure: Failure
    is_retried: bool


_KNOWN: Final = "__aioqueue_failure__"


def _known(exc: BaseException) -> _Known | None:
    found = object.__getattribute__(exc, "__dict__").get(_KNOWN)
    return found if type(found) is _Known else None


def is_retried_elsewhere(exc: BaseException) -> bool | None:
    """Whether the rules of its task retry an exception, as another process has found; None: none has."""
    known = _known(exc)
    return None if known is None else known.is_retried


class _Observer:
    """One tree of exceptions under observation, with what is left of its limits."""

    def __init__(self) -> None:
        self._failures = _MAX_FAILURES
        self._text = _MAX_TEXT
        self._seen: set[int] = set()
        self._marked = False  # something in the failure at hand needs a mark

    def observe(self, exc: BaseException, traceback_limit: int) -> Failure:
        """A chain of causes is followed in a loop: it may be longer than the stack."""
        first = failure = self._one(exc, traceback_limit)
        if _known(exc) is not None:
            return first
        current: BaseException | None = exc
        for _ in range(MAX_CAUSES):
            current = _attempt(_cause_of, current, default=None)
            if current is None or id(current) in self._seen or self._failures <= 0:
                break
            failure.cause = self._one(current, _MAX_LESSER_TRACEBACK)
            failure = failure.cause
            if _known(current) is not None:
                break
        return first

    def _one(self, exc: BaseException, traceback_limit: int) -> Failure:
        self._failures -= 1
        self._seen.add(id(exc))
        if (known := _known(exc)) is not None:
            notes = [note for note in _attempt(_notes_of, exc, default=[]) if not note.startswith(REMOTE)]
            return msgspec.structs.replace(known.failure, notes=notes[:_MAX_VALUES])
        failure = Failure(type=_attempt(_type_of, type(exc), default="builtins:Exception"))
        is_group = issubclass(type(exc), BaseExceptionGroup)  # isinstance asks the exception for its __class__
        message = _group_message if is_group else str
        failure.message = self._take(_attempt(message, exc, default="<its message can't be read>"), _MAX_MESSAGE)
        self._marked = False
        arguments = _attempt(_arguments_of, exc, default=())
        failure.arguments = [self._value(value) for value in arguments[:_MAX_VALUES]]
        failure.attributes = _attempt(self._attributes_of, exc, default={})
        if self._marked:
            failure.marked = True
            failure.arguments = [_as_marked(value) for value in failure.arguments]
            failure.attributes = {name: _as_marked(value) for name, value in failure.attributes.items()}
        failure.traceback = self._take(_attempt(_frames_of, exc, default=""), traceback_limit)
        notes = _attempt(_notes_of, exc, default=())
        failure.notes = [self._take(note, _MAX_MESSAGE) for note in notes[:_MAX_VALUES]]
        if is_group:
            members = _attempt(_members_of, exc, default=())
            for count, member in enumerate(members):
                if self._failures <= 0:
                    failure.notes.append(f"{len(members) - count} more exceptions of this group were left out")
                    break
                if id(member) not in self._seen:
                    failure.group.append(self.observe(member, _MAX_LESSER_TRACEBACK))
        return failure

    def _take(self, text: str, limit: int) -> str:
        """`text` cut in its middle to the limit and to what is left for all; always encodable."""
        data = text.encode("utf-8", "backslashreplace")
        limit = min(limit, self._text)
        if len(data) > limit:
            keep = max(0, limit - len(_CUT))
            # A traceback's end tells more than its beginning.
            data = data[: keep // 4] + _CUT + data[len(data) - (keep - keep // 4) :] if keep else b""
        self._text -= len(data)
        return data.decode(errors="ignore")  # the cut may go through a character

    def _value(self, value: Any) -> Any:
        if type(value) is str:
            return self._take(value, _MAX_VALUE)
        plain = self._plain(value)
        if plain is not _NONE:
            return plain
        return self._take(_attempt(repr, value, default="<its repr() can't be read>"), 1024)

    def _plain(self, value: Any) -> Any:
        """A copy of a value that can be sent, if there is room for it."""
        size, copy = _attempt(_copy, value, default=(0, _NONE))
        if size > self._text:
            return _NONE
        self._text -= size
        if type(copy) is _Marked:
            self._marked = True
        return copy

    def _attributes_of(self, exc: BaseException) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in list(object.__getattribute__(exc, "__dict__").items())[:_MAX_VALUES]:
            if type(name) is not str or name.startswith("__") or len(name) > 255:
                continue
            if _attempt(str.encode, name, default=None) and (plain := self._plain(value)) is not _NONE:
                self._text -= len(name)
                found[name] = plain
        return found


def _attempt(function: Callable[..., _T], *args: Any, default: _T) -> _T:
    try:
        return function(*args)
    except BaseException:
        # Code of the exception's class runs in here, and may raise SystemExit as well as anything else.
        return default


class _Marked(NamedTuple):
    """A value that is written with marks."""

    written: Any


_NONE: Final = object()


def _copy(value: Any) -> tuple[int, Any]:
    """The size of a value, and the value as it is written."""
    data, content = encode(value, max_size=_MAX_VALUE)
    copy = decode(data, "msgpack", max_size=_MAX_VALUE)
    return len(data), _Marked(copy) if is_marked(content) else copy


def _as_marked(copy: Any) -> Any:
    return copy.written if type(copy) is _Marked else to_marked(copy)[0]


def _unmarked(value: Any) -> Any:
    try:
        return from_marked(value)
    except PayloadError:
        return value


def _type_of(cls: type) -> str:
    # Past the metaclass, which may answer anything.
    qualname: str = type.__dict__["__qualname__"].__get__(cls)
    module: object = type.__dict__["__module__"].__get__(cls)
    name = f"{importable_module(module) if isinstance(module, str) else 'builtins'}:{qualname}"
    return name.encode("utf-8", "backslashreplace").decode()[:500]


def _cause_of(exc: BaseException) -> BaseException | None:
    if exc.__cause__ is not None:
        return exc.__cause__
    return None if exc.__suppress_context__ else exc.__context__


def _arguments_of(exc: BaseException) -> tuple[Any, ...]:
    if isinstance(exc, BaseExceptionGroup):
        return ()  # its message and its members, which have places of their own
    if isinstance(exc, OSError):
        return OSError.__reduce__(exc)[1]  # type: ignore[return-value]  # with the file's name, which args lack
    return tuple(exc.args)


def _group_message(exc: BaseException) -> str:
    return exc.message if isinstance(exc, BaseExceptionGroup) else str(exc)


def _members_of(exc: BaseException) -> tuple[BaseException, ...]:
    return exc.exceptions if isinstance(exc, BaseExceptionGroup) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


def _notes_of(exc: BaseException) -> list[str]:
    notes: Any = exc.__notes__ if hasattr(exc, "__notes__") else []
    return [str.__str__(note) for note in notes if isinstance(note, str)]


def _machinery() -> tuple[str, ...]:
    """Where the code lives that calls tasks."""
    here = [Path(__file__).parent.parent, Path(asyncio.__file__).parent, Path(concurrent.futures.__file__).parent]
    anyio = getattr(sys.modules.get("anyio"), "__file__", None)
    if anyio is not None:
        here.append(Path(anyio).parent)
    return tuple(f"{directory}/" for directory in here)


_MACHINERY: Final = _machinery()
_BETWEEN: Final = tuple(f"{Path(__file__).parent.parent / room}/" for room in ("around", "worker"))


def _frames_of(exc: BaseException) -> str:
    start: TracebackType | None = exc.__traceback__
    while start is not None and start.tb_frame.f_code.co_filename.startswith(_MACHINERY):
        start = start.tb_next
    if start is None:
        start = exc.__traceback__  # the error is aioqueue's own: then its frames are what helps
    if start is None:
        return ""
    frames = traceback.extract_tb(start, limit=-_MAX_FRAMES)
    # What is put around a task stands between it and us, and between the two of them we do.
    return "".join(traceback.format_list([one for one in frames if not one.filename.startswith(_BETWEEN)] or frames))


def _report(failure: Failure, indent: str, depth: int) -> list[str]:
    chain: list[Failure] = []
    current: Failure | None = failure
    while current is not None and len(chain) <= MAX_CAUSES:
        chain.append(current)
        current = current.cause
    parts: list[str] = []
    for link in reversed(chain):
        if parts:
            parts.append(f"\n{indent}This led to the following exception:\n\n")
        lines = "Traceback (most recent call last):\n" + link.traceback if link.traceback else ""
        lines = "\n".join([lines.rstrip("\n"), link.summary, *link.notes]).lstrip("\n")
        parts.append("".join(f"{indent}{line}\n" for line in lines.split("\n")))
        for number, member in enumerate(link.group if depth > 0 else (), 1):
            parts.append(f"{indent}  +---------------- {number} ----------------\n")
            parts += _report(member, f"{indent}  | ", depth - 1)
    return parts
