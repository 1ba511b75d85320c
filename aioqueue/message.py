"""What travels: a task as it waits in the broker, and the record of what became of it.

Both are msgpack maps that leave out what has its default, so that a version can add fields and an older one ignores
them. The id of a task is not part of its message: the broker keeps it beside, where its scripts can see it, and a
message that cannot be read still has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, cast

import msgspec

from aioqueue.exceptions import PayloadError
from aioqueue.payload.codec import decode, encode, from_marked, to_marked
from aioqueue.payload.failure import Failure


class State(StrEnum):
    """The words for a task's state. A task may set words of its own while it runs."""

    PENDING = "PENDING"
    SENT = "SENT"
    STARTED = "STARTED"
    PROGRESS = "PROGRESS"
    RETRY = "RETRY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"


FINAL_STATES = frozenset({State.SUCCESS, State.FAILURE, State.REVOKED})


class Message(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A task that waits to be run.

    Attributes:
        task: the task's name.
        body: its arguments, `[args, kwargs]`, encoded.
        content: how: a serializer, and a compression after a plus sign.
        queue: where it waits, and waits again when it is retried.
        priority: from 0 to 9.
        sent: when it was sent, in ms since the epoch, by the broker's clock as its sender knew it.
        eta: not to run before; ms since the epoch.
        expires: not to run after; ms since the epoch.
        retries: how often it has been retried.
        max_retries: in place of the task's own limit; -1 is no limit.
        soft_time_limit: seconds, in place of the task's own.
        time_limit: seconds, in place of the task's own.
        ignore_result: in place of the task's own.
        headers: whatever the sender added; see `headers_of`.
        marked: there are marks in the headers, for values such as dates.
        stamps: what the tasks of a workflow share; see `stamps_of`.
        marked_stamps: there are marks in the stamps.
        parent_id, root_id, group_id: the task before it in its workflow, or else the one that sent it; the first one of
            all; and its group.
        workflow, node: its place in a workflow; `ids.new_id` and the node's number.
        takes: the node whose value comes before its arguments.
        handles: it is called with the `TaskFailure` of a failed task.
        wanted: its result is needed in the workflow.
        spread: the function is called for each item of the argument: "map", or "starmap" with the items unpacked.
        routing_key: as given by the sender; data, of no effect.
        own_id: its id was chosen by the sender, and is free with its end.
    """

    task: str
    body: bytes = b""
    content: str = "msgpack"
    queue: str = "default"
    priority: int = 0
    sent: int = 0
    eta: int | None = None
    expires: int | None = None
    retries: int = 0
    max_retries: int | None = None
    soft_time_limit: float | None = None
    time_limit: float | None = None
    ignore_result: bool | None = None
    headers: dict[str, Any] = {}
    marked: bool = False
    stamps: dict[str, Any] = {}
    marked_stamps: bool = False
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None
    workflow: str | None = None
    node: int | None = None
    takes: int | None = None
    handles: bool = False
    wanted: bool = False
    spread: str | None = None
    routing_key: str | None = None
    own_id: bool = False


class Record(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """What is known of a task that has been worked on.

    Attributes:
        state: one of `State`, or a word of the task's own.
        task: its name.
        result: what it returned, encoded as `content` says.
        failure: what it raised.
        meta: what it said of its progress; see `meta_of`.
        marked: there are marks in `meta`, for values such as dates.
        reason: why it was revoked or put away.
        retries: how often it had been retried.
        worker: the name of the worker.
        sent, started, ended: ms since the epoch.
        arguments: the arguments as short text, with the hidden ones left out.
        dead: it lies in the dead letters.
        spread: the result is a list of what the function returns.
    """

    state: str
    task: str = ""
    result: bytes | None = None
    content: str = "msgpack"
    failure: Failure | None = None
    meta: Any = None
    marked: bool = False
    reason: str | None = None
    retries: int = 0
    worker: str = ""
    sent: int = 0
    started: int = 0
    ended: int = 0
    arguments: str = ""
    children: Sequence[str] = ()
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None
    dead: bool = False
    spread: bool = False

    @property
    def final(self) -> bool:
        """Whether nothing comes after it."""
        return self.state in FINAL_STATES


class DeadLetter(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A task that cannot be run, kept as it arrived."""

    raw: bytes
    queue: str
    priority: int = 0
    reason: str
    deliveries: int
    died_at: int
    failure: Failure | None = None
    worker: str = ""


encode_message = msgspec.msgpack.Encoder().encode
decode_message = msgspec.msgpack.Decoder(Message).decode
encode_record = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(Record).decode
decode_dead_letter = msgspec.msgpack.Decoder(DeadLetter).decode
_NO_LIMIT = 2**31


def readable_message(data: bytes) -> Message | None:
    """A message as the broker has it; None if it is none: somebody else has written it."""
    try:
        return decode_message(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return None


def read_record(id: str, data: bytes) -> Record:
    """A record as the broker has it.

    Raises:
        PayloadError: it is none; somebody else has written it.
    """
    try:
        return decode_record(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(
            f"What is stored as the record of task {id} cannot be read ({error}), so nothing is known of the task. "
            "`forget()` drops it."
        ) from None


def headers_of(message: Message) -> dict[str, Any]:
    """The headers as they were given.

    Raises:
        PayloadError: somebody else wrote them.
    """
    return cast("dict[str, Any]", from_marked(message.headers)) if message.marked else message.headers


def stamps_of(message: Message) -> dict[str, Any]:
    """The stamps as they were given.

    Raises:
        PayloadError: somebody else wrote them.
    """
    return cast("dict[str, Any]", from_marked(message.stamps)) if message.marked_stamps else message.stamps


def encode_stamp(key: str, value: Any) -> bytes:
    """A stamp to be revoked: its name and its value, and `true` if there are marks in it.

    Raises:
        PayloadError: it can't be sent.
    """
    found, marked = to_marked(value)
    return encode([key, found, True] if marked else [key, found], max_size=_NO_LIMIT)[0]


def decode_stamp(data: bytes) -> tuple[str, Any]:
    """The reverse of `encode_stamp`.

    Raises:
        PayloadError: somebody else wrote it.
    """
    match decode(data, "msgpack", max_size=_NO_LIMIT):
        case [str(key), value]:
            return key, value
        case [str(key), value, True]:
            return key, from_marked(value)
        case _:
            raise PayloadError("it is no stamp")


def meta_of(record: Record) -> Any:
    """What a task said of its progress, as it was given; as it is written, if somebody else wrote it."""
    if not record.marked:
        return record.meta
    try:
        return from_marked(record.meta)
    except PayloadError:
        return record.meta
