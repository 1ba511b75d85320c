"""Compression of payloads, and decompression that can't be made to fill the memory."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from aioqueue.exceptions import ConfigurationError, PayloadError, PayloadTooLarge, suggest

COMPRESSIONS: Final = ("zlib", "gzip", "bz2", "lzma", "zstd")

ALIASES: Final = {"bzip2": "bz2", "bzip": "bz2", "xz": "lzma", "zstandard": "zstd"}
"""Celery's other words for them."""

MIN_SIZE: Final = 1024
"""Smaller payloads are sent as they are: there is little to gain."""

_ZLIB_LEVEL: Final = 1
_GZIP: Final = 31  # zlib's word for gzip's frame
_BZ2_LEVEL: Final = 1
_LZMA_PRESET: Final = 1
_LZMA_MEMORY: Final = 64 * 1024 * 1024  # preset 1 uses 2 MiB
_ZSTD_LEVEL: Final = 3
_ZSTD_WINDOW: Final = 1 << 24  # 16 MiB; level 3 uses 2
_MISSING: Final = "zstd compression needs the package zstandard: pip install 'aioqueue[zstd]'"


def missing(method: str) -> str | None:
    """Why this process cannot compress so, with what to do; None where it can."""
    if method == "zstd":
        return None if _zstd_module() is not None else _MISSING
    if method in ("bz2", "lzma"):
        try:
            import_module(method)
        except ImportError as error:
            return f"it is not in this Python ({error})"
    return None


def compress(data: bytes, method: str) -> bytes | None:
    """`data` compressed, or None where that isn't worth it. The same data give the same bytes.

    Raises:
        ConfigurationError: the method is unknown or not installed.
    """
    write = _WRITERS.get(method)
    if write is None:
        *others, last = map(repr, COMPRESSIONS)
        hint = suggest(method, COMPRESSIONS)
        raise ConfigurationError(f"compression={method!r} is unknown: use {', '.join(others)}, {last} or None.{hint}")
    # zstd is looked up for small data too: a missing package is to be seen with the first task, not the first long one.
    smaller = write(data) if len(data) >= MIN_SIZE or method == "zstd" else data
    return smaller if len(smaller) < len(data) else None


def decompress(data: bytes, method: str, *, max_size: int) -> bytes:
    """The data as it was before `compress`, which is at most `max_size` bytes or is not built.

    Raises:
        PayloadTooLarge: it would be larger.
        PayloadError: it is malformed, truncated or followed by something.
    """
    if method == "zstd":
        return _zstd_decompress(data, max_size)
    return _bounded(_READERS[method](), data, max_size)


def too_large(max_size: int) -> PayloadTooLarge:
    """The error for data that grows beyond the limit."""
    return PayloadTooLarge(f"the payload decompresses to more than max_payload_size={max_size:,} bytes")


def _gzip_compress(data: bytes) -> bytes:
    stream = zlib.compressobj(_ZLIB_LEVEL, wbits=_GZIP)  # without the time, which gzip.compress puts in
    return stream.compress(data) + stream.flush()


def _bz2_compress(data: bytes) -> bytes:
    return _standard("bz2").compress(data, _BZ2_LEVEL)


def _lzma_compress(data: bytes) -> bytes:
    return _standard("lzma").compress(data, preset=_LZMA_PRESET)


def _lzma_reader() -> Any:
    lzma = _standard("lzma")
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY)


def _standard(name: str) -> Any:
    """A module of the standard library, which a Python that was built without its C library lacks."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigurationError(f"compression={name!r} is not in this Python: {error}.") from error


def _bounded(stream: Any, data: bytes, max_size: int) -> bytes:
    plain: bytes = stream.decompress(data, max_size + 1)
    if len(plain) > max_size:
        raise too_large(max_size)
    if not stream.eof:
        raise PayloadError("the compressed payload is truncated")
    if stream.unused_data:
        raise PayloadError("bytes follow the compressed payload")
    return plain


def _zstd_module() -> tuple[Any, bool] | None:
    """The module, and whether it is the standard library's (3.14)."""
    for name in ("compression.zstd", "zstandard"):
        try:
            return import_module(name), name == "compression.zstd"
        except ImportError:
            continue
    return None


def _zstd_compress(data: bytes) -> bytes:
    found = _zstd_module()
    if found is None:
        raise ConfigurationError(_MISSING)
    module, standard = found
    if len(data) < MIN_SIZE:
        return data
    if standard:
        return module.compress(data, _ZSTD_LEVEL)
    return module.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)


def _zstd_decompress(data: bytes, max_size: int) -> bytes:
    found = _zstd_module()
    if found is None:
        raise PayloadError(_MISSING)
    module, standard = found
    if standard:
        options = {module.DecompressionParameter.window_log_max: _ZSTD_WINDOW.bit_length() - 1}
        return _bounded(module.ZstdDecompressor(options=options), data, max_size)
    # zstandard trusts the size that the frame claims over max_output_size, and reads a frame without one as a
    # stream: so the claim is looked at first, and one without a claim (we never write it) is refused.
    claimed: int = module.frame_content_size(data)
    if claimed < 0:
        raise PayloadError("the compressed payload doesn't tell its size")
    if claimed > max_size:
        raise too_large(max_size)
    plain: bytes = module.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompress(
        data, max_output_size=claimed, allow_extra_data=False
    )
    if len(plain) != claimed:
        raise PayloadError("the compressed payload is truncated")
    return plain


_WRITERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "zlib": lambda data: zlib.compress(data, _ZLIB_LEVEL),
    "gzip": _gzip_compress,
    "bz2": _bz2_compress,
    "lzma": _lzma_compress,
    "zstd": _zstd_compress,
}
_READERS: Final[dict[str, Callable[[], Any]]] = {
    "zlib": zlib.decompressobj,
    "gzip": lambda: zlib.decompressobj(wbits=_GZIP),
    "bz2": lambda: _standard("bz2").BZ2Decompressor(),
    "lzma": _lzma_reader,
}
