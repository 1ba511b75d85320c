"""Which calls are the same: the task, and the arguments as they arrive."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b
from typing import Any, cast

import msgspec

from aioqueue.exceptions import PayloadError
from aioqueue.payload.boxes import kind_of
from aioqueue.payload.codec import decode_call, to_marked
from aioqueue.payload.serializers import BUILT_IN

_NO_LIMIT = 2**31
_encode = msgspec.msgpack.Encoder(enc_hook=repr).encode


def call_digest(task: str, body: bytes, content: str, names: tuple[str, ...] = (), *, own: Collection[str] = ()) -> str:
    """The same text for the same call, another one for any other: 32 hexadecimal digits.

    Args:
        task: the name of the task.
        body, content: its arguments, encoded.
        names: of the parameters that can be given by position, where they are known: `add(1, 2)` and `add(1, y=2)`
            are one call.
        own: serializers of the program that may be used to read them.
    """
    try:
        # What was written by a serializer of the program's own need not give the same bytes each time.
        args, kwargs = decode_call(body, content, _NO_LIMIT, (*BUILT_IN, *own))
        named = dict(zip(names, args, strict=False))
        call = _encode((task, _ordered(args[len(named) :]), _ordered({**named, **kwargs})))
    except (PayloadError, TypeError, ValueError, msgspec.MsgspecError, RecursionError):  # then it is what its bytes are
        call = b"\0".join((task.encode(), content.encode(), body))
    return blake2b(call, digest_size=16).hexdigest()


def _ordered(value: Any) -> Any:
    """The same, where the order in which keys of a dict or members of a set were met makes no difference."""
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {
            kind_of(value).__name__: sorted((_encode(_ordered(key)), _encode(_ordered(item))) for key, item in items)
        }
    if isinstance(value, set | frozenset):
        members = sorted(_encode(_ordered(member)) for member in cast("set[Any]", value))
        return {"set" if isinstance(value, set) else "frozenset": members}
    if isinstance(value, tuple):
        return {kind_of(value).__name__: [_ordered(item) for item in cast("tuple[Any, ...]", value)]}
    if isinstance(value, list):
        return [_ordered(item) for item in cast("list[Any]", value)]
    return to_marked(value)[0]  # a date is not its text, and a moment in another zone another value
