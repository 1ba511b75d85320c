"""Serializers beside msgpack and JSON: those that a program registers by name, and pickle.

They are given plain data, which any format has a form for: None, bools, ints of 64 bits, floats, text, lists, and dicts
whose keys are text; all else is marked (see `marks`). Pickle is given the objects themselves.

Nothing is read with one of them unless the app accepts it: see `accept_content`.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from aioqueue.exceptions import ConfigurationError, PayloadError, suggest

BUILT_IN: Final = ("msgpack", "json")
"""What an app accepts if nothing else is said."""

PICKLE: Final = "pickle"
_RUNS_CODE: Final = (PICKLE, "cloudpickle", "dill", "yaml", "marshal")
_BY_MIME_TYPE: Final = {
    "application/json": "json",
    "application/x-msgpack": "msgpack",
    "application/x-python-serialize": "pickle",
}
"""What Celery's settings may call them."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Serializer(NamedTuple):
    """A way to write plain data as bytes, and to read it again."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


_known: dict[str, Serializer] = {PICKLE: Serializer(pickle.dumps, pickle.loads)}


def register_serializer(name: str, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> None:
    """Give a serializer a name, under which tasks, calls and the setting `task_serializer` choose it.

    It has to be registered before it is named anywhere, in the programs that send and in the workers; and the apps that
    are to read it list it in `accept_content`, or have it as their `task_serializer` or as the `serializer` of a task.
    Registering a name again replaces what it stood for.

    Args:
        name: letters, digits, "_", "." and "-"; it travels with each payload.
        encode: given plain data (None, bools, ints, floats, text, lists, dicts whose keys are text), returns bytes.
        decode: given such bytes, returns the data. What it is given may have been written by anybody.

    Raises:
        ConfigurationError: the name is none, or is built in; or one of the functions is no function.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in BUILT_IN:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"The name of a serializer is of letters, digits, '_', '.' and '-', and not 'msgpack' or 'json': {name!r} "
            "cannot be registered."
        )
    for what, function in (("encode", encode), ("decode", decode)):
        if not callable(function):
            raise ConfigurationError(f"The {what} of the serializer {name!r} is a function, not {function!r}.")
    _known[name] = Serializer(encode, decode)


def known_serializers() -> tuple[str, ...]:
    """The names of all."""
    return (*BUILT_IN, *_known)


def read_serializer(value: Any) -> str:
    """The name of a serializer.

    Raises:
        TypeError, ValueError: it is none.
    """
    if not isinstance(value, str):
        raise TypeError
    value = _BY_MIME_TYPE.get(value, value)
    if value not in BUILT_IN and value not in _known:
        hint = suggest(value, known_serializers()).strip()
        raise ValueError(f"{hint}{' ' if hint else ''}Others are made known by register_serializer() before")
    return value


def serializer_of(content: str) -> str:
    """The serializer that a content tag names."""
    return content.partition("+")[0]


def find(name: str) -> Serializer:
    """The serializer of that name, which is not built in.

    Raises:
        ConfigurationError: there is none.
    """
    found = _known.get(name)
    if found is None:
        raise ConfigurationError(
            f"serializer={name!r} is unknown: use 'msgpack', 'json', or one that was made known by "
            f"register_serializer().{suggest(str(name), known_serializers())}"
        )
    return found


def write(name: str, value: Any) -> bytes:
    """A value in one of these.

    Raises:
        PayloadError: the serializer cannot write it, or gives no bytes.
        ConfigurationError: there is no such serializer.
    """
    encode = find(name).encode
    try:
        data: Any = encode(value)
    except Exception as error:  # of the user's code
        raise PayloadError(f"the serializer {name!r} cannot write it: {type(error).__name__}: {error}") from error
    if not isinstance(data, bytes | bytearray):
        raise PayloadError(f"the serializer {name!r} gave a {type(data).__name__} in the place of bytes")
    return bytes(data)


def is_known(name: str) -> bool:
    """Whether it is one of these, or one that is known to run code."""
    return name in _known or name.lower() in _RUNS_CODE


def refusal(content: str, accept: Collection[str]) -> PayloadError:
    """The error for a payload that is not accepted."""
    tag, name = repr(content)[:80], serializer_of(content).lower()
    why = f"accept_content={list(accept)!r} has no {serializer_of(content)[:80]!r}"
    if name in _RUNS_CODE:
        return PayloadError(f"the payload is tagged {tag}: reading that can run code, so it was refused unread ({why})")
    return PayloadError(f"the payload is tagged {tag}, and {why}: it was refused unread")
