"""What a worker and its children say to each other: msgpack after its length, over a pair of sockets."""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec

from aioqueue.payload.failure import Failure


class Frame(msgspec.Struct, array_like=True, tag=True, gc=False):
    """What one side says."""


class Start(Frame):
    """The first that a child hears.

    Attributes:
        parent: the worker's process id.
        path: where Python looks for modules.
        modules: what is imported, in this order.
        place: where the app is, as `module:attribute`; "" where no module has it.
        app: the app's name.
        settings: those that plain data can say.
        is_shared: its broker can be reached from another process.
        tasks: names of its tasks, by which it is known among several of its name.
        levels: of loggers that have one, by their names; "" is the root.
    """

    parent: int
    path: list[str]
    modules: list[str]
    place: str
    app: str
    settings: dict[str, Any]
    is_shared: bool
    tasks: list[str]
    levels: dict[str, int]


class Call(Frame):
    """A run whose function is to be called.

    Attributes:
        number: of the call; what is said of it has the same.
        task, id: the task's name, and the run's id.
        message: as it was delivered.
        value: what comes before its arguments, pickled; None where nothing does.
        hostname, deliveries: as its context has them.
        soft: the soft limit, in seconds.
        is_kept: its result is wanted.
    """

    number: int
    task: str
    id: str
    message: bytes
    value: bytes | None
    hostname: str
    deliveries: int
    soft: float | None
    is_kept: bool


class Soften(Frame):
    """The soft limit of a call is over."""

    number: int


class Reply(Frame):
    """What was asked for is done, or has failed."""

    request: int
    failure: Failure | None


class Show(Frame):
    """It is to be said where the function is; `head` is what that begins with."""

    head: str


class Leave(Frame):
    """There is nothing more to do."""


class Ready(Frame):
    """The child has imported the app."""


class Broken(Frame):
    """The child could not import the app; `text` says why."""

    text: str


class Returned(Frame):
    """The function of a call has returned.

    Attributes:
        data, content: what, encoded; None is None.
        word: it returned one of the words that are to be raised.
        asked: what its context had been asked to make, and which was not raised.
        children: ids of the tasks that it has sent.
    """

    number: int
    data: bytes | None
    content: str
    word: str = ""
    asked: str = ""
    children: list[str] = []


class Raised(Frame):
    """The function of a call has raised something.

    Attributes:
        failure: what.
        word: it is one of the words of a task: Retry, Reject, Replace, Ignore.
        data, content: what that says, encoded.
        cause: what a Retry was asked for.
        is_retried: by the rules of the task, which know the class.
        asked, children: as in `Returned`.
    """

    number: int
    failure: Failure
    word: str = ""
    data: bytes = b""
    content: str = ""
    cause: Failure | None = None
    is_retried: bool = False
    asked: str = ""
    children: list[str] = []


class Ask(Frame):
    """A task says something of itself.

    Attributes:
        number: of the call.
        request: of the reply; 0 for none.
        what: "report", "ack" or "waits".
        data, content: what more there is to it, encoded.
    """

    number: int
    request: int
    what: str
    data: bytes
    content: str


class Logged(Frame):
    """A line of the log.

    Attributes:
        name, level, text: as in `logging`, with the arguments filled in.
        created: when.
        traceback: below it.
        place: file, line and function.
        fields: others that its record has.
    """

    name: str
    level: int
    text: str
    created: float
    traceback: str
    place: tuple[str, int, str]
    fields: dict[str, Any]


ToChild = Start | Call | Soften | Reply | Show | Leave
ToWorker = Ready | Broken | Returned | Raised | Ask | Logged

_LENGTH: Final = struct.Struct("!I")
HEAD: Final = _LENGTH.size
_encode = msgspec.msgpack.Encoder().encode
decode_for_child = msgspec.msgpack.Decoder(ToChild).decode
decode_for_worker = msgspec.msgpack.Decoder(ToWorker).decode


def packed(frame: Frame) -> bytes:
    """A frame as it goes over the socket."""
    data = _encode(frame)
    return _LENGTH.pack(len(data)) + data


def length(head: bytes | bytearray | memoryview) -> int:
    """How long the frame is that such `HEAD` bytes come before."""
    return _LENGTH.unpack(head)[0]
