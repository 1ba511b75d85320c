"""Values to bytes, and bytes of unknown origin back to values.

A payload whose values the serializer has a form for is written as it is. One with others, such as dates, is marked
(see `marks`), and its tag says so: `msgpack+types`. One without that tag, such as those of earlier versions, is read
as it is written.

Nothing that arrives can run code: there are msgpack and JSON, chosen by a tag from a closed list, and whatever is
wrong with the bytes comes out as a `PayloadError`. What a program registers beside them (see `serializers`) is read
where it is accepted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, NoReturn, cast

import msgspec

from aioqueue.exceptions import ConfigurationError, PayloadError, PayloadTooLarge
from aioqueue.payload.compression import COMPRESSIONS, compress, decompress
from aioqueue.payload.limits import MAX_DEPTH, check_depth, examine_json, examine_msgpack
from aioqueue.payload.marks import NATIVE_TEXTUAL, Marker, is_native, unmark
from aioqueue.payload.plain import ADVICE, Unsendable, to_plain
from aioqueue.payload.serializers import BUILT_IN, PICKLE, find, is_known, refusal, serializer_of, write


def _refuse_extension(code: int, data: memoryview) -> NoReturn:
    raise PayloadError(f"it holds a msgpack extension of type {code}, which aioqueue never writes")


_to_msgpack = msgspec.msgpack.Encoder(enc_hook=to_plain).encode
_from_msgpack = msgspec.msgpack.Decoder(ext_hook=_refuse_extension).decode
_call_from_msgpack = msgspec.msgpack.Decoder(tuple[tuple[Any, ...], dict[str, Any]], ext_hook=_refuse_extension).decode
_to_json = msgspec.json.Encoder(enc_hook=to_plain).encode
_from_json = msgspec.json.Decoder().decode

_TYPES: Final = "+types"
_MIXED: Final = "json+mixed"
"""Of no payload; see `joined`."""
# tag → (size check, decoder, has marks, compression). Everything that isn't in here is refused unread, or accepted.
CONTENTS: Final[dict[str, tuple[Callable[[bytes], bool], Callable[[bytes], Any], bool, str | None]]] = {
    serializer + marks + suffix: (examine, load, bool(marks), suffix[1:] or None)
    for serializer, examine, load in (
        ("msgpack", examine_msgpack, _from_msgpack),
        ("json", examine_json, _from_json),
    )
    for marks in ("", _TYPES)
    for suffix in ("", *(f"+{name}" for name in COMPRESSIONS))
}


def encode(
    value: Any, *, serializer: str = "msgpack", compression: str | None = None, max_size: int
) -> tuple[bytes, str]:
    """`value` as bytes, and the tag that says how to read them: `msgpack`, `json+types+zlib`, ...

    Args:
        value: plain data, the types of `marks`, and objects with fields.
        serializer: `msgpack`, `json`, or the name of another one.
        compression: one of `COMPRESSIONS`, used from 1 KiB on and where it makes the data smaller.
        max_size: the setting `max_payload_size`; it holds before compression.

    Raises:
        PayloadError: the value can't be encoded so that `decode` would give it back.
        PayloadTooLarge: it takes more than `max_size` bytes.
        ConfigurationError: the serializer or the compression is unknown or not installed.
    """
    native = type(value) in NATIVE_TEXTUAL or is_native((value,), serializer == "json")
    if native and compression is None and serializer == "msgpack":
        # Most results: nothing in them that could be wrong.
        try:
            data = _to_msgpack(value)
            if len(data) <= max_size and (len(data) <= MAX_DEPTH or not examine_msgpack(data)):
                return data, serializer
        except Exception:  # the long way says what
            pass
    return _encode(value, native, serializer, compression, max_size)


def encode_call(
    args: Collection[Any], kwargs: dict[str, Any], serializer: str, compression: str | None, max_size: int
) -> tuple[bytes, str]:
    """The arguments of a call as `[args, kwargs]`; see `encode`."""
    native = is_native((*args, *kwargs.values()) if kwargs else args, serializer == "json")
    if native and compression is None and serializer == "msgpack":
        try:
            data = _to_msgpack((args, kwargs))
            if len(data) <= max_size and (len(data) <= MAX_DEPTH or not examine_msgpack(data)):
                return data, serializer
        except Exception:  # the long way says what
            pass
    return _encode((args, kwargs) if native else [list(args), kwargs], native, serializer, compression, max_size)


def _encode(value: Any, native: bool, serializer: str, compression: str | None, max_size: int) -> tuple[bytes, str]:
    content = serializer
    try:
        built_in = serializer in BUILT_IN
        data = _write(value, serializer) if native and built_in else None
        if data is None:
            if native and type(value) is tuple:  # no tuple is native: these are the arguments of a call
                args, kwargs = cast("tuple[Any, Any]", value)
                value = [list(args), kwargs]
            if serializer != PICKLE:
                value, content = _marked(value, serializer)
            data = _write(value, serializer) if built_in else write(serializer, value)
            if data is None:
                raise PayloadError("it holds an int that is too large to be sent: send it as text")
    except (PayloadError, ConfigurationError):
        raise
    except Exception as error:
        raise _explain(error) from error
    if len(data) > max_size:
        raise PayloadTooLarge(
            f"it takes {len(data):,} bytes, more than max_payload_size={max_size:,}: "
            "store it and send its key, or raise max_payload_size for the senders and the workers"
        )
    if compression is None:
        return data, content
    smaller = compress(data, compression)
    return (data, content) if smaller is None else (smaller, f"{content}+{compression}")


def _write(value: Any, serializer: str) -> bytes | None:
    """None: it holds an int beyond 64 bits, which has to be marked."""
    if serializer == "msgpack":
        try:
            data = _to_msgpack(value)
        except OverflowError:
            return None
        if len(data) > MAX_DEPTH and examine_msgpack(data):
            check_depth(_from_msgpack(data))
        return data
    data = _to_json(value)
    if b"null" in data:
        _refuse_nan(value)
    if len(data) > MAX_DEPTH and examine_json(data):
        check_depth(_from_json(data))
    return data


def _marked(value: Any, serializer: str) -> tuple[Any, str]:
    marker = Marker(json=serializer != "msgpack")  # of other formats no more is known
    found = marker.mark(value)
    return found, serializer + _TYPES if marker.used else serializer


def decode(data: bytes, content: str, *, max_size: int, accept: Collection[str] = BUILT_IN) -> Any:
    """The value that `encode` gave `data` and `content` for; objects with fields as dicts.

    Args:
        accept: the serializers that may be used, the setting `accept_content`.

    Raises:
        PayloadError: anything at all is wrong with the bytes or with the tag, or it is not accepted.
        PayloadTooLarge: they are, or decompress to, more than `max_size` bytes.
    """
    if len(data) > max_size:
        raise PayloadTooLarge(f"the payload has {len(data):,} bytes, more than max_payload_size={max_size:,}")
    try:
        examine, load, marked, compression = CONTENTS[content]
    except (KeyError, TypeError):
        examine, load, marked, compression = _registered(content, accept)
    if serializer_of(content) not in accept:
        raise refusal(content, accept)
    try:
        if compression is not None:
            data = decompress(data, compression, max_size=max_size)
        # A payload as short as MAX_DEPTH can't be nested any deeper.
        deep = len(data) > MAX_DEPTH and examine(data)
        value = load(data)
        if deep:
            check_depth(value)
        return unmark(value) if marked else value
    except PayloadTooLarge:
        raise
    except PayloadError as error:
        raise PayloadError(f"the payload can't be decoded: {error}") from None
    except RecursionError:
        raise PayloadError(f"the payload can't be decoded: it is nested deeper than {MAX_DEPTH} levels") from None
    except Exception as error:
        # msgspec raises UnicodeDecodeError, OverflowError and others beside its own; so do the decompressors.
        raise PayloadError(f"the payload can't be decoded as {content}: {error}") from error


def decode_call(
    data: bytes, content: str, max_size: int, accept: Collection[str] = BUILT_IN
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that `encode_call` was given; see `decode`.

    Raises:
        PayloadError: also where the bytes are something else.
    """
    if content == "msgpack" and content in accept and len(data) <= max_size:
        try:
            if len(data) <= MAX_DEPTH or not examine_msgpack(data):
                return _call_from_msgpack(data)
        except Exception:  # the long way says what
            pass
    value = decode(data, content, max_size=max_size, accept=accept)
    if isinstance(value, list | tuple) and len(cast("list[Any]", value)) == 2:
        args, kwargs = cast("list[Any]", value)
        if isinstance(args, list | tuple) and isinstance(kwargs, dict):
            named = cast("dict[Any, Any]", kwargs)
            if not named or set(map(type, named)) == {str}:
                return tuple(cast("list[Any]", args)), named
    raise PayloadError("the payload isn't [args, kwargs]: a list and a dict whose keys are text")


def _registered(
    content: object, accept: Collection[str]
) -> tuple[Callable[[bytes], bool], Callable[[bytes], Any], bool, str | None]:
    """How to read a tag of a serializer that is not built in."""
    name, *more = content.split("+") if isinstance(content, str) else ("",)
    compression = more.pop() if more and more[-1] in COMPRESSIONS else None
    marked = more == [_TYPES[1:]]
    if not isinstance(content, str) or name in BUILT_IN or (more and not marked):
        raise _unknown(content)
    if name not in accept:
        raise refusal(content, accept) if is_known(name) else _unknown(content)
    try:
        given = find(name).decode
    except ConfigurationError as error:
        raise PayloadError(
            f"the payload is tagged {content[:80]!r}, and there is no such serializer here: {error}"
        ) from None
    if name == PICKLE:
        return _is_pickle, given, marked, compression
    return _may_be_deep, lambda data: _with_lists(given(data)), marked, compression


def _with_lists(value: Any) -> Any:
    """With a list for each tuple, as they were given: some formats are read with tuples."""
    if isinstance(value, list | tuple):
        return [_with_lists(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _with_lists(item) for key, item in cast("dict[Any, Any]", value).items()}
    return value


def _may_be_deep(data: bytes) -> bool:
    return True


def _is_pickle(data: bytes) -> bool:
    return False


def _unknown(content: object) -> PayloadError:
    more = ", ".join((_TYPES, *(f"+{name}" for name in COMPRESSIONS)))
    return PayloadError(
        f"the payload is tagged {repr(content)[:80]}, which isn't one of {', '.join(BUILT_IN)}, with or without {more} "
        "after it: it was refused unread"
    )


def _explain(error: Exception) -> PayloadError:
    if isinstance(error, RecursionError):
        return PayloadError(f"it is nested deeper than {MAX_DEPTH} levels, or holds itself")
    if isinstance(error, UnicodeEncodeError):
        return PayloadError("it holds text with a lone surrogate, which isn't Unicode: send it as bytes")
    return PayloadError(f"it can't be encoded ({error}): {ADVICE}")


def _refuse_nan(value: Any) -> None:
    # JSON has no NaN and msgspec writes null for it: the task would get None and nobody would know.
    level: list[Any] = [msgspec.to_builtins(value, enc_hook=to_plain, str_keys=True)]
    while level:
        items: list[Any] = []
        for item in level:
            if type(item) is float and not math.isfinite(item):
                raise PayloadError(f"it holds the float {item}, which JSON can't hold: use serializer='msgpack'")
            if isinstance(item, dict):
                items += item.values()  # pyright: ignore[reportUnknownArgumentType]
            elif isinstance(item, (list, tuple, set, frozenset)):
                items += item  # pyright: ignore[reportUnknownArgumentType]
        level = items


def to_marked(value: Any, *, json: bool = False) -> tuple[Any, bool]:
    """A value as part of data that a serializer writes, and whether there are marks in it.

    Raises:
        PayloadError: it can't be sent.
    """
    marker = Marker(json=json)
    try:
        return marker.mark(value), marker.used
    except PayloadError:
        raise
    except Exception as error:
        raise _explain(error) from error


def from_marked(value: Any) -> Any:
    """The reverse of `to_marked`, for a value with marks in it.

    Raises:
        PayloadError: it is nothing of the kind.
    """
    try:
        check_depth(value)
        return unmark(value)
    except PayloadError:
        raise
    except Exception as error:
        raise PayloadError(f"it can't be read: {error}") from error


def is_textual(content: str) -> bool:
    """Whether only annotations can tell what the texts and the keys of such a payload are: JSON and others without
    marks, which other programs may have written."""
    return serializer_of(content) not in ("msgpack", PICKLE) and _TYPES not in content


def is_marked(content: str) -> bool:
    """Whether there may be values in such a payload that only marks can tell, or objects as they were."""
    return _TYPES in content or content == _MIXED or serializer_of(content) == PICKLE


def joined(contents: Iterable[str]) -> str:
    """What arguments are that were put together from several payloads: one tag that asks for all that any asks for."""
    found = list(contents)
    marked, textual = any(map(is_marked, found)), any(map(is_textual, found))
    if marked:
        return _MIXED if textual else f"msgpack{_TYPES}"
    return "json" if textual else "msgpack"


__all__ = [
    "BUILT_IN",
    "COMPRESSIONS",
    "CONTENTS",
    "Unsendable",
    "decode",
    "decode_call",
    "encode",
    "encode_call",
    "from_marked",
    "is_marked",
    "is_textual",
    "joined",
    "to_marked",
]
