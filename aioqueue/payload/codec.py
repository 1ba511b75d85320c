"""Values to bytes, and bytes of unknown origin back to values.

Nothing that arrives can run code: there are msgpack and JSON, chosen by a tag from a closed list, and whatever is
wrong with the bytes comes out as a `PayloadError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NoReturn

import msgspec

from aioqueue.exceptions import ConfigurationError, PayloadError, PayloadTooLarge, suggest
from aioqueue.payload.compression import compress, decompress
from aioqueue.payload.limits import MAX_DEPTH, check_depth, examine_json, examine_msgpack
from aioqueue.payload.plain import ADVICE, Unsendable, to_plain

SERIALIZERS: Final = ("msgpack", "json")
COMPRESSIONS: Final = ("zlib", "zstd")


def _refuse_extension(code: int, data: memoryview) -> NoReturn:
    raise PayloadError(f"it holds a msgpack extension of type {code}, which aioqueue never writes")


_to_msgpack = msgspec.msgpack.Encoder(enc_hook=to_plain).encode
_from_msgpack = msgspec.msgpack.Decoder(ext_hook=_refuse_extension).decode
_to_json = msgspec.json.Encoder(enc_hook=to_plain).encode
_from_json = msgspec.json.Decoder().decode

# tag → (size check, decoder, compression). Everything that isn't in here is refused unread.
_CONTENTS: Final[dict[str, tuple[Callable[[bytes], bool], Callable[[bytes], Any], str | None]]] = {
    serializer + suffix: (examine, load, suffix[1:] or None)
    for serializer, examine, load in (
        ("msgpack", examine_msgpack, _from_msgpack),
        ("json", examine_json, _from_json),
    )
    for suffix in ("", *(f"+{name}" for name in COMPRESSIONS))
}
_RUNS_CODE: Final = ("pickle", "cloudpickle", "dill", "yaml", "marshal")


def encode(
    value: Any, *, serializer: str = "msgpack", compression: str | None = None, max_size: int
) -> tuple[bytes, str]:
    """`value` as bytes, and the tag that says how to read them: `msgpack`, `json+zlib`, ...

    Args:
        value: what msgspec can encode, pydantic models and paths.
        serializer: `msgpack` or `json`.
        compression: `zlib` or `zstd`, used from 1 KiB on and where it makes the data smaller.
        max_size: the setting `max_payload_size`; it holds before compression.

    Raises:
        PayloadError: the value can't be encoded so that `decode` would accept it.
        PayloadTooLarge: it takes more than `max_size` bytes.
        ConfigurationError: the serializer or the compression is unknown or not installed.
    """
    try:
        if serializer == "msgpack":
            data = _to_msgpack(value)
            if len(data) > MAX_DEPTH and examine_msgpack(data):
                check_depth(_from_msgpack(data))
        elif serializer == "json":
            data = _to_json(value)
            if b"null" in data:
                _refuse_nan(value)
            if len(data) > MAX_DEPTH and examine_json(data):
                check_depth(_from_json(data))
        else:
            raise ConfigurationError(
                f"serializer={serializer!r} is unknown: use 'msgpack' or 'json'.{suggest(str(serializer), SERIALIZERS)}"
            )
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
        return data, serializer
    smaller = compress(data, compression)
    return (data, serializer) if smaller is None else (smaller, f"{serializer}+{compression}")


def decode(data: bytes, content: str, *, max_size: int) -> Any:
    """The value that `encode` gave `data` and `content` for, as plain builtins.

    Raises:
        PayloadError: anything at all is wrong with the bytes or with the tag.
        PayloadTooLarge: they are, or decompress to, more than `max_size` bytes.
    """
    if len(data) > max_size:
        raise PayloadTooLarge(f"the payload has {len(data):,} bytes, more than max_payload_size={max_size:,}")
    try:
        examine, load, compression = _CONTENTS[content]
    except (KeyError, TypeError):
        raise _unknown(content) from None
    try:
        if compression is not None:
            data = decompress(data, compression, max_size=max_size)
        # A payload as short as MAX_DEPTH can't be nested any deeper.
        if len(data) <= MAX_DEPTH or not examine(data):
            return load(data)
        value = load(data)
        check_depth(value)
        return value
    except PayloadTooLarge:
        raise
    except PayloadError as error:
        raise PayloadError(f"the payload can't be decoded: {error}") from None
    except RecursionError:
        raise PayloadError(f"the payload can't be decoded: it is nested deeper than {MAX_DEPTH} levels") from None
    except Exception as error:
        # msgspec raises UnicodeDecodeError, OverflowError and others beside its own; so do the decompressors.
        raise PayloadError(f"the payload can't be decoded as {content}: {error}") from error


def _unknown(content: object) -> PayloadError:
    tag = repr(content)[:80]
    if isinstance(content, str) and content.partition("+")[0].lower() in _RUNS_CODE:
        return PayloadError(f"the payload is tagged {tag}: reading that can run code, so it was refused unread")
    return PayloadError(
        f"the payload is tagged {tag}, which isn't one of {', '.join(_CONTENTS)}: it was refused unread"
    )


def _explain(error: Exception) -> PayloadError:
    if isinstance(error, OverflowError):
        return PayloadError("it holds an int beyond 64 bits, which msgpack can't hold: send it as text (str)")
    if isinstance(error, RecursionError):
        return PayloadError(f"it is nested deeper than {MAX_DEPTH} levels, or holds itself")
    if isinstance(error, UnicodeEncodeError):
        return PayloadError("it holds text with a lone surrogate, which isn't Unicode: send it as bytes")
    return PayloadError(f"it can't be encoded ({error}): {ADVICE}")


def _refuse_nan(value: Any) -> None:
    # JSON has no NaN and msgspec writes null for it: the task would get None and nobody would know.
    level: list[Any] = [msgspec.to_builtins(value, enc_hook=to_plain)]
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


__all__ = ["COMPRESSIONS", "SERIALIZERS", "Unsendable", "decode", "encode"]
